//! `exp` and `ln` over sixteen lanes at a time, and sums that keep their precision over a whole vocabulary.
//!
//! libm's functions take one number at a time and cost ten times the rest of a row's arithmetic. The polynomials here
//! are branch-free and plain Rust, so that the compiler makes vector instructions of them for whatever it builds for.

/// Numbers worked on together: one AVX-512 register, two of AVX2, four of SSE or NEON.
pub(super) const LANES: usize = 16;

/// Numbers summed in `f32` before the sum goes on in `f64`: 32 additions a lane, whose rounding stays below 1e-6.
pub(super) const BLOCK: usize = 32 * LANES;

/// Sixteen numbers of a row.
pub(super) type Lanes = [f32; LANES];

/// `a · b + c`. Without an instruction for it, `f32::mul_add` is a call to libm.
#[inline(always)]
pub(super) fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if cfg!(any(target_feature = "fma", target_arch = "aarch64")) {
        a.mul_add(b, c)
    } else {
        a * b + c
    }
}

/// The larger one; `b` when `a` is NaN. `f32::max` is slower: it must look at both for NaN.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b {
        a
    } else {
        b
    }
}

/// Sum over the lanes.
pub(super) fn total(lanes: &Lanes) -> f64 {
    lanes.iter().map(|&lane| f64::from(lane)).sum()
}

/// The lanes of up to sixteen numbers, filled up with `filling`.
#[inline(always)]
pub(super) fn padded(numbers: &[f32], filling: f32) -> Lanes {
    let mut lanes = [filling; LANES];
    lanes[..numbers.len()].copy_from_slice(numbers);
    lanes
}

// ln 2 in two parts (Cody and Waite 1980): the first has nine significant bits, so that its products with exponents
// of up to 15 bits are exact.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

// 1.5 · 2²³: adding it rounds a number below 2²² to an integer, and leaves that integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// Below 2⁻¹⁰⁸ of the largest, an exponential counts as 0. Divided by the sum over a row of up to a million units, what
/// is above stays a normal number; denormal ones cost a hundred times the time.
const SMALLEST_EXPONENT: i32 = -108;

/// How far below the largest score an exponential is certainly 0: 108 · ln 2 and a little.
const CUT: f32 = 100.0;

/// Exponentials of a row's scores, relative to a power of two near the largest one.
///
/// A power of two in place of the largest score itself: `x − maximum` would be rounded, to 4e-6 where the difference is
/// 70, while the change of the exponent is exact.
#[derive(Clone, Copy)]
pub(super) struct Exponential {
    /// Taken from every score: 0, or the largest one where scores are so large that they are coarse anyway.
    origin: f32,
    /// The largest score, less the origin.
    top: f32,
    /// The exponent that all are relative to.
    exponent: i32,
}

impl Exponential {
    /// For scores of which `maximum`, a finite number, is the largest.
    pub(super) fn relative_to(maximum: f32) -> Self {
        let origin = if maximum.abs() <= 256.0 { 0.0 } else { maximum };
        let top = maximum - origin;
        Self { origin, top, exponent: nearest_exponent(top).1 }
    }

    /// `exp(score) / self.unit()` and `score − maximum`, the latter cut off at −100. Scores may be −∞, not NaN.
    ///
    /// Relative error of the exponential: at most 3e-7; 0 below 2⁻¹⁰⁸ of the largest.
    #[inline(always)]
    pub(super) fn of(&self, score: f32) -> (f32, f32) {
        let x = larger(score - self.origin, self.top - CUT);
        let (rounded, exponent) = nearest_exponent(x);
        let r = multiply_add(rounded, -LN_2_LOW, multiply_add(rounded, -LN_2_HIGH, x));
        // Minimax over |r| ≤ ln 2 / 2 with the first two terms of the series: relative error 1.05e-7.
        let mut p = 0.008_312_501;
        p = multiply_add(p, r, 0.041_890_33);
        p = multiply_add(p, r, 0.166_671_16);
        p = multiply_add(p, r, 0.499_992_3);
        p = multiply_add(p, r, 1.0);
        p = multiply_add(p, r, 1.0);
        let exponent = exponent - self.exponent;
        let bits = if exponent < SMALLEST_EXPONENT { 0 } else { (exponent + 127) << 23 };
        (p * f32::from_bits(bits as u32), x - self.top)
    }

