//! llama.cpp's own server. `POST /completion` takes a prompt of token ids and gives the row before sampling, as much of it as
//! `n_probs` says. A grammar of token literals makes it go on along our tokens, with a row at each: several rows of one text
//! are one request. A text grammar does not do that, it is spelled in other tokens.
//!
//! The token behind the last row is drawn as well, and the server leaves out a row whose token is half a character. So a last
//! literal says what that token is, too: a letter.

use super::fault::{Fault, in_short};
use super::http::Client;
use super::protocol::{Answer, Ask, Met, Protocol, Spelled, json};
use super::sparse::Listed;
use crate::member::Token;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json as object;
use std::fmt::Write;
use std::time::Duration;

/// Places at which the scale of a model's logits is measured.
const PLACES: usize = 8;
const PATIENCE: Duration = Duration::from_secs(60);

/// A llama-server.
pub struct LlamaServer {
    /// A token of plain text, for behind the last row.
    pub letter: Token,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(default)]
    completion_probabilities: Vec<Position>,
    model: Option<String>,
    timings: Option<Timings>,
}

#[derive(Deserialize)]
struct Position {
    id: i64,
    top_logprobs: Vec<Entry>,
    // What stands beside it is as long as the rest.
    #[serde(rename = "token")]
    _token: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Entry {
    id: i64,
    logprob: f64,
}

#[derive(Deserialize)]
struct Timings {
    #[serde(default)]
    cache_n: u64,
    #[serde(default)]
    prompt_n: u64,
    prompt_per_token_ms: Option<f64>,
}

#[derive(Deserialize)]
struct Properties {
    total_slots: Option<usize>,
    model_alias: Option<String>,
    model_path: Option<String>,
    chat_template: Option<String>,
    default_generation_settings: GenerationSettings,
}

#[derive(Deserialize)]
struct GenerationSettings {
    n_ctx: usize,
}

#[derive(Deserialize)]
struct Models {
    data: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    n_vocab: usize,
    #[serde(default)]
    n_ctx_train: u32,
    #[serde(default)]
    n_params: u64,
    #[serde(default)]
    size: u64,
}

impl Protocol for LlamaServer {
    fn request(&self, ask: &Ask) -> (&'static str, serde_json::Value) {
        let mut grammar = String::from("root ::=");
        for token in ask.forced.iter().chain([&self.letter]) {
            let _ = write!(grammar, " <[{token}]>");
        }
        let mut body = object!({
            "prompt": ask.prompt,
            "n_predict": ask.rows(),
            "n_probs": ask.listed,
            "grammar": grammar,
            "temperature": 0,
            "post_sampling_probs": false,
            "cache_prompt": true,
            "stream": false,
            "response_fields": ["completion_probabilities", "model", "timings"],
        });
        if let Some(slot) = ask.slot {
            body["id_slot"] = slot.into();
        }
        ("/completion", body)
    }

    fn answer(&self, ask: &Ask, body: &[u8]) -> Result<Answer, Fault> {
        let Completion { completion_probabilities: positions, model, timings } = json(body)?;
        let expected = ask.forced.iter().chain([&self.letter]).map(|&token| i64::from(token));
        if !positions.iter().map(|position| position.id).eq(expected) {
            return Err(Fault::Unreadable(format!(
                "it has {} of {} rows, or went another way than it was told",
                positions.len(),
                ask.rows()
            )));
        }
        let listed = |entry: Entry| -> Listed { (entry.id, entry.logprob) };
        let rows = positions.into_iter().map(|position| position.top_logprobs.into_iter().map(listed).collect());
        let timings = timings.unwrap_or(Timings { cache_n: 0, prompt_n: 0, prompt_per_token_ms: None });
        Ok(Answer {
            rows: rows.collect(),
            model,
            known: timings.cache_n,
            read: timings.prompt_n,
            per_token: timings.prompt_per_token_ms,
        })
    }

    fn meet(&self, client: &Client, patience: Duration) -> Result<Met, Fault> {
        let properties = client.get("/props", patience)?;
        let properties: Properties = json(&properties)?;
        let models = client.get("/v1/models", patience)?;
        let models: Models = json(&models)?;
        let meta = models.data.into_iter().next().and_then(|model| model.meta);
        let Some(Meta { n_vocab, n_ctx_train, n_params, size }) = meta else {
            return Err(Fault::Unreadable("`/v1/models` does not describe the model; is it a llama-server?".into()));
        };
        Ok(Met {
            model: properties.model_alias.or(properties.model_path).unwrap_or_default(),
            tokens: Some(n_vocab),
            context: properties.default_generation_settings.n_ctx,
            trained: n_ctx_train,
            slots: properties.total_slots.filter(|&slots| slots > 0),
            bytes: size,
            parameters: n_params,
            template: properties.chat_template,
        })
    }

    /// A server makes the rows of one request one after the other, which takes its time.
    fn most_rows(&self) -> usize {
        32
    }

