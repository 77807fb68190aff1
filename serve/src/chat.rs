//! `/v1/chat/completions`, and what other interfaces for chats need of it.
//!
//! Another interface makes a [`ChatRequest`] of its own fields, and renders either the [`Outcome`] of [`chat`], or the deltas
//! of [`ChatRequest::begin`] with an [`Encode`](crate::events::Encode) of its own.

mod chunks;
mod messages;

use crate::backend::{Ask, Message, Prompt};
use crate::body::Body;
use crate::convert::calls;
use crate::events::{self, Format};
use crate::failure::Failure;
use crate::fields::Fields;
use crate::logprobs;
use crate::request::{Common, chat_logprobs};
use crate::shape::Shape;
use crate::state::{State, now};
use crate::usage::{Usage, explain, finish_reason};
use crate::write::{Writing, Written};
use axum::response::{IntoResponse, Response};
use chunks::Chunks;
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) use messages::take as messages;

/// A chat that is to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation so far, in which the functions of `shape` are described already.
    pub messages: Vec<Message>,
    /// How replies are written and delivered.
    pub common: Common,
    /// What a reply has to look like.
    pub shape: Shape,
    /// How many alternatives are listed; `None` for no log-probabilities.
    pub logprobs: Option<usize>,
}

/// The replies to a chat.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Its name.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// One or several.
    pub replies: Vec<Written>,
    /// Tokens of the request.
    pub usage: Usage,
}

impl ChatRequest {
    /// Reads a request and refuses what is not honoured.
    pub fn read(mut fields: Fields, state: &State) -> Result<Self, Failure> {
        let shape = Shape::of_chat(&mut fields)?;
        let common = Common::take(&mut fields, state)?;
        if common.max_tokens == Some(0) {
            return Err(Failure::field("max_tokens", "`max_tokens` must be 1 or more."));
        }
        if common.retractions && shape.tools.is_some() {
            let message = "A call cannot be taken back. Leave out `retractions` or `tools`.";
            return Err(Failure::unsupported("retractions", message));
        }
        let logprobs = chat_logprobs(&mut fields)?;
        let mut messages = messages(&mut fields)?;
        fields.only("modalities", &[json!(["text"])], "Only text is written here.")?;
        fields.end()?;
        if let Some(tools) = &shape.tools {
            tools.describe(&mut messages);
        }
        Ok(Self { messages, common, shape, logprobs })
    }

    /// The jobs for it.
    pub fn asks(&self) -> Vec<Ask> {
        let prompt = Prompt::Chat(self.messages.clone());
        let ask = self.common.ask(prompt, &self.shape, self.logprobs.unwrap_or(0));
        self.common.repeat(&ask).collect()
    }

    /// Begins to write.
    pub fn begin(&self, state: &Arc<State>) -> Result<Writing, Failure> {
        Ok(Writing::begin(state, self.asks(), self.common.view())?.read_from("messages"))
    }
}

/// Writes all replies and waits for them.
pub async fn chat(state: &Arc<State>, request: &ChatRequest) -> Result<Outcome, Failure> {
    let (id, created) = (state.id("chatcmpl"), now());
    let replies = request.begin(state)?.collect().await?;
    let mut usage = Usage::default();
    for (number, written) in replies.iter().enumerate() {
        usage.add(number, request.common.replies, &written.reply);
    }
    Ok(Outcome { id, created, replies, usage })
}

/// Answers `POST /v1/chat/completions`.
pub(crate) async fn answer(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    Body(fields): Body,
) -> Result<Response, Failure> {
    let request = ChatRequest::read(fields, &state)?;
    if request.common.stream {
        let writing = request.begin(&state)?;
        return events::respond(writing, Format::Events, Chunks::new(state, request)).await;
    }
    let outcome = chat(&state, &request).await?;
    Ok(axum::Json(body(&state, &request, &outcome)).into_response())
}

fn body(state: &State, request: &ChatRequest, Outcome { id, created, replies, usage }: &Outcome) -> Value {
    let about = state.about();
    let choice = |(index, Written { pieces, reply }): (usize, &Written)| {
        let said = calls::parse(request.shape.splitter(&unique(id, index)), &reply.text);
        let mut message = json!({"role": "assistant", "content": said.text, "refusal": null});
        if !said.calls.is_empty() {
            if said.text.is_empty() {
                message["content"] = Value::Null;
            }
            let call = |call: &crate::convert::neutral::Call| {
                let function = json!({"name": call.name, "arguments": call.arguments});
                json!({"id": call.id, "type": "function", "function": function})
            };
            message["tool_calls"] = said.calls.iter().map(call).collect();
        }
        let mut choice = json!({
            "index": index,
            "message": message,
            "logprobs": request.logprobs.map(|alternatives| logprobs::chat(about, pieces, alternatives)),
            "finish_reason": reason(finish_reason(&reply.finish), said.calls.len()),
        });
        explain(&mut choice, &reply.finish);
        choice
    };
    json!({
        "id": id,
        "object": "chat.completion",
        "created": created,
        "model": about.name,
        "system_fingerprint": about.fingerprint,
        "choices": replies.iter().enumerate().map(choice).collect::<Value>(),
        "usage": Value::from(*usage),
    })
}

/// A reply that is complete and has calls ended because of them.
fn reason(reason: &'static str, calls: usize) -> &'static str {
    if reason == "stop" && calls > 0 { "tool_calls" } else { reason }
}

/// What the names of a reply's calls are made of.
fn unique(id: &str, index: usize) -> String {
    format!("{}_{index}_", id.trim_start_matches("chatcmpl-"))
}
