//! The loops behind the row handles. Scores are log-probabilities up to a constant; −∞ is a unit that cannot come.

use crate::fuse::top;
use crate::fuse::vector::{BLOCK, Exponential, LANES, ln};

/// Exponents of a power mean nearer to 0 than this make the product: the sum would lose its digits, and the two differ by
/// less than that.
const RHO_OF_PRODUCT: f32 = 1e-3;

/// `Σ_i weights[i] · log p_i` from logits and their log-sum-exp. A unit that one member rules out is ruled out.
pub(super) fn product(rows: &[(&[f32], f32)], weights: &[f32], fused: &mut [f32]) {
    fused.fill(0.0);
    // 0 · −∞ is no number: a member without weight has no say.
    for ((logits, log_sum_exp), weight) in rows.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
        fused.iter_mut().zip(*logits).for_each(|(sum, logit)| *sum += weight * (logit - log_sum_exp));
    }
}

/// The weighted power mean `(1/ρ) log Σ_i weights[i] · p_i^ρ` from logits and their log-sum-exp; the weights sum to 1. 1 is
/// the mixture, 0 the product; the higher ρ, the more one sure member decides, and below 0 each can rule a unit out.
pub(super) fn power_mean(rows: &[(&[f32], f32)], weights: &[f32], rho: f32, fused: &mut [f32]) {
    if rho.abs() < RHO_OF_PRODUCT {
        return product(rows, weights, fused);
    }
    let heard: Vec<(&[f32], f32, f32)> = rows
        .iter()
        .zip(weights)
        .filter(|(_, weight)| **weight > 0.0)
        .map(|((logits, log_sum_exp), weight)| (*logits, *log_sum_exp, weight.ln()))
        .collect();
    let exponential = Exponential::relative_to(0.0);
    let (mut most, mut sums) = ([0.0f32; BLOCK], [0.0f32; BLOCK]);
    for (index, targets) in fused.chunks_mut(BLOCK).enumerate() {
        let place = index * BLOCK..index * BLOCK + targets.len();
        let (most, sums) = (&mut most[..targets.len()], &mut sums[..targets.len()]);
        let term = |logit: f32, log_sum_exp: f32, log_weight: f32| rho * (logit - log_sum_exp) + log_weight;
        most.fill(f32::NEG_INFINITY);
        sums.fill(0.0);
        for (logits, log_sum_exp, log_weight) in &heard {
            for (most, logit) in most.iter_mut().zip(&logits[place.clone()]) {
                let term = term(*logit, *log_sum_exp, *log_weight);
                *most = if term > *most { term } else { *most };
            }
        }
        for (logits, log_sum_exp, log_weight) in &heard {
            for ((sum, most), logit) in sums.iter_mut().zip(&*most).zip(&logits[place.clone()]) {
                *sum += exponential.of(term(*logit, *log_sum_exp, *log_weight) - most).0;
            }
        }
        for ((target, most), sum) in targets.iter_mut().zip(&*most).zip(&*sums) {
            // Infinite where nobody allows the unit, and for ρ below 0 where somebody rules it out.
            *target = if most.is_finite() { (most + ln(*sum)) / rho } else { f32::NEG_INFINITY };
        }
    }
}

/// Adds `factor · log p` to the scores. What the row rules out goes for a factor above 0 and stays as it is for one below:
/// there is no limit to how much a contrast would prefer it.
pub(super) fn add(logits: &[f32], log_sum_exp: f32, factor: f32, fused: &mut [f32]) {
    if factor == 0.0 {
        return;
    }
    let ruled_out = if factor > 0.0 { f32::NEG_INFINITY } else { 0.0 };
    for (score, logit) in fused.iter_mut().zip(logits) {
        let change = factor * (logit - log_sum_exp);
        *score += if *logit > f32::NEG_INFINITY { change } else { ruled_out };
    }
}

/// `log Σ exp scores`.
pub(super) fn log_sum_exp(scores: &[f32]) -> f32 {
    let most = highest(scores);
    if most == f32::NEG_INFINITY {
        return most;
    }
    let exponential = Exponential::relative_to(most);
    let total = sum(scores, |score| exponential.of(score).0);
    (exponential.log_unit() + total.ln()) as f32
}

/// Of the distribution the scores stand for, in nats.
pub(super) fn entropy(scores: &[f32]) -> f64 {
    let probability = Probability::of(scores);
    -sum(scores, |score| {
        let (p, log_p) = probability.and_logarithm(score);
        if p > 0.0 { p * log_p } else { 0.0 }
    })
}

/// How many scores are higher: 0 for the best.
pub(super) fn rank(scores: &[f32], score: f32) -> usize {
    scores.chunks(BLOCK).map(|block| block.iter().map(|other| u32::from(*other > score)).sum::<u32>() as usize).sum()
}

/// How far the best logit stands above the second.
pub(super) fn margin(logits: &[f32]) -> f32 {
    match top(logits, 2)[..] {
        [(_, best), (_, second)] => best - second,
        _ => f32::INFINITY,
    }
}

