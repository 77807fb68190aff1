//! One row: from scores to probabilities, with what is worth knowing about it on the way.

use super::vector::{BLOCK, Exponential, LANES, Lanes, Sum, larger, largest, ln, multiply_add};

/// What one look at a row tells.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct RowStatistics {
    /// `log Σ exp score`: the log-probability of unit v is `score[v] − log_sum_exp`.
    pub log_sum_exp: f32,
    /// In nats: 0 where one unit is certain, `ln units` where all are alike.
    pub entropy: f32,
    /// The unit with the highest score; of several the first.
    pub top_unit: u32,
    /// Its probability.
    pub top_probability: f32,
}

/// Why scores are no distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRow {
    /// A score that is not a number.
    #[error("the score of unit {unit} is not a number")]
    NotANumber {
        /// The first one.
        unit: u32,
    },
    /// A score of +∞.
    #[error("the score of unit {unit} is infinite")]
    Infinite {
        /// The first one.
        unit: u32,
    },
    /// No unit has a finite score.
    #[error("no unit is possible: every score is −∞")]
    NothingFinite,
}

/// Logits to probabilities, which sum to 1. A logit of −∞ is a probability of 0.
///
/// Relative error of the probabilities: below 1e-6. Those below 2⁻¹²⁰ (8e-37) are 0. Log-sum-exp and entropy are right
/// to 1e-5, or to the last place of a log-sum-exp above 128.
///
/// # Errors
/// When a logit is NaN or +∞, or none is finite; the probabilities mean nothing then.
///
/// # Panics
/// When the two lengths differ.
pub fn softmax(logits: &[f32], probabilities: &mut [f32]) -> Result<RowStatistics, InvalidRow> {
    assert_eq!(logits.len(), probabilities.len(), "a row of probabilities is as long as the row of logits");
    let sums = Sums::over(logits, |start, block, exponential| {
        BlockSums::keeping(block, exponential, &mut probabilities[start..start + block.len()])
    })?;
    let scale = (1.0 / sums.weight) as f32;
    // Denormal numbers would cost a hundred times the time, here and in whatever reads them.
    let smallest = (sums.weight * SMALLEST_PROBABILITY) as f32;
    for probability in probabilities.iter_mut() {
        *probability = if *probability >= smallest { *probability * scale } else { 0.0 };
    }
    Ok(sums.statistics(logits))
}

/// Shifts the scores so that their exponentials sum to 1: what hooks leave behind becomes log-probabilities.
///
/// [`RowStatistics::log_sum_exp`] is what was taken from every score.
///
/// # Errors
/// When a score is NaN or +∞, or none is finite; `fused` is untouched then.
pub fn normalise(fused: &mut [f32]) -> Result<RowStatistics, InvalidRow> {
    let sums = Sums::over(fused, |_, block, exponential| BlockSums::of(block, exponential))?;
    let statistics = sums.statistics(fused);
    // In two steps, so that scores around a large maximum lose nothing: the first difference is exact near it.
    let shift = sums.above_top() as f32;
    for score in fused.iter_mut() {
        *score = (*score - sums.top) - shift;
    }
    Ok(statistics)
}

/// What one look at a row tells, without changing it.
///
/// # Errors
/// When a score is NaN or +∞, or none is finite.
pub fn statistics(scores: &[f32]) -> Result<RowStatistics, InvalidRow> {
    let sums = Sums::over(scores, |_, block, exponential| BlockSums::of(block, exponential))?;
    Ok(sums.statistics(scores))
}

/// Masses to scores: `ln mass + shift`, −∞ where there is none.
pub fn log_masses(masses: &mut [f32], shift: f32) {
    for mass in masses.iter_mut() {
        *mass = ln(*mass) + shift;
    }
}

