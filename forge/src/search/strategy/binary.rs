//! Bisection of a partial order.
//!
//! Along one axis this is bisection; on a grid "of no better quality on any axis" orders only some pairs, and a look at one
//! point decides about all on one side of it: if it is above the gate, so is, presumably, everything below it; if it is kept,
//! everything larger is no winner. The point is taken whose worse answer decides most (Knuth, "The art of computer
//! programming" 3, section 6.2.1; for partial orders Linial and Saks 1985, "Every poset has a central element").
//!
//! The presumption is checked: of the candidates that nobody looked at, some that would have won are measured too. If one of
//! them is kept, or is shown to be better than the point that it stands below, the strategy says that the surface is not
//! monotone and from then on presumes nothing.

use super::{Named, Strategy, race};
use crate::search::{Candidate, Fate, History, Proposal, Standing};
use measure::statistics::Random;

/// Presumptions that are checked by measurement.
const CHECKS: usize = 2;

/// Bisection, with looks repeated until the interval excludes the gate.
#[derive(Debug, Clone)]
pub struct Binary {
    random: Random,
    checks: Vec<usize>,
    /// Windows of each candidate when the order was last checked.
    seen: Vec<usize>,
    /// The pair that contradicts the presumption: the one of lower quality is better.
    contradiction: Option<String>,
}

impl Binary {
    /// The strategy with this seed, which chooses what is checked.
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), checks: Vec::new(), seen: Vec::new(), contradiction: None }
    }

    /// The measured candidate above the gate that this one stands below.
    fn presumer(&self, history: &History, candidate: usize) -> Option<usize> {
        if self.contradiction.is_some() {
            return None;
        }
        let point = &history.candidates[candidate].point;
        let presumes = |at: &usize| {
            let other = &history.candidates[*at];
            other.standing == Standing::Above && point.is_below(&other.point)
        };
        (0..history.candidates.len()).find(presumes)
    }

    /// Candidates of which neither a measurement nor a presumption says that they are no winner.
    fn undecided(&self, history: &History) -> Vec<usize> {
        let is_undecided = |&at: &usize| history.is_contested(at) && self.presumer(history, at).is_none();
        (0..history.candidates.len()).filter(is_undecided).collect()
    }

    /// Looks for a measured pair that contradicts the order.
    fn notice(&mut self, history: &History) {
        if self.contradiction.is_some() {
            return;
        }
        let measured: Vec<usize> =
            (0..history.candidates.len()).filter(|&at| history.candidates[at].evidence.is_some()).collect();
        let below = |one: usize, other: usize| history.candidates[one].point.is_below(&history.candidates[other].point);
        let pairs: Vec<(usize, usize)> = measured
            .iter()
            .flat_map(|&one| measured.iter().map(move |&other| (one, other)))
            .filter(|&(one, other)| below(one, other))
            .collect();
        let windows: Vec<usize> = history.candidates.iter().map(|candidate| candidate.losses.len()).collect();
        let seen = std::mem::replace(&mut self.seen, windows);
        let is_new = |at: usize| seen.get(at).is_none_or(|&seen| seen != self.seen[at]);
        let alpha = history.alpha / (pairs.len().max(1) * history.plan.looks()) as f64;
        let contradicts = |&(one, other): &(usize, usize)| {
            let standing = |at: usize| history.candidates[at].standing;
            let by_gate = standing(one) == Standing::Kept && standing(other) == Standing::Above;
            by_gate || history.difference(one, other).is_some_and(|found| found.difference < 0.0 && found.p < alpha)
        };
        self.contradiction = pairs
            .iter()
            .filter(|pair| is_new(pair.0) || is_new(pair.1))
            .find(|pair| contradicts(pair))
            .map(|&(one, other)| {
                let difference = history.difference(one, other).map_or(f64::NAN, |found| found.ratio());
                let [one, other] = [one, other].map(|at| format!("{:?}", history.candidates[at].point.0));
                format!(
                    "not monotone: point {one} is of lower quality than {other} on every axis and has {difference:.4} \
                 times its perplexity; nothing was presumed from then on"
                )
            });
    }
}

/// A candidate that is better than this one on every axis.
fn better(history: &History, candidate: usize) -> Option<&Candidate> {
    let point = &history.candidates[candidate].point;
    history.candidates.iter().find(|other| other.standing != Standing::Out && point.is_below(&other.point))
}

impl Strategy for Binary {
    fn name(&self) -> &'static str {
        Named::Binary.name()
    }

    fn propose(&mut self, history: &History) -> Vec<Proposal> {
        let all = 0..history.candidates.len();
        if history.gate.is_none() {
            // The best quality is on top of the order.
            let tops: Vec<usize> = all.filter(|&at| better(history, at).is_none()).collect();
            return race::propose(history, &tops);
        }
        self.notice(history);
        let undecided = self.undecided(history);
        let is_begun = |&at: &usize| !history.candidates[at].losses.is_empty();
        if let Some(begun) = undecided.iter().copied().find(is_begun) {
            return history.look(begun).into_iter().collect();
        }
        let decides = |at: usize| {
            let own = &history.candidates[at];
            let others = || undecided.iter().map(|&other| &history.candidates[other]);
            let if_kept = others().filter(|other| other.size >= own.size).count();
            let if_above = 1 + others().filter(|other| other.point.is_below(&own.point)).count();
            (if_kept.min(if_above), if_kept + if_above)
        };
        if let Some(best) = undecided.iter().copied().max_by_key(|&at| decides(at)) {
            return history.look(best).into_iter().collect();
        }
        let open: Vec<usize> =
            all.filter(|&at| history.is_contested(at) && self.presumer(history, at).is_some()).collect();
        if let Some(begun) = open.iter().copied().find(|at| self.checks.contains(at)) {
            return history.look(begun).into_iter().collect();
        }
        if self.checks.len() >= CHECKS || open.is_empty() {
            return Vec::new();
        }
        let check = self.random.draw(open, 1)[0];
        self.checks.push(check);
        history.look(check).into_iter().collect()
    }

    fn reason(&self, history: &History, candidate: usize) -> Option<Fate> {
        if history.gate.is_none() {
            return better(history, candidate).map(|other| Fate::Below { better: other.point.clone() });
        }
        let presumer = &history.candidates[self.presumer(history, candidate)?];
        let low = presumer.evidence?.ratio_interval().low;
        Some(Fate::Presumed { below: presumer.point.clone(), low })
    }

    fn notes(&self) -> Vec<String> {
        self.contradiction.iter().cloned().collect()
    }
}
