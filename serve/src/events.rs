//! Replies in parts: server-sent events, or a JSON object a line.

use crate::failure::Failure;
use crate::stream::Delta;
use crate::write::Writing;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::fmt::Write;
use std::time::Duration;
use tokio::time::{Instant, Interval, MissedTickBehavior};

/// Proxies take a connection for dead if nothing comes for a while, and text can be held back for long.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Until then a request can still be refused with a status of its own.
const PATIENCE: Duration = Duration::from_millis(250);

/// A part of a reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The event's name, which OpenAI's clients do not expect.
    pub name: Option<&'static str>,
    /// Its data.
    pub data: String,
}

impl Frame {
    /// A part without a name.
    pub fn data(value: &Value) -> Self {
        Self { name: None, data: value.to_string() }
    }

    /// A part with a name.
    pub fn named(name: &'static str, value: &Value) -> Self {
        Self { name: Some(name), data: value.to_string() }
    }
}

/// How parts are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// `text/event-stream`.
    Events,
    /// `application/x-ndjson`: without names.
    Lines,
}

impl Format {
    fn write(self, frame: &Frame) -> String {
        let mut text = String::new();
        if self == Self::Events {
            if let Some(name) = frame.name {
                let _ = writeln!(text, "event: {name}");
            }
            let _ = write!(text, "data: {}\n\n", frame.data);
        } else {
            let _ = writeln!(text, "{}", frame.data);
        }
        text
    }

    fn heartbeat(self) -> &'static str {
        match self {
            Self::Events => ": ping\n\n",
            Self::Lines => "\n",
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Events => "text/event-stream; charset=utf-8",
            Self::Lines => "application/x-ndjson; charset=utf-8",
        }
    }
}

/// Gives deltas the form that a client expects.
pub trait Encode: Send + 'static {
    /// Before anything is written.
    fn begin(&mut self) -> Vec<Frame> {
        Vec::new()
    }

    /// Something of that reply.
    fn delta(&mut self, reply: usize, delta: Delta) -> Vec<Frame>;

    /// The request breaks off.
    fn failed(&mut self, failure: &Failure) -> Vec<Frame> {
        vec![Frame::data(&failure.body())]
    }

    /// After everything, a failure included.
    fn end(&mut self) -> Vec<Frame> {
        Vec::new()
    }
}

/// A response in parts. What is refused at once is refused with its status; later it is part of the stream.
pub async fn respond(mut writing: Writing, format: Format, encoder: impl Encode) -> Result<Response, Failure> {
    let mut heartbeat = tokio::time::interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
    heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let first = match tokio::time::timeout(PATIENCE, writing.next()).await {
        Ok(Some((_, Err(failure)))) => return Err(failure),
        Ok(first) => first,
        Err(_) => None,
    };
    let mut parts = Parts { writing: Some(writing), format, encoder, heartbeat, ready: VecDeque::new() };
    parts.ready.push_back(Bytes::from_static(format.heartbeat().as_bytes()));
    let begin = parts.encoder.begin();
    parts.queue(&begin);
    if let Some((reply, Ok(delta))) = first {
        let frames = parts.encoder.delta(reply, delta);
        parts.queue(&frames);
    }
    let body = Body::from_stream(futures_util::stream::unfold(parts, |mut parts| async move {
        parts.next().await.map(|bytes| (Ok::<_, Infallible>(bytes), parts))
    }));
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(format.media_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would collect the parts otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

struct Parts<E> {
    writing: Option<Writing>,
    format: Format,
    encoder: E,
    heartbeat: Interval,
    ready: VecDeque<Bytes>,
}

impl<E: Encode> Parts<E> {
    fn queue(&mut self, frames: &[Frame]) {
        self.ready.extend(frames.iter().map(|frame| Bytes::from(self.format.write(frame))));
    }

    async fn next(&mut self) -> Option<Bytes> {
        loop {
            if let Some(bytes) = self.ready.pop_front() {
                return Some(bytes);
            }
            let writing = self.writing.as_mut()?;
            let next = tokio::select! {
                biased;
                next = writing.next() => next,
                _ = self.heartbeat.tick() => {
                    return Some(Bytes::from_static(self.format.heartbeat().as_bytes()));
                }
            };
            let frames = match next {
                Some((reply, Ok(delta))) => self.encoder.delta(reply, delta),
                Some((_, Err(failure))) => self.encoder.failed(&failure),
                None => {
                    self.writing = None;
                    self.encoder.end()
                }
            };
            if !frames.is_empty() {
                self.heartbeat.reset();
            }
            self.queue(&frames);
        }
    }
}

/// A chunk of a client that takes text back: with the event.
pub(crate) fn with(mut chunk: Value, event: Option<Value>) -> Frame {
    if let Some(event) = event {
        chunk["llama_selfmod"] = event;
    }
    Frame::data(&chunk)
}

/// The event of a token: its text stands in the chunk already, and the length of it here.
pub(crate) fn of_token(event: Value, text: &str, committed: usize) -> Value {
    let mut event = object(event, "token");
    event.shift_remove("text");
    event.insert("bytes".into(), text.len().into());
    event.insert("committed".into(), committed.into());
    event.into()
}

/// The event of a retraction, with what a client must know.
pub(crate) fn of_retraction(event: Value, index: u32, units: u32, bytes: usize) -> Value {
    let mut event = object(event, "retract");
    event.insert("index".into(), index.into());
    event.insert("units".into(), units.into());
    event.insert("bytes".into(), bytes.into());
    event.into()
}

fn object(event: Value, kind: &str) -> Map<String, Value> {
    let mut event = match event {
        Value::Object(event) => event,
        _ => Map::new(),
    };
    event.insert("type".into(), kind.into());
    event
}
