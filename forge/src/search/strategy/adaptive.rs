//! The walk along an axis from where a profile says.
//!
//! How many experts a mixture needs shows in its profile: the *coverage* of K experts is the share of a layer's saliency (or of
//! its counts) that its K highest ones have. llama.cpp has one number of experts for all layers, so the layer with the least
//! coverage decides. The walk begins at the smallest K that covers enough, steps to fewer while candidates are kept and to more
//! while they are above the gate, and so for each combination of the other axes, from where the one before ended.
//!
//! It presumes that along this axis, and only there, the loss grows; a start at the wrong place costs steps and no error.

use super::{Named, Strategy, race};
use crate::search::{Fate, History, Proposal, Standing};
use std::collections::BTreeMap;

/// The share of the scores that the `kept` highest of each layer have, in the layer where it is least: 1 where a layer has no
/// score at all, since nothing is lost there.
pub fn coverage(layers: &[Vec<f64>], kept: usize) -> f64 {
    let share = |scores: &Vec<f64>| {
        let mut scores: Vec<f64> = scores.iter().map(|score| score.max(0.0)).collect();
        scores.sort_by(|one, other| other.total_cmp(one));
        let all: f64 = scores.iter().sum();
        if all > 0.0 { scores.iter().take(kept).sum::<f64>() / all } else { 1.0 }
    };
    layers.iter().map(share).fold(1.0, f64::min)
}

/// What a profile says about an axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Coverage {
    /// The axis' place in the space.
    pub axis: usize,
    /// The [`coverage`] of each of its values.
    pub shares: Vec<f64>,
    /// The share that is enough, such as 0.85.
    pub enough: f64,
}

/// Steps up and down one axis. Without a gate it is a race.
#[derive(Debug, Clone)]
pub struct Adaptive {
    coverage: Coverage,
}

impl Adaptive {
    /// The walk that begins where the coverage is enough.
    pub fn new(coverage: Coverage) -> Self {
        Self { coverage }
    }

    /// The candidates' places in rows along the axis, each from the best quality on; the row with the smallest file first.
    fn rows(&self, history: &History) -> Vec<Vec<usize>> {
        let mut rows: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
        for (at, candidate) in history.candidates.iter().enumerate() {
            // One that failed says nothing about its neighbours.
            if candidate.standing == Standing::Out {
                continue;
            }
            let mut others = candidate.point.0.clone();
            if self.coverage.axis < others.len() {
                others.remove(self.coverage.axis);
            }
            rows.entry(others).or_default().push(at);
        }
        let mut rows: Vec<Vec<usize>> = rows.into_values().collect();
        for row in &mut rows {
            row.sort_by_key(|&at| self.place(history, at));
        }
        rows.sort_by_key(|row| row.iter().map(|&at| history.candidates[at].size).min());
        rows
    }

    fn place(&self, history: &History, candidate: usize) -> usize {
        history.candidates[candidate].point.0.get(self.coverage.axis).copied().unwrap_or(0)
    }

    /// The place where the first row's walk begins: the last value that covers enough, or the first.
    fn start(&self) -> usize {
        self.coverage.shares.iter().rposition(|&share| share >= self.coverage.enough).unwrap_or(0)
    }
}

/// The current step of a row's walk.
enum Walk {
    /// This candidate is to be looked at.
    Look(usize),
    /// It ended at this place in the row.
    End(usize),
}

/// Follows what is known from `start` in a row.
fn walk(history: &History, row: &[usize], start: usize) -> Walk {
    let is_useful = |at: usize| !history.candidates[row[at]].is_rejected();
    let (mut at, mut from_below) = (start.min(row.len().saturating_sub(1)), false);
    loop {
        if history.is_contested(row[at]) {
            return Walk::Look(row[at]);
        }
        // Kept, or so large that it does not matter whether it is: down, unless the walk came from there.
        if is_useful(at) {
            if from_below || at + 1 >= row.len() {
                return Walk::End(at);
            }
            at += 1;
            // From here on a rejection ends the walk.
            if !is_useful(at) {
                return Walk::End(at - 1);
            }
        } else if at == 0 {
            return Walk::End(0);
        } else {
            from_below = true;
            at -= 1;
        }
    }
}

impl Strategy for Adaptive {
    fn name(&self) -> &'static str {
        Named::Adaptive.name()
    }

    fn propose(&mut self, history: &History) -> Vec<Proposal> {
        if history.gate.is_none() {
            return race::propose(history, &(0..history.candidates.len()).collect::<Vec<_>>());
        }
        let mut start = self.start();
        for row in self.rows(history) {
            let begin = row.iter().rposition(|&at| self.place(history, at) <= start).unwrap_or(0);
            match walk(history, &row, begin) {
                Walk::Look(candidate) => return history.look(candidate).into_iter().collect(),
                Walk::End(end) => start = self.place(history, row[end]),
            }
        }
        Vec::new()
    }

    fn reason(&self, history: &History, candidate: usize) -> Option<Fate> {
        let own = &history.candidates[candidate];
        let row = self.rows(history).into_iter().find(|row| row.contains(&candidate))?;
        let above = row.iter().map(|&at| &history.candidates[at]).rfind(|other| {
            matches!(other.standing, Standing::Above | Standing::Exhausted) && own.point.is_below(&other.point)
        })?;
        Some(Fate::Presumed { below: above.point.clone(), low: above.evidence?.ratio_interval().low })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coverage_is_that_of_the_layer_with_the_least() {
        let layers = [vec![5.0, 3.0, 1.0, 1.0], vec![1.0, 1.0, 1.0, 1.0], vec![0.0; 4]];
        assert_eq!([4, 3, 2, 0].map(|kept| coverage(&layers, kept)), [1.0, 0.75, 0.5, 0.0]);
        assert_eq!(coverage(&[], 2), 1.0);
    }
}
