//! One row: from scores to probabilities, with what is worth knowing about it on the way.

use super::vector::{larger, padded, total, Exponential, Lanes, BLOCK, LANES};

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
/// Relative error of the probabilities: below 1e-6. Those below 2⁻¹⁰⁸ (3e-33) of the largest are 0. Log-sum-exp and
/// entropy are right to 1e-5, or to the last place of a log-sum-exp above 128.
///
/// # Errors
/// When a logit is NaN or +∞, or none is finite; `probabilities` is untouched then.
///
/// # Panics
/// When the two lengths differ.
pub fn softmax(logits: &[f32], probabilities: &mut [f32]) -> Result<RowStatistics, InvalidRow> {
    assert_eq!(logits.len(), probabilities.len(), "a row of probabilities is as long as the row of logits");
    let top = Top::of(logits)?;
    let exponential = Exponential::relative_to(top.score);
    let mut sums = Sums::default();
    for (scores, targets) in logits.chunks(BLOCK).zip(probabilities.chunks_mut(BLOCK)) {
        let mut block = BlockSums::default();
        let mut score_lanes = scores.chunks_exact(LANES);
        let mut target_lanes = targets.chunks_exact_mut(LANES);
        for (scores, targets) in (&mut score_lanes).zip(&mut target_lanes) {
            for lane in 0..LANES {
                let (weight, distance) = exponential.of(scores[lane]);
                targets[lane] = weight;
                block.add(lane, weight, distance);
            }
        }
        for (lane, (&score, target)) in score_lanes.remainder().iter().zip(target_lanes.into_remainder()).enumerate() {
            let (weight, distance) = exponential.of(score);
            *target = weight;
            block.add(lane, weight, distance);
        }
        sums.add(&block);
    }
    let scale = (1.0 / sums.weight) as f32;
    for probability in probabilities.iter_mut() {
        *probability *= scale;
    }
    Ok(sums.statistics(top, &exponential))
}

/// Shifts the scores so that their exponentials sum to 1: what hooks leave behind becomes log-probabilities.
///
/// [`RowStatistics::log_sum_exp`] is what was taken from every score.
///
/// # Errors
/// When a score is NaN or +∞, or none is finite; `fused` is untouched then.
pub fn normalise(fused: &mut [f32]) -> Result<RowStatistics, InvalidRow> {
    let (top, exponential, sums) = sum_up(fused)?;
    let statistics = sums.statistics(top, &exponential);
    // In two steps, so that scores around a large maximum lose nothing: the first difference is exact near it.
    let shift = (sums.log_sum_exp(&exponential) - f64::from(top.score)) as f32;
    for score in fused.iter_mut() {
        *score = (*score - top.score) - shift;
    }
    Ok(statistics)
}

/// Log-probability of one unit under a row of logits; −∞ for a row that is no distribution.
pub fn log_probability(logits: &[f32], unit: usize) -> f32 {
    match (sum_up(logits), logits.get(unit)) {
        (Ok((_, exponential, sums)), Some(&logit)) => (f64::from(logit) - sums.log_sum_exp(&exponential)) as f32,
        _ => f32::NEG_INFINITY,
    }
}

/// Whether scores are a distribution, without changing them.
///
/// # Errors
/// When a score is NaN or +∞, or none is finite.
pub fn check(scores: &[f32]) -> Result<(), InvalidRow> {
    Top::of(scores).map(|_| ())
}

fn sum_up(scores: &[f32]) -> Result<(Top, Exponential, Sums), InvalidRow> {
    let top = Top::of(scores)?;
    let exponential = Exponential::relative_to(top.score);
    let mut sums = Sums::default();
    for scores in scores.chunks(BLOCK) {
        let mut block = BlockSums::default();
        let mut score_lanes = scores.chunks_exact(LANES);
        for scores in &mut score_lanes {
            for lane in 0..LANES {
                let (weight, distance) = exponential.of(scores[lane]);
                block.add(lane, weight, distance);
            }
        }
        for (lane, &score) in score_lanes.remainder().iter().enumerate() {
            let (weight, distance) = exponential.of(score);
            block.add(lane, weight, distance);
        }
        sums.add(&block);
    }
    Ok((top, exponential, sums))
}

