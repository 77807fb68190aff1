//! How many items a difference needs to be found.

use super::{ALPHA, distributions::normal_quantile};

/// The chance that a difference is found, for which numbers of items are given.
pub const POWER: f64 = 0.8;

/// Items for which a paired test at level `alpha`, two-sided, finds a true difference in [`POWER`] of all cases, where the
/// second system gains the part `gain` of the items and loses the part `loss`. `None` where no number would do, because the
/// two are equal, or are no parts.
///
/// Connor (1987), "Sample size for testing differences in proportions for the paired-sample design", Biometrics 43:207–211:
/// `n = (z_α/2·√ψ + z_β·√(ψ − δ²))² / δ²` with ψ = gain + loss, δ = gain − loss; rounded to the nearest.
pub fn items_needed(gain: f64, loss: f64, alpha: f64) -> Option<u64> {
    let (discordant, difference) = (gain + loss, gain - loss);
    let parts = gain >= 0.0 && loss >= 0.0 && discordant <= 1.0 + 1e-9;
    if !parts || difference == 0.0 {
        return None;
    }
    let spread = (discordant - difference * difference).max(0.0);
    let root = normal_quantile(1.0 - alpha / 2.0) * discordant.sqrt() + normal_quantile(POWER) * spread.sqrt();
    Some((root / difference).powi(2).round().max(1.0) as u64)
}

/// How many times as much data would show a mean whose 95 % interval has this width, in [`POWER`] of all cases, if its
/// estimate is true. `None` where no amount would do.
pub fn times_as_much(estimate: f64, width: f64) -> Option<f64> {
    if estimate == 0.0 || !estimate.is_finite() || !width.is_finite() {
        return None;
    }
    let z = normal_quantile(1.0 - ALPHA / 2.0);
    let error = width / (2.0 * z);
    Some(((z + normal_quantile(POWER)) * error / estimate).powi(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `shared/teams.md`, section 3.
    #[test]
    fn items_are_those_of_the_design() {
        for (gain, loss, items) in [
            (10, 0, 76),
            (13, 3, 123),
            (17, 7, 186),
            (20, 10, 233),
            (25, 15, 312),
            (5, 3, 1_567),
            (6, 4, 1_960),
            (8, 6, 2_745),
        ] {
            let [gain, loss] = [gain, loss].map(|percent| f64::from(percent) / 100.0);
            assert_eq!(items_needed(gain, loss, ALPHA), Some(items), "{gain} / {loss}");
            assert_eq!(items_needed(loss, gain, ALPHA), Some(items), "{loss} / {gain}");
        }
    }

    #[test]
    fn no_number_of_items_shows_no_difference() {
        assert_eq!(items_needed(0.1, 0.1, ALPHA), None);
        assert_eq!(items_needed(0.0, 0.0, ALPHA), None);
        assert_eq!(items_needed(f64::NAN, 0.0, ALPHA), None);
        assert_eq!(items_needed(0.9, 0.3, ALPHA), None);
        assert_eq!(times_as_much(0.0, 1.0), None);
        assert_eq!(times_as_much(f64::NAN, 1.0), None);
    }

    #[test]
    fn an_interval_that_just_touches_zero_needs_twice_the_data() {
        let times = times_as_much(1.0, 2.0).unwrap();
        assert!((times - 2.043).abs() < 1e-3, "{times}");
    }
}
