//! Jobs: from what a request asks for to what its client sees.
//!
//! A request has a seat from its beginning to its last byte, and each of its jobs a line while the backend works at it. Who
//! drops a [`Writing`] gives all of that back: the backend sees that nobody hears, and ends.

use crate::backend::{Ask, Finish, Job, Line, Piece, Told};
use crate::failure::Failure;
use crate::gate::Held;
use crate::state::State;
use crate::stream::{Delta, Reply, Standing, View};
use axum::http::StatusCode;
use futures_util::stream::{BoxStream, SelectAll, StreamExt};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::mpsc::Receiver;

/// What can be told before the client has taken it. The backend waits, and with it the line, once it is full.
const ROOM: usize = 64;

/// Most jobs of a request.
pub const MOST_JOBS: usize = 128;

/// What the backend calls a job's prompt in a refusal.
const PROMPT: &str = "prompt";

/// The replies of a request while they are written.
pub struct Writing {
    courses: SelectAll<BoxStream<'static, (usize, Result<Delta, Failure>)>>,
    /// The field of the request that the prompt was read from.
    field: &'static str,
    _seat: Held,
}

/// A reply that is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Written {
    /// The pieces that its text is made of.
    pub pieces: Vec<Piece>,
    /// How it came out.
    pub reply: Reply,
}

impl Writing {
    /// Takes a seat and asks for lines, one after the other: a request with many jobs stands in the queue once.
    pub fn begin(state: &Arc<State>, asks: Vec<Ask>, view: View) -> Result<Self, Failure> {
        let seat = state.gate.enter().inspect_err(|_| {
            state.metrics.rejected.inc();
        })?;
        let turn = Arc::new(tokio::sync::Mutex::new(()));
        let arrived = Instant::now();
        let course = |(index, ask)| {
            let course = Course {
                state: Arc::clone(state),
                turn: Arc::clone(&turn),
                arrived,
                last: None,
                first: None,
                later: 0,
                standing: Standing::new(view),
                phase: Phase::Waiting(Box::new(ask)),
                ready: VecDeque::new(),
            };
            let step = |mut course: Course| async move { course.next().await.map(|delta| (delta, course)) };
            futures_util::stream::unfold(course, step).map(move |delta| (index, delta)).boxed()
        };
        Ok(Self { courses: asks.into_iter().enumerate().map(course).collect(), field: PROMPT, _seat: seat })
    }

    /// With the prompt read from another field than `prompt`: a refusal of it names that one.
    #[must_use]
    pub fn read_from(self, field: &'static str) -> Self {
        Self { field, ..self }
    }

    /// What is seen next, and of which reply. Nothing follows a failure.
    pub async fn next(&mut self) -> Option<(usize, Result<Delta, Failure>)> {
        let (index, delta) = self.courses.next().await?;
        if delta.is_err() {
            self.courses.clear();
        }
        let named = |failure: Failure| match failure.param.as_deref() {
            Some(PROMPT) => Failure { param: Some(self.field.to_owned()), ..failure },
            _ => failure,
        };
        Some((index, delta.map_err(named)))
    }

    /// Waits for all replies.
    pub async fn collect(mut self) -> Result<Vec<Written>, Failure> {
        let mut pieces: Vec<Vec<Piece>> = self.courses.iter().map(|_| Vec::new()).collect();
        let mut replies: Vec<Option<Reply>> = pieces.iter().map(|_| None).collect();
        while let Some((index, delta)) = self.next().await {
            match delta? {
                Delta::Text { pieces: more, .. } => pieces[index].extend(more),
                Delta::Over(reply) => match reply.finish {
                    Finish::Failed(reason) => return Err(failed(&reason)),
                    _ => replies[index] = Some(reply),
                },
                Delta::Started { .. } | Delta::Retract { .. } | Delta::Event(_) => {}
            }
        }
        let written = pieces.into_iter().zip(replies).map(|(pieces, reply)| Some(Written { pieces, reply: reply? }));
        written.collect::<Option<_>>().ok_or_else(silent)
    }
}

