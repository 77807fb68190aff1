//! The block bootstrap: intervals of ratios such as bits per byte, and of their paired differences.

use super::distributions::{normal_quantile, student_quantile, student_two_sided};
use super::{ALPHA, Interval, Random};
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

/// A part of a ratio that is drawn as a whole: that of a reply, a document, or some 64 tokens, so that what one token says about
/// the next stays inside.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Block {
    /// Its part of the numerator, such as the bits that a system needed for it; of systems that share the denominator, those of
    /// the second less those of the first.
    pub sum: f64,
    /// Its part of the denominator, such as its length in bytes.
    pub of: f64,
}

impl Block {
    /// A block by the negative natural logarithm of its probability.
    pub fn from_nats(nats: f64, bytes: u64) -> Self {
        Self { sum: nats / std::f64::consts::LN_2, of: bytes as f64 }
    }

    fn join(self, other: Self) -> Self {
        Self { sum: self.sum + other.sum, of: self.of + other.of }
    }

    /// The ratio of all blocks together.
    fn ratio(blocks: impl IntoIterator<Item = Self>) -> f64 {
        let Self { sum, of } = blocks.into_iter().fold(Self::default(), Self::join);
        sum / of
    }
}

/// An estimate of bits per byte, or of another ratio, with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bootstrap {
    /// All bits over all bytes.
    pub bits_per_byte: f64,
    /// Its 95 % interval.
    pub interval: Interval,
    /// The two-sided p-value of "it is 0", that of the interval that just touches 0.
    pub p: f64,
}

/// A difference of two ratios with its interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RatioDifference {
    /// The second ratio less the first.
    pub difference: f64,
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
    if blocks.iter().any(|block| !(block.sum.is_finite() && block.of.is_finite() && block.of >= 0.0)) {
        return None;
    }
    let mut blocks: Vec<Block> = blocks.iter().copied().filter(|block| block.of > 0.0).collect();
    if blocks.len() < FEWEST_BLOCKS {
        return None;
    }
    if blocks.len() > MOST_BLOCKS {
        blocks = by_length(&blocks, blocks.len().div_ceil(MOST_BLOCKS));
    }
    let ratio = |drawn: &[usize]| Block::ratio(drawn.iter().map(|&at| blocks[at]));
    let (interval, p) = resample(blocks.len(), seed, ratio);
    Some(Bootstrap { bits_per_byte: Block::ratio(blocks), interval, p })
}

/// The second ratio less the first, where blocks at the same place belong together: two systems' replies to one prompt. `None`
/// where there are fewer than [`FEWEST_BLOCKS`], one has no partner, or a value is not finite or a denominator not above 0.
///
/// Each resample draws places and makes both ratios anew, because the denominators differ: a longer reply has more words.
pub fn bootstrap_difference(first: &[Block], second: &[Block], seed: u64) -> Option<RatioDifference> {
    let is_usable = |block: &Block| block.sum.is_finite() && block.of.is_finite() && block.of > 0.0;
    let count = first.len();
    if count < FEWEST_BLOCKS || count != second.len() || !first.iter().chain(second).all(is_usable) {
        return None;
    }
    let neighbours = count.div_ceil(MOST_BLOCKS);
    let [first, second] = [first, second].map(|blocks| by_length(blocks, neighbours));
    let difference = |drawn: &[usize]| {
        let [first, second] = [&first, &second].map(|blocks| Block::ratio(drawn.iter().map(|&at| blocks[at])));
        second - first
    };
    let (interval, p) = resample(first.len(), seed, difference);
    let all: Vec<usize> = (0..first.len()).collect();
    Some(RatioDifference { difference: difference(&all), interval, p })
}

/// The interval of a figure of drawn blocks and its p-value of 0, from resamples of their places.
fn resample(blocks: usize, seed: u64, figure: impl Fn(&[usize]) -> f64) -> (Interval, f64) {
    let mut random = Random(seed);
    let mut drawn = vec![0; blocks];
    let mut figures: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            drawn.fill_with(|| random.below(blocks));
            figure(&drawn)
        })
        .collect();
    figures.sort_by(f64::total_cmp);
    (percentile_interval(&figures, blocks), p_of_zero(&figures, blocks))
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

/// The level at which the interval just touches 0. Where no resample is on the other side of it, 2 of 2,001 at most, and less as far
/// as their standard deviation says by Student's t: of several tests each needs more than the resamples could say.
fn p_of_zero(sorted: &[f64], blocks: usize) -> f64 {
    let below = sorted.partition_point(|&ratio| ratio <= 0.0);
    let above = sorted.len() - sorted.partition_point(|&ratio| ratio < 0.0);
    let percentile = (2.0 * (below.min(above) as f64 + 1.0) / (sorted.len() as f64 + 1.0)).min(1.0);
    if blocks >= LARGE_SAMPLE || percentile >= 1.0 {
        return percentile;
    }
    let n = blocks as f64;
    let student = |normal: f64| student_two_sided(normal * ((n - 1.0) / n).sqrt(), n - 1.0);
    let p = student(normal_quantile(1.0 - percentile / 2.0));
    let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
    let variance = sorted.iter().map(|ratio| (ratio - mean).powi(2)).sum::<f64>() / sorted.len() as f64;
    let is_one_sided = below.min(above) == 0 && variance > 0.0;
    if is_one_sided { p.min(student(mean.abs() / variance.sqrt())) } else { p }
}

