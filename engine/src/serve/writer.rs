//! The thread that owns all that decodes: it begins jobs as sessions, makes their steps together, and tells what comes of them.

use super::choices::{Choices, Wanted};
use super::job::request;
use super::{Heard, Log};
use crate::decode::Request;
use crate::engine::Engine;
use crate::events::{EndReason, Event};
use crate::member::MemberError;
use crate::panics::guarded;
use crate::session::Session;
use constrain::State;
use serde_json::Value;
use serve::backend::{Ask, Finish, Job, Line, MOST_ALTERNATIVES, Piece, Refusal, RefusalKind, Told, Untold};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::Duration;

/// What the server's threads ask for.
pub(super) enum Order {
    /// A job, with its constraint.
    Write(Box<(Job, Option<State>)>),
    /// Something to be done between two steps.
    Do(Box<dyn FnOnce(&Engine) + Send>),
}

/// How long it sleeps where every client is slow, and how often files of hooks are looked at where nobody writes.
const BRIEFLY: Duration = Duration::from_millis(2);
const IDLE: Duration = Duration::from_millis(500);

/// A log-probability in place of −∞, which JSON does not have.
const IMPOSSIBLE: f32 = -9999.0;

pub(super) struct Writer {
    engine: Arc<Engine>,
    log: Log,
    running: Vec<Running>,
}

/// A job that is under way.
struct Running {
    session: Session,
    request: Request,
    line: Line,
    choices: Option<Choices>,
    /// Told by the session, and not yet by the line.
    unsent: VecDeque<Told>,
    is_over: bool,
    standing: u32,
    retracted: u32,
    last_notice: String,
    stopped_by: Option<String>,
}

impl Writer {
    pub fn new(engine: Arc<Engine>, log: Log) -> Self {
        Self { engine, log, running: Vec::new() }
    }

    /// Until nobody can give orders any more and what was begun is over.
    pub fn run(mut self, orders: &Receiver<Order>) {
        let mut is_open = true;
        while is_open || !self.running.is_empty() {
            is_open &= self.take_orders(orders);
            for running in &self.running {
                if running.line.is_gone() {
                    running.session.interrupt().store(true, std::sync::atomic::Ordering::Relaxed);
                }
            }
            let stepped = self.engine.step();
            let mut told = false;
            for running in &mut self.running {
                told |= running.tell(&mut self.log, &self.engine);
            }
            self.running.retain(|running| !(running.is_over && running.unsent.is_empty()));
            if !stepped && !told && !self.running.is_empty() {
                std::thread::sleep(BRIEFLY);
            }
        }
    }

    /// Begins what is asked for; false once nobody can ask any more. Waits only where nothing is under way.
    fn take_orders(&mut self, orders: &Receiver<Order>) -> bool {
        loop {
            let order = if self.running.is_empty() {
                match orders.recv_timeout(IDLE) {
                    Err(RecvTimeoutError::Timeout) => {
                        self.take_over_files();
                        continue;
                    }
                    other => other.ok(),
                }
            } else {
                match orders.try_recv() {
                    Err(TryRecvError::Empty) => return true,
                    other => other.ok(),
                }
            };
            match order {
                None => return false,
                Some(Order::Write(order)) => self.begin(order.0, order.1),
                // Who asked hears of a panic by hearing nothing.
                Some(Order::Do(act)) => drop(guarded(|| act(&self.engine))),
            }
        }
    }

    fn begin(&mut self, job: Job, constraint: Option<State>) {
        if job.line.is_gone() {
            return;
        }
        self.take_over_files();
        match self.open(&job.ask, constraint) {
            Ok((session, request, choices)) => self.running.push(Running {
                session,
                request,
                line: job.line,
                choices,
                unsent: VecDeque::new(),
                is_over: false,
                standing: 0,
                retracted: 0,
                last_notice: String::new(),
                stopped_by: None,
            }),
            // A line that has no room for its first word belongs to nobody.
            Err(refusal) => drop(job.line.tell(Told::Refused(refusal))),
        }
    }

    /// The next text begins with hooks as their files are now.
    fn take_over_files(&mut self) {
        for line in self.engine.take_over_files() {
            (self.log)(Heard::Notice(&line));
        }
    }

    fn open(&self, ask: &Ask, constraint: Option<State>) -> Result<(Session, Request, Option<Choices>), Refusal> {
        let request = request(&self.engine, ask, constraint)?;
        let speech = self.engine.speech();
        let is_wanted = ask.alternatives > 0 || ask.members;
        let wanted = is_wanted.then(|| Wanted {
            most: ask.alternatives.clamp(1, MOST_ALTERNATIVES),
            members: ask.members,
            single_bytes: speech.is_bytes.then(|| {
                let single = |piece: &&Vec<u32>| piece.len() == 1;
                request.shape.given.iter().take_while(single).count() as u32
            }),
            bytes: self.engine.bytes_of_units(),
            end: speech.end.0,
        });
        let (choices, recorder) = wanted.map(Choices::new).unzip();
        match self.engine.open_watched(request.clone(), recorder) {
            Ok(session) => Ok((session, request, choices)),
            Err(error) => Err(self.refused(&request, error)),
        }
    }

