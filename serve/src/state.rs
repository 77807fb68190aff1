//! What all requests share.

use crate::backend::{About, Backend};
use crate::failure::Failure;
use crate::gate::Gate;
use crate::metrics::Metrics;
use crate::server::{Options, Stop};
use axum::http::StatusCode;
use std::fmt::{Debug, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

/// What all requests share: who writes, who gets in, and what is counted.
pub struct State {
    backend: Arc<dyn Backend>,
    options: Options,
    pub(crate) stop: Stop,
    pub(crate) gate: Gate,
    pub(crate) metrics: Metrics,
    /// The socket is reachable from this machine alone.
    pub(crate) is_loopback: bool,
    started: u64,
    count: AtomicU64,
}

impl Debug for State {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State").field("gate", &self.gate).finish_non_exhaustive()
    }
}

impl State {
    pub(crate) fn new(backend: Arc<dyn Backend>, options: Options, stop: Stop, is_loopback: bool) -> Self {
        let gate = Gate::new(options.queue, options.parallel);
        let metrics = Metrics::new(&gate);
        Self { backend, options, stop, gate, metrics, is_loopback, started: now(), count: AtomicU64::new(0) }
    }

    /// Who writes.
    pub fn backend(&self) -> &Arc<dyn Backend> {
        &self.backend
    }

    /// What is said of who writes.
    pub fn about(&self) -> &About {
        self.backend.about()
    }

    /// What the server was told at its start.
    pub fn options(&self) -> &Options {
        &self.options
    }

    /// When the server started, in seconds since 1970.
    pub(crate) fn started(&self) -> u64 {
        self.started
    }

    /// A name for a reply that no other one has: `chatcmpl-…`.
    pub fn id(&self, prefix: &str) -> String {
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64);
        format!("{prefix}-{time:016x}{count:08x}")
    }

    /// Asks who writes for something that may take a moment, such as the units of a long text.
    pub async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Backend) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let backend = Arc::clone(&self.backend);
        let result = tokio::task::spawn_blocking(move || work(&*backend)).await;
        result.map_err(|_| Failure::internal("The server failed at this. Its log says more."))
    }

    /// Names that a request may give as `model`.
    pub fn models(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.about().name.as_str()).chain(self.options.aliases.iter().map(String::as_str))
    }

    /// Refuses the name of a model that is not here. Nothing and an empty name mean the one that is.
    pub fn check_model(&self, name: Option<&str>) -> Result<(), Failure> {
        let name = name.unwrap_or_default();
        if name.is_empty() || self.models().any(|model| model == name) {
            return Ok(());
        }
        let message = format!(
            "There is no model `{name}` here, only `{}`. Ask for that, or leave `model` out.",
            self.about().name
        );
        Err(Failure { param: Some("model".into()), ..Failure::new(StatusCode::NOT_FOUND, message) }
            .with_code("model_not_found"))
    }
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
