//! The last step: the winner on windows that the search did not see.

use super::run::{CONFIRMATIONS, Search};
use super::{Confirmation, Event, Evidence, Fate, Ratio, Standing, Step, Versus, WindowLoss};
use measure::statistics::ALPHA;

/// Measures a candidate on the held windows.
fn measure(search: &mut Search, at: usize) -> Option<Vec<WindowLoss>> {
    let point = search.history.candidates[at].point.clone();
    let windows = search.history.plan.held.clone();
    search.spent.held += search.surface.cost(windows.len());
    match search.losses(&point, &windows) {
        Ok(losses) => Some(losses),
        Err(failure) => {
            search.set_aside(at, Step::Held, Fate::Failed { reason: failure.to_string() });
            None
        }
    }
}

fn against_base(search: &Search, losses: &[WindowLoss]) -> Option<Evidence> {
    let gate = search.history.gate.unwrap_or(0.0);
    Evidence::against_base(losses, gate, search.history.plan.held_stretch, search.history.seed)
}

/// Whether a candidate that is kept in the search is kept on the held windows, too; one that is not is out.
pub(super) fn confirm_kept(search: &mut Search, at: usize, gate: f64) -> bool {
    let Some(losses) = measure(search, at) else { return false };
    let Some(evidence) = against_base(search, &losses) else {
        search.set_aside(at, Step::Held, Fate::Failed { reason: "the held windows are too few".into() });
        return false;
    };
    let shown = evidence.interval.high < gate && evidence.p < ALPHA / CONFIRMATIONS as f64;
    let held = Ratio::from(evidence);
    let (point, label) = (search.history.candidates[at].point.clone(), search.label(at));
    let confirmation = Confirmation { point, label, held, against: None, shown };
    search.observer.event(&Event::Confirmed(confirmation.clone()));
    search.confirmations.push(confirmation);
    if !shown {
        search.held[at] = Some(evidence);
        search.set_aside(at, Step::Held, Fate::NotConfirmed { high: held.high, gate: gate.exp(), p: held.p });
    }
    shown
}

/// The best candidate of the search, compared with the runner-up on the held windows. It stays the winner where it is not shown
/// to be the better one: somebody must be.
pub(super) fn confirm_best(search: &mut Search) -> Option<usize> {
    loop {
        let [winner, runner_up] = best_two(search);
        let winner = winner?;
        let Some(losses) = measure(search, winner) else { continue };
        let Some(evidence) = against_base(search, &losses) else { return Some(winner) };
        let others = runner_up.and_then(|at| Some((at, measure(search, at)?)));
        let stretch = search.history.plan.held_stretch;
        let against = others.and_then(|(at, others)| {
            let found = Evidence::between(&losses, &others, stretch, search.history.seed)?;
            let (point, label) = (search.history.candidates[at].point.clone(), search.label(at));
            Some(Versus { point, label, ratio: found.into() })
        });
        let is_better = |versus: &Versus| versus.ratio.high < 1.0 && versus.ratio.p < ALPHA;
        let shown = against.as_ref().is_some_and(is_better);
        let (point, label) = (search.history.candidates[winner].point.clone(), search.label(winner));
        let confirmation = Confirmation { point, label, held: evidence.into(), against, shown };
        search.observer.event(&Event::Confirmed(confirmation.clone()));
        search.confirmations.push(confirmation);
        return Some(winner);
    }
}

/// The two candidates with the least loss, where those that were measured on more windows come first: the others left the race.
fn best_two(search: &Search) -> [Option<usize>; 2] {
    let rank = |at: usize| {
        let candidate = &search.history.candidates[at];
        let evidence = candidate.evidence.filter(|_| candidate.standing != Standing::Out)?;
        Some((at, evidence))
    };
    let mut ranked: Vec<(usize, Evidence)> = (0..search.history.candidates.len()).filter_map(rank).collect();
    ranked.sort_by(|(_, one), (_, other)| {
        other.windows.cmp(&one.windows).then(one.difference.total_cmp(&other.difference))
    });
    let mut ranked = ranked.into_iter().map(|(at, _)| at);
    [ranked.next(), ranked.next()]
}
