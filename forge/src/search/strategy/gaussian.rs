//! A Gaussian process on few points with known noise.
//!
//! Rasmussen and Williams (2006), "Gaussian processes for machine learning", algorithm 2.1: with `K + Σ = L·Lᵀ`, the weights are
//! `Lᵀ \ (L \ y)`, the mean at x is `k(x)ᵀ·weights`, the variance `k(x, x) − |L \ k(x)|²`, and the log marginal likelihood
//! `−½ yᵀ·weights − Σ ln Lᵢᵢ` but for a constant. The kernel is Matérn's with ν = 5/2 (their equation 4.17) plus a linear one,
//! so that a trend continues where nothing was measured. Nobody knows its length and height: each pair of a grid counts with its
//! likelihood. The likeliest pair alone is far too sure of itself after three points; it found the optimum of surfaces whose axes
//! interact in 53 of 100 cases.

/// Lengths that are tried, where each axis is as long as 1.
const LENGTHS: [f64; 4] = [0.25, 0.5, 1.0, 2.0];

/// Heights of Matérn's part that are tried, in mean squares of the values.
const HEIGHTS: [f64; 3] = [0.03, 0.2, 1.0];

/// A value with its noise.
#[derive(Debug, Clone)]
pub(super) struct Observation {
    /// Where, each axis from 0 to 1.
    pub at: Vec<f64>,
    /// The value.
    pub value: f64,
    /// The variance of its noise, above 0.
    pub noise: f64,
}

/// A kernel's parameters.
#[derive(Debug, Clone, Copy)]
struct Kernel {
    length: f64,
    height: f64,
    slope: f64,
}

impl Kernel {
    fn value(self, one: &[f64], other: &[f64]) -> f64 {
        let pairs = || one.iter().zip(other);
        let distance = pairs().map(|(one, other)| (one - other).powi(2)).sum::<f64>().sqrt();
        let r = 5_f64.sqrt() * distance / self.length;
        let matern = (1.0 + r + r * r / 3.0) * (-r).exp();
        let linear = 1.0 + pairs().map(|(one, other)| one * other).sum::<f64>();
        self.height * matern + self.slope * linear
    }
}

/// The posterior: a mixture over kernels.
#[derive(Debug, Clone)]
pub(super) struct Posterior {
    /// Posteriors by one kernel each, with weights that sum to 1.
    parts: Vec<(f64, Gaussian)>,
}

impl Posterior {
    /// `None` without observations, or where no kernel's matrix has a root.
    pub fn fit(observations: &[Observation]) -> Option<Self> {
        if observations.is_empty() {
            return None;
        }
        let squares = observations.iter().map(|observation| observation.value.powi(2)).sum::<f64>();
        let scale = (squares / observations.len() as f64).max(1e-12);
        let kernels = LENGTHS.iter().flat_map(|&length| {
            HEIGHTS.iter().map(move |height| Kernel { length, height: height * scale, slope: scale })
        });
        let mut parts: Vec<(f64, Gaussian)> =
            kernels.filter_map(|kernel| Gaussian::with(kernel, observations)).collect();
        let most = parts.iter().map(|part| part.0).fold(f64::NEG_INFINITY, f64::max);
        for part in &mut parts {
            part.0 = (part.0 - most).exp();
        }
        let sum: f64 = parts.iter().map(|part| part.0).sum();
        if !(sum > 0.0 && sum.is_finite()) {
            return None;
        }
        for part in &mut parts {
            part.0 /= sum;
        }
        Some(Self { parts })
    }

    /// The mean over kernels of what `figure` makes of the mean and the standard deviation of the value itself, without noise.
    pub fn expect(&self, at: &[f64], figure: impl Fn(f64, f64) -> f64) -> f64 {
        let part = |(weight, process): &(f64, Gaussian)| {
            let (mean, deviation) = process.predict(at);
            weight * figure(mean, deviation)
        };
        self.parts.iter().map(part).sum()
    }
}

/// The posterior by one kernel.
#[derive(Debug, Clone)]
struct Gaussian {
    kernel: Kernel,
    observations: Vec<Observation>,
    /// Rows of the lower triangle.
    root: Vec<Vec<f64>>,
    weights: Vec<f64>,
}

impl Gaussian {
    /// The log likelihood of this kernel, and the posterior by it.
    fn with(kernel: Kernel, observations: &[Observation]) -> Option<(f64, Self)> {
        let covariance = |row: usize, column: usize| {
            let noise = if row == column { observations[row].noise } else { 0.0 };
            kernel.value(&observations[row].at, &observations[column].at) + noise
        };
        let root = cholesky(observations.len(), covariance)?;
        let values: Vec<f64> = observations.iter().map(|observation| observation.value).collect();
        let weights = backward(&root, forward(&root, values.clone()));
        let fit: f64 = values.iter().zip(&weights).map(|(value, weight)| value * weight).sum();
        let volume: f64 = root.iter().enumerate().map(|(at, row)| row[at].ln()).sum();
        Some((-fit / 2.0 - volume, Self { kernel, observations: observations.to_vec(), root, weights }))
    }

