//! The rows of one member: those of the last positions, so that a retry after a retraction, and what a draft has read ahead,
//! need no forward pass.

use super::LEAST_ROWS;
use crate::fuse::{self, InvalidRow};
use std::collections::VecDeque;

/// One member's row for the next unit.
#[derive(Debug, Clone, Default)]
pub struct MemberRow {
    /// Masked logits: −∞ for what the ensemble cannot emit, all end tokens joined in one unit.
    pub logits: Vec<f32>,
    /// Their softmax.
    pub probabilities: Vec<f32>,
    /// Of the row.
    pub statistics: fuse::RowStatistics,
    /// Decayed sum of the log-probabilities this member gave to the text that stands; see `plugin_api::Row::evidence`.
    pub evidence: f32,
    /// The member cannot express the text that stands, and has no say about this unit; the rest means nothing then.
    pub abstains: bool,
}

impl MemberRow {
    /// One without a say, as long as there are units.
    pub(super) fn abstaining(units: usize) -> Self {
        let (logits, probabilities) = (vec![f32::NEG_INFINITY; units], vec![0.0; units]);
        Self { logits, probabilities, abstains: true, ..Self::default() }
    }

    /// Fills in what follows from the logits.
    pub(super) fn complete(&mut self) -> Result<(), InvalidRow> {
        self.probabilities.resize(self.logits.len(), 0.0);
        self.statistics = fuse::softmax(&self.logits, &mut self.probabilities)?;
        self.abstains = false;
        Ok(())
    }
}

/// Rows by length: a ring of the newest, and one that stays.
#[derive(Debug)]
pub(super) struct KeptRows {
    rows: VecDeque<(usize, MemberRow)>,
    capacity: usize,
    pinned: Option<(usize, MemberRow)>,
    /// Rows that were dropped: buffers of this size cost their page faults when they are fresh.
    spare: Vec<MemberRow>,
}

/// Memory for kept rows of one member. A retraction of the stock policy goes back five units at most; deeper ones cost one
/// forward pass where a vocabulary of 152,000 units leaves room for few rows.
const BYTES: usize = 8 << 20;

impl KeptRows {
    pub fn new(units: usize, horizon: usize) -> Self {
        let row = units.max(1) * 2 * size_of::<f32>();
        let capacity = (BYTES / row).clamp(LEAST_ROWS, horizon.max(LEAST_ROWS));
        Self { rows: VecDeque::with_capacity(capacity), capacity, pinned: None, spare: Vec::new() }
    }

    /// How many there can be.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets the rows of lengths after `len`.
    pub fn drop_after(&mut self, len: usize) {
        while self.rows.back().is_some_and(|(at, _)| *at > len) {
            self.spare.extend(self.rows.pop_back().map(|(_, row)| row));
        }
        self.pinned.take_if(|(at, _)| *at > len);
    }

    /// Forgets all rows.
    pub fn clear(&mut self) {
        self.spare.extend(self.rows.drain(..).map(|(_, row)| row));
        self.pinned = None;
    }

    /// Keeps a copy of the row of length `len` until it is dropped or another is pinned.
    pub fn pin(&mut self, len: usize) {
        if self.pinned.as_ref().is_none_or(|(at, _)| *at != len) {
            self.pinned = self.get(len).cloned().map(|row| (len, row));
        }
    }

    /// Keeps the row of length `len`, which `fill` makes in a buffer that may hold another, unless it fails. Where all
    /// places are taken the oldest goes; lengths come in rising order.
    pub fn keep<E>(&mut self, len: usize, fill: impl FnOnce(&mut MemberRow) -> Result<(), E>) -> Result<(), E> {
        let mut row = if self.rows.len() < self.capacity {
            self.spare.pop().unwrap_or_default()
        } else {
            self.rows.pop_front().map(|(_, row)| row).unwrap_or_default()
        };
        match fill(&mut row) {
            Ok(()) => {
                self.rows.push_back((len, row));
                Ok(())
            }
            Err(error) => {
                self.spare.push(row);
                Err(error)
            }
        }
    }

    /// The row of length `len`.
    pub fn get(&self, len: usize) -> Option<&MemberRow> {
        let newest_first = self.rows.iter().rev().chain(&self.pinned);
        newest_first.into_iter().find(|(at, _)| *at == len).map(|(_, row)| row)
    }

    /// The row of length `len`, to change it.
    pub fn get_mut(&mut self, len: usize) -> Option<&mut MemberRow> {
        let newest_first = self.rows.iter_mut().rev().chain(&mut self.pinned);
        newest_first.into_iter().find(|(at, _)| *at == len).map(|(_, row)| row)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of so long a vocabulary the fewest rows are kept.
    fn kept(lengths: std::ops::Range<usize>) -> KeptRows {
        let mut kept = KeptRows::new(1 << 20, 32);
        for len in lengths {
            keep(&mut kept, len);
        }
        kept
    }

    fn keep(kept: &mut KeptRows, len: usize) {
        let fill = |row: &mut MemberRow| {
            row.evidence = len as f32;
            Ok::<(), ()>(())
        };
        kept.keep(len, fill).unwrap();
    }

    fn evidence(kept: &KeptRows, len: usize) -> Option<f32> {
        kept.get(len).map(|row| row.evidence)
    }

    #[test]
    fn the_newest_rows_are_kept() {
        let kept = kept(0..20);
        let found = [1, 2, 19].map(|len| evidence(&kept, len));
        assert_eq!(found, [None, Some(2.0), Some(19.0)]);
    }

    #[test]
    fn what_was_dropped_does_not_come_back() {
        let mut kept = kept(0..4);
        kept.drop_after(2);
        assert_eq!((evidence(&kept, 2), evidence(&kept, 3)), (Some(2.0), None));
        keep(&mut kept, 3);
        assert_eq!(evidence(&kept, 3), Some(3.0));
    }

    #[test]
    fn a_row_that_could_not_be_made_is_not_kept() {
        let mut kept = kept(0..2);
        assert_eq!(kept.keep(2, |_| Err("no numbers")), Err("no numbers"));
        assert_eq!(evidence(&kept, 2), None);
    }

    #[test]
    fn the_pinned_row_stays_when_others_go() {
        let mut kept = kept(0..1);
        kept.pin(0);
        (1..30).for_each(|len| keep(&mut kept, len));
        assert_eq!(evidence(&kept, 0), Some(0.0));
        kept.drop_after(0);
        assert_eq!(evidence(&kept, 0), Some(0.0));
    }
}
