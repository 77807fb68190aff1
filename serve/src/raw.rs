//! `/v1/stream`: everything that happens to a reply, for a client that shows it.
//!
//! The request has the fields of a chat (`messages`) or of a completion (`prompt`, one), and beside them `given` (pieces that
//! the reply begins with, each an array of units), `members` (each member's candidates are told, too), `alternatives` (how
//! many candidates, 0 to 20) and `hold`. The response has one object for each thing that happens, as server-sent events
//! (`accept: text/event-stream`) that end with `[DONE]`, or else one a line:
//!
//! - `{"type": "started", "prompt_tokens", "cached_tokens", "event"}`
//! - `{"type": "token", "text", "committed", "piece", "event"}`, where `piece` is `null` or has `index`, `units`, `bytes`,
//!   `logprob`, `alternatives` and `members`; an alternative has `units`, `bytes` and `logprob`
//! - `{"type": "retract", "index", "units", "bytes", "event"}`
//! - `{"type": "event", "event"}`: adjustments, notices and the like
//! - `{"type": "done", "finish": {"kind", "reason"}, "text", "prompt_tokens", "cached_tokens", "tokens", "retracted", "event"}`
//! - `{"type": "refused", "error"}`: the request was refused after the response had begun, or broke off
//!
//! Every `event` is that of the JSON stream (`docs/reference/json-stream.md`). Appending `text` of every `token` and taking
//! `bytes` off the end at every `retract` gives the `text` of `done`.

use crate::backend::{Alternative, Ask, MOST_ALTERNATIVES, Piece, Prompt};
use crate::body::Body;
use crate::chat::messages;
use crate::completions::{self, Given};
use crate::events::{self, Encode, Format, Frame};
use crate::failure::Failure;
use crate::fields::{Fields, units, wrong};
use crate::request::Common;
use crate::shape::Shape;
use crate::state::State;
use crate::stream::{Delta, Reply, View};
use crate::usage::finish;
use crate::write::Writing;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers `POST /v1/stream`.
pub(crate) async fn answer(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    headers: HeaderMap,
    Body(fields): Body,
) -> Result<Response, Failure> {
    let accepted = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let format = if accepted.contains("text/event-stream") { Format::Events } else { Format::Lines };
    let ask = read(fields, &state)?;
    let field = if matches!(ask.prompt, Prompt::Chat(_)) { "messages" } else { "prompt" };
    let writing = Writing::begin(&state, vec![ask], View::All)?.read_from(field);
    events::respond(writing, format, Raw { format }).await
}

fn read(mut fields: Fields, state: &State) -> Result<Ask, Failure> {
    let shape = Shape::of_text(&mut fields)?;
    let common = Common::take(&mut fields, state)?;
    if common.replies != 1 {
        return Err(Failure::unsupported("n", "One reply is written here. Leave `n` out."));
    }
    if common.max_tokens == Some(0) {
        return Err(Failure::field("max_tokens", "`max_tokens` must be 1 or more."));
    }
    let prompt = match (fields.has("messages"), fields.has("prompt")) {
        (true, true) => return Err(Failure::field("prompt", "Send `messages` or `prompt`, not both.")),
        (true, false) => Prompt::Chat(messages(&mut fields)?),
        (false, _) => {
            let mut prompts = completions::prompts(&mut fields, state.about())?;
            match (prompts.pop(), prompts.is_empty()) {
                (Some(mut prompt), true) => {
                    prompt.strip_beginning(state.about());
                    match prompt {
                        Given::Text(text) => Prompt::Text(text),
                        Given::Units(units) => Prompt::Units(units),
                    }
                }
                _ => return Err(Failure::field("prompt", "One text is written here. Send one prompt.")),
            }
        }
    };
    let given = given(&mut fields, state)?;
    let members = fields.flag("members")?;
    let alternatives = fields.integer("alternatives", 0..=MOST_ALTERNATIVES as u32)?.unwrap_or(0) as usize;
    fields.end()?;
    Ok(Ask { given, members, ..common.ask(prompt, &shape, alternatives) })
}

fn given(fields: &mut Fields, state: &State) -> Result<Vec<Vec<u32>>, Failure> {
    let about = state.about();
    let expected = "an array of pieces, each an array of units";
    let piece = |item: Value| match item {
        Value::Array(items) if !items.is_empty() && (about.is_bytes || items.len() == 1) => {
            units("given", &items, about.units)
        }
        Value::Array(_) if about.is_bytes => Err(Failure::field("given", "A piece in `given` must not be empty.")),
        Value::Array(_) => Err(Failure::field("given", "A piece in `given` must have exactly one unit.")),
        other => Err(wrong("given", expected, &other)),
    };
    fields.array("given")?.unwrap_or_default().into_iter().map(piece).collect()
}

struct Raw {
    format: Format,
}

impl Encode for Raw {
    fn delta(&mut self, _: usize, delta: Delta) -> Vec<Frame> {
        vec![Frame::data(&object(delta))]
    }

    fn failed(&mut self, failure: &Failure) -> Vec<Frame> {
        let mut body = failure.body();
        body["type"] = json!("refused");
        vec![Frame::data(&body)]
    }

    fn end(&mut self) -> Vec<Frame> {
        match self.format {
            Format::Events => vec![Frame { name: None, data: "[DONE]".into() }],
            Format::Lines => Vec::new(),
        }
    }
}

fn object(delta: Delta) -> Value {
    match delta {
        Delta::Started { prompt_tokens, cached_tokens, event } => {
            json!({"type": "started", "prompt_tokens": prompt_tokens, "cached_tokens": cached_tokens, "event": event})
        }
        Delta::Text { text, pieces, committed, event } => {
            let piece = pieces.first().map(piece);
            json!({"type": "token", "text": text, "committed": committed, "piece": piece, "event": event})
        }
        Delta::Retract { index, units, bytes, event } => {
            json!({"type": "retract", "index": index, "units": units, "bytes": bytes, "event": event})
        }
        Delta::Event(event) => json!({"type": "event", "event": event}),
        Delta::Over(Reply { finish: why, text, prompt_tokens, cached_tokens, tokens, retracted, event }) => json!({
            "type": "done",
            "finish": finish(&why),
            "text": text,
            "prompt_tokens": prompt_tokens,
            "cached_tokens": cached_tokens,
            "tokens": tokens,
            "retracted": retracted,
            "event": event,
        }),
    }
}

fn piece(Piece { index, units, bytes, logprob, alternatives, members }: &Piece) -> Value {
    let list = |list: &Vec<Alternative>| -> Value {
        let one = |Alternative { units, bytes, logprob }: &Alternative| json!({"units": units, "bytes": bytes, "logprob": logprob});
        list.iter().map(one).collect()
    };
    json!({
        "index": index,
        "units": units,
        "bytes": bytes,
        "logprob": logprob,
        "alternatives": list(alternatives),
        "members": members.iter().map(list).collect::<Value>(),
    })
}
