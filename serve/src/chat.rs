//! `/v1/chat/completions`, and what other interfaces for chats need of it.
//!
//! Another interface makes the fields of its request into those of this one, reads them with [`ChatRequest::read`], and
//! renders either [`Outcome`], or the deltas of [`ChatRequest::begin`] with an [`Encode`] of its own.

use crate::backend::{Finish, Message, Piece, Prompt, Role};
use crate::body::Body;
use crate::events::{self, Encode, Format, Frame};
use crate::failure::Failure;
use crate::fields::{Fields, wrong};
use crate::logprobs;
use crate::request::{Common, chat_logprobs};
use crate::shape::{Shape, shape};
use crate::state::{State, now};
use crate::stream::Delta;
use crate::usage::{Usage, explain, finish_reason};
use crate::write::{Ask, Writing, Written, failed};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// A chat that is to go on.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The conversation so far.
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
        let shape = shape(&mut fields)?;
        let common = Common::take(&mut fields, state)?;
        if common.max_tokens == Some(0) {
            return Err(Failure::field("max_tokens", "`max_tokens` must be 1 or more."));
        }
        let logprobs = chat_logprobs(&mut fields)?;
        let messages = messages(&mut fields)?;
        fields.only("modalities", &[json!(["text"])], "Only text is written here.")?;
        fields.end()?;
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
        Writing::begin(state, self.asks(), self.common.view())
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
        let mut choice = json!({
            "index": index,
            "message": {"role": "assistant", "content": reply.text, "refusal": null},
            "logprobs": request.logprobs.map(|alternatives| logprobs::chat(about, pieces, alternatives)),
            "finish_reason": finish_reason(&reply.finish),
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

/// Takes the conversation.
pub(crate) fn messages(fields: &mut Fields) -> Result<Vec<Message>, Failure> {
    let items = fields.array("messages")?.unwrap_or_default();
    if items.is_empty() {
        return Err(Failure::field("messages", "`messages` must hold at least one message."));
    }
    let messages: Vec<Message> =
        items.into_iter().enumerate().map(|(index, item)| message(index, item)).collect::<Result<_, _>>()?;
    match messages.last() {
        Some(Message { role: Role::User, .. }) => Ok(messages),
        _ => Err(Failure::field("messages", "The last message must be the user's: that is what the reply is to.")),
    }
}

fn message(index: usize, item: Value) -> Result<Message, Failure> {
    let at = |field: &str| format!("messages[{index}]{field}");
    let Value::Object(_) = item else { return Err(wrong(&at(""), "an object", &item)) };
    let mut fields = Fields::of(item)?;
    let named = |failure: Failure| Failure { param: failure.param.map(|name| at(&format!(".{name}"))), ..failure };
    let role = match fields.text("role").map_err(named)?.as_deref() {
        Some("system" | "developer") => Role::System,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some(other) => {
            let message = format!("The role `{other}` is not known here. Use system, developer, user or assistant.");
            return Err(Failure::field(at(".role"), message));
        }
        None => return Err(Failure::field(at(".role"), "A message must have a `role`.")),
    };
    let content = match fields.take("content") {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => {
            let part = |(number, part)| text_of(&at(&format!(".content[{number}]")), part);
            parts.into_iter().enumerate().map(part).collect::<Result<_, _>>()?
        }
        Some(other) => return Err(wrong(&at(".content"), "a string or an array of parts", &other)),
        None => return Err(Failure::field(at(".content"), "A message must have a `content`.")),
    };
    fields.end().map_err(named)?;
    Ok(Message { role, content })
}

fn text_of(at: &str, part: Value) -> Result<String, Failure> {
    let kind = part.get("type").and_then(Value::as_str).unwrap_or_default();
    if kind != "text" {
        return Err(Failure::unsupported(
            format!("{at}.type"),
            format!("Only parts of type `text` are read, not `{kind}`."),
        ));
    }
    match part.get("text") {
        Some(Value::String(text)) => Ok(text.clone()),
        _ => Err(Failure::field(format!("{at}.text"), "A part of type `text` must have a `text`.")),
    }
}

/// Chunks of a chat.
struct Chunks {
    state: Arc<State>,
    request: ChatRequest,
    id: String,
    created: u64,
    usage: Usage,
    is_broken: bool,
}

impl Chunks {
    fn new(state: Arc<State>, request: ChatRequest) -> Self {
        let (id, created) = (state.id("chatcmpl"), now());
        Self { state, request, id, created, usage: Usage::default(), is_broken: false }
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
}

impl Encode for Chunks {
    fn begin(&mut self) -> Vec<Frame> {
        let role = json!({"role": "assistant", "content": "", "refusal": null});
        (0..self.request.common.replies as usize).map(|index| Frame::data(&self.choice(index, &role, &[]))).collect()
    }

    fn delta(&mut self, index: usize, delta: Delta) -> Vec<Frame> {
        let nothing = json!({});
        let (chunk, event) = match delta {
            Delta::Started { .. } => return Vec::new(),
            Delta::Text { text, pieces, committed, event } => {
                if text.is_empty() && event.is_none() && self.request.logprobs.is_none() {
                    return Vec::new();
                }
                let event = event.map(|event| events::of_token(event, &text, committed));
                (self.choice(index, &json!({"content": text}), &pieces), event)
            }
            Delta::Retract { index: remain, units, bytes, event } => {
                (self.choice(index, &nothing, &[]), Some(events::of_retraction(event, remain, units, bytes)))
            }
            Delta::Event(event) => (self.choice(index, &nothing, &[]), Some(event)),
            Delta::Over(reply) => {
                if let Finish::Failed(reason) = &reply.finish {
                    return self.failed(&failed(reason));
                }
                self.usage.add(index, self.request.common.replies, &reply);
                let mut chunk = self.choice(index, &nothing, &[]);
                chunk["choices"][0]["finish_reason"] = json!(finish_reason(&reply.finish));
                explain(&mut chunk["choices"][0], &reply.finish);
                (chunk, None)
            }
        };
        vec![events::with(chunk, event)]
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
