//! Several rows: their mixture and how much of it they share.

use super::vector::{BLOCK, LANES, Sum, ln, multiply_add};

/// The linear mixture: `fused[v] = ln Σ_i weights[i] · rows[i][v]`, with rows of probabilities. −∞ where no member has
/// mass.
///
/// The weights are scaled to sum to 1. They have to be finite, at least 0 and not all 0; with others every score is −∞,
/// which [`normalise`](super::normalise) refuses.
///
/// # Panics
/// When there is no row, or not as many weights as rows, or a row is not as long as `fused`.
pub fn mix(rows: &[&[f32]], weights: &[f32], fused: &mut [f32]) {
    assert_eq!(rows.len(), weights.len(), "each member has one weight");
    assert!(!rows.is_empty() && rows.iter().all(|row| row.len() == fused.len()), "rows are as long as the fused row");
    let total: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
    let scaled = |weight: f32| (f64::from(weight) / total) as f32;
    let mut buffer = Aligned([0.0; BLOCK]);
    for (index, targets) in fused.chunks_mut(BLOCK).enumerate() {
        let start = index * BLOCK;
        let masses = &mut buffer.0[..targets.len()];
        for (member, (row, &weight)) in rows.iter().zip(weights).enumerate() {
            let weight = scaled(weight);
            let row = masses.iter_mut().zip(&row[start..start + targets.len()]);
            if member == 0 {
                row.for_each(|(mass, &probability)| *mass = weight * probability);
            } else {
                row.for_each(|(mass, &probability)| *mass = multiply_add(weight, probability, *mass));
            }
        }
        for (target, &mass) in targets.iter_mut().zip(masses.iter()) {
            *target = ln(mass);
        }
    }
}

/// On the border of a cache line: read sixteen at a time, a buffer elsewhere costs a tenth more.
#[repr(align(64))]
struct Aligned([f32; BLOCK]);

/// The probability mass the members share: 1 − the mean over all pairs of their total variation distance
/// `½ Σ |p(v) − q(v)|`. 1 for one member.
///
/// # Panics
/// When the rows are not equally long.
pub fn agreement(rows: &[&[f32]]) -> f32 {
    let pairs = rows.len() * rows.len().saturating_sub(1) / 2;
    if pairs == 0 {
        return 1.0;
    }
    let units = rows[0].len();
    assert!(rows.iter().all(|row| row.len() == units), "the members' rows are equally long");
    let mut distance = Sum::default();
    for start in (0..units).step_by(WIDE_BLOCK) {
        let end = units.min(start + WIDE_BLOCK);
        for (index, first) in rows.iter().enumerate() {
            for second in &rows[index + 1..] {
                let distances = block_distance(&first[start..end], &second[start..end]);
                distances.chunks_exact(LANES).for_each(|lanes| distance.add(lanes));
            }
        }
    }
    (1.0 - 0.5 * distance.total() / pairs as f64).clamp(0.0, 1.0) as f32
}

/// Four times the lanes, because each addition waits for the one before it in its lane.
const WIDE: usize = 4 * LANES;

/// So much of three rows fits into the first-level cache, and a lane makes 32 additions.
const WIDE_BLOCK: usize = 32 * WIDE;

