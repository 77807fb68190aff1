//! The search for the smallest candidate whose loss is kept, or for the best one that fits.
//!
//! Candidates are the [points](Point) of a small grid, such as numbers of experts by types of tensors. A [`Surface`] knows their
//! sizes by arithmetic and measures their losses, window by window of a text, beside the base's on the same windows. [`run`]
//! is a funnel of four steps:
//!
//! 1. **size**: what does not fit is out, before anything is made;
//! 2. **estimate**: what a cheap guess puts far above the gate is out. Far is three times the gate, since guesses err;
//! 3. **quick looks**: a [`Strategy`] chooses which candidate is looked at; each look doubles the windows, until the paired
//!    interval excludes the gate;
//! 4. **all windows**, for those that are still open.
//!
//! Then the winner is measured on windows that the search never saw, and that number is reported. Every other candidate is
//! [listed](Listed) with the step and the number that dropped it.
//!
//! # Statistics
//!
//! The loss is `Σ (nats − nats of the base) / Σ tokens`, its exponential the ratio of perplexities, and "+5%" the gate ln 1.05.
//! Intervals are block bootstraps over stretches of the text ([`Evidence`]). What is claimed rests on the held windows alone: a
//! selection of the best of many noisy candidates flatters it, and no adjustment of the search's own numbers is needed where
//! they are not reported as the winner's. At most two candidates come that far, and "kept" needs the upper end of the 95 %
//! interval below the gate and, by Bonferroni over the two, p below 2.5 %. A false "kept" then has a chance of 2.5 % by the
//! formula, and of some 5 % on short texts whose neighbouring windows resemble each other, however many candidates and looks
//! there were; of 100 searches among candidates at the gate the search alone would claim one in 27 to 54. A winner without a
//! gate is "shown" to be better than the runner-up by one test on the held windows.
//!
//! Within the search errors cost only tokens or a better choice. All looks at a candidate together err with 5 % in each
//! direction at most ([`History::level`]); p-values in the list are given by Holm over all that were measured, too.
//!
//! # Strategies
//!
//! On 100 seeds of each of five families of monotone surfaces every strategy finds the optimum in 98 to 100 cases, where no
//! candidate is nearer to the gate than five standard errors of a full evaluation. "Exhaustive" is a full evaluation of all that
//! fit; [`Bayesian`], [`Binary`] and [`Adaptive`] presume that neighbours resemble each other or that losses grow along axes,
//! and miss the optimum where losses are drawn at random; what they presumed is in the list.
//!
//! | strategy | tokens, mean by family | most | losses at random: found |
//! |---|---|---|---|
//! | [`Exhaustive`] | 0.83–0.95 (guesses drop the rest) | 1.00 | 99 |
//! | [`Funnel`] | 0.06–0.10 | 0.36 | 99 |
//! | [`Binary`] | 0.06–0.08 | 0.30 | 86, of 100 it notices 78 |
//! | [`Ransac`] | 0.06–0.07 | 0.16 | 99 |
//! | [`Bayesian`] | 0.04–0.07 | 0.28 | 85 |
//! | [`Adaptive`] | 0.05–0.08 | 0.26 | 48 |

mod confirm;
mod evidence;
mod history;
mod listing;
mod outcome;
mod plan;
mod run;
mod space;
mod strategy;
mod surface;
mod table;

#[cfg(test)]
mod simulations;
#[cfg(test)]
mod synthetic;
#[cfg(test)]
mod tests;

pub use evidence::Evidence;
pub use history::{Candidate, History, Proposal, Standing};
pub use outcome::{Confirmation, Fate, Listed, Nearest, Outcome, Ratio, Spent, Step, Versus};
pub use plan::Plan;
pub use run::{Event, Observer, Settings, run};
pub use space::{Axis, Point, Space};
pub use strategy::{
    Adaptive, Bayesian, Binary, Coverage, Exhaustive, Funnel, Ransac, Strategy, coverage, make_strategy,
};
pub use surface::{Surface, WindowLoss, Windows};
