//! `rng()`: random draws of a script. One call's draws follow from the step and the hook point alone, so that the same
//! seed gives the same bytes, and are independent of `step.random`, which all hooks share.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use plugin_api::Step;
use rhai::{Engine, EvalAltResult};

use super::program::Function;

/// Where the sequence of the running call stands.
#[derive(Default)]
pub(super) struct Draws {
    state: AtomicU64,
    /// False outside of calls that belong to a step.
    is_open: AtomicBool,
}

impl Draws {
    /// A call begins.
    pub(super) fn begin(&self, function: Function, step: Option<&Step>) {
        self.is_open.store(step.is_some(), Ordering::Relaxed);
        if let Some(step) = step {
            let place = (u64::from(step.position) << 32) | u64::from(step.attempt);
            self.state.store(mix(mix(mix(step.seed) ^ place) ^ function as u64), Ordering::Relaxed);
        }
    }

    fn next(&self) -> Result<u64, Box<EvalAltResult>> {
        if !self.is_open.load(Ordering::Relaxed) {
            return Err("`rng` draws for a step, so only functions that get `step` can call it".into());
        }
        // SplitMix64 (Steele, Lea, Flood 2014).
        Ok(mix(self.state.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)))
    }
}

fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

pub(super) fn register(engine: &mut Engine, draws: &Arc<Draws>) {
    let on = Arc::clone(draws);
    engine.register_fn("rng", move || on.next().map(|bits| (bits >> 11) as f64 / (1u64 << 53) as f64));
    let on = Arc::clone(draws);
    engine.register_fn("rng", move |low: i64, high: i64| {
        if low >= high {
            let message = format!("`rng(low, high)` draws from low up to below high, and {low} is not below {high}");
            return Err(message.into());
        }
        let count = u128::from(high.wrapping_sub(low) as u64);
        on.next().map(|bits| low.wrapping_add(((u128::from(bits) * count) >> 64) as i64))
    });
}
