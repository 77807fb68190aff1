//! What a template may use up, and why it stops.
//!
//! A template comes with a model file, so nobody has read it. Everything that it makes the interpreter do is paid for in
//! advance out of one budget: a step, a byte of text, a place in a list. So time and memory are bounded whatever the
//! template says, and by the same bound on every machine.

use std::cell::Cell;

/// Price of evaluating one node or making one value. A unit of work is a nanosecond or two.
pub const STEP: usize = 16;
/// Price of a place in a list.
pub const PLACE: usize = 32;
/// How many bytes of text are copied for one unit of work. Looking through a byte costs one unit.
const COPIED: usize = 4;

/// The budget of one rendering.
pub struct Work {
    left: Cell<usize>,
}

impl Work {
    pub fn new(budget: usize) -> Self {
        Self { left: Cell::new(budget) }
    }

    /// Pays for something that is about to be done.
    pub fn spend(&self, price: usize) -> Done<()> {
        match self.left.get().checked_sub(price) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.left.set(0);
                Err(Fault { line: None, kind: FaultKind::Spent })
            }
        }
    }

    /// Pays for copying a text of so many bytes.
    pub fn spend_copy(&self, bytes: usize) -> Done<()> {
        self.spend(bytes / COPIED + STEP / 2)
    }

    /// Pays for `count` places in a list.
    pub fn spend_places(&self, count: usize) -> Done<()> {
        self.spend(count.saturating_mul(PLACE))
    }
}

/// Why a template stops.
#[derive(Debug)]
pub struct Fault {
    /// Where, from 1.
    pub line: Option<usize>,
    pub kind: FaultKind,
}

#[derive(Debug)]
pub enum FaultKind {
    /// It does what cannot be done.
    Broken(String),
    /// It called `raise_exception` with these words.
    Refused(String),
    /// It has used up its budget.
    Spent,
}

pub type Done<T> = Result<T, Fault>;

impl Fault {
    /// The same, at this line unless it is known better.
    pub fn at(mut self, line: usize) -> Self {
        self.line = self.line.or(Some(line));
        self
    }
}

/// The template does what cannot be done.
pub fn broken<T>(what: impl Into<String>) -> Done<T> {
    Err(Fault { line: None, kind: FaultKind::Broken(what.into()) })
}
