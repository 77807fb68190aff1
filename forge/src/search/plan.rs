//! Which windows are measured, in which order and how often is looked.

use super::{Settings, Windows};
use crate::bench::Failure;
use serde::Serialize;

/// A stretch of text is so many windows at most: neighbours farther apart are hardly of one document.
const LONGEST_STRETCH: u32 = 16;

/// A stretch of text is so many windows at least, since halves of it are needed.
const SHORTEST_STRETCH: u32 = 2;

/// Stretches that a short text has; a longer one has about √n of n windows, so that stretches grow in number and in length.
///
/// More and shorter ones looked surer than they were: of 24 windows with a correlation of 0.4 between neighbours, 11 % of
/// intervals ended above the truth with 24 stretches and 4 % with 8, where 2.5 % should.
const STRETCHES: u32 = 8;

/// The least windows of a quick look.
const FEWEST_LOOKED_AT: usize = 8;

/// The least windows of a text.
const FEWEST_WINDOWS: usize = 16;

/// The looks of a search, the same for all candidates so that their losses pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// The windows of a full evaluation, in the order in which they are measured. The beginning of any length is spread over
    /// the text.
    pub order: Vec<u32>,
    /// Windows of the first look; each following look doubles them.
    pub quick: usize,
    /// Windows that stand in one stretch of text.
    pub stretch: u32,
    /// The windows of the confirmation.
    pub held: Vec<u32>,
    /// Windows that stand in one stretch of the held text.
    pub held_stretch: u32,
}

impl Plan {
    /// The plan for this text; refused where there are too few windows to show anything.
    pub fn new(windows: Windows, settings: &Settings) -> Result<Self, Failure> {
        let Windows { search, held, tokens } = windows;
        for (count, which) in [(search, "for the search"), (held, "that are held back for the winner")] {
            if (count as usize) < FEWEST_WINDOWS || tokens == 0 {
                return Err(Failure::new(format!(
                    "the text has {count} windows {which}, and a search needs at least {FEWEST_WINDOWS}; \
                     give a longer text or shorter windows"
                )));
            }
        }
        let counted = |tokens_wanted: u64| {
            let windows = tokens_wanted.div_ceil(u64::from(tokens)).min(u64::from(search));
            (windows as usize).max(FEWEST_LOOKED_AT)
        };
        let full = counted(settings.full);
        let mut order = spread(search, settings.seed);
        order.truncate(full);
        let held_count = (full.max(FEWEST_WINDOWS) as u64).min(u64::from(held)) as u32;
        Ok(Self {
            order,
            quick: counted(settings.quick).min(full),
            stretch: stretch(search),
            held: (search..search.saturating_add(held_count)).collect(),
            held_stretch: stretch(held_count),
        })
    }

    /// Windows of a full evaluation.
    pub fn full(&self) -> usize {
        self.order.len()
    }

    /// Looks that a candidate gets at most.
    pub fn looks(&self) -> usize {
        let mut looks = 1;
        let mut at = self.quick;
        while at < self.full() {
            at = self.after(at);
            looks += 1;
        }
        looks
    }

    /// Windows of the look that follows one of so many.
    pub fn after(&self, windows: usize) -> usize {
        let mut next = self.quick;
        while next <= windows && next < self.full() {
            next = (next * 2).min(self.full());
        }
        next
    }
}

/// Windows in a stretch of a text of so many.
fn stretch(windows: u32) -> u32 {
    windows.isqrt().min(windows / STRETCHES).clamp(SHORTEST_STRETCH, LONGEST_STRETCH)
}

/// Numbers below `count` by their bits in reverse (van der Corput 1935), begun at a place that the seed names: the first m are
/// about `count / m` apart, so that even a quick look sees all of the text and no two windows of one document.
fn spread(count: u32, seed: u64) -> Vec<u32> {
    let bits = 32 - count.saturating_sub(1).leading_zeros();
    let start = (seed % u64::from(count.max(1))) as u32;
    (0..1_u64 << bits)
        .map(|number| ((number as u32).reverse_bits()).checked_shr(32 - bits).unwrap_or(0))
        .filter(|&number| number < count)
        .map(|number| ((u64::from(number) + u64::from(start)) % u64::from(count)) as u32)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_comes_once_and_the_first_ones_are_far_apart() {
        for count in [1, 2, 8, 100, 128, 1_000] {
            let mut windows = spread(count, 77);
            let mut first = windows[..(count as usize).div_ceil(10)].to_vec();
            first.sort_unstable();
            assert!(first.windows(2).all(|pair| pair[1] - pair[0] >= 4), "{count}: {first:?}");
            windows.sort_unstable();
            assert_eq!(windows, (0..count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn looks_double_from_quick_to_full() {
        let settings = Settings { quick: 1_000, full: 9_000, ..Settings::default() };
        let plan = Plan::new(Windows { search: 500, held: 50, tokens: 100 }, &settings).unwrap();
        assert_eq!((plan.quick, plan.full(), plan.looks()), (10, 90, 5));
        assert_eq!([0, 3, 10, 25, 40, 80, 90].map(|windows| plan.after(windows)), [10, 10, 20, 40, 80, 90, 90]);
        assert_eq!((plan.held[0], plan.held.len(), plan.stretch, plan.held_stretch), (500, 50, 16, 6));
    }

    #[test]
    fn a_text_that_can_show_nothing_is_refused() {
        let settings = Settings::default();
        for (search, held, words) in [(15, 50, "15 windows for the search"), (50, 0, "held back")] {
            let failure = Plan::new(Windows { search, held, tokens: 512 }, &settings).unwrap_err();
            assert!(failure.to_string().contains(words), "{failure}");
        }
    }
}
