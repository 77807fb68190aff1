//! Surfaces with a known optimum, for tests.
//!
//! The losses of every family are drawn anew for each seed, so that the optimum is another candidate each time. Noise is that of
//! language models on texts: windows differ by what all candidates share, what a candidate adds grows with its loss, tails are
//! heavy (Student's t with three degrees of freedom) and neighbours resemble each other (an autoregression with 0.4).

use super::{Axis, Point, Space, Surface, WindowLoss, Windows};
use crate::bench::Failure;
use measure::statistics::Random;
use std::collections::{HashMap, HashSet};

/// "+5%".
pub(super) const KEEP: f64 = 0.05;

/// Windows of the search in most tests.
pub(super) const WINDOWS: u32 = 128;

/// Tokens of a window.
pub(super) const TOKENS: u32 = 512;

/// No candidate is nearer to the gate than this, in nats a token and times the loudness: some five standard errors of all
/// windows.
const CLEAR: f64 = 0.017;

const NEIGHBOURS_SHARE: f64 = 0.4;

/// How the losses come about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Family {
    /// 5 × 3 points; each axis adds its own growing loss.
    Additive,
    /// 5 × 3 points; plateaus between jumps.
    Steps,
    /// 5 × 3 points; either axis alone costs little, both together much.
    Interaction,
    /// 24 values of one axis.
    Long,
    /// 4 × 3 × 3 points, each axis with its own loss.
    Cube,
    /// 5 × 3 points; every loss is drawn for itself.
    Rugged,
}

pub(super) const MONOTONE: [Family; 5] =
    [Family::Additive, Family::Steps, Family::Interaction, Family::Long, Family::Cube];

/// What the surface's guesses are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Guesses {
    None,
    /// Off by a factor of e^0.3 in two of three cases.
    Good,
    /// Drawn between 0 and twice the gate, whatever the loss is.
    Useless,
}

/// A surface with what is true about it.
pub(super) struct Synthetic {
    pub space: Space,
    pub truth: HashMap<Point, f64>,
    pub sizes: HashMap<Point, u64>,
    pub broken: HashSet<Point>,
    /// How strong the noise is; 1 or 1.8 in most tests.
    pub loudness: f64,
    /// Windows of the search, and as many held ones.
    pub windows: u32,
    guesses: HashMap<Point, f64>,
    noise: HashMap<Point, Vec<f64>>,
    shared: Vec<f64>,
}

pub(super) fn space(lengths: &[usize]) -> Space {
    let axis = |(at, &length): (usize, &usize)| Axis {
        name: ["experts", "type", "layers"][at].into(),
        values: (0..length).map(|value| format!("{}", length - value)).collect(),
    };
    Space::new(lengths.iter().enumerate().map(axis).collect()).unwrap()
}

/// A growing loss along an axis, 0 at the best quality and up to `most` at the smallest file.
fn growing(random: &mut Random, length: usize, most: f64) -> Vec<f64> {
    let mut steps: Vec<f64> = (0..length).map(|at| at as f64 * (0.2 + random.unit())).collect();
    let mut sum = 0.0;
    for step in &mut steps {
        sum += *step;
        *step = sum;
    }
    steps.iter().map(|step| step / sum.max(1e-9) * most).collect()
}

fn losses(family: Family, space: &Space, random: &mut Random) -> HashMap<Point, f64> {
    let lengths: Vec<usize> = space.axes().iter().map(|axis| axis.values.len()).collect();
    let most = (0.08 + 0.3 * random.unit()) * if family == Family::Cube { 0.4 } else { 1.0 };
    let along: Vec<Vec<f64>> = lengths
        .iter()
        .map(|&length| {
            let part = most * (0.3 + random.unit());
            growing(random, length, part)
        })
        .collect();
    let sum = |point: &Point| point.0.iter().zip(&along).map(|(&at, along)| along[at]).sum::<f64>();
    let top = sum(&Point(lengths.iter().map(|length| length - 1).collect()));
    let jumps: Vec<f64> = (0..3).map(|_| random.unit() * top).collect();
    let loss = |point: &Point| match family {
        Family::Additive | Family::Long | Family::Cube => sum(point),
        Family::Steps => 0.01 + jumps.iter().filter(|&&jump| sum(point) > jump).count() as f64 * (0.03 + most / 4.0),
        Family::Interaction => {
            let product = point.0.iter().zip(&along).map(|(&at, along)| along[at]).product::<f64>();
            0.2 * sum(point) + 4.0 * product / most
        }
        Family::Rugged => 0.0,
    };
    let mut losses: HashMap<Point, f64> =
        space.points().into_iter().map(|point| (point.clone(), loss(&point))).collect();
    if family == Family::Rugged {
        for point in space.points() {
            losses.insert(point, 0.3 * random.unit());
        }
    }
    losses
}

impl Synthetic {
    /// A surface on which every candidate is clearly below or clearly above the gate.
    pub fn new(family: Family, guesses: Guesses, loudness: f64, seed: u64) -> Self {
        let space = space(match family {
            Family::Long => &[24],
            Family::Cube => &[4, 3, 3],
            _ => &[5, 3],
        });
        let mut random = Random(seed.wrapping_mul(1_000_003) ^ family as u64);
        let gate = KEEP.ln_1p();
        let mut truth = losses(family, &space, &mut random);
        for loss in truth.values_mut() {
            let clear = CLEAR * loudness;
            if (*loss - gate).abs() < clear {
                *loss = if *loss < gate { gate - clear } else { gate + clear };
            }
        }
        Self { loudness, ..Self::with(space, truth, guesses, &mut random) }
    }

