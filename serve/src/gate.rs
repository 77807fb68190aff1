//! Who gets in and who waits.

use crate::failure::Failure;
use axum::http::StatusCode;
use prometheus_client::metrics::gauge::Gauge;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Seats for requests, and lines for the jobs that run.
#[derive(Debug)]
pub(crate) struct Gate {
    seats: Arc<Semaphore>,
    lines: Arc<Semaphore>,
    room: u32,
    /// Requests that have a seat.
    pub(crate) seated: Gauge,
    /// Jobs that wait for a line.
    pub(crate) waiting: Gauge,
    /// Jobs that have one.
    pub(crate) running: Gauge,
}

/// One more in a gauge while it lives, with a permission.
#[derive(Debug)]
pub(crate) struct Held {
    gauge: Gauge,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Held {
    fn new(gauge: &Gauge, permit: Option<OwnedSemaphorePermit>) -> Self {
        gauge.inc();
        Self { gauge: gauge.clone(), _permit: permit }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.gauge.dec();
    }
}

impl Gate {
    /// So many requests at once, and so many jobs that run.
    pub(crate) fn new(queue: usize, parallel: usize) -> Self {
        let room = u32::try_from(queue.clamp(1, 1 << 20)).unwrap_or(1);
        Self {
            seats: Arc::new(Semaphore::new(room as usize)),
            lines: Arc::new(Semaphore::new(parallel.clamp(1, 1 << 20))),
            room,
            seated: Gauge::default(),
            waiting: Gauge::default(),
            running: Gauge::default(),
        }
    }

    /// A seat, unless all are taken.
    pub(crate) fn enter(&self) -> Result<Held, Failure> {
        match Arc::clone(&self.seats).try_acquire_owned() {
            Ok(permit) => Ok(Held::new(&self.seated, Some(permit))),
            Err(_) => {
                let message = "The queue is full. Send the request again later.";
                let failure = Failure::new(StatusCode::TOO_MANY_REQUESTS, message).with_code("queue_full");
                Err(Failure { retry_after: Some(1), ..failure })
            }
        }
    }

    /// A line, as soon as one is free: first come, first served.
    pub(crate) async fn line(&self) -> Held {
        let _waiting = Held::new(&self.waiting, None);
        // The semaphore is never closed.
        let permit = Arc::clone(&self.lines).acquire_owned().await.ok();
        Held::new(&self.running, permit)
    }

    /// Waits until nobody has a seat. Nobody gets one meanwhile.
    pub(crate) async fn empty(&self) {
        let _ = self.seats.acquire_many(self.room).await;
    }
}