    /// The logarithm of what the exponentials are relative to.
    pub(super) fn log_unit(&self) -> f64 {
        f64::from(self.origin) + f64::from(self.exponent) * std::f64::consts::LN_2
    }
}

/// The integer nearest to `x / ln 2`, as a float and as an integer. `|x|` at most 2²⁰.
#[inline(always)]
fn nearest_exponent(x: f32) -> (f32, i32) {
    let shifted = multiply_add(x, std::f32::consts::LOG2_E, ROUNDER);
    (shifted - ROUNDER, (shifted.to_bits() as i32).wrapping_sub(ROUNDER.to_bits() as i32))
}

/// Natural logarithm of a number that is not negative; −∞ for 0, for numbers below 2⁻¹²⁶ and for NaN.
///
/// Absolute error: at most 1.5e-7 between ½ and 2, elsewhere half a unit in the last place more.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    // The bits of √½.
    const SQRT_HALF: i32 = 0x3F35_04F3;
    // x = 2^exponent · (1 + f), with 1 + f between √½ and √2.
    let bits = x.to_bits() as i32;
    let exponent = bits.wrapping_sub(SQRT_HALF) >> 23;
    let f = f32::from_bits(bits.wrapping_sub(exponent << 23) as u32) - 1.0;
    // Minimax of (ln(1 + f) − f) / f², weighted so that the logarithm's absolute error is 4e-8.
    let mut p = -0.100_346_185;
    p = multiply_add(p, f, 0.163_356_44);
    p = multiply_add(p, f, -0.173_259_94);
    p = multiply_add(p, f, 0.198_882_77);
    p = multiply_add(p, f, -0.249_614_66);
    p = multiply_add(p, f, 0.333_352_63);
    p = multiply_add(p, f, -0.500_005_84);
    let exponent = exponent as f32;
    let low = multiply_add(exponent, LN_2_LOW, p * f * f);
    let logarithm = multiply_add(exponent, LN_2_HIGH, low + f);
    if x >= f32::MIN_POSITIVE {
        logarithm
    } else {
        f32::NEG_INFINITY
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right_to_3e_7_at_every_distance() {
        for maximum in [-250.0f32, -31.7, 0.0, 0.1, 19.3, 255.9] {
            let exponential = Exponential::relative_to(maximum);
            for step in 0..70_000 {
                let score = maximum - step as f32 * 1e-3;
                let (found, distance) = exponential.of(score);
                let right = (f64::from(score) - exponential.log_unit()).exp();
                assert!((f64::from(found) / right - 1.0).abs() < 3e-7, "exp({score}) = {found}, not {right}");
                assert_eq!(distance, score - maximum);
            }
        }
    }

    #[test]
    fn what_is_far_below_the_largest_is_zero_and_not_denormal() {
        for maximum in [-3000.0f32, 0.0, 1e9, f32::MAX] {
            let exponential = Exponential::relative_to(maximum);
            assert_eq!(exponential.of(f32::NEG_INFINITY), (0.0, -CUT));
            assert!(exponential.of(maximum).0 >= 0.7);
            for step in 0..400 {
                let found = exponential.of(maximum - step as f32 * 0.5).0;
                assert!(found == 0.0 || found.is_normal());
            }
        }
    }

    #[test]
    fn logarithms_are_right_to_an_ulp() {
        for step in 0..2_000_000u32 {
            let x = f32::from_bits(f32::MIN_POSITIVE.to_bits() + step * 530);
            let right = f64::from(x).ln();
            let allowed = 1.5e-7 + right.abs() * 6e-8;
            assert!((f64::from(ln(x)) - right).abs() <= allowed, "ln({x:e}) = {}, not {right}", ln(x));
        }
    }

    #[test]
    fn logarithm_of_nothing_is_minus_infinity() {
        for x in [0.0, f32::MIN_POSITIVE / 2.0, f32::NAN] {
            assert_eq!(ln(x), f32::NEG_INFINITY);
        }
    }
}