/// `Σ |p(v) − q(v)|` over a block, by lanes.
#[inline(always)]
fn block_distance(first: &[f32], second: &[f32]) -> [f32; WIDE] {
    let mut distances = [0.0; WIDE];
    let (mut first_chunks, mut second_chunks) = (first.chunks_exact(WIDE), second.chunks_exact(WIDE));
    for (p, q) in (&mut first_chunks).zip(&mut second_chunks) {
        for lane in 0..WIDE {
            distances[lane] += (p[lane] - q[lane]).abs();
        }
    }
    let rest = first_chunks.remainder().iter().zip(second_chunks.remainder());
    for (distance, (p, q)) in distances.iter_mut().zip(rest) {
        *distance += (p - q).abs();
    }
    distances
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuse::{normalise, softmax};
    use proptest::prelude::*;

    fn probabilities(logits: &[f32]) -> Vec<f32> {
        let mut row = vec![0.0; logits.len()];
        softmax(logits, &mut row).unwrap();
        row
    }

    /// One to four rows of one length, some units impossible in some, and weights of which the first is above 0.
    fn members() -> impl Strategy<Value = (Vec<Vec<f32>>, Vec<f32>)> {
        let logit = prop_oneof![9 => -25.0f32..25.0, 1 => Just(f32::NEG_INFINITY)];
        (1usize..5, 1usize..1200).prop_flat_map(move |(members, units)| {
            let row = prop::collection::vec(logit.clone(), units).prop_map(|mut logits| {
                logits[0] = 1.0;
                probabilities(&logits)
            });
            let weights = prop::collection::vec(0.0f32..3.0, members).prop_map(|mut weights| {
                weights[0] += 0.1;
                weights
            });
            (prop::collection::vec(row, members), weights)
        })
    }

    proptest! {
        #[test]
        fn the_mixture_equals_double_precision((rows, weights) in members()) {
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            let mut fused = vec![0.0; rows[0].len()];
            mix(&rows, &weights, &mut fused);
            let sum: f64 = weights.iter().map(|&weight| f64::from(weight)).sum();
            for (unit, &found) in fused.iter().enumerate() {
                let mass: f64 = rows.iter().zip(&weights).map(|(row, &w)| f64::from(w) * f64::from(row[unit])).sum();
                if mass == 0.0 {
                    prop_assert_eq!(found, f32::NEG_INFINITY);
                } else {
                    let right = (mass / sum).ln();
                    prop_assert!((f64::from(found) - right).abs() <= 5e-7 + right.abs() * 1.2e-7, "{found} for {right}");
                }
            }
        }

        #[test]
        fn agreement_equals_double_precision((rows, _) in members()) {
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            let mut distances = Vec::new();
            for (index, first) in rows.iter().enumerate() {
                for second in &rows[index + 1..] {
                    let sum: f64 = first.iter().zip(*second).map(|(&p, &q)| (f64::from(p) - f64::from(q)).abs()).sum();
                    distances.push(0.5 * sum);
                }
            }
            let right = if distances.is_empty() { 1.0 } else { 1.0 - distances.iter().sum::<f64>() / distances.len() as f64 };
            prop_assert!((f64::from(agreement(&rows)) - right).abs() <= 2e-6);
        }

        #[test]
        fn one_member_with_all_weight_is_reproduced((rows, _) in members(), chosen in 0usize..4) {
            let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
            let chosen = chosen % rows.len();
            let mut weights = vec![0.0; rows.len()];
            weights[chosen] = 2.5;
            let mut fused = vec![0.0; rows[0].len()];
            mix(&rows, &weights, &mut fused);
            for (&score, &probability) in fused.iter().zip(rows[chosen]) {
                prop_assert!((f64::from(score).exp() - f64::from(probability)).abs() <= 1e-6 * f64::from(probability).max(1e-9) * 5.0);
            }
        }
    }

    #[test]
    fn members_that_share_nothing_do_not_agree() {
        assert_eq!(agreement(&[&[1.0, 0.0, 0.0], &[0.0, 1.0, 0.0], &[0.0, 0.0, 1.0]]), 0.0);
        assert_eq!(agreement(&[&[0.25, 0.75], &[0.25, 0.75]]), 1.0);
        assert_eq!(agreement(&[&[0.25, 0.75]]), 1.0);
    }

    #[test]
    fn useless_weights_make_a_row_that_is_refused() {
        for weights in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
            let mut fused = vec![0.0; 40];
            mix(&[&[1.0 / 40.0; 40], &[1.0 / 40.0; 40]], &weights, &mut fused);
            assert!(normalise(&mut fused).is_err(), "{weights:?}");
        }
    }
}
