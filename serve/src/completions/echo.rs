//! Log-probabilities of a given text: `echo` with `logprobs`.
//!
//! Where a text can begin with nothing, all units of the prompt are given, so that no word is cut; otherwise its first unit is the
//! job's prompt. What is given is told with what the members gave it; of the first unit, by convention, nothing is said. What is written after them is generated, and is exactly as much as was asked for: the end of the
//! text is not written, because lm-eval counts on one unit at the end, whatever it is.

use super::prompts::Given;
use super::{CompletionRequest, body};
use crate::backend::{About, Ask, Prompt};
use crate::failure::Failure;
use crate::logprobs::Columns;
use crate::state::{State, now};
use crate::stream::View;
use crate::usage::{Usage, explain, finish_reason};
use crate::write::{Writing, Written};
use serde_json::{Value, json};
use std::sync::Arc;

/// Refuses what does not go together with a given text.
pub(super) fn check(request: &CompletionRequest) -> Result<(), Failure> {
    let common = &request.common;
    let message = "It cannot be had together with `echo` and `logprobs`. Leave it out.";
    if common.stream {
        return Err(Failure::unsupported("stream", message));
    }
    if !common.stop.is_empty() {
        return Err(Failure::unsupported("stop", message));
    }
    if request.shape.constraint.is_some() {
        return Err(Failure::unsupported("response_format", message));
    }
    Ok(())
}

/// A prompt in units.
struct Scored {
    /// All of them, for the columns.
    units: Vec<u32>,
    /// The text, where it was given as one.
    text: Option<String>,
    /// The bytes of the first one.
    first: Vec<u8>,
    /// The first one begins a text and is there anyway.
    begins: bool,
    /// The first one is given like the others.
    all: bool,
}

impl Scored {
    async fn of(state: &Arc<State>, prompt: &Given) -> Result<Self, Failure> {
        let (units, text) = match prompt.clone() {
            Given::Units(units) => (units, None),
            Given::Text(text) => {
                let copy = text.clone();
                (state.aside(move |backend| backend.tokenize(&text, true)).await??, Some(copy))
            }
        };
        let Some(first) = units.first().copied() else {
            return Err(Failure::field("prompt", "An empty prompt has no log-probabilities."));
        };
        let beginning = state.about().beginning.as_ref();
        let begins = beginning.is_some_and(|(beginning, _)| *beginning == first);
        let first = match beginning {
            Some((_, text)) if begins => text.clone().into_bytes(),
            _ => state.aside(move |backend| backend.detokenize(&[first])).await??,
        };
        let all = beginning.is_some() && !begins;
        Ok(Self { units, text, first, begins, all })
    }

    /// How many units are told before anything is generated.
    fn given(&self) -> usize {
        self.units.len() - usize::from(!self.all)
    }

    fn ask(&self, request: &CompletionRequest, about: &About) -> Ask {
        let prompt = Prompt::Units(if self.begins || self.all { Vec::new() } else { vec![self.units[0]] });
        let ask = request.common.ask(prompt, &request.shape, request.logprobs.unwrap_or(0));
        let generated = ask.max_tokens.unwrap_or(about.max_tokens);
        Ask {
            given: self.units[self.units.len() - self.given()..].iter().map(|unit| vec![*unit]).collect(),
            max_tokens: Some((self.given() as u32).saturating_add(generated)),
            ignore_end: true,
            ..ask
        }
    }

    fn choice(
        &self,
        index: usize,
        about: &About,
        request: &CompletionRequest,
        written: &Written,
    ) -> Result<Value, Failure> {
        let Written { pieces, reply } = written;
        if pieces.len() < self.given() {
            let message = "Fewer log-probabilities came back than the prompt has units. Please report this.";
            return Err(Failure::internal(message));
        }
        let pieces = &pieces[usize::from(self.all)..];
        let mut bytes = self.first.clone();
        for piece in pieces {
            bytes.extend_from_slice(&piece.bytes);
        }
        // Some vocabularies put a space before a text. It is no part of what was sent.
        let is_padded = self.text.as_ref().is_some_and(|text| {
            !self.begins
                && self.first.starts_with(b" ")
                && bytes[1..].starts_with(text.as_bytes())
                && !text.starts_with(' ')
        });
        let padding = usize::from(is_padded);
        let mut columns = Columns::default();
        columns.push_unknown(about, &self.units[..1], &self.first[padding..]);
        for piece in pieces {
            columns.push(about, piece, request.logprobs.unwrap_or(0));
        }
        let text = String::from_utf8_lossy(&bytes[padding..]);
        let finish = finish_reason(&reply.finish);
        let mut choice = json!({"text": text, "index": index, "logprobs": columns.flush(), "finish_reason": finish});
        explain(&mut choice, &reply.finish);
        Ok(choice)
    }
}

/// The response's body.
pub(super) async fn answer(state: &Arc<State>, request: &CompletionRequest) -> Result<Value, Failure> {
    let (id, created) = (state.id("cmpl"), now());
    let mut prompts = Vec::with_capacity(request.prompts.len());
    for prompt in &request.prompts {
        prompts.push(Scored::of(state, prompt).await?);
    }
    let about = state.about();
    let replies = request.common.replies;
    let asks: Vec<Ask> = prompts
        .iter()
        .flat_map(|prompt| request.common.repeat(&prompt.ask(request, about)).collect::<Vec<_>>())
        .collect();
    let written = Writing::begin(state, asks, View::Certain)?.collect().await?;
    let mut usage = Usage::default();
    let mut choices = Vec::with_capacity(written.len());
    for (index, written) in written.iter().enumerate() {
        let prompt = &prompts[index / replies as usize];
        choices.push(prompt.choice(index, about, request, written)?);
        // The backend counts what was given as written.
        let given = prompt.given() as u32;
        usage.completion += written.reply.tokens.saturating_sub(given);
        usage.retracted += written.reply.retracted;
        if index.is_multiple_of(replies as usize) {
            usage.prompt += written.reply.prompt_tokens + given;
            usage.cached += written.reply.cached_tokens;
        }
    }
    Ok(body(state, &id, created, choices.into(), Some(usage)))
}
