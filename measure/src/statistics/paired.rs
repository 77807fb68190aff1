//! Two systems on the same items, right or wrong.

use super::distributions::{coin_at_most, coin_probability};
use super::{Interval, wilson};
use serde::{Deserialize, Serialize};

/// Counts of items by what two systems made of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paired {
    /// Items that both got right.
    pub both: u64,
    /// Items that only the second system got right.
    pub gained: u64,
    /// Items that only the first system got right.
    pub lost: u64,
    /// Items that neither got right.
    pub neither: u64,
}

/// Result of McNemar's test, two-sided.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// The exact p-value: never more false alarms than it says.
    pub p: f64,
    /// The mid-p-value: as many false alarms as it says, on the average of all counts.
    pub mid_p: f64,
}

impl FromIterator<(bool, bool)> for Paired {
    /// Counts pairs of (first right, second right).
    fn from_iter<I: IntoIterator<Item = (bool, bool)>>(pairs: I) -> Self {
        let mut counts = Self::default();
        for pair in pairs {
            *match pair {
                (true, true) => &mut counts.both,
                (false, true) => &mut counts.gained,
                (true, false) => &mut counts.lost,
                (false, false) => &mut counts.neither,
            } += 1;
        }
        counts
    }
}

impl Paired {
    /// Number of items.
    pub fn items(self) -> u64 {
        self.both.saturating_add(self.gained).saturating_add(self.lost).saturating_add(self.neither)
    }

    /// Items that the first system got right.
    pub fn first(self) -> u64 {
        self.both.saturating_add(self.lost)
    }

    /// Items that the second system got right.
    pub fn second(self) -> u64 {
        self.both.saturating_add(self.gained)
    }

    /// Accuracy of the second system less that of the first, −1 to 1; 0 where there are no items.
    pub fn difference(self) -> f64 {
        if self.items() == 0 {
            return 0.0;
        }
        (self.gained as f64 - self.lost as f64) / self.items() as f64
    }

    /// McNemar's exact test: whether gains and losses are throws of a fair coin. 1 where there are none.
    ///
    /// McNemar (1947), Psychometrika 12:153–157. The mid-p-value counts outcomes as likely as the observed one half;
    /// Fagerland, Lydersen and Laake (2013), "The McNemar test for binary matched-pairs data: mid-p and asymptotic are
    /// better than exact conditional", BMC Medical Research Methodology 13:91.
    pub fn mcnemar(self) -> McNemar {
        let throws = self.gained.saturating_add(self.lost);
        if throws == 0 {
            return McNemar { p: 1.0, mid_p: 1.0 };
        }
        let fewer = self.gained.min(self.lost);
        let point = coin_probability(fewer, throws);
        if self.gained == self.lost {
            return McNemar { p: 1.0, mid_p: 1.0 - point / 2.0 };
        }
        let p = (2.0 * coin_at_most(fewer, throws)).min(1.0);
        McNemar { p, mid_p: (p - point).clamp(0.0, 1.0) }
    }

    /// Newcombe's interval of [`Paired::difference`]; −1 to 1 where there are no items.
    ///
    /// Newcombe (1998), "Improved confidence intervals for the difference between binomial proportions based on paired
    /// data", Statistics in Medicine 17:2635–2650, method 10: the two Wilson intervals, squared and added, less what the
    /// correlation φ of the two systems takes away; a positive φ is corrected for continuity.
    pub fn newcombe(self) -> Interval {
        let n = self.items() as f64;
        if n == 0.0 {
            return Interval { low: -1.0, high: 1.0 };
        }
        let (first, second) = (self.first(), self.second());
        let (p, q) = (first as f64 / n, second as f64 / n);
        let (one, other) = (wilson(first, self.items()), wilson(second, self.items()));
        let phi = self.correlation();
        let half = |here: f64, there: f64| (here * here - 2.0 * phi * here * there + there * there).max(0.0).sqrt();
        let difference = self.difference();
        Interval {
            low: (difference - half(q - other.low, one.high - p)).max(-1.0),
            high: (difference + half(other.high - q, p - one.low)).min(1.0),
        }
    }

