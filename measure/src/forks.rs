//! Forks: whether taking text back was worth it, from the same place continued both ways.
//!
//! A policy that changes a text is not judged by texts of its own, which differ for a hundred reasons, but where it acted: the
//! text as it stood and the text with the change are both continued some times, and all continuations are scored.

use crate::statistics::{Block, FEWEST_BLOCKS, Interval, bootstrap, by_document, wilson};
use crate::text::grouped;
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// A difference from ½ that rounding may make, generously.
const ROUNDING: f64 = 1e-9;

/// A place at which a policy took text back or refused a token, with scores of how the text went on. A higher score is
/// better; of answers, right is 1 and wrong is 0.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fork {
    /// The item in whose reply it is.
    pub item: String,
    /// Scores of continuations of the text as it stood.
    pub kept: Vec<f64>,
    /// Scores of continuations of the text with the policy's change.
    pub changed: Vec<f64>,
}

/// A comparison of changed with kept text, over forks.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Improved {
    /// The probability that a changed continuation of a fork scores higher than a kept one, ties counting half; the mean over
    /// forks.
    pub share: f64,
    /// Its 95 % interval. `None` with fewer than five items.
    pub interval: Option<Interval>,
    /// Forks that count.
    pub forks: usize,
    /// Items that have these forks.
    pub items: usize,
    /// Forks at which the changed text is more often better than the kept one.
    pub better: usize,
    /// Forks at which it is more often worse.
    pub worse: usize,
    /// Forks at which it is as often better as worse.
    pub even: usize,
    /// Mean score of the kept text; a fork counts as one, however many its samples.
    pub mean_kept: f64,
    /// Mean score of the changed text; a fork counts as one, however many its samples.
    pub mean_changed: f64,
}

/// The conclusion that forks allow about a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The change helps: the interval lies above ½.
    Helps,
    /// The change hurts: the interval lies below ½.
    Hurts,
    /// The change is not shown to do either.
    NotShown,
}

impl Improved {
    /// The conclusion that the interval allows.
    pub fn effect(&self) -> Effect {
        match self.interval {
            Some(Interval { low, .. }) if low > 0.5 + ROUNDING => Effect::Helps,
            Some(Interval { high, .. }) if high < 0.5 - ROUNDING => Effect::Hurts,
            _ => Effect::NotShown,
        }
    }
}

/// Compares changed with kept text. `None` if no fork counts: one without samples on a side, or with a score that is not
/// finite, does not.
///
/// The interval is that of [`bootstrap`] over items, so that the forks of one item are drawn together. Where every pair of
/// samples went the same way no resample differs from another; the interval is then Wilson's for as many items.
pub fn improved(forks: &[Fork], seed: u64) -> Option<Improved> {
    let counts = |scores: &[f64]| !scores.is_empty() && scores.iter().all(|score| score.is_finite());
    let forks: Vec<&Fork> = forks.iter().filter(|fork| counts(&fork.kept) && counts(&fork.changed)).collect();
    if forks.is_empty() {
        return None;
    }
    let shares: Vec<f64> = forks.iter().map(|fork| share(fork)).collect();
    let share = mean(&shares);
    // A fork is to its item what a byte is to a document: the share is a ratio of sums, and a resample is one of items.
    let parts = forks.iter().zip(&shares).map(|(fork, &share)| (&fork.item, Block { sum: share, of: 1.0 }));
    let items = by_document(parts);
    let interval = bootstrap(&items, seed).map(|found| match items.len() as u64 {
        number if share == 0.0 => wilson(0, number),
        number if share == 1.0 => wilson(number, number),
        _ => found.interval,
    });
    let means = |scores: fn(&Fork) -> &[f64]| mean(&forks.iter().map(|fork| mean(scores(fork))).collect::<Vec<_>>());
    Some(Improved {
        share,
        interval,
        forks: forks.len(),
        items: items.len(),
        better: shares.iter().filter(|&&share| share > 0.5).count(),
        worse: shares.iter().filter(|&&share| share < 0.5).count(),
        even: shares.iter().filter(|&&share| share == 0.5).count(),
        mean_kept: means(|fork| &fork.kept),
        mean_changed: means(|fork| &fork.changed),
    })
}

