//! Bayesian optimization with a constraint.
//!
//! A [Gaussian process](super::gaussian) over the places on the axes guesses every candidate's loss from those that were
//! measured, with the noise that their intervals have. The size is known, so what a candidate improves is too, and the next look
//! goes where `improvement × probability that the loss is below the gate` is largest: Gardner et al. (2014), "Bayesian
//! optimization with inequality constraints", ICML; Gelbart, Snoek and Adams (2014), UAI. Without a gate the loss itself is to
//! improve, by Jones, Schonlau and Welch (1998), "Efficient global optimization of expensive black-box functions":
//! `EI = (best − μ)·Φ(z) + σ·φ(z)`, z = (best − μ)/σ.
//!
//! Losses grow steeply toward small files and the gate is in the flat part, so the process sees `gate·asinh(loss / gate)`.

use super::gaussian::{Observation, Posterior, normal_cdf, normal_density};
use super::{Named, Strategy};
use crate::search::{Candidate, Fate, History, Proposal, Standing};

/// The process is fitted to so many candidates at most, since the work grows with the third power.
const MOST_OBSERVED: usize = 200;

/// A candidate that is less likely than this to be below the gate is not looked at again.
const UNLIKELY: f64 = 0.01;

/// The unit of the losses where there is no gate, in nats a token.
const UNIT: f64 = 0.05;

/// An expected improvement that is not worth a look, in units: 0.01 % of perplexity.
const SMALL: f64 = 0.002;

/// Looks where the expected improvement is largest.
#[derive(Debug, Clone, Default)]
pub struct Bayesian {
    /// For each candidate the probability that it is below the gate, where it was too small for a look.
    unlikely: Vec<Option<f64>>,
}

/// Places of all candidates, each axis from 0 to 1.
fn places(history: &History) -> Vec<Vec<f64>> {
    let axes = history.candidates.first().map_or(0, |candidate| candidate.point.0.len());
    let longest = |axis: usize| history.candidates.iter().map(|candidate| candidate.point.0[axis]).max().unwrap_or(0);
    let longest: Vec<f64> = (0..axes).map(|axis| longest(axis).max(1) as f64).collect();
    let place = |point: &[usize]| point.iter().zip(&longest).map(|(&at, longest)| at as f64 / longest).collect();
    history.candidates.iter().map(|candidate| place(&candidate.point.0)).collect()
}

/// The process of what was measured, in units; `None` before anything was.
fn process(history: &History, places: &[Vec<f64>], unit: f64) -> Option<Posterior> {
    let observe = |(candidate, at): (&Candidate, &Vec<f64>)| {
        let evidence = candidate.evidence?;
        let value = evidence.difference / unit;
        let error = (evidence.error() / unit / (1.0 + value * value).sqrt()).max(1e-3);
        Some(Observation { at: at.clone(), value: value.asinh(), noise: error * error })
    };
    let observed = history.candidates.iter().zip(places).filter_map(observe).take(MOST_OBSERVED);
    Posterior::fit(&observed.collect::<Vec<_>>())
}

/// The expected improvement over `best` of what has this mean and deviation.
fn expected_improvement(best: f64, mean: f64, deviation: f64) -> f64 {
    if deviation <= 0.0 {
        return (best - mean).max(0.0);
    }
    let z = (best - mean) / deviation;
    (best - mean) * normal_cdf(z) + deviation * normal_density(z)
}

impl Bayesian {
    fn under_gate(&mut self, history: &History, gate: f64) -> Option<usize> {
        let unit = gate.max(UNIT / 10.0);
        let places = places(history);
        let process = process(history, &places, unit)?;
        let limit = (gate / unit).asinh();
        let largest = history.candidates.last()?.size as f64 * 1.05;
        let to_beat = history.size_to_beat().map_or(largest, |size| size as f64);
        self.unlikely = vec![None; history.candidates.len()];
        let mut best = None;
        for at in (0..history.candidates.len()).filter(|&at| history.is_contested(at)) {
            let below = |mean: f64, deviation: f64| normal_cdf((limit - mean) / deviation.max(1e-9));
            let probability = process.expect(&places[at], below);
            if probability < UNLIKELY {
                self.unlikely[at] = Some(probability);
                continue;
            }
            let score = (to_beat - history.candidates[at].size as f64) * probability;
            if best.is_none_or(|(most, _)| score > most) {
                best = Some((score, at));
            }
        }
        best.map(|(_, at)| at)
    }

    fn by_quality(history: &History) -> Option<usize> {
        let places = places(history);
        let process = process(history, &places, UNIT)?;
        let means: Vec<f64> = places.iter().map(|at| process.expect(at, |mean, _| mean)).collect();
        let live = |&at: &usize| history.candidates[at].standing != Standing::Out;
        let is_open = |&at: &usize| history.candidates[at].standing == Standing::Open;
        let all = || (0..history.candidates.len()).filter(live);
        let leader = all()
            .filter(|&at| history.candidates[at].evidence.is_some())
            .min_by(|&one, &other| means[one].total_cmp(&means[other]))?;
        let best = means[leader];
        let improvement =
            |at: usize| process.expect(&places[at], |mean, deviation| expected_improvement(best, mean, deviation));
        let promising = all().filter(is_open).max_by(|&one, &other| improvement(one).total_cmp(&improvement(other)));
        promising.filter(|&at| improvement(at) > SMALL).or(Some(leader).filter(is_open))
    }
}

impl Strategy for Bayesian {
    fn name(&self) -> &'static str {
        Named::Bayesian.name()
    }

    fn propose(&mut self, history: &History) -> Vec<Proposal> {
        let open: Vec<usize> =
            (0..history.candidates.len()).filter(|&at| history.candidates[at].standing == Standing::Open).collect();
        let is_new = |&at: &usize| history.candidates[at].losses.is_empty();
        // The process needs the ends and the middle before it can guess.
        if history.candidates.iter().all(|candidate| candidate.losses.is_empty()) && !open.is_empty() {
            let mut first = vec![open[0], open[open.len() / 2], open[open.len() - 1]];
            first.dedup();
            return first.into_iter().filter_map(|at| history.look(at)).collect();
        }
        let next = match history.gate {
            Some(gate) => self.under_gate(history, gate),
            None => Self::by_quality(history),
        };
        // Where nothing could be measured so far there is no process, and the next one is tried.
        let is_blind = history.candidates.iter().all(|candidate| candidate.evidence.is_none());
        let next = if is_blind { open.iter().copied().find(is_new) } else { next };
        next.and_then(|at| history.look(at)).into_iter().collect()
    }

    fn reason(&self, _: &History, candidate: usize) -> Option<Fate> {
        let probability = self.unlikely.get(candidate).copied().flatten()?;
        Some(Fate::Unlikely { probability })
    }
}
