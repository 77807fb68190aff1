//! Texts in units and back: `/tokenize`, `/detokenize`, `/tokenizer_info`.
//!
//! The ids are those of units, which an ensemble of different vocabularies has, too. The fields are those of lm-eval and vLLM
//! and of llama-server at once.

use crate::body::Body;
use crate::failure::Failure;
use crate::fields::{Fields, units};
use crate::logprobs::token;
use crate::state::State;
use axum::Json;
use axum::extract::State as Shared;
use serde_json::{Value, json};
use std::sync::Arc;

/// Two names for the same field.
fn either<T>(
    fields: &mut Fields,
    names: &[&'static str],
    read: impl Fn(&mut Fields, &str) -> Result<Option<T>, Failure>,
) -> Result<Option<T>, Failure> {
    let mut found: Option<T> = None;
    for name in names {
        if let Some(value) = read(fields, name)? {
            if found.is_some() {
                return Err(Failure::field(*name, format!("Send one of `{}`.", names.join("`, `"))));
            }
            found = Some(value);
        }
    }
    Ok(found)
}

fn flag(fields: &mut Fields, name: &str) -> Result<Option<bool>, Failure> {
    if fields.has(name) { fields.flag(name).map(Some) } else { Ok(None) }
}

/// `POST /tokenize`.
pub(crate) async fn tokenize(
    Shared(state): Shared<Arc<State>>,
    Body(mut fields): Body,
) -> Result<Json<Value>, Failure> {
    state.check_model(fields.text("model")?.as_deref())?;
    let text = either(&mut fields, &["prompt", "content", "text"], |fields, name| fields.text(name))?;
    let text = text.ok_or_else(|| Failure::field("prompt", "`prompt` must be there: the text to tokenize."))?;
    let adds = either(&mut fields, &["add_special_tokens", "add_special"], flag)?.unwrap_or(false);
    let special = flag(&mut fields, "parse_special")?.unwrap_or(true);
    let with_pieces = fields.flag("with_pieces")?;
    let with_texts = fields.flag("return_token_strs")?;
    fields.end()?;
    let found = state.aside(move |backend| {
        let mut units = backend.tokenize(&text, special)?;
        if let (true, Some((beginning, _))) = (adds, &backend.about().beginning) {
            units.insert(0, *beginning);
        }
        let bytes = |unit: &u32| backend.detokenize(&[*unit]).map(|bytes| (*unit, bytes));
        let pieces = if with_pieces || with_texts { units.iter().map(bytes).collect() } else { Ok(Vec::new()) };
        pieces.map(|pieces| (units, pieces))
    });
    let (units, pieces): (Vec<u32>, Vec<(u32, Vec<u8>)>) = found.await??;
    let about = state.about();
    let mut body = json!({"count": units.len(), "max_model_len": about.context});
    body["tokens"] = if with_pieces {
        let piece = |(unit, bytes): &(u32, Vec<u8>)| match std::str::from_utf8(bytes) {
            Ok(text) => json!({"id": unit, "piece": text}),
            Err(_) => json!({"id": unit, "piece": bytes}),
        };
        pieces.iter().map(piece).collect()
    } else {
        json!(units)
    };
    if with_texts {
        body["token_strs"] = pieces.iter().map(|(unit, bytes)| token(about, &[*unit], bytes)).collect();
    }
    Ok(Json(body))
}

/// `POST /detokenize`.
pub(crate) async fn detokenize(
    Shared(state): Shared<Arc<State>>,
    Body(mut fields): Body,
) -> Result<Json<Value>, Failure> {
    state.check_model(fields.text("model")?.as_deref())?;
    let items = fields.array("tokens")?;
    let items = items.ok_or_else(|| Failure::field("tokens", "`tokens` must be there: an array of units."))?;
    fields.end()?;
    let units = units("tokens", &items, state.about().units)?;
    let bytes = state.aside(move |backend| backend.detokenize(&units)).await??;
    let text = String::from_utf8_lossy(&bytes);
    Ok(Json(json!({"prompt": text, "content": text})))
}

/// `GET /tokenizer_info`.
pub(crate) async fn info(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let about = state.about();
    Json(json!({
        "tokenizer_class": "llama_selfmod",
        "eos_token": about.end.1,
        "bos_token": about.beginning.as_ref().map(|(_, text)| text),
        "pad_token": about.end.1,
        "chat_template": about.template,
        "vocab_size": about.units,
        "model_max_length": about.context,
    }))
}
