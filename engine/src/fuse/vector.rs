//! `exp` and `ln` over sixteen lanes at a time, and sums that keep their precision over a whole vocabulary.
//!
//! libm's functions take one number at a time and cost ten times the rest of a row's arithmetic. The polynomials here
//! are branch-free and plain Rust, so that the compiler makes vector instructions of them for whatever it builds for.

/// Numbers worked on together: one AVX-512 register, two of AVX2, four of SSE or NEON.
pub(crate) const LANES: usize = 16;

/// Numbers summed in `f32` before the sum goes on in `f64`: 64 additions a lane, whose rounding stays near 1e-6.
pub(crate) const BLOCK: usize = 64 * LANES;

/// Sixteen numbers of a row.
pub(super) type Lanes = [f32; LANES];

/// Whether one instruction multiplies and adds, and rounds once.
const FUSED: bool = cfg!(any(target_feature = "fma", target_arch = "aarch64"));

/// `a · b + c`. Without an instruction for it, `f32::mul_add` is a call to libm.
#[inline(always)]
pub(super) fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// The larger one; `b` when `a` is NaN. `f32::max` is slower: it must look at both for NaN.
#[inline(always)]
pub(super) fn larger(a: f32, b: f32) -> f32 {
    if a > b { a } else { b }
}

/// Sixteen sums that go on in `f64`, so that a whole vocabulary loses nothing.
#[derive(Default)]
pub(super) struct Sum([f64; LANES]);

impl Sum {
    /// Adds a block's sums. Not inlined: the compiler would pair the lanes of two such sums, at a loss.
    #[inline(never)]
    pub(super) fn add(&mut self, lanes: &[f32]) {
        for (sum, &lane) in self.0.iter_mut().zip(lanes) {
            *sum += f64::from(lane);
        }
    }

    /// The sum over the lanes.
    pub(super) fn total(&self) -> f64 {
        self.0.iter().sum()
    }
}

/// The largest lane. In halves: a chain of sixteen comparisons would take as long as a block.
#[inline(always)]
pub(super) fn largest(mut lanes: Lanes) -> f32 {
    for width in [8, 4, 2, 1] {
        for lane in 0..width {
            lanes[lane] = larger(lanes[lane], lanes[lane + width]);
        }
    }
    lanes[0]
}

// ln 2 in two parts (Cody and Waite 1980): the first has nine significant bits, so that its products with exponents
// of up to 15 bits are exact even when they are rounded.
const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

// 1.5 · 2²³: adding it rounds a number below 2²² to an integer, and leaves that integer in the lowest bits.
const ROUNDER: f32 = 12_582_912.0;

/// How far below the reference an exponential stays the same: 124 · ln 2, so that none is denormal.
const CUT: f32 = 85.95;

/// Exponentials of a row's scores, relative to a power of two.
///
/// A power of two in place of the largest score: `score − largest` would be rounded, to 4e-6 where the difference is 70,
/// while the change of the exponent is exact.
#[derive(Clone, Copy)]
pub(crate) struct Exponential {
    /// Taken from every score: 0, or the reference where scores are so large that they are coarse anyway.
    origin: f32,
    /// The reference, less the origin.
    reference: f32,
    /// The exponent that all are relative to.
    exponent: f32,
}

impl Exponential {
    /// For scores that are not much above `reference`, a finite number: at most by 80.
    pub(crate) fn relative_to(reference: f32) -> Self {
        let origin = if reference.abs() <= 256.0 { 0.0 } else { reference };
        let reference = reference - origin;
        let exponent = multiply_add(reference, std::f32::consts::LOG2_E, ROUNDER) - ROUNDER;
        Self { origin, reference, exponent }
    }

