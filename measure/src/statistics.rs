//! Intervals and tests for paired and unpaired figures.
//!
//! No comparison without a pair, no number without an interval, no winner whose interval holds 0. Systems answer the same
//! items, so what they share cancels out: an interval of a paired difference is 5 to 60 times narrower than those of the two
//! figures. Everything here is deterministic, gives a value for every input (no items, all right, counts near 2⁶⁴) and
//! knows nothing of models.

mod bootstrap;
mod distributions;
mod holm;
mod paired;
mod power;
mod random;
mod sequential;
mod wilson;

#[cfg(test)]
mod simulations;

pub use bootstrap::{
    Block, Bootstrap, FEWEST_BLOCKS, RatioDifference, bootstrap, bootstrap_difference, by_document, by_length,
};
pub(crate) use bootstrap::{percentile_interval, quantile};
pub use holm::holm;
pub use paired::{McNemar, Paired};
pub use power::{POWER, items_needed, times_as_much};
pub use random::Random;
pub use sequential::{ENOUGH_EVIDENCE, SequentialTest, Winner};
pub use wilson::wilson;

use serde::{Deserialize, Serialize};

/// The level of all tests here; intervals hold the true value in 95 of 100 cases.
pub const ALPHA: f64 = 0.05;

/// A 95 % confidence interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Its lower end.
    pub low: f64,
    /// Its upper end, not below the lower one.
    pub high: f64,
}

impl Interval {
    /// Whether all of it lies on one side of 0.
    pub fn excludes_zero(self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }

    /// The same interval in another unit.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let (one, other) = (self.low * factor, self.high * factor);
        Self { low: one.min(other), high: one.max(other) }
    }
}
