//! What may not stand at a position again, and how often it was tried: why a retry cannot walk the same way, and why a
//! reply always gets on.

use crate::member::Unit;
use std::collections::HashMap;

/// Tries of one position, resamples and retractions together. Whoever asks for more is ignored.
pub const MOST_ATTEMPTS: u32 = 16;

/// Bans and tries by position in the reply.
#[derive(Debug, Default)]
pub struct Attempts {
    bans: HashMap<u32, Vec<Unit>>,
    /// Kept for the whole reply, also when text before is taken back: that bounds the work.
    counts: HashMap<u32, u32>,
}

impl Attempts {
    /// 0 at the first try.
    pub fn count(&self, position: u32) -> u32 {
        self.counts.get(&position).copied().unwrap_or(0)
    }

    /// Whether the position may be tried again.
    pub fn may_retry(&self, position: u32) -> bool {
        self.count(position) < MOST_ATTEMPTS
    }

    /// What may not stand there.
    pub fn bans(&self, position: u32) -> &[Unit] {
        self.bans.get(&position).map_or(&[], Vec::as_slice)
    }

    /// Another try of `position` begins, with further bans. What was banned after it belonged to text that is gone.
    pub fn retry(&mut self, position: u32, bans: impl IntoIterator<Item = Unit>) {
        self.bans.retain(|&at, _| at <= position);
        let banned = self.bans.entry(position).or_default();
        banned.extend(bans);
        banned.sort_unstable();
        banned.dedup();
        *self.counts.entry(position).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bans_add_up_at_a_position_and_go_with_the_text_before_it() {
        let mut attempts = Attempts::default();
        attempts.retry(5, [1]);
        attempts.retry(5, [2, 1]);
        assert_eq!(attempts.bans(5), [1, 2]);
        attempts.retry(3, [9]);
        assert_eq!((attempts.bans(3), attempts.bans(5)), (&[9][..], &[][..]));
    }

    #[test]
    fn tries_are_counted_for_the_whole_reply() {
        let mut attempts = Attempts::default();
        for _ in 0..MOST_ATTEMPTS {
            assert!(attempts.may_retry(5));
            attempts.retry(5, []);
            attempts.retry(3, []);
        }
        assert!(!attempts.may_retry(5));
    }
}
