//! What is here: `/v1/models`, `/v1/about`, `/health`, `/metrics`.

use crate::failure::Failure;
use crate::state::State;
use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State as Shared};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

fn model(state: &State, name: &str) -> Value {
    let about = state.about();
    json!({
        "id": name,
        "object": "model",
        "created": state.started(),
        "owned_by": "llama_selfmod",
        "meta": {"members": about.members, "n_ctx": about.context, "n_vocab": about.units},
    })
}

/// `GET /v1/models`.
pub(crate) async fn list(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let models: Value = state.models().map(|name| model(&state, name)).collect();
    Json(json!({"object": "list", "data": models}))
}

/// `GET /v1/models/{name}`.
pub(crate) async fn one(
    Shared(state): Shared<Arc<State>>,
    name: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Failure> {
    let Path(name) = name.map_err(|_| Failure::invalid("The model's name in the path is no UTF-8."))?;
    state.check_model(Some(&name))?;
    Ok(Json(model(&state, &name)))
}

/// `GET /v1/about`.
pub(crate) async fn about(Shared(state): Shared<Arc<State>>) -> Json<Value> {
    let about = state.about();
    let token = |(unit, text): &(u32, String)| json!({"unit": unit, "text": text});
    let defaults = &about.defaults;
    Json(json!({
        "name": about.name,
        "members": about.members,
        "context": about.context,
        "units": about.units,
        "is_bytes": about.is_bytes,
        "fingerprint": about.fingerprint,
        "end": token(&about.end),
        "beginning": about.beginning.as_ref().map(token),
        "template": about.template,
        "defaults": {
            "temperature": defaults.temperature,
            "top_p": defaults.top_p,
            "top_k": defaults.top_k,
            "min_p": defaults.min_p,
            "repeat_penalty": defaults.repeat_penalty,
        },
        "max_tokens": about.max_tokens,
        "horizon": about.horizon,
        "parallel": state.options().parallel,
        "queue": state.options().queue,
    }))
}

/// `GET /health`. Once the server stops, no request comes as far as this.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

/// `GET /metrics`.
pub(crate) async fn metrics(Shared(state): Shared<Arc<State>>) -> Response {
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, media_type)], state.metrics.text()).into_response()
}
