//! Several comparisons at once.

/// Holm's adjusted p-values, in the order given. A p that is no number counts as 1.
///
/// Below 5 % after the adjustment means: with all comparisons together, at most 5 % chance of even one false finding, however
/// they depend on each other. Holm (1979), "A simple sequentially rejective multiple test procedure", Scandinavian Journal
/// of Statistics 6:65–70. The best of 13 tries of equal systems looks like +3 of 30 with 88 % without it.
pub fn holm(p: &[f64]) -> Vec<f64> {
    let p: Vec<f64> = p.iter().map(|&p| if p.is_nan() { 1.0 } else { p.clamp(0.0, 1.0) }).collect();
    let mut order: Vec<usize> = (0..p.len()).collect();
    order.sort_by(|&one, &other| p[one].total_cmp(&p[other]));
    let mut adjusted = vec![1.0; p.len()];
    let mut largest: f64 = 0.0;
    for (rank, &at) in order.iter().enumerate() {
        largest = largest.max((p[at] * (p.len() - rank) as f64).min(1.0));
        adjusted[at] = largest;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By R: `p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")`.
    #[test]
    fn values_are_those_of_r() {
        let found = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (found, expected) in found.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((found - expected).abs() < 1e-12, "{found} is not {expected}");
        }
    }

    #[test]
    fn one_comparison_stays_and_none_is_none() {
        assert_eq!(holm(&[0.04]), [0.04]);
        assert!(holm(&[]).is_empty());
        assert_eq!(holm(&[f64::NAN, 2.0, -1.0]), [1.0, 1.0, 0.0]);
    }
}
