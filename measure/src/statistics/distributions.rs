//! Tails of the distributions that the tests need, on the functions of `statrs`: `erfc`, the incomplete beta function, their
//! inverses and `ln Γ` are rational approximations and continued fractions of some 700 lines.

use statrs::function::beta::{beta_reg, inv_beta_reg};
use statrs::function::erf::{erfc, erfc_inv};
use statrs::function::gamma::ln_gamma;
use std::f64::consts::{LN_2, PI, SQRT_2};

/// Coin throws from which on the normal distribution stands for the binomial one. Its tail at p = 0.05 is then wrong by less
/// than 1 part in 10,000: the first term that it leaves out is that of the kurtosis, −2/n.
const MANY_THROWS: u64 = 10_000;

/// Probability that a standard normal variable is at most `z`.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z / SQRT_2)
}

/// The `z` that a standard normal variable stays below with probability `p`.
pub fn normal_quantile(p: f64) -> f64 {
    -SQRT_2 * erfc_inv(2.0 * p)
}

/// Probability that Student's t with so many degrees of freedom lies farther from 0 than `t`, on either side.
pub fn student_two_sided(t: f64, freedom: f64) -> f64 {
    beta_reg(freedom / 2.0, 0.5, freedom / (freedom + t * t))
}

/// The `t` for which [`student_two_sided`] is `p`.
pub fn student_quantile(p: f64, freedom: f64) -> f64 {
    let y = inv_beta_reg(freedom / 2.0, 0.5, p);
    (freedom * (1.0 - y) / y).sqrt()
}

/// Probability of exactly `heads` in `throws` of a fair coin.
pub fn coin_probability(heads: u64, throws: u64) -> f64 {
    if heads > throws {
        return 0.0;
    }
    let (k, n) = (heads as f64, throws as f64);
    if throws > MANY_THROWS {
        let z = (2.0 * k - n) / n.sqrt();
        return 2.0 / n.sqrt() * (-z * z / 2.0).exp() / (2.0 * PI).sqrt();
    }
    (ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0) - n * LN_2).exp()
}

/// Probability of at most `heads` in `throws` of a fair coin.
pub fn coin_at_most(heads: u64, throws: u64) -> f64 {
    if heads >= throws {
        return 1.0;
    }
    let n = throws as f64;
    if throws > MANY_THROWS {
        return normal_cdf((2.0 * heads as f64 + 1.0 - n) / n.sqrt());
    }
    // The smaller tail is the sum, so that nothing is lost to rounding.
    if heads >= throws - heads {
        return 1.0 - coin_at_most(throws - heads - 1, throws);
    }
    let mut term = coin_probability(heads, throws);
    let mut sum = term;
    for k in (1..=heads).rev() {
        term *= k as f64 / (n - k as f64 + 1.0);
        sum += term;
        if term < sum * f64::EPSILON {
            break;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_the_tables() {
        assert!((normal_quantile(0.975) - 1.959_964).abs() < 1e-6);
        assert!((normal_quantile(0.8) - 0.841_621).abs() < 1e-6);
        // Four degrees of freedom: 2.776; ninety-nine: 1.984.
        assert!((student_quantile(0.05, 4.0) - 2.776).abs() < 5e-4);
        assert!((student_quantile(0.05, 99.0) - 1.984).abs() < 5e-4);
        assert!((student_two_sided(2.776, 4.0) - 0.05).abs() < 1e-4);
    }

    #[test]
    fn a_coin_is_fair() {
        assert!((coin_at_most(0, 6) - 1.0 / 64.0).abs() < 1e-15);
        assert!((coin_at_most(3, 4) - 15.0 / 16.0).abs() < 1e-15);
        assert!((coin_at_most(4, 9) - 0.5).abs() < 1e-12);
        assert_eq!(coin_at_most(7, 7), 1.0);
        assert_eq!(coin_at_most(0, 0), 1.0);
        assert_eq!(coin_probability(3, 2), 0.0);
    }

    #[test]
    fn many_throws_continue_what_fewer_gave() {
        for heads in [4_850, 4_902, 4_950, 5_000, 5_100] {
            let exact = coin_at_most(heads, MANY_THROWS);
            let n = MANY_THROWS as f64;
            let normal = normal_cdf((2.0 * heads as f64 + 1.0 - n) / n.sqrt());
            assert!((exact / normal - 1.0).abs() < 1e-3, "{heads}: {exact} and {normal}");
        }
        assert!((coin_at_most(u64::MAX / 2, u64::MAX) - 0.5).abs() < 1e-6);
        assert!(coin_probability(u64::MAX / 2, u64::MAX) > 0.0);
    }
}