/// The quantile of values in ascending order, of which there is at least one, between the two nearest values.
pub(crate) fn quantile(sorted: &[f64], part: f64) -> f64 {
    let at = part.clamp(0.0, 1.0) * (sorted.len() - 1) as f64;
    let (low, high) = (sorted[at.floor() as usize], sorted[at.ceil() as usize]);
    low + (high - low) * at.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(count: usize, middle: f64) -> Vec<Block> {
        let mut random = Random(count as u64);
        (0..count)
            .map(|_| Block {
                sum: middle + random.below(1_000) as f64 / 1_000.0 - 0.5,
                of: 50.0 + random.below(20) as f64,
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
        let mut blocks = vec![Block { sum: 1.0, of: 1.0 }; 5];
        blocks.push(Block { sum: 0.0, of: 95.0 });
        assert!((bootstrap(&blocks, 0).unwrap().bits_per_byte - 0.05).abs() < 1e-12);
    }

    #[test]
    fn the_interval_is_as_wide_as_the_formula_says() {
        let blocks: Vec<Block> = blocks(400, 0.0).iter().map(|block| Block { of: 1.0, ..*block }).collect();
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
        let found = bootstrap(&[Block { sum: 0.0, of: 10.0 }; 20], 0).unwrap();
        assert_eq!((found.bits_per_byte, found.p), (0.0, 1.0));
        assert!(!found.interval.excludes_zero());
    }

    #[test]
    fn few_blocks_and_values_that_are_no_numbers_have_no_interval() {
        assert_eq!(bootstrap(&[], 0), None);
        assert_eq!(bootstrap(&[Block { sum: 1.0, of: 1.0 }; FEWEST_BLOCKS - 1], 0), None);
        assert_eq!(bootstrap(&[Block { sum: 1.0, of: 0.0 }; 9], 0), None);
        assert_eq!(bootstrap(&[Block { sum: f64::NAN, of: 1.0 }; 9], 0), None);
        assert_eq!(bootstrap(&[Block { sum: 1.0, of: f64::INFINITY }; 9], 0), None);
    }

    #[test]
    fn many_blocks_are_joined_and_nothing_is_lost() {
        let found = bootstrap(&blocks(100_000, 0.3), 0).unwrap();
        assert!(found.interval.low < found.bits_per_byte && found.bits_per_byte < found.interval.high);
        let parts = [Block { sum: 1.0, of: 2.0 }; 7];
        assert_eq!(by_length(&parts, 3).iter().map(|block| block.of).collect::<Vec<_>>(), [6.0, 6.0, 2.0]);
        let documents = by_document(["a", "b", "a", "c"].into_iter().zip(parts));
        assert_eq!(documents.iter().map(|block| block.sum).collect::<Vec<_>>(), [2.0, 1.0, 1.0]);
    }

    #[test]
    fn with_common_denominators_a_difference_of_ratios_is_the_ratio_of_differences() {
        let [first, second] = [0.3, 0.4].map(|middle| blocks(60, middle));
        let pairs = first.iter().zip(&second);
        let less: Vec<Block> = pairs.map(|(one, other)| Block { sum: other.sum - one.sum, of: one.of }).collect();
        let second: Vec<Block> = first.iter().zip(&second).map(|(one, other)| Block { of: one.of, ..*other }).collect();
        let (found, expected) = (bootstrap_difference(&first, &second, 5).unwrap(), bootstrap(&less, 5).unwrap());
        for (found, expected) in [
            (found.difference, expected.bits_per_byte),
            (found.interval.low, expected.interval.low),
            (found.interval.high, expected.interval.high),
            (found.p, expected.p),
        ] {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
    }

    #[test]
    fn each_ratio_has_its_own_denominator() {
        // 10 of 100 words against 10 of 50, in every pair.
        let [first, second] = [100.0, 50.0].map(|of| vec![Block { sum: 10.0, of }; 8]);
        let found = bootstrap_difference(&first, &second, 0).unwrap();
        assert!((found.difference - 0.1).abs() < 1e-12 && (found.interval.high - 0.1).abs() < 1e-12, "{found:?}");
        assert!(found.interval.excludes_zero() && found.p < ALPHA);
    }

    #[test]
    fn pairs_that_are_none_have_no_difference() {
        let good = vec![Block { sum: 1.0, of: 2.0 }; 6];
        assert!(bootstrap_difference(&good, &good, 0).is_some_and(|found| found.p == 1.0));
        assert_eq!(bootstrap_difference(&good, &good[1..], 0), None);
        assert_eq!(bootstrap_difference(&good[2..], &good[2..], 0), None);
        for bad in
            [Block { sum: f64::NAN, of: 1.0 }, Block { sum: 1.0, of: 0.0 }, Block { sum: 1.0, of: f64::INFINITY }]
        {
            let mut others = good.clone();
            others[3] = bad;
            assert_eq!(bootstrap_difference(&good, &others, 0), None, "{bad:?}");
        }
        let many = blocks(25_000, 0.3);
        let found = bootstrap_difference(&many, &many, 0).unwrap();
        assert_eq!((found.difference, found.p), (0.0, 1.0));
    }
}
