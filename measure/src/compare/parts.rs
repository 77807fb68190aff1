//! The parts of a figure, one an item.

use super::Estimate;
use super::summary::{SEED, rate};
use crate::results::Ratio;
use crate::statistics::{Block, bootstrap, by_document, wilson};

/// The parts of one system's figure.
pub(super) struct Parts {
    /// One an item.
    ratios: Vec<Ratio>,
    /// What is drawn as a whole.
    pub(super) blocks: Vec<Block>,
}

impl Parts {
    pub(super) fn new<'a>(items: impl IntoIterator<Item = ((bool, &'a str), Ratio)>) -> Self {
        let mut ratios = Vec::new();
        let blocks = by_document(items.into_iter().map(|(document, ratio)| {
            ratios.push(ratio);
            (document, Block { sum: ratio.sum, of: ratio.of })
        }));
        Self { ratios, blocks }
    }

    /// Whether each item is a yes, if all are one or a no and stand for themselves.
    pub(super) fn yes_or_no(&self) -> Option<Vec<bool>> {
        let one = |ratio: &Ratio| match (ratio.sum, ratio.of) {
            (0.0, 1.0) => Some(false),
            (1.0, 1.0) => Some(true),
            _ => None,
        };
        (self.blocks.len() == self.ratios.len()).then(|| self.ratios.iter().map(one).collect()).flatten()
    }

    pub(super) fn estimate(&self) -> Estimate {
        let items = self.ratios.len() as u64;
        let interval = match self.yes_or_no() {
            Some(all) => Some(wilson(all.into_iter().filter(|yes| *yes).count() as u64, items)),
            None => bootstrap(&self.blocks, SEED).map(|found| found.interval),
        };
        Estimate { value: rate(&self.blocks), interval, items }
    }
}
