//! vLLM and SGLang: servers that list the likeliest tokens of a row. They take prompts of token ids, several in one request, and
//! know a beginning that they have read before; so the rows of one text are prompts of rising length.

use super::fault::Fault;
use super::http::Client;
use super::protocol::{Answer, Ask, Met, Protocol, json};
use super::sparse::Listed;
use crate::member::Token;
use serde::Deserialize;
use serde_json::json as object;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What both list where they were not started with another bound: vLLM's `--max-logprobs`.
const USUAL: usize = 20;

/// Prompts in one request.
const MOST: usize = 8;

/// The text up to each row.
fn prompts(ask: &Ask) -> Vec<Vec<Token>> {
    let until = |forced: usize| [&ask.prompt[..], &ask.forced[..forced]].concat();
    (0..ask.rows()).map(until).collect()
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Card>,
}

#[derive(Deserialize)]
struct Card {
    id: String,
    root: Option<String>,
    max_model_len: Option<usize>,
}

fn meet(client: &Client, patience: Duration) -> Result<(Card, usize), Fault> {
    let body = client.get("/v1/models", patience)?;
    let Models { data } = json(&body)?;
    let Some(card) = data.into_iter().next() else {
        return Err(Fault::Unreadable("`/v1/models` names no model".into()));
    };
    let Some(context) = card.max_model_len else {
        return Err(Fault::Unreadable("`/v1/models` does not say how long a text may be (`max_model_len`)".into()));
    };
    Ok((card, context))
}