    fn usual(&self, tokens: usize) -> usize {
        if tokens <= 4096 { tokens } else { 256 }
    }

    fn all_tokens(&self, client: &Client, first: Token, tokens: usize) -> Result<Option<Vec<Spelled>>, Fault> {
        #[derive(Deserialize)]
        struct Whole {
            completion_probabilities: Vec<Row>,
        }
        #[derive(Deserialize)]
        struct Row {
            top_logprobs: Vec<Listed>,
        }
        #[derive(Deserialize)]
        struct Listed {
            id: i64,
            bytes: Vec<u8>,
        }
        let ask = Ask { slot: None, prompt: vec![first], forced: Vec::new(), listed: tokens };
        let (path, body) = self.request(&ask);
        let body = client.post(path, body.to_string().as_bytes(), Duration::from_secs(60))?;
        let Whole { completion_probabilities } = json(&body)?;
        let Some(row) = completion_probabilities.into_iter().next() else {
            return Err(Fault::Unreadable("it has no row".into()));
        };
        Ok(Some(row.top_logprobs.into_iter().map(|token| (token.id, token.bytes)).collect()))
    }

    /// A server gives log-probabilities, log-sum-exps are not told. But its repeat penalty halves the logit of a token that stands
    /// in the text if it is above 0, and doubles it otherwise: so from a row without it, and one with it, follows what the logit is.
    fn scale(&self, client: &Client, first: Token, tokens: usize) -> Result<Option<f32>, Fault> {
        #[derive(Deserialize)]
        struct Written {
            tokens: Vec<i64>,
        }
        #[derive(Deserialize)]
        struct Sampled {
            #[serde(default)]
            completion_probabilities: Vec<Probable>,
        }
        #[derive(Deserialize)]
        struct Probable {
            top_probs: Vec<Share>,
        }
        #[derive(Deserialize)]
        struct Share {
            id: i64,
            prob: f64,
        }
        let post = |body: serde_json::Value| client.post("/completion", body.to_string().as_bytes(), PATIENCE);
        let mut text = vec![first];
        let written =
            post(object!({ "prompt": text, "n_predict": PLACES * 3, "temperature": 0, "return_tokens": true }))?;
        text.extend(json::<Written>(&written)?.tokens.into_iter().filter_map(|token| Token::try_from(token).ok()));
        let listed = tokens.min(4096);
        let mut scales = Vec::new();
        for end in (3..=text.len()).step_by(3).take(PLACES) {
            let prompt = &text[..end];
            let ask = Ask { slot: None, prompt: prompt.to_vec(), forced: Vec::new(), listed };
            let plain = self.answer(&ask, &post(self.request(&ask).1)?)?.rows.swap_remove(0);
            let penalised = post(object!({
                "prompt": prompt, "n_predict": 1, "n_probs": listed, "post_sampling_probs": true,
                "samplers": ["penalties"], "repeat_penalty": 2.0, "repeat_last_n": 4096, "cache_prompt": true,
            }))?;
            let penalised: Sampled = json(&penalised)?;
            let Some(penalised) = penalised.completion_probabilities.into_iter().next() else { continue };
            let with_it = |token: i64| {
                let share = penalised.top_probs.iter().find(|share| share.id == token && share.prob > 1e-30)?;
                Some(share.prob.ln())
            };
            let stands = |token: i64| prompt.iter().any(|&own| i64::from(own) == token);
            // The likeliest token of either kind that both rows have.
            let find = |is_in_text: bool| {
                let mut likeliest = plain.iter().filter(|(token, _)| stands(*token) == is_in_text);
                likeliest.find_map(|&(token, before)| Some((before, with_it(token)?)))
            };
            let (Some((own, own_with)), Some((other, other_with))) = (find(true), find(false)) else { continue };
            let shifted = own_with + other - other_with;
            let (halved, doubled) = (own - 2.0 * shifted, shifted - 2.0 * own);
            scales.push(if own + halved > 0.0 { halved } else { doubled });
        }
        let mean = scales.iter().sum::<f64>() / scales.len().max(1) as f64;
        Ok((!scales.is_empty() && (-1e3..1e3).contains(&mean)).then_some(mean as f32))
    }

    fn tokens_of(&self, client: &Client, text: &str) -> Result<Option<Vec<i64>>, Fault> {
        #[derive(Deserialize)]
        struct Tokens {
            tokens: Vec<i64>,
        }
        let body = object!({ "content": text, "add_special": false, "parse_special": false }).to_string();
        let body = client.post("/tokenize", body.as_bytes(), Duration::from_secs(10))?;
        Ok(Some(json::<Tokens>(&body)?.tokens))
    }
}

/// Whether a refusal says that the text is too long.
pub fn is_full(fault: &Fault) -> bool {
    matches!(fault, Fault::Status { status: 400 | 413, said } if in_short(said).contains("context"))
}
