//! `/v1/completions`, and with it the log-probabilities of given texts (`echo` with `logprobs`), which harnesses such as
//! lm-eval live on.

mod echo;
mod prompts;

use crate::backend::{Ask, Finish, MOST_ALTERNATIVES, Prompt};
use crate::body::Body;
use crate::events::{self, Encode, Format, Frame};
use crate::failure::Failure;
use crate::fields::Fields;
use crate::logprobs::Columns;
use crate::request::Common;
use crate::shape::Shape;
use crate::state::{State, now};
use crate::stream::Delta;
use crate::usage::{Usage, explain, finish_reason};
use crate::write::{MOST_JOBS, Writing, Written, failed};
use axum::response::{IntoResponse, Response};
pub(crate) use prompts::{Given, take as prompts};
use serde_json::{Value, json};
use std::sync::Arc;

/// Texts that are to go on.
#[derive(Debug, Clone, PartialEq)]
struct CompletionRequest {
    prompts: Vec<Given>,
    common: Common,
    shape: Shape,
    /// How many alternatives are listed; `None` for no log-probabilities.
    logprobs: Option<usize>,
    /// The prompt belongs to the text of the reply.
    echo: bool,
}

impl CompletionRequest {
    fn read(mut fields: Fields, state: &State) -> Result<Self, Failure> {
        let shape = Shape::of_text(&mut fields)?;
        let common = Common::take(&mut fields, state)?;
        let logprobs = fields.integer("logprobs", 0..=MOST_ALTERNATIVES as u32)?.map(|logprobs| logprobs as usize);
        let echo = fields.flag("echo")?;
        fields.only("suffix", &[json!("")], "Nothing can be inserted before a suffix here. Leave it out.")?;
        let best = [json!(1), json!(common.replies)];
        fields.only("best_of", &best, "No reply is chosen among several here. Use `n`.")?;
        let prompts = prompts::take(&mut fields, state.about())?;
        fields.end()?;
        if prompts.len() * common.replies as usize > MOST_JOBS {
            let message = format!("That is more than {MOST_JOBS} texts at once. Send fewer prompts.");
            return Err(Failure::field("prompt", message));
        }
        let request = Self { prompts, common, shape, logprobs, echo };
        if request.common.max_tokens == Some(0) && !request.is_scored() {
            let message = "`max_tokens` must be 1 or more, but for `echo` with `logprobs`.";
            return Err(Failure::field("max_tokens", message));
        }
        if request.is_scored() {
            echo::check(&request)?;
        }
        Ok(request)
    }

    /// Whether the prompt's own log-probabilities are asked for.
    fn is_scored(&self) -> bool {
        self.echo && self.logprobs.is_some()
    }

    fn asks(&self) -> Vec<Ask> {
        let ask = |given: &Given| {
            let prompt = match given {
                Given::Text(text) => Prompt::Text(text.clone()),
                Given::Units(units) => Prompt::Units(units.clone()),
            };
            let ask = self.common.ask(prompt, &self.shape, self.logprobs.unwrap_or(0));
            self.common.repeat(&ask).collect::<Vec<_>>()
        };
        self.prompts.iter().flat_map(ask).collect()
    }
}

/// Answers `POST /v1/completions`.
pub(crate) async fn answer(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    Body(fields): Body,
) -> Result<Response, Failure> {
    let mut request = CompletionRequest::read(fields, &state)?;
    if request.is_scored() {
        return Ok(axum::Json(echo::answer(&state, &request).await?).into_response());
    }
    let echoed = echoed(&state, &request).await?;
    for prompt in &mut request.prompts {
        prompt.strip_beginning(state.about());
    }
    let view = request.common.view();
    let writing = Writing::begin(&state, request.asks(), view)?;
    if request.common.stream {
        return events::respond(writing, Format::Events, Chunks::new(state, request, echoed)).await;
    }
    let (id, created) = (state.id("cmpl"), now());
    let mut usage = Usage::default();
    let replies = request.common.replies;
    let choice = |(index, Written { pieces, reply }): (usize, Written)| {
        usage.add(index, replies, &reply);
        let logprobs = request.logprobs.map(|alternatives| {
            let mut columns = Columns::default();
            for piece in &pieces {
                columns.push(state.about(), piece, alternatives);
            }
            columns.flush()
        });
        let text = format!("{}{}", echoed[index / replies as usize], reply.text);
        let finish = finish_reason(&reply.finish);
        let mut choice = json!({"text": text, "index": index, "logprobs": logprobs, "finish_reason": finish});
        explain(&mut choice, &reply.finish);
        choice
    };
    let choices = writing.collect().await?.into_iter().enumerate().map(choice).collect();
    Ok(axum::Json(body(&state, &id, created, choices, Some(usage))).into_response())
}