/// Log-probability of one unit under a row of logits; −∞ for a row that is no distribution.
pub fn log_probability(logits: &[f32], unit: usize) -> f32 {
    match (Sums::over(logits, |_, block, exponential| BlockSums::of(block, exponential)), logits.get(unit)) {
        (Ok(sums), Some(&logit)) => logit - sums.top - sums.above_top() as f32,
        _ => f32::NEG_INFINITY,
    }
}

/// Whether scores are a distribution, without changing them.
///
/// # Errors
/// When a score is NaN or +∞, or none is finite.
pub fn check(scores: &[f32]) -> Result<(), InvalidRow> {
    // Numbers as wide as a score, and a loop of a known length: of `bool`s and slices the compiler makes no vectors, and a
    // row of 152,000 takes 0.4 ms.
    let (mut invalid, mut maxima): ([u32; LANES], Lanes) = ([0; LANES], [f32::NEG_INFINITY; LANES]);
    let is_invalid = |score: f32| score.is_nan() | (score == f32::INFINITY);
    let mut chunks = scores.chunks_exact(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            invalid[lane] |= u32::from(is_invalid(chunk[lane]));
            maxima[lane] = larger(chunk[lane], maxima[lane]);
        }
    }
    let rest = chunks.remainder();
    let is_possible = maxima.iter().chain(rest).any(|&score| score > f32::NEG_INFINITY);
    if invalid.iter().any(|&lane| lane > 0) || rest.iter().any(|&score| is_invalid(score)) || !is_possible {
        return Err(invalid_score(scores));
    }
    Ok(())
}

/// The highest score. NaN is passed over.
fn highest(scores: &[f32]) -> f32 {
    // Four times the lanes: each comparison waits for the one before it in its lane.
    const WIDTH: usize = 4 * LANES;
    let mut maxima = [f32::NEG_INFINITY; WIDTH];
    let mut chunks = scores.chunks_exact(WIDTH);
    for chunk in &mut chunks {
        for lane in 0..WIDTH {
            maxima[lane] = larger(chunk[lane], maxima[lane]);
        }
    }
    maxima.iter().chain(chunks.remainder()).fold(f32::NEG_INFINITY, |best, &score| larger(score, best))
}

/// Which score makes a row invalid.
#[cold]
fn invalid_score(scores: &[f32]) -> InvalidRow {
    for (unit, score) in scores.iter().enumerate() {
        let unit = unit as u32;
        if score.is_nan() {
            return InvalidRow::NotANumber { unit };
        }
        if *score == f32::INFINITY {
            return InvalidRow::Infinite { unit };
        }
    }
    InvalidRow::NothingFinite
}

/// 2⁻¹²⁰.
const SMALLEST_PROBABILITY: f64 = 1.0 / (1u128 << 120) as f64;

/// How far above the reference the highest score may be: up to there nothing loses precision.
const REACH: f32 = 24.0;

/// What the statistics are made of.
struct Sums {
    /// The highest score.
    top: f32,
    /// Where the block starts that has it.
    top_block: usize,
    exponential: Exponential,
    /// Σ exp(score), as [`Exponential`] gives it.
    weight: f64,
    /// Σ exp(score) · distance, as [`Exponential`] gives them.
    weighted_distance: f64,
}

