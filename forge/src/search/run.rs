//! The funnel.

use super::confirm::{confirm_best, confirm_kept};
use super::{
    Candidate, Confirmation, Evidence, Fate, History, Listed, Outcome, Plan, Point, Ratio, Space, Spent, Standing,
    Step, Strategy, Surface, WindowLoss,
};
use crate::bench::Failure;
use serde::Serialize;
use std::collections::HashSet;

/// A guess drops a candidate from so many times the gate on.
const FAR: f64 = 3.0;

/// A guess drops a candidate from so much above the gate on, in nats a token, where the gate is near 0.
const FAR_NATS: f64 = 0.05;

/// Candidates that are measured on the held windows at most, each at this part of the level.
pub(super) const CONFIRMATIONS: usize = 2;

/// Proposals in a row without anything new, after which the strategy is taken to have ended.
const IDLE: usize = 16;

/// What a search is to find, and how much it may look.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The most bytes of a file.
    pub fits: Option<u64>,
    /// The most that perplexity may grow, as a part: 0.05 for "+5%". `None`: the best quality is wanted.
    pub keep: Option<f64>,
    /// Tokens of a first look at a candidate.
    pub quick: u64,
    /// Tokens of a full evaluation, and of a confirmation.
    pub full: u64,
    /// Tokens of the search at most, without confirmations; `None`: as many as the strategy wants.
    pub most: Option<u64>,
    /// The seed of random choices and intervals.
    pub seed: u64,
    /// How sure a look is of what it decides, 0.5 to 1. Intervals and confirmations are of 95 % always.
    pub confidence: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fits: None, keep: None, quick: 20_000, full: 160_000, most: None, seed: 0, confidence: 0.95 }
    }
}

/// What happens in a search, for its history.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// A candidate is out before it is measured.
    Dropped {
        /// The candidate in words.
        candidate: String,
        /// Why it is out.
        #[serde(flatten)]
        fate: Fate,
    },
    /// A candidate was looked at.
    Measured {
        /// The candidate in words.
        candidate: String,
        /// Its ratio to the base so far; `None` while too little is measured for an interval.
        ratio: Option<Ratio>,
        /// What the ratio shows.
        standing: Standing,
        /// Tokens that the search has cost so far.
        tokens: u64,
    },
    /// A candidate was measured on the held windows.
    Confirmed(Confirmation),
}

/// An observer of a search.
pub trait Observer {
    /// Tells what happened.
    fn event(&mut self, event: &Event);

    /// Whether the person wants it to end; asked between looks.
    fn cancelled(&self) -> bool {
        false
    }
}

/// An observer that takes no note.
impl Observer for () {
    fn event(&mut self, _: &Event) {}
}

/// A running search.
pub(super) struct Search<'a> {
    pub space: &'a Space,
    pub surface: &'a mut dyn Surface,
    pub observer: &'a mut dyn Observer,
    pub history: History,
    pub spent: Spent,
    /// What is decided of candidates without a look at the others, by the place in the history.
    pub fates: Vec<Option<(Step, Fate)>>,
    /// Held evidence of candidates that were not confirmed, by the place in the history.
    pub held: Vec<Option<Evidence>>,
    pub confirmations: Vec<Confirmation>,
    /// Candidates that never became part of the history.
    pub dropped: Vec<Listed>,
    pub notes: Vec<String>,
}

