//! A reply as it stands: its units with what is known of each, their text, and what was tried in their places. Whatever takes
//! units back goes through [`Transcript::truncate`].

use super::attempts::Attempts;
use super::text::ReplyText;
use super::window::{UnitRecord, Window};
use crate::member::Unit;

/// The units that stand since the start of a reply.
#[derive(Debug)]
pub(super) struct Transcript {
    window: Window,
    text: ReplyText,
    /// Bans and tries by position. Those of a position outlive the units after it.
    pub attempts: Attempts,
    /// Units that were told to be certain; never taken back, whatever happens to budgets and hooks later.
    pub certain: usize,
    /// Units at the start that the members no longer see, after a context shift.
    pub hidden: usize,
}

impl Transcript {
    /// Empty, with room for `units` units of `members` members, and a text that ends before the first of `stop`.
    pub fn new(members: usize, units: usize, stop: Vec<String>) -> Self {
        let (attempts, certain, hidden) = Default::default();
        Self { window: Window::new(members, units), text: ReplyText::new(stop), attempts, certain, hidden }
    }

    pub fn len(&self) -> usize {
        self.window.len()
    }

    pub fn window(&self) -> &Window {
        &self.window
    }

    pub fn text(&self) -> &ReplyText {
        &self.text
    }

    /// Units that the members see.
    pub fn seen(&self) -> &[Unit] {
        &self.window.units()[self.hidden..]
    }

    /// Adds a unit. The text that became whole with it, and whether a stop string is complete.
    pub fn push(&mut self, record: UnitRecord, bytes: &[u8]) -> (String, bool) {
        self.window.push(record);
        let pushed = self.text.push(bytes);
        (pushed.text.to_string(), pushed.stopped)
    }

    /// Goes back to the first `len` units: the bytes of shown text that go with the others.
    pub fn truncate(&mut self, len: usize) -> usize {
        let units = self.len().saturating_sub(len);
        self.window.retract(units);
        self.text.retract(units)
    }

    /// Ends the text: what was held back as the possible beginning of a stop string.
    pub fn finish(&mut self) -> String {
        self.text.finish().to_string()
    }
}
