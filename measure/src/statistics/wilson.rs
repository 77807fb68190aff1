//! The interval of one accuracy.

use super::{ALPHA, Interval, distributions::normal_quantile};

/// Wilson's score interval for `right` of `items`; 0 to 1 where there are no items.
///
/// Wilson (1927), "Probable inference, the law of succession, and statistical inference", JASA 22:209–212; without
/// continuity correction, as Brown, Cai and DasGupta (2001, Statistical Science 16:101–133) recommend. Its coverage is near
/// 95 % from ten items on, where `p ± 1.96·√(p(1−p)/n)` ends outside 0 to 1 or has no width.
pub fn wilson(right: u64, items: u64) -> Interval {
    if items == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let n = items as f64;
    let p = right.min(items) as f64 / n;
    let z = normal_quantile(1.0 - ALPHA / 2.0);
    let spread = 1.0 + z * z / n;
    let middle = (p + z * z / (2.0 * n)) / spread;
    let half = z * (p * (1.0 - p) / n + z * z / (4.0 * n * n)).sqrt() / spread;
    // None and all right are ends of the interval; rounding would miss them by 1e-17.
    let low = if right == 0 { 0.0 } else { (middle - half).max(0.0) };
    let high = if right >= items { 1.0 } else { (middle + half).min(1.0) };
    Interval { low, high }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is(right: u64, items: u64, low: f64, high: f64) {
        let interval = wilson(right, items);
        assert!((interval.low - low).abs() < 6e-5, "{right} of {items}: {interval:?}");
        assert!((interval.high - high).abs() < 6e-5, "{right} of {items}: {interval:?}");
    }

    /// Newcombe (1998), "Two-sided confidence intervals for the single proportion", Statistics in Medicine 17:857–872,
    /// table I, method 3.
    #[test]
    fn intervals_are_those_that_newcombe_published() {
        is(81, 263, 0.2553, 0.3662);
        is(15, 148, 0.0624, 0.1605);
        is(0, 20, 0.0, 0.1611);
        is(1, 29, 0.0061, 0.1718);
    }

    #[test]
    fn twenty_of_thirty_is_49_to_81_percent_and_23_is_59_to_88() {
        is(20, 30, 0.4878, 0.8077);
        is(23, 30, 0.5907, 0.8821);
    }

    #[test]
    fn no_items_all_right_and_huge_counts_have_an_interval() {
        is(0, 0, 0.0, 1.0);
        assert_eq!(wilson(30, 30).high, 1.0);
        assert_eq!(wilson(9, 3), wilson(3, 3));
        let huge = wilson(u64::MAX / 2, u64::MAX);
        assert!(huge.low <= 0.5 && huge.high >= 0.5 && huge.high - huge.low < 1e-8);
    }
}
