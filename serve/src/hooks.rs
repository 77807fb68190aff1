//! Fusions, policies and their scripts: `/v1/hooks`, `/v1/script`, `/v1/script/check`.

use crate::backend::Change;
use crate::body::Body;
use crate::failure::Failure;
use crate::fields::Fields;
use crate::state::State;
use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State as Shared};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;

/// `GET /v1/hooks`.
pub(crate) async fn list(Shared(state): Shared<Arc<State>>) -> Result<Json<Value>, Failure> {
    let hooks = state.aside(|backend| backend.hooks()).await?;
    Ok(Json(json!({"hooks": hooks})))
}

/// `POST /v1/hooks`: one change, and what there is after it.
pub(crate) async fn change(Shared(state): Shared<Arc<State>>, Body(fields): Body) -> Result<Json<Value>, Failure> {
    let change = read(fields)?;
    let changed = state.aside(move |backend| backend.change(change).map(|lines| (lines, backend.hooks())));
    let (lines, hooks) = changed.await??;
    Ok(Json(json!({"lines": lines, "hooks": hooks})))
}

fn read(mut fields: Fields) -> Result<Change, Failure> {
    let change = if let Some(fusion) = fields.text("fusion")? {
        Change::Fusion(fusion)
    } else if let Some(policy) = fields.text("policy")? {
        if !fields.has("running") {
            return Err(Failure::field("running", "Say with `running` whether the policy is to run."));
        }
        Change::Policy(policy, fields.flag("running")?)
    } else if let Some(hook) = fields.text("hook")? {
        let value = fields.take("value").and_then(|value| value.as_f64());
        match (fields.text("knob")?, value) {
            (Some(knob), Some(value)) => Change::Knob(hook, knob, value),
            (None, _) => return Err(Failure::field("knob", "Say with `knob` which one to set.")),
            (_, None) => return Err(Failure::field("value", "`value` must be a number.")),
        }
    } else {
        let message = "Send `fusion`, or `policy` with `running`, or `hook` with `knob` and `value`.";
        return Err(Failure::invalid(message));
    };
    fields.end()?;
    Ok(change)
}

/// `GET /v1/script?name=`.
pub(crate) async fn script(
    Shared(state): Shared<Arc<State>>,
    query: Result<Query<HashMap<String, String>>, QueryRejection>,
) -> Result<Json<Value>, Failure> {
    let Query(mut query) = query.map_err(|_| Failure::invalid("The path's query cannot be read."))?;
    let Some(name) = query.remove("name") else {
        return Err(Failure::field("name", "Say which script: `/v1/script?name=calm`."));
    };
    let copy = name.clone();
    let text = state.aside(move |backend| backend.script(&copy)).await??;
    Ok(Json(json!({"name": name, "text": text})))
}

fn text(fields: &mut Fields) -> Result<String, Failure> {
    fields.text("text")?.ok_or_else(|| Failure::field("text", "`text` must be there: the script."))
}

/// `POST /v1/script/check`: what is wrong with a script.
pub(crate) async fn check(Shared(state): Shared<Arc<State>>, Body(mut fields): Body) -> Result<Json<Value>, Failure> {
    let text = text(&mut fields)?;
    fields.end()?;
    let lines = state.aside(move |backend| backend.check(&text)).await?;
    Ok(Json(json!({"lines": lines})))
}

/// `PUT /v1/script`: writes one and takes it over.
pub(crate) async fn save(Shared(state): Shared<Arc<State>>, Body(mut fields): Body) -> Result<Json<Value>, Failure> {
    let name = fields.text("name")?.ok_or_else(|| Failure::field("name", "`name` must be there: the hook's."))?;
    let text = text(&mut fields)?;
    fields.end()?;
    let lines = state.aside(move |backend| backend.save(&name, &text)).await??;
    Ok(Json(json!({"lines": lines})))
}
