//! The rows of one member: the current one, and those of the last positions, so that a first retry after a retraction
//! needs no forward pass.

use crate::fuse;

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

/// Masked logits by position: a ring of the newest, one row that stays, and one that is lent out as the current row, so that
/// rows are copied once, out of llama.cpp's buffer.
#[derive(Debug)]
pub(super) struct KeptRows {
    rows: std::collections::VecDeque<(usize, Vec<f32>)>,
    capacity: usize,
    pinned: (usize, Vec<f32>),
    /// Buffers of rows that were dropped: a fresh one of this size costs its page faults.
    spare: Vec<Vec<f32>>,
}

/// No position.
pub(super) const NOWHERE: usize = usize::MAX;

/// Memory for kept rows of one member. A retraction of the stock policy goes back five units at most; a vocabulary of
/// 152,000 units leaves room for six positions, and deeper retractions cost one forward pass.
const BYTES: usize = 4 << 20;

impl KeptRows {
    pub fn new(units: usize, horizon: usize) -> Self {
        let capacity = (BYTES / (units.max(1) * size_of::<f32>())).clamp(2, horizon.max(2));
        Self {
            rows: std::collections::VecDeque::with_capacity(capacity),
            capacity,
            pinned: (NOWHERE, Vec::new()),
            spare: Vec::new(),
        }
    }

    /// Forgets the rows of positions after `len`.
    pub fn drop_after(&mut self, len: usize) {
        while self.rows.back().is_some_and(|(at, _)| *at > len) {
            self.spare.extend(self.rows.pop_back().map(|(_, row)| row).filter(|row| row.capacity() > 0));
        }
        if self.pinned.0 > len {
            self.pinned.0 = NOWHERE;
        }
    }

    /// Keeps a copy of the row of position `len` until it is dropped or another is pinned.
    pub fn pin(&mut self, len: usize, row: &[f32]) {
        self.pinned.0 = len;
        self.pinned.1.clear();
        self.pinned.1.extend_from_slice(row);
    }

    /// A buffer for the row of position `len`, reusing the oldest one when all are taken. Positions come in rising order.
    pub fn slot(&mut self, len: usize) -> &mut Vec<f32> {
        let mut buffer = if self.rows.len() < self.capacity {
            self.spare.pop().unwrap_or_default()
        } else {
            self.rows.pop_front().map_or_else(Vec::new, |(_, row)| row)
        };
        buffer.clear();
        self.rows.push_back((len, buffer));
        let newest = self.rows.len() - 1;
        &mut self.rows[newest].1
    }

    /// The row of position `len`, unless it is lent.
    pub fn get(&self, len: usize) -> Option<&[f32]> {
        let newest_first = self.rows.iter().rev().chain([&self.pinned]);
        newest_first.into_iter().find(|(at, row)| *at == len && !row.is_empty()).map(|(_, row)| row.as_slice())
    }

    /// Lends the row of position `len` in exchange for the one that is out, which belongs to position `out`. False when it
    /// is not kept; nothing changes then.
    pub fn lend(&mut self, len: usize, out: usize, current: &mut Vec<f32>) -> bool {
        if self.get(len).is_none() {
            return false;
        }
        // Back into its place, unless that was dropped.
        if let Some((_, row)) = self.rows.iter_mut().rev().find(|(at, row)| *at == out && row.is_empty()) {
            std::mem::swap(row, current);
        }
        match self.rows.iter_mut().rev().find(|(at, row)| *at == len && !row.is_empty()) {
            Some((_, row)) => {
                current.clear();
                std::mem::swap(row, current);
            }
            None => current.clone_from(&self.pinned.1),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(positions: std::ops::Range<usize>) -> KeptRows {
        let mut kept = KeptRows::new(1 << 18, 32);
        for position in positions {
            kept.slot(position).push(position as f32);
        }
        kept
    }

    #[test]
    fn a_row_that_is_lent_comes_back_into_its_place() {
        let mut kept = kept(0..4);
        let mut current = Vec::new();
        assert!(kept.lend(3, NOWHERE, &mut current));
        assert_eq!((current.as_slice(), kept.get(3)), (&[3.0][..], None));
        assert!(kept.lend(1, 3, &mut current));
        assert_eq!((current.as_slice(), kept.get(3)), (&[1.0][..], Some(&[3.0][..])));
    }

    #[test]
    fn a_row_that_is_not_kept_changes_nothing() {
        let mut kept = kept(0..9);
        assert_eq!(kept.get(0), None, "four rows of a quarter of a million fit");
        let mut current = vec![7.0];
        assert!(!kept.lend(0, 8, &mut current));
        assert_eq!(current, [7.0]);
    }

    #[test]
    fn what_was_dropped_does_not_come_back() {
        let mut kept = kept(0..4);
        let mut current = Vec::new();
        kept.lend(3, NOWHERE, &mut current);
        kept.drop_after(2);
        assert!(kept.lend(2, 3, &mut current));
        assert_eq!((current.as_slice(), kept.get(3)), (&[2.0][..], None));
    }

    #[test]
    fn the_pinned_row_stays_when_others_go() {
        let mut kept = kept(0..1);
        kept.pin(0, &[0.5]);
        for position in 1..9 {
            kept.slot(position).push(position as f32);
        }
        let mut current = Vec::new();
        assert!(kept.lend(0, NOWHERE, &mut current));
        assert_eq!((current.as_slice(), kept.get(0)), (&[0.5][..], Some(&[0.5][..])));
    }
}