/// The share of pairs in which the changed text is better, counted in halves so that an even fork is exactly ½.
fn share(fork: &Fork) -> f64 {
    let halves = |kept: f64, changed: f64| u64::from(changed > kept) + u64::from(changed >= kept);
    let pairs = fork.kept.iter().flat_map(|&kept| fork.changed.iter().map(move |&changed| halves(kept, changed)));
    pairs.sum::<u64>() as f64 / (2 * fork.kept.len() * fork.changed.len()) as f64
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

impl Display for Improved {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let count = |number: usize, one: &str| {
            format!("{} {one}{}", grouped(number as u64), if number == 1 { "" } else { "s" })
        };
        let [better, worse, even] = [self.better, self.worse, self.even].map(|number| grouped(number as u64));
        write!(
            f,
            "At {} of {} the changed text scores {:.3} and the kept {:.3}: better at {better}, worse at {worse}, \
             even at {even}. ",
            count(self.forks, "fork"),
            count(self.items, "item"),
            self.mean_changed,
            self.mean_kept,
        )?;
        write!(f, "A changed continuation beats a kept one with probability {:.3}", self.share)?;
        match self.interval {
            Some(Interval { low, high }) => write!(f, " [{low:.3}, {high:.3}]: ")?,
            None => write!(f, ", too few items for an interval (at least {FEWEST_BLOCKS}): ")?,
        }
        f.write_str(match self.effect() {
            Effect::Helps => "the change is shown to help.",
            Effect::Hurts => "the change is shown to hurt.",
            Effect::NotShown => "the change is not shown to help or to hurt.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::statistics::Random;

    fn fork(item: usize, kept: &[f64], changed: &[f64]) -> Fork {
        Fork { item: format!("q{item}"), kept: kept.into(), changed: changed.into() }
    }

    /// Forks with four samples a side, of which a changed one is right with a probability of so many percent and a kept one
    /// with 50 %.
    fn forks(number: usize, items: usize, percent: usize) -> Vec<Fork> {
        let mut random = Random(number as u64);
        let mut four = |percent| [(); 4].map(|()| f64::from(u8::from(random.below(100) < percent)));
        (0..number).map(|at| fork(at % items, &four(50), &four(percent))).collect()
    }

    fn width(found: &Improved) -> f64 {
        let Interval { low, high } = found.interval.unwrap();
        high - low
    }

    #[test]
    fn the_share_counts_pairs_and_every_fork_the_same() {
        // 3 of 4 pairs are better, and one is a tie: 7/8. The other fork has one pair, which is worse.
        let found = improved(&[fork(0, &[0.0, 1.0], &[1.0, 2.0]), fork(1, &[1.0], &[0.0])], 0).unwrap();
        assert_eq!((found.share, found.better, found.worse, found.even), (7.0 / 16.0, 1, 1, 0));
        assert_eq!((found.mean_kept, found.mean_changed), (0.75, 0.75));
        assert_eq!((found.forks, found.items), (2, 2));
    }

    #[test]
    fn a_change_that_helps_is_shown_and_its_reverse_hurts() {
        let forks = forks(120, 40, 75);
        let reversed: Vec<Fork> = forks
            .iter()
            .map(|fork| Fork { item: fork.item.clone(), kept: fork.changed.clone(), changed: fork.kept.clone() })
            .collect();
        let [found, back] = [&forks, &reversed].map(|forks| improved(forks, 5).unwrap());
        assert_eq!((found.effect(), back.effect()), (Effect::Helps, Effect::Hurts));
        assert!((found.share + back.share - 1.0).abs() < 1e-12);
        let [one, other] = [found.interval.unwrap(), back.interval.unwrap()];
        assert!((one.low + other.high - 1.0).abs() < 1e-9 && (one.high + other.low - 1.0).abs() < 1e-9);
        assert_eq!((found.better, found.worse, found.even), (back.worse, back.better, back.even));
        assert_eq!((found.mean_kept, found.mean_changed), (back.mean_changed, back.mean_kept));
    }

    #[test]
    fn the_same_scores_everywhere_are_exactly_even() {
        let forks: Vec<Fork> = (0..12).map(|at| fork(at / 2, &[0.3; 3], &[0.3; 7])).collect();
        let found = improved(&forks, 0).unwrap();
        assert_eq!((found.share, found.even, found.items), (0.5, 12, 6));
        assert_eq!(found.interval, Some(Interval { low: 0.5, high: 0.5 }));
        assert_eq!(found.effect(), Effect::NotShown);
    }

    #[test]
    fn forks_of_one_item_are_no_evidence_of_many() {
        let found = improved(&forks(80, 1, 90), 0).unwrap();
        assert!(found.share > 0.6);
        assert_eq!((found.items, found.interval, found.effect()), (1, None, Effect::NotShown));
        // The same forks again as forks of the same items: as uncertain as before.
        let once = forks(30, 30, 60);
        let [alone, repeated] =
            [&once, &vec![once.clone(); 4].concat()].map(|forks| width(&improved(forks, 1).unwrap()));
        assert!((alone - repeated).abs() < 1e-9, "{alone} and {repeated}");
    }

    #[test]
    fn more_items_make_the_interval_narrower() {
        let [few, many] = [20, 320].map(|number| width(&improved(&forks(number, number, 60), 2).unwrap()));
        assert!(many < few / 3.0, "{few} and {many}");
    }

    #[test]
    fn all_items_alike_still_leave_a_doubt() {
        let forks: Vec<Fork> = (0..6).map(|item| fork(item, &[0.0; 4], &[1.0; 4])).collect();
        let found = improved(&forks, 0).unwrap();
        assert_eq!(found.interval, Some(wilson(6, 6)));
        assert!(found.interval.unwrap().low < 0.62);
    }

    #[test]
    fn forks_that_cannot_be_compared_do_not_count() {
        let broken = [fork(0, &[], &[1.0]), fork(1, &[1.0], &[]), fork(2, &[f64::NAN], &[1.0])];
        assert_eq!(improved(&broken, 0), None);
        assert_eq!(improved(&[], 0), None);
        let found = improved(&[&broken[..], &[fork(3, &[0.0], &[1.0])]].concat(), 0).unwrap();
        assert_eq!((found.forks, found.items, found.share), (1, 1, 1.0));
    }

    #[test]
    fn the_text_says_what_is_shown() {
        let text = |forks: &[Fork]| improved(forks, 0).unwrap().to_string();
        assert_eq!(
            text(&[fork(0, &[0.0], &[1.0])]),
            "At 1 fork of 1 item the changed text scores 1.000 and the kept 0.000: better at 1, worse at 0, even at 0. A \
             changed continuation beats a kept one with probability 1.000, too few items for an interval (at least 5): the \
             change is not shown to help or to hurt."
        );
        assert!(text(&forks(120, 40, 75)).ends_with("]: the change is shown to help."));
        assert!(text(&forks(120, 40, 25)).ends_with("]: the change is shown to hurt."));
        assert!(text(&forks(1_200, 40, 50)).starts_with("At 1,200 forks of 40 items "));
    }
}
