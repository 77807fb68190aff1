//! What a monitoring system wants to know, in Prometheus's text form.

use crate::gate::Gate;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use std::fmt::{Debug, Formatter};

/// Labels of a request that was answered.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub(crate) struct Answered {
    pub(crate) endpoint: String,
    pub(crate) status: u32,
}

/// All counters.
pub(crate) struct Metrics {
    registry: Registry,
    pub(crate) requests: Family<Answered, Counter>,
    pub(crate) rejected: Counter,
    pub(crate) written: Counter,
    pub(crate) retracted: Counter,
    pub(crate) prompt: Counter,
    pub(crate) cached: Counter,
    pub(crate) first: Histogram,
    pub(crate) pace: Histogram,
}

impl Debug for Metrics {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Metrics {
    /// All at 0, with the gauges of the gate.
    pub(crate) fn new(gate: &Gate) -> Self {
        let metrics = Self {
            registry: Registry::default(),
            requests: Family::default(),
            rejected: Counter::default(),
            written: Counter::default(),
            retracted: Counter::default(),
            prompt: Counter::default(),
            cached: Counter::default(),
            // 5 ms to 82 s.
            first: Histogram::new(exponential_buckets(0.005, 2.0, 15)),
            // 0.5 ms to 8 s.
            pace: Histogram::new(exponential_buckets(0.0005, 2.0, 15)),
        };
        let mut registry = Registry::with_prefix("llama_selfmod");
        registry.register("requests", "Requests answered", metrics.requests.clone());
        registry.register("requests_rejected", "Requests refused because the queue was full", metrics.rejected.clone());
        registry.register("requests_in_flight", "Requests that write or wait", gate.seated.clone());
        registry.register("jobs_queued", "Texts that wait for a line", gate.waiting.clone());
        registry.register("jobs_running", "Texts that have a line", gate.running.clone());
        registry.register("tokens_written", "Tokens accepted, those taken back included", metrics.written.clone());
        registry.register("tokens_retracted", "Tokens taken back", metrics.retracted.clone());
        registry.register("prompt_tokens", "Tokens of prompts", metrics.prompt.clone());
        registry.register("prompt_tokens_cached", "Tokens of prompts that were known already", metrics.cached.clone());
        let first = metrics.first.clone();
        registry.register_with_unit("time_to_first_token", "From the request to its first token", Unit::Seconds, first);
        let pace = metrics.pace.clone();
        registry.register_with_unit("time_per_token", "Mean of a text, from its second token on", Unit::Seconds, pace);
        Self { registry, ..metrics }
    }

    /// The text for `/metrics`.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        // Writing into a string does not fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
