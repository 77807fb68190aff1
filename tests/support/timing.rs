//! Judging times, which only a quiet machine allows: `TIMING=1 cargo test --release`.

use std::time::Duration;

/// Fails where something took longer than it may, but only if `TIMING=1` says that the machine does nothing else.
#[track_caller]
pub fn assert_within(limit: Duration, taken: Duration, what: &str) {
    let is_judged = std::env::var_os("TIMING").is_some_and(|value| value == "1");
    assert!(!is_judged || taken <= limit, "{what} took {taken:?}, and may take {limit:?}");
}
