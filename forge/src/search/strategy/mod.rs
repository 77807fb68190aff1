//! Which candidates are measured next, and on which windows.

mod adaptive;
mod bayesian;
mod binary;
mod funnel;
mod gaussian;
mod race;
mod ransac;

pub use adaptive::{Adaptive, Coverage, coverage};
pub use bayesian::Bayesian;
pub use binary::Binary;
pub use funnel::{Exhaustive, Funnel};
pub use ransac::Ransac;

use super::{Fate, History, Proposal};
use crate::bench::Failure;
use crate::recipe::Strategy as Named;

/// Chooses what is measured; what that shows is decided by the search, for all strategies alike.
pub trait Strategy {
    /// The strategy's name, as recipes have it.
    fn name(&self) -> &'static str;

    /// What to measure next; nothing, or only what is measured already, ends the search. It is asked again where the winner
    /// was not confirmed and is [`Out`](super::Standing::Out).
    fn propose(&mut self, history: &History) -> Vec<Proposal>;

    /// Why a candidate that could be the winner was not decided by measurement.
    fn reason(&self, history: &History, candidate: usize) -> Option<Fate> {
        let _ = (history, candidate);
        None
    }

    /// What the strategy noticed, in sentences.
    fn notes(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The strategy that a recipe names. `adaptive` needs the coverage of one axis' values.
pub fn make_strategy(named: Named, seed: u64, coverage: Option<Coverage>) -> Result<Box<dyn Strategy>, Failure> {
    Ok(match (named, coverage) {
        (Named::Funnel, _) => Box::new(Funnel),
        (Named::Exhaustive, _) => Box::new(Exhaustive),
        (Named::Binary, _) => Box::new(Binary::new(seed)),
        (Named::Ransac, _) => Box::new(Ransac::new(seed)),
        (Named::Bayesian, _) => Box::new(Bayesian::default()),
        (Named::Adaptive, Some(coverage)) => Box::new(Adaptive::new(coverage)),
        (Named::Adaptive, None) => {
            return Err(Failure::new("`adaptive` needs a profile; put a `profile` stage before the search"));
        }
    })
}
