//! What measured windows say: differences with intervals, and tests against a gate.
//!
//! The loss of a candidate above another, or above the base, is `Σ (nats − nats') / Σ tokens` over the windows that both were
//! measured on, and the ratio of their perplexities is its exponential. Neighbouring windows are of one document and resemble
//! each other, so windows of the same stretch of text are one block of the bootstrap. A sparse sample has a window a stretch
//! and loses nothing by it.

use super::WindowLoss;
use measure::statistics::{Block, Interval, bootstrap, by_document, times_as_much};
use serde::Serialize;
use std::collections::HashMap;

/// A difference of losses in nats a token, with its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Evidence {
    /// Windows that it rests on.
    pub windows: usize,
    /// The difference, above 0 where the candidate is worse.
    pub difference: f64,
    /// Its 95 % interval.
    pub interval: Interval,
    /// The two-sided p-value of "the difference is exactly the gate".
    pub p: f64,
}

impl Evidence {
    /// The difference of a candidate from the base. `None` where fewer than five stretches of text were measured.
    pub(crate) fn against_base(losses: &[WindowLoss], gate: f64, stretch: u32, seed: u64) -> Option<Self> {
        let parts = losses.iter().map(|loss| (loss.window, loss.nats - loss.base, f64::from(loss.tokens)));
        Self::new(parts, losses.len(), gate, stretch, seed)
    }

    /// The difference of the first candidate from the second, on the windows that both have.
    pub(crate) fn between(one: &[WindowLoss], other: &[WindowLoss], stretch: u32, seed: u64) -> Option<Self> {
        let others: HashMap<u32, f64> = other.iter().map(|loss| (loss.window, loss.nats)).collect();
        let parts: Vec<(u32, f64, f64)> = one
            .iter()
            .filter_map(|loss| Some((loss.window, loss.nats - others.get(&loss.window)?, f64::from(loss.tokens))))
            .collect();
        let windows = parts.len();
        Self::new(parts, windows, 0.0, stretch, seed)
    }

    /// The difference by windows with differences in nats and their tokens.
    fn new(
        parts: impl IntoIterator<Item = (u32, f64, f64)>,
        windows: usize,
        gate: f64,
        stretch: u32,
        seed: u64,
    ) -> Option<Self> {
        let mut parts: Vec<_> = parts.into_iter().collect();
        // The bootstrap draws places, so their order must not depend on the order of measurements.
        parts.sort_by_key(|part| part.0);
        let blocks = |length: u32| {
            let part = |&(window, nats, tokens): &(u32, f64, f64)| {
                (window / length, Block { sum: nats - gate * tokens, of: tokens })
            };
            by_document(parts.iter().map(part))
        };
        let [half, whole] = [(stretch / 2).max(1), stretch.max(1)].map(blocks);
        let above = bootstrap(&widened(&half, whole), seed)?;
        let interval = Interval { low: above.interval.low + gate, high: above.interval.high + gate };
        Some(Self { windows, difference: above.bits_per_byte + gate, interval, p: above.p })
    }

    /// The ratio of perplexities.
    pub fn ratio(&self) -> f64 {
        self.difference.exp()
    }

    /// Its 95 % interval.
    pub fn ratio_interval(&self) -> Interval {
        Interval { low: self.interval.low.exp(), high: self.interval.high.exp() }
    }

    /// Standard error that an interval of this width has.
    pub(crate) fn error(&self) -> f64 {
        (self.interval.high - self.interval.low) / (2.0 * 1.96)
    }

    /// How many windows more would show the difference to be below the gate, in 80 of 100 cases, if the estimate is true.
    /// `None` where no number would, since the estimate is not below.
    pub(crate) fn more_windows(&self, gate: f64) -> Option<u64> {
        if self.difference >= gate {
            return None;
        }
        let times = times_as_much(gate - self.difference, self.interval.high - self.interval.low)?;
        Some((self.windows as f64 * (times - 1.0)).max(0.0).ceil() as u64)
    }
}