impl Sums {
    /// Sums over a row, whose blocks `sum` sums; it is told where the block starts.
    ///
    /// The exponentials have to be relative to something near the highest score, but not to that score itself. So the
    /// first scores serve to find a reference, and a whole pass over the row is saved, which takes a third of the time.
    /// Only where the rest of the row is much higher the pass is repeated.
    #[inline(always)]
    fn over(scores: &[f32], mut sum: impl FnMut(usize, &[f32], &Exponential) -> BlockSums) -> Result<Self, InvalidRow> {
        let mut reference = scores.chunks(4 * BLOCK).map(highest).find(|score| *score > f32::NEG_INFINITY);
        while let Some(score) = reference.filter(|score| score.is_finite()) {
            let exponential = Exponential::relative_to(score);
            let (mut weight, mut weighted_distance) = (Sum::default(), Sum::default());
            let (mut top, mut top_block) = (f32::NEG_INFINITY, 0);
            for (index, block) in scores.chunks(BLOCK).enumerate() {
                let sums = sum(index * BLOCK, block, &exponential);
                weight.add(&sums.weight);
                weighted_distance.add(&sums.weighted_distance);
                let maximum = largest(sums.maximum);
                if maximum > top {
                    (top, top_block) = (maximum, index * BLOCK);
                }
            }
            if top - score > REACH {
                reference = Some(top);
                continue;
            }
            let (weight, weighted_distance) = (weight.total(), weighted_distance.total());
            // A NaN among the scores is one here.
            if weighted_distance.is_nan() {
                break;
            }
            return Ok(Self { top, top_block, exponential, weight, weighted_distance });
        }
        Err(invalid_score(scores))
    }

    /// Log-sum-exp, less the highest score.
    fn above_top(&self) -> f64 {
        self.exponential.log_unit() - f64::from(self.top) + self.weight.ln()
    }

    fn statistics(&self, scores: &[f32]) -> RowStatistics {
        let above_top = self.above_top();
        // With d = score − reference, H = −Σ p · log p = log-sum-exp − reference − Σ p · d: small numbers only.
        let entropy =
            self.exponential.log_unit_above_reference() + self.weight.ln() - self.weighted_distance / self.weight;
        let within = scores[self.top_block..].iter().position(|&score| score == self.top).unwrap_or(0);
        RowStatistics {
            log_sum_exp: (f64::from(self.top) + above_top) as f32,
            entropy: entropy.max(0.0) as f32,
            top_unit: (self.top_block + within) as u32,
            top_probability: (-above_top).exp().min(1.0) as f32,
        }
    }
}

/// Sums over a block, in `f32`.
struct BlockSums {
    weight: Lanes,
    weighted_distance: Lanes,
    maximum: Lanes,
}

impl BlockSums {
    #[inline(always)]
    fn new() -> Self {
        Self { weight: [0.0; LANES], weighted_distance: [0.0; LANES], maximum: [f32::NEG_INFINITY; LANES] }
    }

    /// Over a block of scores.
    #[inline(always)]
    fn of(scores: &[f32], exponential: &Exponential) -> Self {
        let mut sums = Self::new();
        let mut chunks = scores.chunks_exact(LANES);
        for scores in &mut chunks {
            for (lane, &score) in scores.iter().enumerate() {
                sums.add(lane, score, exponential);
            }
        }
        for (lane, &score) in chunks.remainder().iter().enumerate() {
            sums.add(lane, score, exponential);
        }
        sums
    }

    /// The same; the exponentials stay in `weights`, which is as long as the block.
    #[inline(always)]
    fn keeping(scores: &[f32], exponential: &Exponential, weights: &mut [f32]) -> Self {
        let mut sums = Self::new();
        let mut chunks = scores.chunks_exact(LANES);
        let mut targets = weights.chunks_exact_mut(LANES);
        for (scores, targets) in (&mut chunks).zip(&mut targets) {
            for lane in 0..LANES {
                targets[lane] = sums.add(lane, scores[lane], exponential);
            }
        }
        for (lane, (&score, target)) in chunks.remainder().iter().zip(targets.into_remainder()).enumerate() {
            *target = sums.add(lane, score, exponential);
        }
        sums
    }

