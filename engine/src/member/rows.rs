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
}

/// A ring of masked logits by position, newest last, and one row that stays.
#[derive(Debug)]
pub(super) struct KeptRows {
    rows: std::collections::VecDeque<(usize, Vec<f32>)>,
    capacity: usize,
    pinned: (usize, Vec<f32>),
}

/// No position.
const NOWHERE: usize = usize::MAX;

/// Memory for kept rows of one member. A retraction of the stock policy goes back five units at most; a vocabulary of
/// 152,000 units leaves room for six positions, and deeper retractions cost one forward pass.
const BYTES: usize = 4 << 20;

impl KeptRows {
    pub fn new(units: usize, horizon: usize) -> Self {
        let capacity = (BYTES / (units.max(1) * size_of::<f32>())).clamp(2, horizon.max(2));
        Self { rows: std::collections::VecDeque::with_capacity(capacity), capacity, pinned: (NOWHERE, Vec::new()) }
    }

    /// Forgets the rows of positions after `len`.
    pub fn drop_after(&mut self, len: usize) {
        while self.rows.back().is_some_and(|(at, _)| *at > len) {
            self.rows.pop_back();
        }
        if self.pinned.0 > len {
            self.pinned.0 = NOWHERE;
        }
    }

    /// Keeps a copy of the row of position `len` until it is dropped or another is pinned.
    pub fn pin(&mut self, len: usize) {
        if let Some((_, row)) = self.rows.iter().rev().find(|(at, _)| *at == len) {
            self.pinned.0 = len;
            self.pinned.1.clone_from(row);
        }
    }

    /// A buffer for the row of position `len`, reusing the oldest one when all are taken. Positions come in rising order.
    pub fn slot(&mut self, len: usize) -> &mut Vec<f32> {
        let buffer = if self.rows.len() < self.capacity {
            Vec::new()
        } else {
            self.rows.pop_front().map_or_else(Vec::new, |(_, row)| row)
        };
        self.rows.push_back((len, buffer));
        let newest = self.rows.len() - 1;
        &mut self.rows[newest].1
    }

    /// The row of position `len`.
    pub fn get(&self, len: usize) -> Option<&[f32]> {
        let newest_first = self.rows.iter().rev().chain([&self.pinned]);
        newest_first.into_iter().find(|(at, _)| *at == len).map(|(_, row)| row.as_slice())
    }
}