fn tokens_of(client: &Client, body: &serde_json::Value) -> Result<Option<Vec<i64>>, Fault> {
    #[derive(Deserialize)]
    struct Tokens {
        tokens: Vec<i64>,
    }
    match client.post("/tokenize", body.to_string().as_bytes(), Duration::from_secs(10)) {
        Ok(body) => Ok(Some(json::<Tokens>(&body)?.tokens)),
        Err(Fault::Status { status: 404 | 405 | 501, .. }) => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// vLLM by its OpenAI interface: `return_tokens_as_token_ids` gives ids, as texts of tokens lose bytes.
#[derive(Default)]
pub struct Vllm {
    /// What it calls its model, which every request has to say.
    model: Mutex<String>,
}

impl Vllm {
    fn model(&self) -> String {
        self.model.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Protocol for Vllm {
    fn request(&self, ask: &Ask) -> (&'static str, serde_json::Value) {
        let body = object!({
            "model": self.model(),
            "prompt": prompts(ask),
            "max_tokens": 1,
            "temperature": 0,
            "logprobs": ask.listed,
            "return_tokens_as_token_ids": true,
            "add_special_tokens": false,
        });
        ("/v1/completions", body)
    }

    fn answer(&self, ask: &Ask, body: &[u8]) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        struct Completion {
            model: Option<String>,
            choices: Vec<Choice>,
            usage: Option<Usage>,
        }
        #[derive(Deserialize)]
        struct Choice {
            index: usize,
            logprobs: Logprobs,
        }
        #[derive(Deserialize)]
        struct Logprobs {
            top_logprobs: Vec<BTreeMap<String, f64>>,
        }
        #[derive(Deserialize)]
        struct Usage {
            #[serde(default)]
            prompt_tokens: u64,
            prompt_tokens_details: Option<Details>,
        }
        #[derive(Deserialize)]
        struct Details {
            cached_tokens: Option<u64>,
        }
        let Completion { model, mut choices, usage } = json(body)?;
        choices.sort_by_key(|choice| choice.index);
        if !choices.iter().map(|choice| choice.index).eq(0..ask.rows()) {
            return Err(Fault::Unreadable(format!("it has {} of {} rows", choices.len(), ask.rows())));
        }
        let row = |choice: Choice| -> Result<Vec<Listed>, Fault> {
            let Some(row) = choice.logprobs.top_logprobs.into_iter().next() else {
                return Err(Fault::Unreadable("a row without tokens".into()));
            };
            let listed = |(token, log_probability): (String, f64)| match token.strip_prefix("token_id:") {
                Some(token) => token
                    .parse()
                    .map(|token| (token, log_probability))
                    .map_err(|_| Fault::Unreadable("a token id that is no number".into())),
                None => Err(Fault::Unreadable(
                    "its tokens are texts and not ids; it does not know `return_tokens_as_token_ids`".into(),
                )),
            };
            let mut row: Vec<Listed> = row.into_iter().map(listed).collect::<Result<_, _>>()?;
            row.sort_by(|a, b| b.1.total_cmp(&a.1));
            Ok(row)
        };
        let rows = choices.into_iter().map(row).collect::<Result<_, _>>()?;
        let all = usage.as_ref().map_or(0, |usage| usage.prompt_tokens);
        let known = usage.and_then(|usage| usage.prompt_tokens_details?.cached_tokens).unwrap_or(0);
        Ok(Answer { rows, model, known, read: all.saturating_sub(known), per_token: None })
    }

    fn meet(&self, client: &Client, patience: Duration) -> Result<Met, Fault> {
        let (card, context) = meet(client, patience)?;
        self.model.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&card.id);
        Ok(Met { model: card.id, context, ..Met::default() })
    }

    fn most_rows(&self) -> usize {
        MOST
    }

    fn usual(&self, tokens: usize) -> usize {
        USUAL.min(tokens)
    }

    fn tokens_of(&self, client: &Client, text: &str) -> Result<Option<Vec<i64>>, Fault> {
        tokens_of(client, &object!({ "model": self.model(), "prompt": text, "add_special_tokens": false }))
    }
}

/// SGLang by its own interface.
pub struct Sglang;

impl Protocol for Sglang {
    fn request(&self, ask: &Ask) -> (&'static str, serde_json::Value) {
        let body = object!({
            "input_ids": prompts(ask),
            "sampling_params": { "max_new_tokens": 1, "temperature": 0 },
            "return_logprob": true,
            // Of the prompt nothing: that would read it anew.
            "logprob_start_len": -1,
            "top_logprobs_num": ask.listed,
            "return_text_in_logprobs": false,
        });
        ("/generate", body)
    }

    fn answer(&self, ask: &Ask, body: &[u8]) -> Result<Answer, Fault> {
        #[derive(Deserialize)]
        struct Generated {
            meta_info: Info,
        }
        #[derive(Deserialize)]
        struct Info {
            #[serde(default)]
            prompt_tokens: u64,
            #[serde(default)]
            cached_tokens: u64,
            output_top_logprobs: Vec<Option<Vec<Entry>>>,
        }
        /// Log-probability, id and text.
        #[derive(Deserialize)]
        struct Entry(f64, i64, serde::de::IgnoredAny);
        let generated: Vec<Generated> = json(body)?;
        if generated.len() != ask.rows() {
            return Err(Fault::Unreadable(format!("it has {} of {} rows", generated.len(), ask.rows())));
        }
        let mut answer = Answer::default();
        for Generated { meta_info } in generated {
            let row = meta_info.output_top_logprobs.into_iter().next().flatten();
            let Some(row) = row else { return Err(Fault::Unreadable("a row without tokens".into())) };
            answer
                .rows
                .push(row.into_iter().map(|Entry(log_probability, token, _)| (token, log_probability)).collect());
            answer.known += meta_info.cached_tokens;
            answer.read += meta_info.prompt_tokens.saturating_sub(meta_info.cached_tokens);
        }
        Ok(answer)
    }

    fn meet(&self, client: &Client, patience: Duration) -> Result<Met, Fault> {
        let (card, context) = meet(client, patience)?;
        // The id may be a name that was given to any model; the root is what was loaded.
        Ok(Met { model: card.root.unwrap_or(card.id), context, ..Met::default() })
    }

    fn most_rows(&self) -> usize {
        MOST
    }

    fn usual(&self, tokens: usize) -> usize {
        USUAL.min(tokens)
    }

    fn tokens_of(&self, client: &Client, text: &str) -> Result<Option<Vec<i64>>, Fault> {
        tokens_of(client, &object!({ "prompt": text, "add_special_tokens": false }))
    }
}