/// Kullback-Leibler divergence `Σ p log(p / q)` in nats; infinite where q rules out what p allows.
/// Each distribution comes as its scores with their log-sum-exp.
pub(super) fn kl((p, p_total): (&[f32], f32), (q, q_total): (&[f32], f32)) -> f64 {
    let probability = Probability::with_total(p_total);
    let sum = sum_of_pairs(p, q, |p, q| {
        let (probability, log_probability) = probability.and_logarithm(p);
        if probability > 0.0 { probability * (log_probability - (q - q_total)) } else { 0.0 }
    });
    sum.max(0.0)
}

/// Jensen-Shannon divergence in nats: from 0 to log 2. Each distribution comes as its scores with their log-sum-exp.
pub(super) fn js((p, p_total): (&[f32], f32), (q, q_total): (&[f32], f32)) -> f64 {
    let half = |(x, log_x): (f32, f32), log_mean: f32| if x > 0.0 { x * (log_x - log_mean) } else { 0.0 };
    let (of_p, of_q) = (Probability::with_total(p_total), Probability::with_total(q_total));
    let sum = sum_of_pairs(p, q, |p, q| {
        let (p, q) = (of_p.and_logarithm(p), of_q.and_logarithm(q));
        let log_mean = ln(0.5 * (p.0 + q.0));
        half(p, log_mean) + half(q, log_mean)
    });
    (0.5 * sum).clamp(0.0, std::f64::consts::LN_2)
}

/// From scores to probabilities.
#[derive(Clone, Copy)]
struct Probability {
    exponential: Exponential,
    total: f32,
    factor: f32,
}

impl Probability {
    fn of(scores: &[f32]) -> Self {
        Self::with_total(log_sum_exp(scores))
    }

    fn with_total(total: f32) -> Self {
        let exponential = Exponential::relative_to(total);
        Self { exponential, total, factor: (exponential.log_unit() - f64::from(total)).exp() as f32 }
    }

    /// A probability with its logarithm; 0 where the exponential is cut off, at 5e-38.
    #[inline(always)]
    fn and_logarithm(&self, score: f32) -> (f32, f32) {
        let logarithm = score - self.total;
        let probability = if logarithm > -85.0 { self.factor * self.exponential.of(score).0 } else { 0.0 };
        (probability, logarithm)
    }
}

fn highest(scores: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = scores.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, score)| *lane = if *score > *lane { *score } else { *lane });
    }
    lanes.into_iter().fold(rest, f32::max)
}

fn sum(scores: &[f32], term: impl Fn(f32) -> f32) -> f64 {
    sum_of_pairs(scores, scores, |score, _| term(score))
}

