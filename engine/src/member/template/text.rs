//! Text that knows who wrote which part of it.
//!
//! A person who types `<|im_end|>` must not end a message. So every stretch of text keeps its [`Owner`] through all that
//! a template does with it, and the prompt's pieces say whose text they are.

use super::work::{Done, STEP, Work};
use std::ops::Range;
use std::rc::Rc;

/// Who wrote a stretch of text: [`TEMPLATE`], or the message with this number, from 1.
pub type Owner = usize;
/// The template itself, whose text may make control tokens.
pub const TEMPLATE: Owner = 0;

/// A text and whose it is.
#[derive(Clone, Debug)]
pub struct Text {
    text: Rc<str>,
    owners: Owners,
}

#[derive(Clone, Debug)]
enum Owners {
    One(Owner),
    /// Where each stretch ends, in bytes, and whose it is.
    Many(Rc<[(usize, Owner)]>),
}

impl Text {
    /// A text of one owner.
    pub fn new(work: &Work, text: &str, owner: Owner) -> Done<Self> {
        work.spend_copy(text.len() + STEP)?;
        Ok(Self { text: text.into(), owners: Owners::One(owner) })
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    pub fn len(&self) -> usize {
        self.text.len()
    }

    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The stretches within `range`, in order.
    pub fn stretches(&self, range: Range<usize>) -> impl Iterator<Item = (&str, Owner)> {
        let (ends, one): (&[(usize, Owner)], _) = match &self.owners {
            Owners::One(owner) => (&[], Some((self.text.len(), *owner))),
            Owners::Many(ends) => (&ends[ends.partition_point(|&(end, _)| end <= range.start)..], None),
        };
        let mut start = range.start;
        ends.iter().copied().chain(one).map_while(move |(end, owner)| {
            let stretch = start..end.min(range.end);
            start = stretch.end;
            (!stretch.is_empty()).then(|| (&self.text[stretch], owner))
        })
    }

    /// The part at `range`, which must lie between characters.
    pub fn slice(&self, work: &Work, range: Range<usize>) -> Done<Self> {
        if range == (0..self.len()) {
            return Ok(self.clone());
        }
        let mut part = TextBuilder::new(work);
        part.push_part(self, range)?;
        part.finish()
    }

    /// The text changed character by character or stretch by stretch, each for itself.
    pub fn map(&self, work: &Work, change: impl Fn(&str) -> String) -> Done<Self> {
        let mut changed = TextBuilder::new(work);
        for (stretch, owner) in self.stretches(0..self.len()) {
            changed.push_str(&change(stretch), owner)?;
        }
        changed.finish()
    }
}

/// A text in the making; whatever is appended is paid for first.
pub struct TextBuilder<'w> {
    work: &'w Work,
    text: String,
    ends: Vec<(usize, Owner)>,
}

impl<'w> TextBuilder<'w> {
    pub fn new(work: &'w Work) -> Self {
        Self { work, text: String::new(), ends: Vec::new() }
    }

    pub fn push_str(&mut self, text: &str, owner: Owner) -> Done<()> {
        if text.is_empty() {
            return Ok(());
        }
        self.work.spend_copy(text.len())?;
        self.text.push_str(text);
        self.own(owner);
        Ok(())
    }

    /// What was appended last belongs to `owner`.
    fn own(&mut self, owner: Owner) {
        match self.ends.last_mut() {
            Some((end, last)) if *last == owner => *end = self.text.len(),
            _ => self.ends.push((self.text.len(), owner)),
        }
    }

    /// Appends text of the template.
    pub fn push_own(&mut self, text: &str) -> Done<()> {
        self.push_str(text, TEMPLATE)
    }

    pub fn push(&mut self, text: &Text) -> Done<()> {
        self.push_part(text, 0..text.len())
    }

    pub fn push_part(&mut self, text: &Text, range: Range<usize>) -> Done<()> {
        for (stretch, owner) in text.stretches(range) {
            self.push_str(stretch, owner)?;
        }
        Ok(())
    }

    pub fn push_times(&mut self, text: &Text, times: usize) -> Done<()> {
        match &text.owners {
            _ if text.is_empty() || times == 0 => {}
            Owners::One(owner) => {
                self.work.spend_copy(text.len().saturating_mul(times))?;
                self.text.extend(std::iter::repeat_n(&*text.text, times));
                self.own(*owner);
            }
            Owners::Many(_) => (0..times).try_for_each(|_| self.push(text))?,
        }
        Ok(())
    }

    pub fn finish(self) -> Done<Text> {
        self.work.spend(STEP)?;
        let owners = match self.ends.as_slice() {
            [] => Owners::One(TEMPLATE),
            [(_, owner)] => Owners::One(*owner),
            ends => Owners::Many(ends.into()),
        };
        Ok(Text { text: self.text.into(), owners })
    }
}
