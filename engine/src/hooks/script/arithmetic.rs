//! The loops behind the row handles. Scores are log-probabilities up to a constant; −∞ is a unit that cannot come.

/// Scores in a lane: sums over lanes vectorise, a sum over one number does not (floating point keeps its order).
const LANES: usize = 16;

/// `Σ_i weights[i] · log p_i` from logits and their log-sum-exp. A unit that one member rules out is ruled out.
pub(super) fn product(rows: &[(&[f32], f32)], weights: &[f32], fused: &mut [f32]) {
    fused.fill(0.0);
    // 0 · −∞ is no number: a member without weight has no say.
    for ((logits, log_sum_exp), weight) in rows.iter().zip(weights).filter(|(_, weight)| **weight > 0.0) {
        fused.iter_mut().zip(*logits).for_each(|(sum, logit)| *sum += weight * (logit - log_sum_exp));
    }
}

/// `log Σ exp scores`.
pub(super) fn log_sum_exp(scores: &[f32]) -> f32 {
    let most = highest(scores);
    if most == f32::NEG_INFINITY {
        return most;
    }
    most + sum(scores, |score| (score - most).exp()).ln()
}

/// Of the distribution the scores stand for, in nats.
pub(super) fn entropy(scores: &[f32]) -> f64 {
    let total = log_sum_exp(scores);
    let expected = sum(scores, |score| {
        let log_probability = score - total;
        if log_probability > f32::NEG_INFINITY {
            log_probability.exp() * log_probability
        } else {
            0.0
        }
    });
    f64::from(-expected)
}

/// How far the best logit stands above the second.
pub(super) fn margin(logits: &[f32]) -> f32 {
    match top(logits, 2)[..] {
        [(_, best), (_, second)] => best - second,
        _ => f32::INFINITY,
    }
}

/// The `count` highest scores above −∞ with their places, best first; of equals the lower place first.
pub(super) fn top(scores: &[f32], count: usize) -> Vec<(usize, f32)> {
    let mut best: Vec<(usize, f32)> = Vec::with_capacity(count + 1);
    let mut floor = f32::NEG_INFINITY;
    for (place, &score) in scores.iter().enumerate() {
        if score > floor {
            let rank = best.partition_point(|(_, other)| *other >= score);
            best.insert(rank, (place, score));
            best.truncate(count);
            if best.len() == count {
                floor = best[count - 1].1;
            }
        }
    }
    best
}

/// Kullback-Leibler divergence `Σ p log(p / q)` in nats; infinite where q rules out what p allows.
/// Each row comes as its logits with their log-sum-exp.
pub(super) fn kl(p: &[f32], (p_logits, p_total): (&[f32], f32), (q_logits, q_total): (&[f32], f32)) -> f64 {
    let sum: f32 = p
        .iter()
        .zip(p_logits.iter().zip(q_logits))
        .filter(|(probability, _)| **probability > 0.0)
        .map(|(probability, (a, b))| probability * ((a - p_total) - (b - q_total)))
        .sum();
    f64::from(sum).max(0.0)
}

/// Jensen-Shannon divergence in nats: from 0 to log 2.
pub(super) fn js(p: &[f32], q: &[f32]) -> f64 {
    let half = |x: f32, mean: f32| if x > 0.0 { x * (x / mean).ln() } else { 0.0 };
    let sum: f32 = p.iter().zip(q).map(|(&p, &q)| half(p, 0.5 * (p + q)) + half(q, 0.5 * (p + q))).sum();
    f64::from(0.5 * sum).clamp(0.0, std::f64::consts::LN_2)
}

fn highest(scores: &[f32]) -> f32 {
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let chunks = scores.chunks_exact(LANES);
    let rest = chunks.remainder().iter().copied().fold(f32::NEG_INFINITY, f32::max);
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, score)| *lane = lane.max(*score));
    }
    lanes.into_iter().fold(rest, f32::max)
}

fn sum(scores: &[f32], term: impl Fn(f32) -> f32) -> f32 {
    let mut lanes = [0.0; LANES];
    let chunks = scores.chunks_exact(LANES);
    let rest: f32 = chunks.remainder().iter().map(|score| term(*score)).sum();
    for chunk in chunks {
        lanes.iter_mut().zip(chunk).for_each(|(lane, score)| *lane += term(*score));
    }
    lanes.into_iter().sum::<f32>() + rest
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
    fn top_is_sorted_and_leaves_out_what_cannot_come() {
        let scores = [1.0, 3.0, f32::NEG_INFINITY, 3.0, 2.0];
        assert_eq!(top(&scores, 3), [(1, 3.0), (3, 3.0), (4, 2.0)]);
        assert_eq!(top(&scores, 9).len(), 4);
        assert_eq!(margin(&scores), 0.0);
    }

    #[test]
    fn divergences_are_nothing_between_equals_and_bounded_between_strangers() {
        let (p, q) = ([1.0, 0.0], [0.0, 1.0]);
        assert_eq!(js(&p, &p), 0.0);
        assert!(close(js(&p, &q), std::f64::consts::LN_2));
        let (p_logits, q_logits) = ([0.0, f32::NEG_INFINITY], [f32::NEG_INFINITY, 0.0]);
        assert_eq!(kl(&p, (&p_logits, 0.0), (&p_logits, 0.0)), 0.0);
        assert_eq!(kl(&p, (&p_logits, 0.0), (&q_logits, 0.0)), f64::INFINITY);
    }
}