    /// `exp(score)`, relative to `exp` of [`Exponential::log_unit`], and `score − reference`, both cut off where the
    /// difference is −85.95: of −∞ the exponential is 5e-38, which the caller takes for 0. Of NaN the difference is NaN.
    ///
    /// Relative error of the exponential: at most 3e-7, and 3e-9 times the score, of which what all scores have in
    /// common cancels in a probability.
    #[inline(always)]
    pub(crate) fn of(&self, score: f32) -> (f32, f32) {
        // The same for a whole row: the compiler moves the question out of the loop.
        let x = if self.origin == 0.0 { score } else { score - self.origin };
        let lowest = self.reference - CUT;
        // This way round it keeps NaN.
        let kept = if lowest > x { lowest } else { x };
        let rounder = ROUNDER - self.exponent;
        let shifted = multiply_add(kept, std::f32::consts::LOG2_E, rounder);
        let rounded = shifted - rounder;
        let r = if FUSED {
            // ln 2 is 2e-9 from a float, so that its error times an exponent of 100 is harmless.
            multiply_add(rounded, -std::f32::consts::LN_2, kept)
        } else {
            kept - rounded * LN_2_HIGH - rounded * LN_2_LOW
        };
        // Minimax over |r| ≤ ln 2 / 2 with the first two terms of the series: relative error 1.05e-7.
        let mut p = 0.008_312_501;
        p = multiply_add(p, r, 0.041_890_33);
        p = multiply_add(p, r, 0.166_671_16);
        p = multiply_add(p, r, 0.499_992_3);
        p = multiply_add(p, r, 1.0);
        p = multiply_add(p, r, 1.0);
        // The lowest bits of `shifted` are the exponent, those of the rounder fall out on the left.
        let exponential = f32::from_bits(p.to_bits().wrapping_add(shifted.to_bits() << 23));
        (exponential, kept - self.reference)
    }

    /// The logarithm of what the exponentials are relative to, less the reference: between −0.35 and 0.35.
    pub(super) fn log_unit_above_reference(&self) -> f64 {
        f64::from(self.exponent) * std::f64::consts::LN_2 - f64::from(self.reference)
    }

    /// The logarithm of what the exponentials are relative to.
    pub(crate) fn log_unit(&self) -> f64 {
        f64::from(self.origin) + f64::from(self.exponent) * std::f64::consts::LN_2
    }
}

/// Natural logarithm of a number that is not negative; −∞ for 0, for numbers below 2⁻¹²⁶ and for NaN.
///
/// Absolute error: at most 1.5e-7 between ½ and 2, elsewhere a unit in the last place.
#[inline(always)]
pub(crate) fn ln(x: f32) -> f32 {
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
    let logarithm = multiply_add(exponent as f32, std::f32::consts::LN_2, multiply_add(f * f, p, f));
    if x >= f32::MIN_POSITIVE { logarithm } else { f32::NEG_INFINITY }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right_at_every_distance() {
        for reference in [-250.0f32, -31.7, 0.0, 0.1, 19.3, 225.9] {
            let exponential = Exponential::relative_to(reference);
            for step in -30_000..85_000 {
                let score = reference - step as f32 * 1e-3;
                let (found, distance) = exponential.of(score);
                let right = (f64::from(score) - exponential.log_unit()).exp();
                let allowed = 3e-7 + 3e-9 * f64::from(score.abs());
                assert!((f64::from(found) / right - 1.0).abs() < allowed, "exp({score}) = {found}, not {right}");
                assert_eq!(distance, score - reference);
            }
        }
    }

    #[test]
    fn what_is_far_below_is_tiny_and_not_denormal() {
        for reference in [-3000.0f32, 0.0, 1e9, f32::MAX] {
            let exponential = Exponential::relative_to(reference);
            assert!(exponential.of(reference).0 >= 0.7);
            assert_eq!(exponential.of(f32::NEG_INFINITY).1, -CUT);
            for step in 0..400 {
                assert!(exponential.of(reference - step as f32 * 0.5).0.is_normal());
            }
            for score in [f32::NEG_INFINITY, f32::MIN] {
                assert!(exponential.of(score).0 < 6e-38);
            }
        }
    }

    #[test]
    fn logarithms_are_right_to_an_ulp() {
        for step in 0..2_000_000u32 {
            let x = f32::from_bits(f32::MIN_POSITIVE.to_bits() + step * 530);
            let right = f64::from(x).ln();
            let allowed = 1.5e-7 + right.abs() * 1.2e-7;
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
