//! A chat's replies in chunks.

use super::{ChatRequest, reason, unique};
use crate::backend::{Finish, Piece};
use crate::convert::calls::Splitter;
use crate::convert::neutral;
use crate::events::{self, Encode, Frame};
use crate::failure::Failure;
use crate::logprobs;
use crate::state::{State, now};
use crate::stream::{Delta, Reply};
use crate::usage::{Usage, explain, finish_reason};
use crate::write::failed;
use serde_json::{Value, json};
use std::sync::Arc;

/// Makes chunks.
pub(super) struct Chunks {
    state: Arc<State>,
    request: ChatRequest,
    id: String,
    created: u64,
    /// For each reply, where it may call functions.
    splitters: Vec<Splitter>,
    usage: Usage,
    is_broken: bool,
}

impl Chunks {
    pub(super) fn new(state: Arc<State>, request: ChatRequest) -> Self {
        let (id, created) = (state.id("chatcmpl"), now());
        let replies = 0..request.common.replies as usize;
        let splitters = replies.map(|index| request.shape.splitter(&unique(&id, index))).collect();
        Self { state, request, id, created, splitters, usage: Usage::default(), is_broken: false }
    }

    fn chunk(&self, choices: Value) -> Value {
        let about = self.state.about();
        let mut chunk = json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": about.name,
            "system_fingerprint": about.fingerprint,
            "choices": choices,
        });
        if self.request.common.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    fn choice(&self, index: usize, delta: &Value, pieces: &[Piece]) -> Value {
        let alternatives = self.request.logprobs.filter(|_| !pieces.is_empty());
        let logprobs = alternatives.map(|alternatives| logprobs::chat(self.state.about(), pieces, alternatives));
        self.chunk(json!([{"index": index, "delta": delta, "logprobs": logprobs, "finish_reason": null}]))
    }

    /// Chunks for what a splitter found, the first one with the log-probabilities.
    fn said(&self, index: usize, deltas: &[neutral::Delta], pieces: &[Piece]) -> Vec<Value> {
        let one = |(number, delta): (usize, &neutral::Delta)| {
            let pieces = if number == 0 { pieces } else { &[] };
            self.choice(index, &spoken(delta), pieces)
        };
        let mut chunks: Vec<Value> = deltas.iter().enumerate().map(one).collect();
        if chunks.is_empty() && self.request.logprobs.is_some() && !pieces.is_empty() {
            chunks.push(self.choice(index, &json!({"content": ""}), pieces));
        }
        chunks
    }

    fn over(&mut self, index: usize, reply: &Reply) -> Vec<Frame> {
        if let Finish::Failed(reason) = &reply.finish {
            return self.failed(&failed(reason));
        }
        self.usage.add(index, self.request.common.replies, reply);
        let rest = self.splitters[index].finish();
        let mut chunks = self.said(index, &rest, &[]);
        let mut last = self.choice(index, &json!({}), &[]);
        let why = reason(finish_reason(&reply.finish), self.splitters[index].calls());
        last["choices"][0]["finish_reason"] = json!(why);
        explain(&mut last["choices"][0], &reply.finish);
        chunks.push(last);
        chunks.iter().map(Frame::data).collect()
    }
}

/// A delta as OpenAI has it.
fn spoken(delta: &neutral::Delta) -> Value {
    match delta {
        neutral::Delta::Text(text) => json!({"content": text}),
        neutral::Delta::Call { index, id, name } => {
            let function = json!({"name": name, "arguments": ""});
            json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]})
        }
        neutral::Delta::Arguments { index, fragment } => {
            json!({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]})
        }
    }
}

impl Encode for Chunks {
    fn begin(&mut self) -> Vec<Frame> {
        // Not an empty text: a reply with calls alone has no content, added up as well as at once.
        let role = json!({"role": "assistant", "content": null, "refusal": null});
        (0..self.request.common.replies as usize).map(|index| Frame::data(&self.choice(index, &role, &[]))).collect()
    }

    fn delta(&mut self, index: usize, delta: Delta) -> Vec<Frame> {
        let nothing = json!({});
        let (chunk, event) = match delta {
            Delta::Started { .. } => return Vec::new(),
            Delta::Text { text, pieces, event: None, .. } => {
                let said = self.splitters[index].push(&text);
                return self.said(index, &said, &pieces).iter().map(Frame::data).collect();
            }
            Delta::Text { text, pieces, committed, event: Some(event) } => {
                let event = events::of_token(event, &text, committed);
                (self.choice(index, &json!({"content": text}), &pieces), event)
            }
            Delta::Retract { index: remain, units, bytes, event } => {
                (self.choice(index, &nothing, &[]), events::of_retraction(event, remain, units, bytes))
            }
            Delta::Event(event) => (self.choice(index, &nothing, &[]), event),
            Delta::Over(reply) => return self.over(index, &reply),
        };
        vec![events::with(chunk, Some(event))]
    }

    fn failed(&mut self, failure: &Failure) -> Vec<Frame> {
        self.is_broken = true;
        vec![Frame::data(&failure.body())]
    }

    fn end(&mut self) -> Vec<Frame> {
        let mut frames = Vec::new();
        if self.request.common.include_usage && !self.is_broken {
            let mut chunk = self.chunk(json!([]));
            chunk["usage"] = self.usage.into();
            frames.push(Frame::data(&chunk));
        }
        frames.push(Frame { name: None, data: "[DONE]".into() });
        frames
    }
}