/// Searches the space. An error is one of the settings, or that it was cancelled; errors of candidates are listed.
pub fn run(
    space: &Space,
    surface: &mut dyn Surface,
    strategy: &mut dyn Strategy,
    settings: &Settings,
    observer: &mut dyn Observer,
) -> Result<Outcome, Failure> {
    let Settings { keep, confidence, .. } = *settings;
    if keep.is_some_and(|keep| !(keep.is_finite() && keep > -1.0)) {
        return Err(Failure::new("`keep` must say how much perplexity may grow, such as \"+5%\""));
    }
    if !(0.5..1.0).contains(&confidence) {
        return Err(Failure::new(format!("`confidence` is {confidence} and must be 0.5 or more and below 1")));
    }
    let plan = Plan::new(surface.windows(), settings)?;
    let gate = keep.map(f64::ln_1p);
    let history = History { candidates: Vec::new(), gate, plan, alpha: 1.0 - confidence, seed: settings.seed };
    let mut search = Search {
        space,
        surface,
        observer,
        history,
        spent: Spent::default(),
        fates: Vec::new(),
        held: Vec::new(),
        confirmations: Vec::new(),
        dropped: Vec::new(),
        notes: Vec::new(),
    };
    search.filter(settings.fits);
    search.spent.exhaustive = search.history.exhaustive_cost(search.surface);
    search.drop_far_estimates();
    let winner = search.decide(strategy, settings.most)?;
    Ok(search.outcome(strategy, winner))
}