    /// A surface whose best candidate of those that fit is clearly the best, and the limit.
    pub fn with_a_best(family: Family, seed: u64) -> (Self, u64) {
        let mut surface = Self::new(family, Guesses::None, 1.0, seed);
        let mut sizes: Vec<u64> = surface.sizes.values().copied().collect();
        sizes.sort_unstable();
        let fits = sizes[sizes.len() * 2 / 3];
        let best = surface.best(fits);
        for (point, loss) in &mut surface.truth {
            *loss += if *point == best { 0.0 } else { 1.5 * CLEAR };
        }
        (surface, fits)
    }

    /// A surface on which every candidate has the same loss, on a text that is short for most seeds.
    pub fn null(loss: f64, seed: u64) -> Self {
        let space = space(&[5, 3]);
        let truth = space.points().into_iter().map(|point| (point, loss)).collect();
        let windows = [WINDOWS, 40, 24][(seed % 3) as usize];
        Self { windows, ..Self::with(space, truth, Guesses::None, &mut Random(seed)) }
    }

    /// A surface with these losses.
    pub fn with(space: Space, truth: HashMap<Point, f64>, guesses: Guesses, random: &mut Random) -> Self {
        let points = space.points();
        let axes = space.axes().to_vec();
        // Each axis shrinks the file by up to 40 to 60 %.
        let shrinks: Vec<f64> = axes.iter().map(|_| 0.4 + 0.2 * random.unit()).collect();
        let part = |(axis, at): (usize, &usize)| {
            1.0 - shrinks[axis] * *at as f64 / (axes[axis].values.len().max(2) - 1) as f64
        };
        let size = |point: &Point| (3e10 * point.0.iter().enumerate().map(part).product::<f64>()) as u64;
        let sizes = points.iter().map(|point| (point.clone(), size(point))).collect();
        let guesses = points
            .iter()
            .filter_map(|point| match guesses {
                Guesses::None => None,
                Guesses::Good => Some((point.clone(), truth[point] * (0.3 * normal(random)).exp())),
                Guesses::Useless => Some((point.clone(), 2.0 * KEEP * random.unit())),
            })
            .collect();
        let shared = noise(random);
        let noise = points.iter().map(|point| (point.clone(), noise(random))).collect();
        Self { space, truth, sizes, broken: HashSet::new(), loudness: 1.0, windows: WINDOWS, guesses, noise, shared }
    }

    /// The smallest candidate that is kept.
    pub fn smallest(&self, fits: Option<u64>) -> Option<Point> {
        let kept = |point: &&Point| self.truth[*point] < KEEP.ln_1p() && !self.broken.contains(*point);
        let fitting = |point: &&Point| fits.is_none_or(|fits| self.sizes[*point] <= fits);
        self.truth.keys().filter(kept).filter(fitting).min_by_key(|point| (self.sizes[*point], *point)).cloned()
    }

    /// The candidate with the least loss; of equal ones the first, which none is above.
    pub fn best(&self, fits: u64) -> Point {
        let fitting = self.truth.iter().filter(|(point, _)| self.sizes[*point] <= fits);
        fitting.min_by(|one, other| one.1.total_cmp(other.1).then(one.0.cmp(other.0))).unwrap().0.clone()
    }
}

/// A standard normal number, by Box and Muller.
fn normal(random: &mut Random) -> f64 {
    let (radius, angle) = (1.0 - random.unit(), random.unit());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Noise with variance 1 in a row of windows.
fn noise(random: &mut Random) -> Vec<f64> {
    let mut last = 0.0;
    let own = (1.0 - NEIGHBOURS_SHARE * NEIGHBOURS_SHARE).sqrt();
    let student = |random: &mut Random| {
        let squares: f64 = (0..3).map(|_| normal(random).powi(2)).sum();
        normal(random) / (squares / 3.0).sqrt() / 3_f64.sqrt()
    };
    (0..2 * WINDOWS)
        .map(|_| {
            last = NEIGHBOURS_SHARE * last + own * student(random);
            last
        })
        .collect()
}

impl Surface for Synthetic {
    fn windows(&self) -> Windows {
        Windows { search: self.windows, held: self.windows, tokens: TOKENS }
    }

    fn size(&mut self, point: &Point) -> Result<u64, Failure> {
        Ok(self.sizes[point])
    }

    fn estimate(&mut self, point: &Point) -> Option<f64> {
        self.guesses.get(point).copied()
    }

    fn measure(&mut self, point: &Point, windows: &[u32]) -> Result<Vec<WindowLoss>, Failure> {
        if self.broken.contains(point) {
            return Err(Failure::new("no such quantisation"));
        }
        let truth = self.truth[point];
        let deviation = self.loudness * (0.015 + 0.2 * truth);
        let loss = |&window: &u32| {
            let at = window as usize;
            let difference = truth + deviation * (0.5 * self.shared[at] + 0.866 * self.noise[point][at]);
            let tokens = TOKENS / 2;
            let base = f64::from(tokens) * (2.0 + 0.5 * self.shared[at]);
            WindowLoss { window, nats: base + f64::from(tokens) * difference, base, tokens }
        };
        Ok(windows.iter().map(loss).collect())
    }
}
