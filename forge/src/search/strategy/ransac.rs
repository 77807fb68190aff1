//! Votes of random subsamples.
//!
//! Each round draws a few windows and a few candidates, and each candidate passes or fails on these windows alone. The smallest
//! candidate that most of its subsamples pass is the consensus; it alone is then measured on all windows. A handful of windows
//! with wild losses spoils the votes that hold them and no others, as outliers spoil single samples in Fischler and Bolles
//! (1981), "Random sample consensus", Communications of the ACM 24:381–395.
//!
//! Each vote is a look as well, so that a candidate gets a few looks more than [`History::level`] counts; a vote that decides by
//! its interval ends the voting about it.

use super::{Named, Strategy, race};
use crate::search::{Fate, History, Proposal};
use measure::statistics::Random;
use std::collections::HashMap;

/// Candidates in a round.
const DRAWN: usize = 4;

/// Votes after which unanimity decides.
const FEWEST_VOTES: u32 = 3;

/// Votes after which the majority decides.
const MOST_VOTES: u32 = 7;

/// The votes of a candidate.
#[derive(Debug, Clone, Copy, Default)]
struct Votes {
    passed: u32,
    all: u32,
}

impl Votes {
    fn is_decided(self) -> bool {
        let is_unanimous = self.passed == 0 || self.passed == self.all;
        self.all >= MOST_VOTES || self.all >= FEWEST_VOTES && is_unanimous
    }

    fn pass(self) -> bool {
        self.passed * 2 > self.all
    }
}

/// Random sample consensus, with a full look at the consensus. Without a gate it is a race.
#[derive(Debug, Clone)]
pub struct Ransac {
    random: Random,
    round: Vec<Proposal>,
    votes: HashMap<usize, Votes>,
}

impl Ransac {
    /// The strategy with this seed.
    pub fn new(seed: u64) -> Self {
        Self { random: Random(seed), round: Vec::new(), votes: HashMap::new() }
    }

    fn votes(&self, candidate: usize) -> Votes {
        self.votes.get(&candidate).copied().unwrap_or_default()
    }

    /// Counts the votes of the round before.
    fn count(&mut self, history: &History, gate: f64) {
        for Proposal { candidate, windows } in std::mem::take(&mut self.round) {
            let losses = &history.candidates[candidate].losses;
            let drawn = losses.iter().filter(|loss| windows.contains(&loss.window));
            let (nats, tokens) =
                drawn.fold((0.0, 0.0), |sum, loss| (sum.0 + loss.nats - loss.base, sum.1 + f64::from(loss.tokens)));
            if tokens > 0.0 {
                let votes = self.votes.entry(candidate).or_default();
                votes.all += 1;
                votes.passed += u32::from(nats < gate * tokens);
            }
        }
    }
}

impl Strategy for Ransac {
    fn name(&self) -> &'static str {
        Named::Ransac.name()
    }

    fn propose(&mut self, history: &History) -> Vec<Proposal> {
        let all = 0..history.candidates.len();
        let Some(gate) = history.gate else {
            return race::propose(history, &all.collect::<Vec<_>>());
        };
        self.count(history, gate);
        let contested: Vec<usize> = all.filter(|&at| history.is_contested(at)).collect();
        let consensus = contested.iter().copied().find(|&at| self.votes(at).is_decided() && self.votes(at).pass());
        let before_consensus = |&at: &usize| consensus.is_none_or(|consensus| at < consensus);
        let voting: Vec<usize> =
            contested.into_iter().filter(|&at| before_consensus(&at) && !self.votes(at).is_decided()).collect();
        if voting.is_empty() {
            return consensus.and_then(|consensus| history.look(consensus)).into_iter().collect();
        }
        let count = (history.plan.quick / 2).max(4);
        let windows = self.random.draw(history.plan.order.clone(), count);
        let drawn = self.random.draw(voting, DRAWN);
        self.round = drawn.into_iter().map(|candidate| Proposal { candidate, windows: windows.clone() }).collect();
        self.round.clone()
    }

    fn reason(&self, _: &History, candidate: usize) -> Option<Fate> {
        let votes = self.votes(candidate);
        (votes.is_decided() && !votes.pass()).then_some(Fate::Outvoted { passed: votes.passed, votes: votes.all })
    }
}