    #[inline(always)]
    fn add(&mut self, lane: usize, score: f32, exponential: &Exponential) -> f32 {
        let (weight, distance) = exponential.of(score);
        self.maximum[lane] = larger(score, self.maximum[lane]);
        self.weight[lane] += weight;
        self.weighted_distance[lane] = multiply_add(weight, distance, self.weighted_distance[lane]);
        weight
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_look_at_scores_finds_what_is_no_distribution() {
        let mut scores = vec![0.0f32; 37];
        assert_eq!(check(&scores), Ok(()));
        scores[36] = f32::NAN;
        assert_eq!(check(&scores), Err(InvalidRow::NotANumber { unit: 36 }));
        scores[36] = f32::INFINITY;
        assert_eq!(check(&scores), Err(InvalidRow::Infinite { unit: 36 }));
        scores.fill(f32::NEG_INFINITY);
        assert_eq!(check(&scores), Err(InvalidRow::NothingFinite));
        scores[3] = -2.0;
        assert_eq!(check(&scores), Ok(()));
    }

    #[test]
    fn the_log_probability_of_one_unit_is_that_of_the_whole_row() {
        let logits: Vec<f32> = (0..100).map(|unit| (unit as f32 * 0.7).sin() * 9.0).collect();
        let mut probabilities = vec![0.0; 100];
        softmax(&logits, &mut probabilities).unwrap();
        for (unit, probability) in probabilities.iter().enumerate() {
            assert!((log_probability(&logits, unit) - probability.ln()).abs() < 1e-4);
        }
    }
    use proptest::prelude::*;

    /// Probabilities, log-sum-exp and entropy in `f64`.
    fn reference(scores: &[f32]) -> (Vec<f64>, f64, f64) {
        let maximum = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials: Vec<f64> = scores.iter().map(|&s| (f64::from(s) - f64::from(maximum)).exp()).collect();
        let sum: f64 = exponentials.iter().sum();
        let probabilities: Vec<f64> = exponentials.iter().map(|e| e / sum).collect();
        let entropy = probabilities.iter().filter(|&&p| p > 0.0).map(|&p| -p * p.ln()).sum();
        (probabilities, f64::from(maximum) + sum.ln(), entropy)
    }

    fn check_softmax(scores: &[f32]) -> Result<(), TestCaseError> {
        let mut found = vec![0.0; scores.len()];
        let statistics = softmax(scores, &mut found).map_err(|error| TestCaseError::fail(error.to_string()))?;
        let (right, log_sum_exp, entropy) = reference(scores);
        for (unit, (&found, &right)) in found.iter().zip(&right).enumerate() {
            if right > 1e-30 {
                let error = f64::from(found) / right - 1.0;
                prop_assert!(error.abs() <= 2e-6, "unit {unit}: {found} for {right}");
            } else {
                prop_assert!(f64::from(found) <= right * 1.000_001);
            }
        }
        prop_assert!((f64::from(statistics.log_sum_exp) - log_sum_exp).abs() <= 1e-5);
        prop_assert!((f64::from(statistics.entropy) - entropy).abs() <= 1e-5, "{} {entropy}", statistics.entropy);
        let maximum = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        prop_assert_eq!(Some(statistics.top_unit as usize), scores.iter().position(|&s| s == maximum));
        let top = right[statistics.top_unit as usize];
        prop_assert!((f64::from(statistics.top_probability) / top - 1.0).abs() <= 2e-6);
        Ok(())
    }

    /// Scores as of a model, over any length and at any level, some of them impossible.
    fn scores() -> impl Strategy<Value = Vec<f32>> {
        let score = prop_oneof![8 => -1.0f32..1.0, 1 => Just(f32::NEG_INFINITY)];
        (prop::collection::vec(score, 1..1500), 0.01f32..40.0, -80.0f32..80.0, -1.0f32..1.0).prop_map(
            |(mut scores, scale, level, certain)| {
                scores[0] = certain;
                scores.iter().map(|score| score * scale + level).collect()
            },
        )
    }

    proptest! {
        #[test]
        fn softmax_equals_double_precision(scores in scores()) {
            check_softmax(&scores)?;
        }

        #[test]
        fn normalised_scores_sum_to_1(scores in scores(), shift in -1000.0f32..1000.0) {
            let mut fused: Vec<f32> = scores.iter().map(|score| score + shift).collect();
            let (right, log_sum_exp, entropy) = reference(&fused);
            let statistics = normalise(&mut fused).unwrap();
            let sum: f64 = fused.iter().map(|&score| f64::from(score).exp()).sum();
            prop_assert!((sum - 1.0).abs() < 2e-6, "{sum}");
            for (&found, right) in fused.iter().zip(right).filter(|(_, right)| *right > 0.0) {
                let allowed = 1e-6 + right.ln().abs() * 1.2e-7;
                prop_assert!((f64::from(found) - right.ln()).abs() <= allowed, "{found} for {}", right.ln());
            }
            prop_assert!((f64::from(statistics.log_sum_exp) - log_sum_exp).abs() <= 1e-5 + log_sum_exp.abs() * 6e-8);
            prop_assert!((f64::from(statistics.entropy) - entropy).abs() <= 1e-5);
        }
    }

    #[test]
    fn a_whole_vocabulary_loses_no_precision() {
        let mut state = 1u32;
        let mut random = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32
        };
        for scale in [0.0, 0.001, 1.0, 12.0] {
            let scores: Vec<f32> =
                (0..152_007).map(|_| (random() + random() + random() - 1.5) * scale + 17.0).collect();
            check_softmax(&scores).unwrap();
            let mut probabilities = vec![0.0; scores.len()];
            softmax(&scores, &mut probabilities).unwrap();
            let sum: f64 = probabilities.iter().map(|&p| f64::from(p)).sum();
            assert!((sum - 1.0).abs() < 1e-6, "{sum}");
        }
    }

