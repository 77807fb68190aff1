//! The stock strategy and the yardstick of all others.

use super::{Named, Strategy, race};
use crate::search::{History, Proposal};

/// Looks at the smallest candidate until it is decided, then at the next one, until one is kept: quick looks throw out what is
/// far above the gate, and nothing larger than the winner is ever measured. Without a gate it is a race.
///
/// It presumes nothing but that looks err rarely.
#[derive(Debug, Clone, Copy, Default)]
pub struct Funnel;

impl Strategy for Funnel {
    fn name(&self) -> &'static str {
        Named::Funnel.name()
    }

    fn propose(&mut self, history: &History) -> Vec<Proposal> {
        if history.gate.is_none() {
            return race::propose(history, &(0..history.candidates.len()).collect::<Vec<_>>());
        }
        let next = (0..history.candidates.len()).find(|&candidate| history.is_contested(candidate));
        next.and_then(|candidate| history.look(candidate)).into_iter().collect()
    }
}

/// Measures every candidate on all windows.
#[derive(Debug, Clone, Copy, Default)]
pub struct Exhaustive;

impl Strategy for Exhaustive {
    fn name(&self) -> &'static str {
        Named::Exhaustive.name()
    }

    fn propose(&mut self, history: &History) -> Vec<Proposal> {
        let full = history.plan.full();
        (0..history.candidates.len()).filter_map(|candidate| history.look_at(candidate, full)).collect()
    }
}