/// A failure for a reply that ended because a member failed.
pub fn failed(reason: &str) -> Failure {
    Failure::internal(format!("The reply broke off: {reason}"))
}

fn silent() -> Failure {
    Failure::internal("The reply broke off without a reason. The server's log may say more.")
}

/// One job, from the queue to its end.
struct Course {
    state: Arc<State>,
    turn: Arc<tokio::sync::Mutex<()>>,
    arrived: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Tokens after the first one.
    later: u64,
    standing: Standing,
    phase: Phase,
    ready: VecDeque<Delta>,
}

enum Phase {
    Waiting(Box<Ask>),
    Running(Receiver<Told>),
    Over,
}

impl Course {
    async fn next(&mut self) -> Option<Result<Delta, Failure>> {
        loop {
            if let Some(delta) = self.ready.pop_front() {
                return Some(Ok(delta));
            }
            if let Err(failure) = self.step().await? {
                self.phase = Phase::Over;
                return Some(Err(failure));
            }
        }
    }

    /// `None` at the end.
    async fn step(&mut self) -> Option<Result<(), Failure>> {
        let deadline = self.state.options().timeout.map(|timeout| self.arrived + timeout);
        let over = async {
            match deadline {
                Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
                None => std::future::pending().await,
            }
        };
        match &mut self.phase {
            Phase::Over => None,
            Phase::Waiting(ask) => {
                let line = async {
                    let _turn = self.turn.lock().await;
                    self.state.gate.line().await
                };
                let held = tokio::select! {
                    biased;
                    () = self.state.stop.cutting() => return Some(Err(Failure::draining())),
                    () = over => return Some(Err(late())),
                    held = line => held,
                };
                let (line, receiver) = Line::new(ROOM, held);
                let job = Job { ask: ask.as_ref().clone(), line };
                self.state.backend().begin(job);
                self.phase = Phase::Running(receiver);
                Some(Ok(()))
            }
            Phase::Running(receiver) => {
                let told = tokio::select! {
                    biased;
                    () = self.state.stop.cutting() => None,
                    () = over => None,
                    told = receiver.recv() => Some(told),
                };
                let Some(told) = told else {
                    // Dropping the receiver tells the backend.
                    self.phase = Phase::Over;
                    self.ready.extend(self.standing.cut());
                    return Some(Ok(()));
                };
                let Some(told) = told else { return Some(Err(silent())) };
                self.count(&told);
                if matches!(told, Told::Done { .. }) {
                    self.phase = Phase::Over;
                }
                Some(self.standing.take(told).map(|deltas| self.ready.extend(deltas)))
            }
        }
    }

    fn count(&mut self, told: &Told) {
        let metrics = &self.state.metrics;
        match told {
            Told::Started { prompt_tokens, cached_tokens, .. } => {
                metrics.prompt.inc_by(u64::from(*prompt_tokens));
                metrics.cached.inc_by(u64::from(*cached_tokens));
            }
            Told::Token { piece: Some(_), .. } => {
                let now = Instant::now();
                metrics.written.inc();
                match self.first {
                    None => {
                        metrics.first.observe((now - self.arrived).as_secs_f64());
                        self.first = Some(now);
                    }
                    Some(_) => self.later += 1,
                }
                self.last = Some(now);
            }
            Told::Retract { units, .. } => {
                metrics.retracted.inc_by(u64::from(*units));
            }
            Told::Done { .. } => {
                if let (Some(first), Some(last), true) = (self.first, self.last, self.later > 0) {
                    metrics.pace.observe((last - first).as_secs_f64() / self.later as f64);
                }
            }
            Told::Refused(_) | Told::Token { .. } | Told::Event(_) => {}
        }
    }
}

fn late() -> Failure {
    let message = "No line became free in time. Send the request again later.";
    let failure = Failure::new(StatusCode::SERVICE_UNAVAILABLE, message).with_code("timeout");
    Failure { retry_after: Some(5), ..failure }
}