    #[test]
    fn a_huge_bias_makes_one_unit_certain() {
        let mut fused = vec![-3.0, 1e9, -12.0, f32::NEG_INFINITY];
        let statistics = normalise(&mut fused).unwrap();
        assert_eq!((statistics.top_unit, statistics.top_probability), (1, 1.0));
        assert!(statistics.entropy < 1e-30);
        assert_eq!((fused[1], fused[3]), (0.0, f32::NEG_INFINITY));
    }

    #[test]
    fn the_highest_score_may_stand_anywhere_and_as_high_as_it_likes() {
        for above in [0.5, 20.0, 23.9, 24.1, 70.0, 900.0] {
            for unit in [0, 4095, 4096, 9000, 9999] {
                let mut scores: Vec<f32> = (0..10_000).map(|unit| (unit * 7919 % 1000) as f32 * 0.01 - 40.0).collect();
                scores[unit] = -30.0 + above;
                check_softmax(&scores).unwrap();
                scores[..4500].fill(f32::NEG_INFINITY);
                check_softmax(&scores).unwrap();
            }
        }
    }

    #[test]
    fn of_equal_scores_the_first_is_on_top() {
        let mut scores = vec![0.0; 2000];
        scores[700] = 5.0;
        scores[1700] = 5.0;
        let mut probabilities = vec![0.0; 2000];
        assert_eq!(softmax(&scores, &mut probabilities).unwrap().top_unit, 700);
    }

    #[test]
    fn what_is_no_distribution_is_refused_and_left_alone() {
        for (unit, length) in [(0usize, 1usize), (3, 20), (19, 20), (1030, 3000), (9001, 9003)] {
            let mut row = vec![1.0; length];
            row[unit] = f32::NAN;
            let untouched = row.iter().map(|score| score.to_bits()).collect::<Vec<_>>();
            assert_eq!(normalise(&mut row), Err(InvalidRow::NotANumber { unit: unit as u32 }));
            assert_eq!(row.iter().map(|score| score.to_bits()).collect::<Vec<_>>(), untouched);
            row[unit] = f32::INFINITY;
            assert_eq!(softmax(&row, &mut vec![0.0; length]), Err(InvalidRow::Infinite { unit: unit as u32 }));
        }
        assert_eq!(normalise(&mut vec![f32::NEG_INFINITY; 100]), Err(InvalidRow::NothingFinite));
        assert_eq!(softmax(&[], &mut []), Err(InvalidRow::NothingFinite));
    }
}
