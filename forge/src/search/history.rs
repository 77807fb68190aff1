//! What a search knows so far: all that a strategy sees.

use super::{Evidence, Plan, Point, Surface, WindowLoss};
use serde::Serialize;

/// What a candidate's measurements show against the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not decided, and more windows can be measured. Without a gate: fewer than all windows are measured.
    Open,
    /// Shown to be below the gate.
    Kept,
    /// Shown to be above the gate.
    Above,
    /// All windows are measured, and the interval holds the gate. Without a gate: all windows are measured.
    Exhausted,
    /// Failed, or not confirmed on the held windows.
    Out,
}

/// A candidate that fits.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Candidate {
    /// The place of its values on the axes.
    pub point: Point,
    /// Bytes of its file.
    pub size: u64,
    /// The guess of its loss above the base, in nats a token.
    pub estimate: Option<f64>,
    /// What was measured, in the order of the measurements.
    pub losses: Vec<WindowLoss>,
    /// What that says; `None` while it says nothing.
    pub evidence: Option<Evidence>,
    /// What the evidence shows against the gate.
    pub standing: Standing,
}

impl Candidate {
    pub(crate) fn new(point: Point, size: u64, estimate: Option<f64>) -> Self {
        Self { point, size, estimate, losses: Vec::new(), evidence: None, standing: Standing::Open }
    }

    /// Whether it is known to be no winner: above the gate, not to be shown, or out.
    pub fn is_rejected(&self) -> bool {
        matches!(self.standing, Standing::Above | Standing::Exhausted | Standing::Out)
    }
}

/// Windows that a strategy wants measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// The candidate's place in [`History::candidates`].
    pub candidate: usize,
    /// The windows; those that are measured already cost nothing.
    pub windows: Vec<u32>,
}

/// The candidates that fit, with all that is known of them.
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    /// Candidates from the smallest file to the largest.
    pub candidates: Vec<Candidate>,
    /// The most nats a token above the base; `None`: the best quality is wanted.
    pub gate: Option<f64>,
    /// The windows of each look.
    pub plan: Plan,
    /// Level of the last look; earlier ones share as much again.
    pub alpha: f64,
    /// The seed of all intervals.
    pub seed: u64,
}

impl History {
    /// The size that a winner must stay below: that of the smallest candidate that is kept.
    pub fn size_to_beat(&self) -> Option<u64> {
        self.candidates.iter().find(|candidate| candidate.standing == Standing::Kept).map(|candidate| candidate.size)
    }

    /// Whether a candidate could still become the winner, from what was measured.
    pub fn is_contested(&self, candidate: usize) -> bool {
        let candidate = &self.candidates[candidate];
        candidate.standing == Standing::Open && self.size_to_beat().is_none_or(|size| candidate.size < size)
    }

    /// The next look at a candidate; `None` after the last.
    pub fn look(&self, candidate: usize) -> Option<Proposal> {
        let wanted = self.plan.after(self.candidates[candidate].losses.len());
        self.look_at(candidate, wanted)
    }

    /// A look at a candidate that has so many windows; `None` if it has them.
    pub fn look_at(&self, candidate: usize, windows: usize) -> Option<Proposal> {
        let losses = &self.candidates[candidate].losses;
        let missing = windows.min(self.plan.full()).saturating_sub(losses.len());
        let is_new = |window: &u32| losses.iter().all(|loss| loss.window != *window);
        let windows: Vec<u32> = self.plan.order.iter().copied().filter(is_new).take(missing).collect();
        (!windows.is_empty()).then_some(Proposal { candidate, windows })
    }

    /// The level at which a look at so many windows decides. The last look has `alpha`, the earlier ones share `alpha`: by
    /// Bonferroni all looks together err with at most twice `alpha`, half of it in each direction.
    pub fn level(&self, windows: usize) -> f64 {
        let earlier = self.plan.looks().saturating_sub(1).max(1);
        if windows >= self.plan.full() { self.alpha } else { self.alpha / earlier as f64 }
    }

    /// The first candidate less the second, on the windows of both.
    pub fn difference(&self, one: usize, other: usize) -> Option<Evidence> {
        let [one, other] = [one, other].map(|at| self.candidates[at].losses.as_slice());
        Evidence::between(one, other, self.plan.stretch, self.seed)
    }

    /// Adds losses to a candidate, and decides what they show.
    pub(crate) fn observe(&mut self, candidate: usize, losses: Vec<WindowLoss>) {
        let own = &mut self.candidates[candidate];
        own.losses.extend(losses);
        let seed = self.seed.wrapping_add(candidate as u64);
        own.evidence = Evidence::against_base(&own.losses, self.gate.unwrap_or(0.0), self.plan.stretch, seed);
        let windows = own.losses.len();
        let level = self.level(windows);
        let is_last = windows >= self.plan.full();
        let own = &mut self.candidates[candidate];
        own.standing = match (self.gate, own.evidence) {
            (Some(gate), Some(evidence)) if evidence.p < level => {
                if evidence.difference < gate {
                    Standing::Kept
                } else {
                    Standing::Above
                }
            }
            _ if is_last => Standing::Exhausted,
            _ => Standing::Open,
        };
    }

    /// Tokens that a full evaluation of every candidate costs.
    pub(crate) fn exhaustive_cost(&self, surface: &dyn Surface) -> u64 {
        surface.cost(self.plan.full()).saturating_mul(self.candidates.len() as u64)
    }
}
