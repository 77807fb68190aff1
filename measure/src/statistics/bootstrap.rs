//! The block bootstrap: intervals of bits per byte, and of their paired differences.

use super::distributions::{normal_quantile, student_quantile, student_two_sided};
use super::{ALPHA, Interval};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::hash::Hash;

/// Resamples of a bootstrap. The ends of the interval then differ by some 4 % of its width from seed to seed.
const RESAMPLES: usize = 2_000;

/// Fewer blocks than these say nothing about how blocks differ.
pub const FEWEST_BLOCKS: usize = 5;

/// More blocks are joined with their neighbours: it costs the interval nothing, and a bootstrap then takes 0.1 s at most.
const MOST_BLOCKS: usize = 10_000;

/// From so many blocks on, Student's t and the normal distribution are the same to three digits.
const LARGE_SAMPLE: usize = 1_000;

/// A piece of text that is drawn as a whole: a document, or some 64 tokens, so that what one token says about the next stays
/// inside.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Block {
    /// Bits that a system needed for it; of a paired comparison, those of the second system less those of the first.
    pub bits: f64,
    /// Its length in bytes.
    pub bytes: f64,
}

impl Block {
    /// A block by the negative natural logarithm of its probability.
    pub fn from_nats(nats: f64, bytes: u64) -> Self {
        Self { bits: nats / std::f64::consts::LN_2, bytes: bytes as f64 }
    }

    fn join(self, other: Self) -> Self {
        Self { bits: self.bits + other.bits, bytes: self.bytes + other.bytes }
    }
}

/// An estimate of bits per byte with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// All bits over all bytes.
    pub bits_per_byte: f64,
    /// Its 95 % interval.
    pub interval: Interval,
    /// The two-sided p-value of "it is 0", that of the interval that just touches 0.
    pub p: f64,
}

/// Joins each `length` neighbours to one block; the last may be shorter.
pub fn by_length(parts: &[Block], length: usize) -> Vec<Block> {
    parts.chunks(length.max(1)).map(|parts| parts.iter().copied().fold(Block::default(), Block::join)).collect()
}

/// Joins the parts of each document to one block, in the order in which the documents first appear.
pub fn by_document<D: Hash + Eq>(parts: impl IntoIterator<Item = (D, Block)>) -> Vec<Block> {
    let mut places = HashMap::new();
    let mut blocks: Vec<Block> = Vec::new();
    for (document, part) in parts {
        let place = *places.entry(document).or_insert(blocks.len());
        match blocks.get_mut(place) {
            Some(block) => *block = block.join(part),
            None => blocks.push(part),
        }
    }
    blocks
}

/// Bits per byte over all blocks, with an interval from 2,000 resamples of blocks. `None` where fewer than
/// [`FEWEST_BLOCKS`] blocks have bytes, or a value is not finite.
///
/// Each resample draws as many blocks as there are, with replacement, and divides sums (a ratio estimator), so that long
/// blocks count for more. The interval is the percentile interval, at the level that makes it as wide for few blocks as
/// Student's t would: Efron and Tibshirani (1993), "An introduction to the bootstrap", chapters 8 and 13; Hesterberg (2015),
/// "What teachers should know about the bootstrap", The American Statistician 69:371–386, section 4.2 ("expanded").
pub fn bootstrap(blocks: &[Block], seed: u64) -> Option<Bootstrap> {
    if blocks.iter().any(|block| !(block.bits.is_finite() && block.bytes.is_finite() && block.bytes >= 0.0)) {
        return None;
    }
    let mut blocks: Vec<Block> = blocks.iter().copied().filter(|block| block.bytes > 0.0).collect();
    if blocks.len() < FEWEST_BLOCKS {
        return None;
    }
    if blocks.len() > MOST_BLOCKS {
        blocks = by_length(&blocks, blocks.len().div_ceil(MOST_BLOCKS));
    }
    let all = blocks.iter().copied().fold(Block::default(), Block::join);
    let mut random = Random(seed);
    let mut ratios: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let drawn =
                (0..blocks.len()).map(|_| blocks[random.below(blocks.len())]).fold(Block::default(), Block::join);
            drawn.bits / drawn.bytes
        })
        .collect();
    ratios.sort_by(f64::total_cmp);
    let interval = percentile_interval(&ratios, blocks.len());
    Some(Bootstrap { bits_per_byte: all.bits / all.bytes, interval, p: p_of_zero(&ratios, blocks.len()) })
}

/// The 95 % percentile interval of resampled values in ascending order, of which there is at least one: as wide as so many
/// blocks need by Student's t.
pub(crate) fn percentile_interval(sorted: &[f64], blocks: usize) -> Interval {
    let tail = expanded_tail(ALPHA, blocks) / 2.0;
    Interval { low: quantile(sorted, tail), high: quantile(sorted, 1.0 - tail) }
}

/// The level of the percentile interval that is as wide as one of level `alpha` by Student's t: `2·Φ(−t·√(n/(n−1)))`.
fn expanded_tail(alpha: f64, blocks: usize) -> f64 {
    if blocks >= LARGE_SAMPLE {
        return alpha;
    }
    let n = blocks as f64;
    let z = student_quantile(alpha, n - 1.0) * (n / (n - 1.0)).sqrt();
    2.0 * super::distributions::normal_cdf(-z)
}