    /// Mean and standard deviation of the value itself, without noise.
    fn predict(&self, at: &[f64]) -> (f64, f64) {
        let covariance: Vec<f64> =
            self.observations.iter().map(|observation| self.kernel.value(&observation.at, at)).collect();
        let mean = covariance.iter().zip(&self.weights).map(|(covariance, weight)| covariance * weight).sum();
        let known: f64 = forward(&self.root, covariance).iter().map(|value| value * value).sum();
        (mean, (self.kernel.value(at, at) - known).max(0.0).sqrt())
    }
}

/// The lower triangle L with `L·Lᵀ` the matrix; `None` where it is not positive definite.
fn cholesky(size: usize, matrix: impl Fn(usize, usize) -> f64) -> Option<Vec<Vec<f64>>> {
    let mut root: Vec<Vec<f64>> = Vec::with_capacity(size);
    for row in 0..size {
        let mut values: Vec<f64> = Vec::with_capacity(row + 1);
        for (column, above) in root.iter().enumerate() {
            let known: f64 = values.iter().zip(above).map(|(one, other)| one * other).sum();
            values.push((matrix(row, column) - known) / above[column]);
        }
        let rest = matrix(row, row) - values.iter().map(|value| value * value).sum::<f64>();
        if !(rest > 0.0 && rest.is_finite()) {
            return None;
        }
        values.push(rest.sqrt());
        root.push(values);
    }
    Some(root)
}

/// Solves `L·x = values`.
fn forward(root: &[Vec<f64>], mut values: Vec<f64>) -> Vec<f64> {
    for (at, row) in root.iter().enumerate() {
        let known: f64 = row[..at].iter().zip(&values).map(|(one, other)| one * other).sum();
        values[at] = (values[at] - known) / row[at];
    }
    values
}

/// Solves `Lᵀ·x = values`.
fn backward(root: &[Vec<f64>], mut values: Vec<f64>) -> Vec<f64> {
    for at in (0..root.len()).rev() {
        let known: f64 = (at + 1..root.len()).map(|below| root[below][at] * values[below]).sum();
        values[at] = (values[at] - known) / root[at][at];
    }
    values
}

/// Probability that a standard normal variable is at most `z`, to 8e-8: Abramowitz and Stegun (1964), 26.2.17.
pub(super) fn normal_cdf(z: f64) -> f64 {
    let t = 1.0 / (1.0 + 0.231_641_9 * z.abs());
    let series = [1.330_274_429, -1.821_255_978, 1.781_477_937, -0.356_563_782, 0.319_381_530];
    let tail = normal_density(z) * series.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    if z > 0.0 { 1.0 - tail } else { tail }
}

/// Density of the standard normal distribution.
pub(super) fn normal_density(z: f64) -> f64 {
    (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observations(noise: f64, value: impl Fn(f64) -> f64) -> Vec<Observation> {
        let at = |step: u32| f64::from(step) / 6.0;
        (0..7).map(|step| Observation { at: vec![at(step)], value: value(at(step)), noise }).collect()
    }

    fn known(process: &Posterior, at: f64) -> (f64, f64) {
        (process.expect(&[at], |mean, _| mean), process.expect(&[at], |_, deviation| deviation))
    }

    #[test]
    fn the_root_is_one_and_systems_are_solved() {
        let matrix = [[4.0, 2.0, 0.6], [2.0, 5.0, 1.0], [0.6, 1.0, 3.0]];
        let root = cholesky(3, |row, column| matrix[row][column]).unwrap();
        let solved = backward(&root, forward(&root, vec![1.0, 2.0, 3.0]));
        for (row, expected) in matrix.iter().zip([1.0, 2.0, 3.0]) {
            let found: f64 = row.iter().zip(&solved).map(|(one, other)| one * other).sum();
            assert!((found - expected).abs() < 1e-12);
        }
        assert!(cholesky(2, |row, column| if row == column { 1.0 } else { 2.0 }).is_none());
        assert!(cholesky(1, |_, _| f64::NAN).is_none());
    }

    #[test]
    fn values_without_noise_are_met_and_unknown_ones_are_uncertain() {
        let process = Posterior::fit(&observations(1e-9, |x| (3.0 * x).sin())).unwrap();
        let (mean, deviation) = known(&process, 0.5);
        assert!((mean - 1.5_f64.sin()).abs() < 1e-3 && deviation < 1e-3, "{mean} ± {deviation}");
        let (between, beyond) = (known(&process, 0.58), known(&process, 2.0));
        assert!((between.0 - 1.74_f64.sin()).abs() < 0.02 && between.1 < 0.1, "{between:?}");
        assert!(beyond.1 > 5.0 * between.1, "{beyond:?}");
    }

    #[test]
    fn noisy_values_are_smoothed() {
        let zigzag = |x: f64| 0.1 * (std::f64::consts::PI * 6.0 * x).cos();
        let process = Posterior::fit(&observations(0.04, zigzag)).unwrap();
        assert!(known(&process, 0.5).0.abs() < 0.05);
        assert!(Posterior::fit(&[]).is_none());
    }

    #[test]
    fn the_normal_distribution_is_that_of_the_tables() {
        for (z, p) in [(0.0, 0.5), (1.0, 0.841_344_75), (-1.96, 0.024_997_9), (4.0, 0.999_968_33), (-9.0, 0.0)] {
            assert!((normal_cdf(z) - p).abs() < 1e-7, "{z}: {}", normal_cdf(z));
        }
    }
}