    fn refused(&self, request: &Request, error: MemberError) -> Refusal {
        refusal(&self.engine, request, error)
    }
}

fn refusal(engine: &Engine, request: &Request, error: MemberError) -> Refusal {
    let is_too_long = matches!(error, MemberError::PromptTooLong { .. });
    let error = engine.refused(&request.prompt, error);
    let kind = match error {
        crate::Error::Input(_) if is_too_long => RefusalKind::TooLong,
        crate::Error::Input(_) => RefusalKind::Invalid,
        crate::Error::Failure(_) => RefusalKind::Failure,
    };
    Refusal { kind, message: error.to_string(), param: Some("prompt") }
}

impl Running {
    /// Tells what is new, as far as the client keeps up; whether anything was.
    fn tell(&mut self, log: &mut Log, engine: &Engine) -> bool {
        let mut told = false;
        loop {
            while let Some(next) = self.unsent.pop_front() {
                match self.line.tell(next) {
                    Ok(()) => told = true,
                    Err(Untold::Full(next)) => {
                        self.unsent.push_front(*next);
                        return told;
                    }
                    // It ends in its own time, and is logged.
                    Err(Untold::Gone) => {}
                }
            }
            let event = self.session.take_event();
            if let Some(Event::Notice { text }) = &event {
                log(Heard::Notice(text));
            }
            // What a client knows to be over is in the log.
            if event.as_ref().is_none_or(|event| matches!(event, Event::Done { .. }))
                && let Some(end) = self.session.take_end()
            {
                self.is_over = true;
                match end {
                    Ok(reply) => {
                        log(Heard::Reply(&self.request, &reply, engine));
                        self.stopped_by = reply.stopped_by;
                    }
                    Err(error) => self.unsent.push_back(Told::Refused(refusal(engine, &self.request, error))),
                }
            }
            match event {
                Some(event) => self.translate(event),
                None if self.unsent.is_empty() => return told,
                None => {}
            }
        }
    }

    fn translate(&mut self, event: Event<'static>) {
        let as_json = serde_json::to_value(&event).unwrap_or(Value::Null);
        let told = match event {
            Event::Init { .. } => {
                let (prompt_tokens, decoded) = self.session.prompt_tokens();
                Told::Started { prompt_tokens, cached_tokens: prompt_tokens.saturating_sub(decoded), event: as_json }
            }
            Event::Token { index, text, committed, units, confidence, .. } => {
                let is_new = index == self.standing;
                self.standing = index + 1;
                let piece = is_new.then(|| self.piece(index, units.into_owned(), confidence));
                Told::Token { text: text.into_owned(), committed, piece, event: as_json }
            }
            Event::Retract { index, tokens, bytes, .. } => {
                (self.standing, self.retracted) = (index, self.retracted + tokens);
                Told::Retract { index, units: tokens, bytes, event: as_json }
            }
            Event::Done { reason, text, tokens, .. } => Told::Done {
                finish: self.finish(reason.into_owned()),
                text: text.into_owned(),
                tokens,
                retracted: self.retracted,
                event: as_json,
            },
            Event::Notice { text } => {
                self.last_notice = text.into_owned();
                Told::Event(as_json)
            }
            Event::Adjust { .. } | Event::Reload { .. } => Told::Event(as_json),
        };
        self.unsent.push_back(told);
    }

    fn piece(&self, index: u32, units: Vec<u32>, confidence: f32) -> Piece {
        let place = self.choices.as_ref().map(|choices| choices.take(index)).unwrap_or_default();
        let same = place.fused.iter().find(|alternative| alternative.units == units);
        // One number, wherever it is told.
        let logprob = same.map_or_else(|| confidence.ln(), |same| same.logprob).max(IMPOSSIBLE);
        let bytes = self.session.bytes_of(&units);
        Piece { index, units, bytes, logprob, alternatives: place.fused, members: place.members }
    }

    fn finish(&self, reason: EndReason) -> Finish {
        match reason {
            EndReason::End => Finish::End,
            EndReason::Length | EndReason::Context => Finish::Length,
            EndReason::StopString => Finish::Stop(self.stopped_by.clone()),
            EndReason::Interrupted => Finish::Cut,
            EndReason::Failed => Finish::Failed(self.last_notice.clone()),
            EndReason::Policy(why) => Finish::Policy(why),
        }
    }
}