/// The best score of a row and where it is.
#[derive(Clone, Copy)]
struct Top {
    score: f32,
    unit: u32,
}

impl Top {
    fn of(scores: &[f32]) -> Result<Self, InvalidRow> {
        let mut best = f32::NEG_INFINITY;
        let mut best_block = None;
        let mut all_valid = true;
        for (index, block) in scores.chunks(BLOCK).enumerate() {
            let mut maxima: Lanes = [f32::NEG_INFINITY; LANES];
            let mut invalid = [0u32; LANES];
            let mut blocks = block.chunks_exact(LANES);
            for scores in &mut blocks {
                for lane in 0..LANES {
                    maxima[lane] = larger(scores[lane], maxima[lane]);
                    // One comparison finds both NaN and +∞.
                    invalid[lane] |= u32::from(!(scores[lane] < f32::INFINITY));
                }
            }
            let rest = padded(blocks.remainder(), f32::NEG_INFINITY);
            for lane in 0..LANES {
                maxima[lane] = larger(rest[lane], maxima[lane]);
                invalid[lane] |= u32::from(!(rest[lane] < f32::INFINITY));
            }
            let maximum = maxima.into_iter().fold(f32::NEG_INFINITY, larger);
            if maximum > best {
                best = maximum;
                best_block = Some(index * BLOCK);
            }
            all_valid &= invalid == [0; LANES];
        }
        if !all_valid {
            return Err(invalid_score(scores));
        }
        let start = best_block.ok_or(InvalidRow::NothingFinite)?;
        let within = scores[start..].iter().position(|&score| score == best).unwrap_or(0);
        Ok(Self { score: best, unit: (start + within) as u32 })
    }
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

/// Sums over a block, in `f32`.
#[derive(Default)]
struct BlockSums {
    weight: Lanes,
    weighted_distance: Lanes,
}

impl BlockSums {
    #[inline(always)]
    fn add(&mut self, lane: usize, weight: f32, distance: f32) {
        self.weight[lane] += weight;
        self.weighted_distance[lane] += weight * distance;
    }
}

/// Sums over a row, in `f64`.
#[derive(Default)]
struct Sums {
    weight: f64,
    weighted_distance: f64,
}

impl Sums {
    fn add(&mut self, block: &BlockSums) {
        self.weight += total(&block.weight);
        self.weighted_distance += total(&block.weighted_distance);
    }

    fn log_sum_exp(&self, exponential: &Exponential) -> f64 {
        exponential.log_unit() + self.weight.ln()
    }

    fn statistics(&self, top: Top, exponential: &Exponential) -> RowStatistics {
        let log_sum_exp = self.log_sum_exp(exponential);
        // With d = score − top score, H = −Σ p · log p = log Σ exp − top score − Σ p · d: small numbers only.
        let above_top = log_sum_exp - f64::from(top.score);
        let entropy = above_top - self.weighted_distance / self.weight;
        RowStatistics {
            log_sum_exp: log_sum_exp as f32,
            entropy: entropy.max(0.0) as f32,
            top_unit: top.unit,
            top_probability: (-above_top).exp().min(1.0) as f32,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
                prop_assert!(f64::from(found) <= right * 1.001);
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
        assert_eq!((statistics.top_unit, statistics.top_probability, statistics.entropy), (1, 1.0, 0.0));
        assert_eq!((fused[1], fused[3]), (0.0, f32::NEG_INFINITY));
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
        for (unit, length) in [(0usize, 1usize), (3, 20), (19, 20), (1030, 3000)] {
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
