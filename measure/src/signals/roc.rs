//! The area under the ROC curve, with its interval.

use crate::statistics::{FEWEST_BLOCKS, Interval, Random, percentile_interval};
use std::collections::HashSet;

/// Resamples of an interval. Its ends then differ by some 10 % of its width from seed to seed, which is less than two signals
/// differ by if one is to be preferred.
const RESAMPLES: usize = 200;

/// A value of a signal, with what it is to tell.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    /// The value.
    pub value: f64,
    /// Whether something goes wrong here.
    pub is_wrong: bool,
    /// The index of the reply that it comes from.
    pub reply: usize,
}

/// Resamples of replies: how often each reply is drawn.
pub struct Draws(Vec<Vec<f64>>);

impl Draws {
    /// Draws as many replies as there are, with replacement, 200 times.
    pub fn new(replies: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let draw = |_| {
            let mut times = vec![0.0; replies];
            (0..replies).for_each(|_| times[random.below(replies)] += 1.0);
            times
        };
        Self((0..RESAMPLES).map(draw).collect())
    }

    /// The area of these cases with its interval. `None` where nothing is wrong or everything is.
    ///
    /// Replies are drawn as wholes, because the tokens of one have much in common. There is no interval where fewer than
    /// [`FEWEST_BLOCKS`] replies hold something wrong, or something right: so few do not say how replies differ. It is as
    /// wide as Student's t would make it for the fewer of both.
    pub fn area(&self, mut cases: Vec<Case>) -> Option<(f64, Option<Interval>)> {
        cases.sort_by(|one, other| one.value.total_cmp(&other.value));
        let found = area(&cases, |_| 1.0)?;
        let replies = |wrong| {
            let of_kind = cases.iter().filter(|case| case.is_wrong == wrong);
            of_kind.map(|case| case.reply).collect::<HashSet<_>>().len()
        };
        let fewer = replies(true).min(replies(false));
        if fewer < FEWEST_BLOCKS {
            return Some((found, None));
        }
        // A resample without an error, or with nothing else, has no area.
        let mut areas: Vec<f64> = self.0.iter().filter_map(|times| area(&cases, |reply| times[reply])).collect();
        areas.sort_by(f64::total_cmp);
        let interval = (!areas.is_empty()).then(|| percentile_interval(&areas, fewer));
        Some((found, interval))
    }
}

