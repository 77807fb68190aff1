//! What became of every candidate.

use super::run::Search;
use super::{Candidate, Evidence, Fate, Listed, Nearest, Outcome, Ratio, Standing, Step, Strategy};
use measure::statistics::holm;

impl Search<'_> {
    /// The outcome, once the winner is known.
    pub(super) fn outcome(mut self, strategy: &dyn Strategy, winner: Option<usize>) -> Outcome {
        self.notes.extend(strategy.notes());
        let nearest = if winner.is_none() { self.nearest() } else { None };
        if winner.is_none() && nearest.is_none() {
            let words = if !self.history.candidates.is_empty() {
                "every candidate that fits failed"
            } else if self.dropped.iter().all(|listed| matches!(listed.fate, Fate::TooLarge { .. })) {
                "no candidate fits"
            } else {
                "no candidate fits that has a size"
            };
            self.notes.push(words.into());
        }
        let measured: Vec<Option<Ratio>> =
            self.history.candidates.iter().map(|candidate| candidate.evidence.map(Ratio::from)).collect();
        let p: Vec<f64> = measured.iter().flatten().map(|ratio| ratio.p).collect();
        let mut adjusted = holm(&p).into_iter();
        let mut listed: Vec<Listed> = (0..self.history.candidates.len())
            .map(|at| {
                let (step, fate) = self.fate(strategy, winner, at);
                let Candidate { point, size, estimate, .. } = &self.history.candidates[at];
                Listed {
                    point: point.clone(),
                    label: self.label(at),
                    size: Some(*size),
                    estimate: estimate.map(f64::exp),
                    measured: measured[at],
                    p_holm: measured[at].and_then(|_| adjusted.next()),
                    step,
                    fate,
                }
            })
            .collect();
        listed.append(&mut self.dropped);
        listed.sort_by_key(|listed| (listed.size.is_none(), listed.size));
        Outcome {
            strategy: strategy.name(),
            gate: self.history.gate.map(f64::exp),
            winner: winner.map(|at| self.history.candidates[at].point.clone()),
            confirmations: self.confirmations,
            nearest,
            listed,
            tokens: self.spent,
            notes: self.notes,
        }
    }

    /// What became of a candidate, with the step that decided it.
    fn fate(&self, strategy: &dyn Strategy, winner: Option<usize>, at: usize) -> (Step, Fate) {
        let own = &self.history.candidates[at];
        if winner == Some(at) {
            return (Step::Held, Fate::Winner);
        }
        if let Some(fate) = &self.fates[at] {
            return fate.clone();
        }
        let step = self.step(at);
        let reason = || match strategy.reason(&self.history, at) {
            Some(fate) => (Step::Strategy, fate),
            None => (step, Fate::NotReached),
        };
        let Some(gate) = self.history.gate else {
            let behind = winner.and_then(|winner| self.history.difference(at, winner)).map(Ratio::from);
            return match behind {
                Some(behind) if behind.low > 1.0 => (step, Fate::Worse { low: behind.low }),
                Some(behind) => (step, Fate::NotWorse { low: behind.low, high: behind.high }),
                None => reason(),
            };
        };
        let ratio = own.evidence.map(Ratio::from);
        match (own.standing, ratio) {
            (Standing::Above, Some(Ratio { low, .. })) => (step, Fate::AboveGate { low, gate: gate.exp() }),
            (Standing::Exhausted, Some(Ratio { high, .. })) => {
                let more_tokens = own.evidence.and_then(|evidence| self.more_tokens(evidence, gate));
                (step, Fate::NotShown { high, gate: gate.exp(), more_tokens })
            }
            _ => match (winner.map(|winner| self.history.candidates[winner].size), ratio) {
                (Some(size), _) if own.size >= size => (Step::Size, Fate::Larger { by: own.size - size }),
                (None, Some(Ratio { high, .. })) if own.standing == Standing::Kept => (step, Fate::Unchecked { high }),
                _ => reason(),
            },
        }
    }

    fn more_tokens(&self, evidence: Evidence, gate: f64) -> Option<u64> {
        let windows = evidence.more_windows(gate)?;
        Some(self.surface.cost(usize::try_from(windows).ok()?))
    }

    /// The candidate that needs the fewest tokens more; else that with the lowest ratio; else that with the lowest guess.
    fn nearest(&self) -> Option<Nearest> {
        let gate = self.history.gate?;
        let failed = |at: usize| matches!(self.fates[at], Some((_, Fate::Failed { .. })));
        let near = |at: usize| {
            let evidence = self.held[at].or(self.history.candidates[at].evidence);
            let more = evidence.and_then(|evidence| self.more_tokens(evidence, gate));
            let guess = self.history.candidates[at].estimate.unwrap_or(f64::INFINITY);
            let difference = evidence.map_or(guess, |evidence| evidence.difference);
            (at, evidence, more, difference)
        };
        let (at, evidence, more_tokens, _) =
            (0..self.history.candidates.len()).filter(|&at| !failed(at)).map(near).min_by(|one, other| {
                let rank =
                    |near: &(usize, Option<Evidence>, Option<u64>, f64)| (near.1.is_none(), near.2.unwrap_or(u64::MAX));
                rank(one).cmp(&rank(other)).then(one.3.total_cmp(&other.3))
            })?;
        let point = self.history.candidates[at].point.clone();
        Some(Nearest { point, label: self.label(at), ratio: evidence.map(Ratio::from), more_tokens })
    }
}
