//! Chats that come by another interface than OpenAI's first one.
//!
//! A converter reads its own fields into a [`ChatRequest`], and renders the reply as a [`Form`]. Everything between is here:
//! seats and lines, text that is certain, calls taken out of it, and the tokens of the request.

pub(crate) mod messages;
pub(crate) mod responses;

use crate::backend::{Ask, Prompt};
use crate::convert::calls::Splitter;
use crate::convert::neutral::{self, ChatRequest, Ending, Usage};
use crate::events::{self, Encode, Format, Frame};
use crate::failure::Failure;
use crate::state::State;
use crate::stream::{Delta, Reply, View};
use crate::write::Writing;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;

/// What an interface makes of a reply.
pub trait Form: Send + 'static {
    /// The field of the request that has the conversation.
    const CHAT: &'static str;

    /// The prompt is read: `usage` has its tokens. Once, before all others; not for a reply in one piece.
    fn start(&mut self, usage: &Usage) -> Vec<Frame>;

    /// More of the reply.
    fn delta(&mut self, delta: neutral::Delta) -> Vec<Frame>;

    /// The reply is over.
    fn end(&mut self, ending: &Ending) -> Vec<Frame>;

    /// The reply breaks off. Nothing follows.
    fn failed(&mut self, failure: &Failure) -> Vec<Frame>;

    /// The response's body for a reply in one piece, after all deltas.
    fn whole(&self, ending: &Ending) -> Result<Value, Failure>;
}

/// Answers such a request. `unique` makes the names of the reply's calls.
pub async fn answer<F: Form>(
    state: &Arc<State>,
    request: ChatRequest,
    unique: &str,
    mut form: F,
) -> Result<Response, Failure> {
    state.check_model(request.model.as_deref())?;
    let mut splitter = request.splitter(unique);
    let is_stream = request.stream;
    let writing = Writing::begin(state, vec![ask(request)], View::Certain)?.read_from(F::CHAT);
    if is_stream {
        return events::respond(writing, Format::Events, Bridge { form, splitter }).await;
    }
    let replies = writing.collect().await?;
    let Some(written) = replies.into_iter().next() else { return Err(Failure::internal("There is no reply.")) };
    let mut deltas = splitter.push(&written.reply.text);
    deltas.extend(splitter.finish());
    for delta in deltas {
        form.delta(delta);
    }
    Ok(axum::Json(form.whole(&ending(written.reply))?).into_response())
}

fn ask(request: ChatRequest) -> Ask {
    let ChatRequest { messages, constraint, max_tokens, sampling, stop, seed, .. } = request;
    Ask {
        prompt: Prompt::Chat(messages),
        given: Vec::new(),
        sampling,
        max_tokens,
        seed,
        stop,
        bias: Vec::new(),
        constraint,
        alternatives: 0,
        members: false,
        hold: None,
        ignore_end: false,
    }
}

fn ending(reply: Reply) -> Ending {
    let Reply { finish, prompt_tokens, cached_tokens, tokens, retracted, .. } = reply;
    let usage = Usage { prompt: prompt_tokens, completion: tokens, cached: cached_tokens, retracted };
    Ending { finish, usage }
}

struct Bridge<F> {
    form: F,
    splitter: Splitter,
}

impl<F: Form> Encode for Bridge<F> {
    fn delta(&mut self, _: usize, delta: Delta) -> Vec<Frame> {
        match delta {
            Delta::Started { prompt_tokens, cached_tokens, .. } => {
                self.form.start(&Usage { prompt: prompt_tokens, cached: cached_tokens, ..Usage::default() })
            }
            Delta::Text { text, .. } => {
                self.splitter.push(&text).into_iter().flat_map(|delta| self.form.delta(delta)).collect()
            }
            Delta::Over(reply) => {
                let rest = self.splitter.finish();
                let mut frames: Vec<Frame> = rest.into_iter().flat_map(|delta| self.form.delta(delta)).collect();
                frames.extend(self.form.end(&ending(reply)));
                frames
            }
            Delta::Retract { .. } | Delta::Event(_) => Vec::new(),
        }
    }

    fn failed(&mut self, failure: &Failure) -> Vec<Frame> {
        self.form.failed(failure)
    }
}
