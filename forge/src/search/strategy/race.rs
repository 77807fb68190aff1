//! The race to the best quality: all look together, and who is shown to be worse than the leader leaves.
//!
//! Maron and Moore (1994), "Hoeffding races: accelerating model selection search", NIPS 6; with paired differences as in
//! Birattari et al. (2002), "A racing algorithm for configuring metaheuristics", GECCO. The p-values of each look are adjusted
//! by Holm over the comparisons with the leader.

use crate::search::{History, Proposal, Standing};
use measure::statistics::holm;

/// The candidates of `runners` that are not shown to be worse than the leader, which comes first.
pub(super) fn survivors(history: &History, runners: &[usize]) -> Vec<usize> {
    let mut left: Vec<usize> =
        runners.iter().copied().filter(|&at| history.candidates[at].standing != Standing::Out).collect();
    let measured = |at: usize| history.candidates[at].losses.len();
    let most = left.iter().map(|&at| measured(at)).max().unwrap_or(0);
    let difference = |at: usize| history.candidates[at].evidence.map_or(f64::INFINITY, |evidence| evidence.difference);
    let leaders = left.iter().copied().filter(|&at| measured(at) == most);
    let Some(leader) = leaders.min_by(|&one, &other| difference(one).total_cmp(&difference(other))) else {
        return left;
    };
    left.retain(|&at| at != leader);
    let behind: Vec<_> = left.iter().map(|&at| history.difference(at, leader)).collect();
    let p: Vec<f64> = behind.iter().map(|evidence| evidence.map_or(1.0, |evidence| evidence.p)).collect();
    let is_worse = |(evidence, p): (&Option<crate::search::Evidence>, f64)| {
        evidence.is_some_and(|evidence| evidence.difference > 0.0 && p < history.level(evidence.windows))
    };
    let worse: Vec<bool> = behind.iter().zip(holm(&p)).map(is_worse).collect();
    let stays = left.into_iter().zip(worse).filter_map(|(at, is_worse)| (!is_worse).then_some(at));
    [leader].into_iter().chain(stays).collect()
}

/// The next look at those who are least measured of the survivors.
pub(super) fn propose(history: &History, runners: &[usize]) -> Vec<Proposal> {
    let left = survivors(history, runners);
    let measured = |at: &usize| history.candidates[*at].losses.len();
    let least = left.iter().map(measured).min().unwrap_or(0);
    // One who is left has won, once it was looked at.
    if left.len() < 2 && least > 0 {
        return Vec::new();
    }
    let wanted = history.plan.after(least);
    left.iter().filter_map(|&at| history.look_at(at, wanted)).collect()
}
