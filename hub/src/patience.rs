//! How often a request is tried again, and how long is waited in between.

use crate::client::Trouble;
use crate::{HubError, Notice, Watch};
use std::time::{Duration, Instant};

/// Bounds on what is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patience {
    /// Tries of one request at most, the first one too. A download that gains a MiB before it breaks off starts anew.
    pub tries: u32,
    /// Wait before the second try; each later one is twice as long.
    pub first_wait: Duration,
    /// The longest wait, also of those that a server asks for. A server that asks for a longer one is not waited for.
    pub longest_wait: Duration,
    /// The longest time without a byte from a server.
    pub silence: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            tries: 5,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            silence: Duration::from_secs(30),
        }
    }
}

impl Patience {
    /// Tries once more, after the wait that the trouble calls for. Gives the trouble back when there is no sense in it.
    pub(crate) fn wait(&self, failures: u32, trouble: Trouble, watch: &mut dyn Watch) -> Result<(), Trouble> {
        if failures >= self.tries || !trouble.is_transient() {
            return Err(trouble);
        }
        let doubled = self.first_wait.saturating_mul(1 << failures.saturating_sub(1).min(16));
        let wait = match trouble.retry_after() {
            Some(asked) if asked > self.longest_wait => return Err(trouble),
            Some(asked) => asked,
            None => doubled.min(self.longest_wait),
        };
        watch.notice(Notice::Retry { why: trouble.to_string(), wait });
        sleep(wait, watch).map_err(Trouble::Final)
    }

    /// What `attempt` gives, after as many tries as it takes.
    pub(crate) fn retry<T>(
        &self,
        watch: &mut dyn Watch,
        mut attempt: impl FnMut(&mut dyn Watch) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let mut failures = 0;
        loop {
            match attempt(watch) {
                Ok(value) => return Ok(value),
                Err(trouble) => {
                    failures += 1;
                    self.wait(failures, trouble, watch)?;
                }
            }
        }
    }
}

/// Sleeps, unless the watch ends it.
pub(crate) fn sleep(wait: Duration, watch: &mut dyn Watch) -> Result<(), HubError> {
    let end = Instant::now() + wait;
    loop {
        if watch.is_cancelled() {
            return Err(HubError::Cancelled);
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}