/// The level at which the interval just touches 0. At least 2 of 2,001: resamples cannot say less.
fn p_of_zero(sorted: &[f64], blocks: usize) -> f64 {
    let below = sorted.partition_point(|&ratio| ratio <= 0.0);
    let above = sorted.len() - sorted.partition_point(|&ratio| ratio < 0.0);
    let percentile = (2.0 * (below.min(above) as f64 + 1.0) / (sorted.len() as f64 + 1.0)).min(1.0);
    if blocks >= LARGE_SAMPLE || percentile >= 1.0 {
        return percentile;
    }
    let n = blocks as f64;
    student_two_sided(normal_quantile(1.0 - percentile / 2.0) * ((n - 1.0) / n).sqrt(), n - 1.0)
}

/// The quantile of values in ascending order, of which there is at least one, between the two nearest values.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = part.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

/// SplitMix64 (Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", OOPSLA). Of our own, because an
/// interval must not change with the version of a crate.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is some thousands: multiplying favours none by more than 2⁻⁵⁰.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        ((u128::from(self.next()) * end as u128) >> 64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(count: usize, middle: f64) -> Vec<Block> {
        let mut random = Random(count as u64);
        (0..count)
            .map(|_| Block {
                bits: middle + random.below(1_000) as f64 / 1_000.0 - 0.5,
                bytes: 50.0 + random.below(20) as f64,
            })
            .collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_interval_and_another_nearly_the_same() {
        let blocks = blocks(200, 0.3);
        let [one, again, other] = [1, 1, 2].map(|seed| bootstrap(&blocks, seed).unwrap());
        assert_eq!(one, again);
        assert_ne!(one, other);
        let width = one.interval.high - one.interval.low;
        assert!((one.interval.low - other.interval.low).abs() < 0.1 * width);
    }

    #[test]
    fn long_blocks_count_for_more() {
        let mut blocks = vec![Block { bits: 1.0, bytes: 1.0 }; 5];
        blocks.push(Block { bits: 0.0, bytes: 95.0 });
        assert!((bootstrap(&blocks, 0).unwrap().bits_per_byte - 0.05).abs() < 1e-12);
    }

    #[test]
    fn the_interval_is_as_wide_as_the_formula_says() {
        let blocks: Vec<Block> = blocks(400, 0.0).iter().map(|block| Block { bytes: 1.0, ..*block }).collect();
        let found = bootstrap(&blocks, 7).unwrap();
        // Uniform values over one unit: standard deviation √(1/12).
        let expected = 2.0 * 1.96 * (1.0_f64 / 12.0 / 400.0).sqrt();
        let width = found.interval.high - found.interval.low;
        assert!((width / expected - 1.0).abs() < 0.1, "{width} against {expected}");
    }

    #[test]
    fn an_interval_without_zero_has_a_small_p() {
        for count in [6, 30, 1_500] {
            for middle in [-0.5, -0.12, 0.0, 0.03, 0.2, 0.5] {
                let found = bootstrap(&blocks(count, middle), 3).unwrap();
                // The p counts one resample more, against p = 0.
                assert!(!found.interval.excludes_zero() || found.p < 0.055, "{found:?}");
                assert!(found.interval.excludes_zero() || found.p > 0.045, "{found:?}");
            }
        }
    }

    #[test]
    fn equal_systems_differ_by_nothing() {
        let found = bootstrap(&[Block { bits: 0.0, bytes: 10.0 }; 20], 0).unwrap();
        assert_eq!((found.bits_per_byte, found.p), (0.0, 1.0));
        assert!(!found.interval.excludes_zero());
    }

    #[test]
    fn few_blocks_and_values_that_are_no_numbers_have_no_interval() {
        assert_eq!(bootstrap(&[], 0), None);
        assert_eq!(bootstrap(&[Block { bits: 1.0, bytes: 1.0 }; FEWEST_BLOCKS - 1], 0), None);
        assert_eq!(bootstrap(&[Block { bits: 1.0, bytes: 0.0 }; 9], 0), None);
        assert_eq!(bootstrap(&[Block { bits: f64::NAN, bytes: 1.0 }; 9], 0), None);
        assert_eq!(bootstrap(&[Block { bits: 1.0, bytes: f64::INFINITY }; 9], 0), None);
    }

    #[test]
    fn many_blocks_are_joined_and_nothing_is_lost() {
        let found = bootstrap(&blocks(100_000, 0.3), 0).unwrap();
        assert!(found.interval.low < found.bits_per_byte && found.bits_per_byte < found.interval.high);
        let parts = [Block { bits: 1.0, bytes: 2.0 }; 7];
        assert_eq!(by_length(&parts, 3).iter().map(|block| block.bytes).collect::<Vec<_>>(), [6.0, 6.0, 2.0]);
        let documents = by_document(["a", "b", "a", "c"].into_iter().zip(parts));
        assert_eq!(documents.iter().map(|block| block.bits).collect::<Vec<_>>(), [2.0, 1.0, 1.0]);
    }
}