    /// Correlation φ of the two systems' answers, corrected for continuity where it is positive. 0 where a system has all
    /// or none right.
    fn correlation(self) -> f64 {
        let n = self.items() as f64;
        let (first, second) = (self.first() as f64, self.second() as f64);
        // The root of each factor: the product of four counts leaves the range where ratios are exact.
        let scale = (first * (n - first)).sqrt() * (second * (n - second)).sqrt();
        if scale <= 0.0 {
            return 0.0;
        }
        let agreement = self.both as f64 * self.neither as f64 - self.gained as f64 * self.lost as f64;
        let corrected = if agreement > 0.0 { (agreement - n / 2.0).max(0.0) } else { agreement };
        (corrected / scale).clamp(-1.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(both: u64, gained: u64, lost: u64, neither: u64) -> Paired {
        Paired { both, gained, lost, neither }
    }

    fn newcombe_is(counts: Paired, low: f64, high: f64) {
        let found = counts.newcombe();
        assert!((found.low - low).abs() < 6e-5 && (found.high - high).abs() < 6e-5, "{counts:?}: {found:?}");
    }

    /// Newcombe (1998), Statistics in Medicine 17:2635–2650, table II, method 10. His difference is "first less second", so
    /// his f is our `gained` and his g our `lost`.
    #[test]
    fn newcombe_intervals_are_the_published_ones() {
        newcombe_is(counts(36, 12, 2, 0), 0.0569, 0.3404);
        newcombe_is(counts(20, 12, 2, 16), 0.0562, 0.3292);
        newcombe_is(counts(18, 12, 2, 18), 0.0562, 0.3290);
        newcombe_is(counts(53, 0, 0, 1), -0.0729, 0.0729);
        newcombe_is(counts(0, 30, 0, 0), 0.8395, 1.0);
    }

    /// Fagerland, Lydersen and Laake, "Statistical analysis of contingency tables" (2017), chapter 8, by the R package
    /// `contingencytables` of the same authors: Bentur et al. (2009), and a table of their tests.
    #[test]
    fn newcombe_intervals_are_those_of_the_textbook() {
        let bentur = counts(1, 1, 7, 12).newcombe();
        assert!((bentur.low + 0.507).abs() < 5e-4 && (bentur.high + 0.026).abs() < 5e-4, "{bentur:?}");
        newcombe_is(counts(59, 6, 16, 80), -0.1186, -0.0046);
    }

    /// Fagerland, Lydersen and Laake (2013), table 1: 1 against 7.
    #[test]
    fn mcnemar_is_the_published_one() {
        let bentur = counts(1, 1, 7, 12).mcnemar();
        assert!((bentur.p - 0.0703).abs() < 5e-5 && (bentur.mid_p - 0.0391).abs() < 5e-5, "{bentur:?}");
        let close = |counts: Paired, p: f64, mid_p: f64| {
            let found = counts.mcnemar();
            assert!((found.p - p).abs() < 1e-12 && (found.mid_p - mid_p).abs() < 1e-12, "{counts:?}: {found:?}");
        };
        close(counts(20, 3, 0, 7), 0.25, 0.125);
        close(counts(20, 6, 0, 4), 0.031_25, 0.015_625);
        close(counts(0, 5, 2, 0), 0.453_125, 0.289_062_5);
        close(counts(0, 1, 1, 0), 1.0, 0.75);
    }

    /// 20 and 23 of 30, at the best pairing that there is.
    #[test]
    fn three_of_thirty_more_is_between_minus_3_and_23_points() {
        newcombe_is(counts(20, 3, 0, 7), -0.0276, 0.2287);
    }

    #[test]
    fn the_direction_does_not_change_the_finding() {
        let (there, back) = (counts(40, 12, 5, 43), counts(40, 5, 12, 43));
        assert_eq!(there.mcnemar(), back.mcnemar());
        assert!((there.newcombe().low + back.newcombe().high).abs() < 1e-12);
    }

    #[test]
    fn every_count_has_an_interval_and_a_p() {
        let sizes = [0, 1, 2, 1_000_003, u64::MAX / 4, u64::MAX];
        for both in sizes {
            for gained in sizes {
                for lost in sizes {
                    for neither in sizes {
                        let counts = counts(both, gained, lost, neither);
                        let (interval, test) = (counts.newcombe(), counts.mcnemar());
                        assert!(interval.low <= interval.high, "{counts:?}: {interval:?}");
                        assert!(
                            (0.0..=1.0).contains(&test.p) && (0.0..=1.0).contains(&test.mid_p),
                            "{counts:?}: {test:?}"
                        );
                    }
                }
            }
        }
    }
}
