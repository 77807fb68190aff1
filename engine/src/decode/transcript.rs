//! A reply as it stands: its pieces with what is known of each, their text, and what was tried in their places. Whatever takes
//! pieces back goes through [`Transcript::truncate`].
//!
//! A *piece* is what people and policies count, about a token; a *unit* is what the members decode. Where all members have the
//! same tokens a piece is one unit, a token. Otherwise units are bytes, and a piece is some of them.

use super::attempts::Attempts;
use super::pieces::Pieces;
use super::text::ReplyText;
use super::window::{UnitRecord, Window};
use crate::member::Unit;

/// Pieces whose ends tell in which of a member's tokens the text was drawn.
const CUTS: usize = 32;

/// The pieces that stand since the start of a reply, and the beginning of the next.
#[derive(Debug)]
pub(super) struct Transcript {
    window: Window,
    text: ReplyText,
    /// Of all pieces, and of the one that is being written.
    units: Vec<Unit>,
    /// Where each piece's units end.
    ends: Vec<usize>,
    /// Numbers for pieces of several bytes.
    pub pieces: Pieces,
    /// Bans and tries by position. Those of a position outlive the pieces after it.
    pub attempts: Attempts,
    /// Pieces that were told to be certain; never taken back, whatever happens to budgets and hooks later.
    pub certain: usize,
    /// Units at the start that the members no longer see, after a context shift.
    pub hidden: usize,
}

impl Transcript {
    /// Empty, with room for `pieces` pieces of `members` members, and a text that ends before the first of `stop`.
    pub fn new(members: usize, pieces: usize, stop: Vec<String>) -> Self {
        Self {
            window: Window::new(members, pieces),
            text: ReplyText::new(stop),
            units: Vec::with_capacity(pieces),
            ends: Vec::with_capacity(pieces),
            pieces: Pieces::default(),
            attempts: Attempts::default(),
            certain: 0,
            hidden: 0,
        }
    }

    /// How many pieces stand.
    pub fn len(&self) -> usize {
        self.window.len()
    }

    pub fn window(&self) -> &Window {
        &self.window
    }

    pub fn text(&self) -> &ReplyText {
        &self.text
    }

    /// All units, those of the open piece too.
    pub fn units(&self) -> &[Unit] {
        &self.units
    }

    /// Units that the members see.
    pub fn seen(&self) -> &[Unit] {
        &self.units[self.hidden..]
    }

    /// Of the piece that is being written.
    pub fn open(&self) -> &[Unit] {
        &self.units[self.start()..]
    }

    /// Where the newest pieces end, in units that the members see.
    pub fn cuts(&self) -> Vec<usize> {
        let newest = &self.ends[self.ends.len().saturating_sub(CUTS)..];
        let seen = newest.iter().filter_map(|end| end.checked_sub(self.hidden)).collect();
        // The first piece begins where the prompt ends.
        if self.ends.is_empty() { vec![0] } else { seen }
    }

    /// Of a piece that stands.
    pub fn units_of(&self, position: usize) -> &[Unit] {
        let start = position.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.units[start..self.ends[position]]
    }

    /// Units before it.
    pub fn start(&self) -> usize {
        self.ends.last().copied().unwrap_or(0)
    }

    /// Pieces of which the members do not see all.
    pub fn hidden_pieces(&self) -> usize {
        let whole = self.ends.partition_point(|&end| end <= self.hidden);
        let is_cut = whole.checked_sub(1).map_or(0, |last| self.ends[last]) < self.hidden;
        (whole + usize::from(is_cut)).min(self.len())
    }

    /// Adds a unit to the piece that is being written.
    pub fn add(&mut self, unit: Unit) {
        self.units.push(unit);
    }

    /// Begins the piece anew.
    pub fn drop_open(&mut self) {
        self.units.truncate(self.start());
    }

    /// The piece that was being written stands. The text that became whole with it, and whether a stop string is complete.
    pub fn push(&mut self, record: UnitRecord, bytes: &[u8]) -> (String, bool) {
        self.window.push(record);
        self.ends.push(self.units.len());
        let pushed = self.text.push(bytes);
        (pushed.text.to_string(), pushed.stopped)
    }

    /// Goes back to the first `len` pieces: the bytes of shown text that go with the others.
    pub fn truncate(&mut self, len: usize) -> usize {
        let pieces = self.len().saturating_sub(len);
        self.window.retract(pieces);
        self.ends.truncate(len);
        self.drop_open();
        self.text.retract(pieces)
    }

    /// Ends the text: what was held back as the possible beginning of a stop string.
    pub fn finish(&mut self) -> String {
        self.drop_open();
        self.text.finish().to_string()
    }
}