/// The variance of the ratio of these blocks.
fn variance(blocks: &[Block]) -> f64 {
    let of: f64 = blocks.iter().map(|block| block.of).sum();
    let ratio = blocks.iter().map(|block| block.sum).sum::<f64>() / of;
    let squares: f64 = blocks.iter().map(|block| (block.sum - ratio * block.of).powi(2)).sum();
    let count = blocks.len() as f64;
    squares / (of * of) * count / (count - 1.0)
}

/// Blocks of the same ratio whose variance is 2·V − V½ for V that of the blocks and V½ that of the halves, but not below V.
///
/// What neighbouring blocks have in common is missing from V, to first order by a part that is inverse to their length, and so
/// twice from V½: the difference takes it out. Vats and Flegal (2022), "Lugsail lag windows for estimating time-average
/// covariance matrices", Biometrika 109:735–750. Without it 5 % of intervals ended below a truth that 2.5 % should miss.
fn widened(halves: &[Block], mut blocks: Vec<Block>) -> Vec<Block> {
    let (own, half) = (variance(&blocks), variance(halves));
    let factor = (2.0 - half / own).max(1.0).sqrt();
    if factor.is_finite() {
        let of: f64 = blocks.iter().map(|block| block.of).sum();
        let ratio = blocks.iter().map(|block| block.sum).sum::<f64>() / of;
        for block in &mut blocks {
            let middle = ratio * block.of;
            block.sum = middle + (block.sum - middle) * factor;
        }
    }
    blocks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn losses(windows: u32, difference: impl Fn(u32) -> f64) -> Vec<WindowLoss> {
        let loss = |window| WindowLoss { window, nats: 200.0 + 100.0 * difference(window), base: 200.0, tokens: 100 };
        (0..windows).map(loss).collect()
    }

    #[test]
    fn a_difference_is_nats_a_token_and_its_exponential_the_ratio_of_perplexities() {
        let evidence =
            Evidence::against_base(&losses(64, |window| 0.04 + 0.01 * f64::from(window % 3)), 0.1, 4, 1).unwrap();
        assert!((evidence.difference - 0.05).abs() < 3e-4, "{evidence:?}");
        assert!((evidence.ratio() - 1.0513).abs() < 1e-3);
        assert!(evidence.interval.high < 0.06 && evidence.p < 0.01);
    }

    #[test]
    fn candidates_pair_on_the_windows_that_both_have() {
        let wild = |window: u32| f64::from(window * 7 % 11);
        let (one, other) = (losses(40, |window| wild(window) + 0.02), losses(24, wild));
        let evidence = Evidence::between(&one, &other, 2, 1).unwrap();
        assert_eq!(evidence.windows, 24);
        assert!((evidence.difference - 0.02).abs() < 1e-9 && evidence.interval.low > 0.019);
        assert_eq!(Evidence::between(&one, &other[..4], 1, 1), None);
    }

    #[test]
    fn windows_of_one_stretch_are_one_block() {
        // Eight windows in a row are equal: 64 windows know no more than 8.
        let clumped = losses(64, |window| f64::from(window / 8 * 5 % 8) * 0.01);
        let [apart, joined] = [1, 8].map(|stretch| Evidence::against_base(&clumped, 0.0, stretch, 1).unwrap());
        assert!(joined.error() > 2.0 * apart.error(), "{apart:?} {joined:?}");
        assert_eq!(Evidence::against_base(&clumped, 0.0, 16, 1), None);
    }

    #[test]
    fn no_number_of_windows_shows_what_is_not_so() {
        let evidence =
            Evidence::against_base(&losses(64, |window| 0.04 + 0.1 * f64::from(window % 5)), 0.2, 1, 1).unwrap();
        assert_eq!(evidence.more_windows(0.2), None);
        assert!(evidence.more_windows(0.26).is_some_and(|more| more > 0));
        assert_eq!(evidence.more_windows(9.0), Some(0));
    }
}