/// Sums over lanes vectorise, a sum over one number does not (floating point keeps its order). From block to block in
/// `f64`, so that a whole vocabulary loses nothing.
fn sum_of_pairs(left: &[f32], right: &[f32], term: impl Fn(f32, f32) -> f32) -> f64 {
    let mut total = 0.0;
    for (left, right) in left.chunks(BLOCK).zip(right.chunks(BLOCK)) {
        let mut lanes = [0.0f32; LANES];
        let (lefts, rights) = (left.chunks_exact(LANES), right.chunks_exact(LANES));
        let rest = lefts.remainder().iter().zip(rights.remainder());
        total += rest.map(|(left, right)| f64::from(term(*left, *right))).sum::<f64>();
        for (left, right) in lefts.zip(rights) {
            for lane in 0..LANES {
                lanes[lane] += term(left[lane], right[lane]);
            }
        }
        total += lanes.into_iter().map(f64::from).sum::<f64>();
    }
    total
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-5
    }

    #[test]
    fn a_product_lets_each_member_rule_a_unit_out_unless_it_has_no_weight() {
        let rows = [(&[0.0, f32::NEG_INFINITY][..], 0.0), (&[0.0, 0.0][..], 2f32.ln())];
        let mut fused = [0.0; 2];
        product(&rows, &[0.5, 0.5], &mut fused);
        assert_eq!(fused[1], f32::NEG_INFINITY);
        product(&rows, &[0.0, 1.0], &mut fused);
        assert!(close(fused[1].into(), -std::f64::consts::LN_2));
    }

    #[test]
    fn entropy_ignores_the_constant_and_what_cannot_come() {
        let scores: Vec<f32> = (0..40).map(|place| if place < 32 { 7.0 } else { f32::NEG_INFINITY }).collect();
        assert!(close(entropy(&scores), 32f64.ln()), "{}", entropy(&scores));
    }

    #[test]
    fn a_margin_is_that_of_the_best_two() {
        assert_eq!(margin(&[1.0, 3.0, f32::NEG_INFINITY, 2.5]), 0.5);
        assert_eq!(margin(&[1.0, 3.0, 3.0]), 0.0);
        assert_eq!(margin(&[1.0, f32::NEG_INFINITY]), f32::INFINITY);
    }

    #[test]
    fn divergences_are_nothing_between_equals_and_bounded_between_strangers() {
        let (p, q) = ((&[0.0, f32::NEG_INFINITY][..], 0.0), (&[f32::NEG_INFINITY, 0.0][..], 0.0));
        assert_eq!(js(p, p), 0.0);
        assert!(close(js(p, q), std::f64::consts::LN_2));
        assert_eq!(kl(p, p), 0.0);
        assert_eq!(kl(p, q), f64::INFINITY);
    }

    /// Two rows with ties, units that cannot come, and a length that no block divides.
    fn two_rows() -> [Vec<f32>; 2] {
        [0.37f32, 0.61].map(|turn| {
            let logit = |place: usize| {
                if place % 17 == 3 { f32::NEG_INFINITY } else { 9.0 * (turn * (place % 1700) as f32).sin() + 30.0 }
            };
            (0..5003).map(logit).collect()
        })
    }

    /// In double precision, one number after the other.
    fn log_probabilities(logits: &[f32]) -> Vec<f64> {
        let total = logits.iter().map(|logit| f64::from(*logit).exp()).sum::<f64>().ln();
        logits.iter().map(|logit| f64::from(*logit) - total).collect()
    }

    #[test]
    fn every_loop_equals_the_plain_one() {
        let rows = two_rows();
        let (p, q) = (log_probabilities(&rows[0]), log_probabilities(&rows[1]));
        let totals = [log_sum_exp(&rows[0]), log_sum_exp(&rows[1])];
        assert!(close(totals[0].into(), f64::from(rows[0][0]) - p[0]));
        let pairs = || p.iter().zip(&q).filter(|(p, _)| p.is_finite());
        let kl_plain: f64 = pairs().map(|(p, q)| p.exp() * (p - q)).sum();
        let ends = ((&rows[0][..], totals[0]), (&rows[1][..], totals[1]));
        assert!(close(kl(ends.0, ends.1), kl_plain), "{} {kl_plain}", kl(ends.0, ends.1));
        let mean = |p: f64, q: f64| (0.5 * (p.exp() + q.exp())).ln();
        let js_plain: f64 =
            0.5 * pairs().map(|(p, q)| p.exp() * (p - mean(*p, *q)) + q.exp() * (q - mean(*p, *q))).sum::<f64>();
        assert!(close(js(ends.0, ends.1), js_plain));
        let entropy_plain: f64 = pairs().map(|(p, _)| -p.exp() * p).sum();
        assert!(close(entropy(&rows[0]), entropy_plain));
        for unit in [0, 3, 77, 5002] {
            let plain = rows[0].iter().filter(|logit| **logit > rows[0][unit]).count();
            assert_eq!(rank(&rows[0], rows[0][unit]), plain);
        }
    }

    #[test]
    fn power_means_equal_the_formula_and_meet_mixture_and_product() {
        let rows = two_rows();
        let logs = [log_probabilities(&rows[0]), log_probabilities(&rows[1])];
        let ends = [(&rows[0][..], log_sum_exp(&rows[0])), (&rows[1][..], log_sum_exp(&rows[1]))];
        let mut fused = vec![0.0; rows[0].len()];
        for rho in [1.0f32, 4.0, 0.5, 0.01, -0.5, -3.0] {
            power_mean(&ends, &[0.25, 0.75], rho, &mut fused);
            for (unit, score) in fused.iter().enumerate() {
                let rho = f64::from(rho);
                let plain = (0.25 * (rho * logs[0][unit]).exp() + 0.75 * (rho * logs[1][unit]).exp()).ln() / rho;
                let score = f64::from(*score);
                assert!(score == plain || (score - plain).abs() < 1e-4 * (1.0 + plain.abs()), "{rho}: {score} {plain}");
            }
        }
        let mut other = fused.clone();
        power_mean(&ends, &[0.25, 0.75], 0.0, &mut fused);
        product(&ends, &[0.25, 0.75], &mut other);
        assert_eq!(fused, other);
        power_mean(&ends, &[0.0, 1.0], 2.0, &mut fused);
        assert!(
            fused
                .iter()
                .zip(&logs[1])
                .all(|(score, plain)| f64::from(*score) == *plain || close((*score).into(), *plain))
        );
    }

    #[test]
    fn an_addition_with_a_factor_below_0_leaves_what_the_row_rules_out() {
        let mut fused = [0.0, 0.0, f32::NEG_INFINITY];
        add(&[-1.0, f32::NEG_INFINITY, 0.0], 0.0, -0.5, &mut fused);
        assert_eq!(fused, [0.5, 0.0, f32::NEG_INFINITY]);
        add(&[-1.0, f32::NEG_INFINITY, 0.0], 0.0, 1.0, &mut fused);
        assert_eq!(fused, [-0.5, f32::NEG_INFINITY, f32::NEG_INFINITY]);
    }
}