impl Search<'_> {
    /// The first step: sizes.
    fn filter(&mut self, fits: Option<u64>) {
        for point in self.space.points() {
            let label = self.space.label(&point);
            let (size, fate) = match self.surface.size(&point) {
                Err(failure) => (None, Fate::Failed { reason: failure.to_string() }),
                Ok(size) => match fits {
                    Some(limit) if size > limit => (Some(size), Fate::TooLarge { limit }),
                    _ => {
                        let estimate = self.surface.estimate(&point).filter(|estimate| estimate.is_finite());
                        self.history.candidates.push(Candidate::new(point, size, estimate));
                        continue;
                    }
                },
            };
            self.observer.event(&Event::Dropped { candidate: label.clone(), fate: fate.clone() });
            let step = Step::Size;
            let (estimate, measured, p_holm) = (None, None, None);
            self.dropped.push(Listed { point, label, size, estimate, measured, p_holm, step, fate });
        }
        self.history.candidates.sort_by(|one, other| (one.size, &one.point).cmp(&(other.size, &other.point)));
        self.fates = vec![None; self.history.candidates.len()];
        self.held = vec![None; self.history.candidates.len()];
    }

    /// The second step. The best guess is never dropped: all guesses may be too high.
    fn drop_far_estimates(&mut self) {
        let Some(gate) = self.history.gate else { return };
        let estimates = || self.history.candidates.iter().filter_map(|candidate| candidate.estimate);
        let limit = (gate * FAR).max(gate + FAR_NATS).max(estimates().fold(f64::INFINITY, f64::min));
        for at in 0..self.history.candidates.len() {
            if let Some(estimate) = self.history.candidates[at].estimate.filter(|&estimate| estimate > limit) {
                self.set_aside(at, Step::Estimate, Fate::Predicted { ratio: estimate.exp(), limit: limit.exp() });
            }
        }
    }

    /// Takes a candidate out of the search.
    pub(super) fn set_aside(&mut self, at: usize, step: Step, fate: Fate) {
        self.history.candidates[at].standing = Standing::Out;
        self.observer.event(&Event::Dropped { candidate: self.label(at), fate: fate.clone() });
        self.fates[at] = Some((step, fate));
    }

    pub(super) fn label(&self, at: usize) -> String {
        self.space.label(&self.history.candidates[at].point)
    }

    /// Steps three and four and the confirmation; the winner.
    fn decide(&mut self, strategy: &mut dyn Strategy, most: Option<u64>) -> Result<Option<usize>, Failure> {
        loop {
            let in_budget = self.look(strategy, most)?;
            let Some(gate) = self.history.gate else {
                return Ok(confirm_best(self));
            };
            let kept = |candidate: &Candidate| candidate.standing == Standing::Kept;
            let Some(smallest) = self.history.candidates.iter().position(kept) else {
                return Ok(None);
            };
            if self.confirmations.len() >= CONFIRMATIONS {
                self.notes.push(format!(
                    "{CONFIRMATIONS} candidates were not confirmed on the held windows; a third would have too good a \
                     chance to pass without being kept"
                ));
                return Ok(None);
            }
            if confirm_kept(self, smallest, gate) {
                return Ok(Some(smallest));
            }
            if !in_budget {
                return Ok(None);
            }
        }
    }

    /// Does what the strategy wants, until it wants nothing new; `false` where the tokens ended first.
    fn look(&mut self, strategy: &mut dyn Strategy, most: Option<u64>) -> Result<bool, Failure> {
        let mut idle = 0;
        while idle < IDLE {
            let proposals = strategy.propose(&self.history);
            if proposals.is_empty() {
                break;
            }
            idle += 1;
            for proposal in proposals {
                if self.observer.cancelled() {
                    return Err(Failure::Cancelled);
                }
                let Some(windows) = self.new_windows(proposal.candidate, proposal.windows) else { continue };
                let cost = self.surface.cost(windows.len());
                if most.is_some_and(|most| self.spent.search.saturating_add(cost) > most) {
                    self.notes.push(format!("the search ended after {} tokens, by its limit", self.spent.search));
                    return Ok(false);
                }
                idle = 0;
                self.spent.search += cost;
                self.measure(proposal.candidate, &windows)?;
            }
        }
        Ok(true)
    }

    /// Windows of a full evaluation that the candidate does not have yet; `None` without any, or where it is out.
    fn new_windows(&self, candidate: usize, windows: Vec<u32>) -> Option<Vec<u32>> {
        let own = self.history.candidates.get(candidate)?;
        let mut known: HashSet<u32> = own.losses.iter().map(|loss| loss.window).collect();
        let plan: HashSet<u32> = self.history.plan.order.iter().copied().collect();
        let windows: Vec<u32> =
            windows.into_iter().filter(|window| plan.contains(window) && known.insert(*window)).collect();
        (own.standing != Standing::Out && !windows.is_empty()).then_some(windows)
    }

    fn measure(&mut self, candidate: usize, windows: &[u32]) -> Result<(), Failure> {
        let point = self.history.candidates[candidate].point.clone();
        match self.losses(&point, windows) {
            Ok(losses) => {
                self.history.observe(candidate, losses);
                let Candidate { evidence, standing, .. } = self.history.candidates[candidate];
                self.observer.event(&Event::Measured {
                    candidate: self.label(candidate),
                    ratio: evidence.map(Ratio::from),
                    standing,
                    tokens: self.spent.search,
                });
            }
            Err(Failure::Words(reason)) => {
                let step = self.step(candidate);
                self.set_aside(candidate, step, Fate::Failed { reason });
            }
            // These are of no candidate.
            Err(failure) => return Err(failure),
        }
        Ok(())
    }

    /// Losses on these windows, which are what was asked for and numbers.
    pub(super) fn losses(&mut self, point: &Point, windows: &[u32]) -> Result<Vec<WindowLoss>, Failure> {
        let mut losses = self.surface.measure(point, windows)?;
        let is_number = |loss: &WindowLoss| loss.nats.is_finite() && loss.base.is_finite() && loss.tokens > 0;
        if let Some(loss) = losses.iter().find(|loss| !is_number(loss)) {
            let (window, nats, base) = (loss.window, loss.nats, loss.base);
            return Err(Failure::new(format!("window {window} cost {nats} nats, the base {base}: no loss to compare")));
        }
        let mut wanted = windows.to_vec();
        wanted.sort_unstable();
        losses.sort_by_key(|loss| loss.window);
        if !losses.iter().map(|loss| loss.window).eq(wanted.iter().copied()) {
            let (got, asked) = (losses.len(), windows.len());
            return Err(Failure::new(format!("{got} windows were measured, which are not the {asked} asked for")));
        }
        Ok(losses)
    }

    /// The step that a candidate's measurements are of.
    pub(super) fn step(&self, candidate: usize) -> Step {
        let is_full = self.history.candidates[candidate].losses.len() >= self.history.plan.full();
        if is_full { Step::Full } else { Step::Quick }
    }
}