/// The probability that the value at something wrong is greater than that at something right, ties counting half, in cases
/// that are ordered by their value. This is the area under the ROC curve (Hanley and McNeil 1982, "The meaning and use of the
/// area under a receiver operating characteristic curve", Radiology 143:29–36).
fn area(ordered: &[Case], times: impl Fn(usize) -> f64) -> Option<f64> {
    let (mut won, mut wrong, mut right) = (0.0, 0.0, 0.0);
    for tied in ordered.chunk_by(|one, other| one.value == other.value) {
        let (mut tied_wrong, mut tied_right) = (0.0, 0.0);
        for case in tied {
            *(if case.is_wrong { &mut tied_wrong } else { &mut tied_right }) += times(case.reply);
        }
        won += tied_wrong * (right + tied_right / 2.0);
        wrong += tied_wrong;
        right += tied_right;
    }
    (wrong > 0.0 && right > 0.0).then(|| won / (wrong * right))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cases of so many replies, with values of which many are the same.
    fn cases(seed: u64, number: usize, replies: usize) -> Vec<Case> {
        let mut random = Random(seed);
        let case = |_| {
            let is_wrong = random.below(4) == 0;
            let value = (random.below(12) + if is_wrong { random.below(6) } else { 0 }) as f64 / 4.0;
            Case { value, is_wrong, reply: random.below(replies) }
        };
        (0..number).map(case).collect()
    }

    /// The area by its definition: every pair, as often as its replies were drawn.
    fn by_pairs(cases: &[Case], times: &[f64]) -> f64 {
        let (mut won, mut pairs) = (0.0, 0.0);
        for wrong in cases.iter().filter(|case| case.is_wrong) {
            for right in cases.iter().filter(|case| !case.is_wrong) {
                let weight = times[wrong.reply] * times[right.reply];
                pairs += weight;
                won += weight
                    * match wrong.value.total_cmp(&right.value) {
                        std::cmp::Ordering::Greater => 1.0,
                        std::cmp::Ordering::Equal => 0.5,
                        std::cmp::Ordering::Less => 0.0,
                    };
            }
        }
        won / pairs
    }

    #[test]
    fn the_area_is_what_counting_pairs_gives_in_resamples_too() {
        for seed in 0..20 {
            let cases = cases(seed, 150, 9);
            let draws = Draws::new(9, seed);
            let (found, _) = draws.area(cases.clone()).unwrap();
            assert!((found - by_pairs(&cases, &[1.0; 9])).abs() < 1e-12);
            let mut ordered = cases.clone();
            ordered.sort_by(|one, other| one.value.total_cmp(&other.value));
            for times in &draws.0[..5] {
                let found = area(&ordered, |reply| times[reply]).unwrap();
                assert!((found - by_pairs(&cases, times)).abs() < 1e-12);
            }
        }
    }

    fn small(values: &[(f64, bool)]) -> Option<f64> {
        let case = |(reply, &(value, is_wrong)): (usize, &(f64, bool))| Case { value, is_wrong, reply };
        Some(Draws::new(values.len(), 0).area(values.iter().enumerate().map(case).collect())?.0)
    }

    #[test]
    fn small_cases_have_known_areas() {
        assert_eq!(small(&[(1.0, false), (2.0, true)]), Some(1.0));
        assert_eq!(small(&[(1.0, true), (2.0, false)]), Some(0.0));
        assert_eq!(small(&[(1.0, true), (1.0, false), (1.0, false)]), Some(0.5));
        assert_eq!(small(&[(1.0, false), (2.0, true), (3.0, false), (4.0, true)]), Some(0.75));
        // A sign of 0 is no difference.
        assert_eq!(small(&[(0.0, true), (-0.0, false)]), Some(0.5));
        assert_eq!(small(&[(1.0, true), (2.0, true)]), None);
        assert_eq!(small(&[(1.0, false)]), None);
        assert_eq!(small(&[]), None);
    }

    #[test]
    fn every_resample_draws_as_many_replies_as_there_are() {
        let draws = Draws::new(30, 4);
        assert!(draws.0.iter().all(|times| times.iter().sum::<f64>() == 30.0));
        assert_ne!(draws.0[0], draws.0[1]);
    }

    #[test]
    fn errors_of_few_replies_have_no_interval() {
        let mut cases = cases(3, 400, 40);
        for case in cases.iter_mut().filter(|case| case.is_wrong) {
            case.reply %= FEWEST_BLOCKS - 1;
        }
        assert_eq!(Draws::new(40, 0).area(cases.clone()).unwrap().1, None);
        cases.iter_mut().find(|case| case.is_wrong).unwrap().reply = 39;
        assert!(Draws::new(40, 0).area(cases).unwrap().1.is_some());
    }

    #[test]
    fn the_interval_holds_the_true_area_in_most_cases() {
        // Values are uniform below 1; at something wrong the square root of such a value, so that the area is 2/3.
        let held = (0..200).filter(|&seed| {
            let mut random = Random(seed);
            let mut uniform = || (random.below(1 << 30) as f64 + 0.5) / f64::from(1 << 30);
            let cases = (0..300).map(|at| {
                let is_wrong = at % 10 == 0;
                Case { value: if is_wrong { uniform().sqrt() } else { uniform() }, is_wrong, reply: at / 5 }
            });
            let (_, interval) = Draws::new(60, seed).area(cases.collect()).unwrap();
            interval.is_some_and(|Interval { low, high }| low < 2.0 / 3.0 && 2.0 / 3.0 < high)
        });
        let held = held.count();
        assert!((180..=199).contains(&held), "{held} of 200");
    }
}
