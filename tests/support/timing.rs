//! Judging times, which only a quiet machine allows: `TIMING=1 cargo test --release`.

use std::time::Duration;

/// Whether `TIMING=1` says that the machine does nothing else.
pub fn is_judged() -> bool {
    std::env::var_os("TIMING").is_some_and(|value| value == "1")
}

/// Fails where something took longer than it may, if times are judged.
#[track_caller]
pub fn assert_within(limit: Duration, taken: Duration, what: &str) {
    assert!(!is_judged() || taken <= limit, "{what} took {taken:?}, and may take {limit:?}");
}