/// What stands before each prompt's replies: the prompt, with `echo`.
async fn echoed(state: &Arc<State>, request: &CompletionRequest) -> Result<Vec<String>, Failure> {
    let mut texts = Vec::with_capacity(request.prompts.len());
    for prompt in &request.prompts {
        texts.push(match prompt {
            _ if !request.echo => String::new(),
            Given::Text(text) => text.clone(),
            Given::Units(units) => {
                let units = units.clone();
                let bytes = state.aside(move |backend| backend.detokenize(&units)).await??;
                String::from_utf8_lossy(&bytes).into_owned()
            }
        });
    }
    Ok(texts)
}

fn body(state: &State, id: &str, created: u64, choices: Value, usage: Option<Usage>) -> Value {
    let about = state.about();
    let mut body = json!({
        "id": id,
        "object": "text_completion",
        "created": created,
        "model": about.name,
        "system_fingerprint": about.fingerprint,
        "choices": choices,
    });
    if let Some(usage) = usage {
        body["usage"] = usage.into();
    }
    body
}

/// Chunks of completions.
struct Chunks {
    state: Arc<State>,
    request: CompletionRequest,
    echoed: Vec<String>,
    columns: Vec<Columns>,
    id: String,
    created: u64,
    usage: Usage,
    is_broken: bool,
}

impl Chunks {
    fn new(state: Arc<State>, request: CompletionRequest, echoed: Vec<String>) -> Self {
        let (id, created) = (state.id("cmpl"), now());
        let columns =
            (0..request.prompts.len() * request.common.replies as usize).map(|_| Columns::default()).collect();
        Self { state, request, echoed, columns, id, created, usage: Usage::default(), is_broken: false }
    }

    fn chunk(&self, choices: Value) -> Value {
        let mut chunk = body(&self.state, &self.id, self.created, choices, None);
        if self.request.common.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    fn choice(&self, index: usize, text: &str, logprobs: &Value) -> Value {
        self.chunk(json!([{"text": text, "index": index, "logprobs": logprobs, "finish_reason": null}]))
    }
}

impl Encode for Chunks {
    fn begin(&mut self) -> Vec<Frame> {
        let replies = self.request.common.replies as usize;
        let texts = self.echoed.iter().flat_map(|text| std::iter::repeat_n(text, replies)).enumerate();
        let chunks =
            texts.filter(|(_, text)| !text.is_empty()).map(|(index, text)| self.choice(index, text, &Value::Null));
        chunks.map(|chunk| Frame::data(&chunk)).collect()
    }

    fn delta(&mut self, index: usize, delta: Delta) -> Vec<Frame> {
        let (chunk, event) = match delta {
            Delta::Started { .. } => return Vec::new(),
            Delta::Text { text, pieces, committed, event } => {
                let mut logprobs = Value::Null;
                if let Some(alternatives) = self.request.logprobs.filter(|_| !pieces.is_empty()) {
                    for piece in &pieces {
                        self.columns[index].push(self.state.about(), piece, alternatives);
                    }
                    logprobs = self.columns[index].flush();
                }
                if text.is_empty() && event.is_none() && logprobs.is_null() {
                    return Vec::new();
                }
                let event = event.map(|event| events::of_token(event, &text, committed));
                (self.choice(index, &text, &logprobs), event)
            }
            Delta::Retract { index: remain, units, bytes, event } => {
                let event = events::of_retraction(event, remain, units, bytes);
                (self.choice(index, "", &Value::Null), Some(event))
            }
            Delta::Event(event) => (self.choice(index, "", &Value::Null), Some(event)),
            Delta::Over(reply) => {
                if let Finish::Failed(reason) = &reply.finish {
                    return self.failed(&failed(reason));
                }
                self.usage.add(index, self.request.common.replies, &reply);
                let mut chunk = self.choice(index, "", &Value::Null);
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
