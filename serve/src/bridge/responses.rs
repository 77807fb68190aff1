//! `/v1/responses`: OpenAI's newer interface.

use super::Form;
use crate::body::Body;
use crate::convert::neutral::{Delta, Ending, Event, Usage};
use crate::convert::responses::{self as convert, Encoder};
use crate::events::Frame;
use crate::failure::Failure;
use crate::state::{State, now};
use axum::response::Response;
use serde_json::{Value, json};
use std::sync::Arc;

/// Answers `POST /v1/responses`.
pub(crate) async fn answer(
    axum::extract::State(state): axum::extract::State<Arc<State>>,
    Body(fields): Body,
) -> Result<Response, Failure> {
    let convert::Request { chat, echo } = convert::request(&fields.into_value())?;
    let id = state.id("");
    let unique = id.trim_start_matches('-');
    let form = Encoder::new(unique, &state.about().name, now(), echo);
    super::answer(&state, chat, unique, form).await
}

fn frames(events: Vec<Event>) -> Vec<Frame> {
    events.iter().map(|event| Frame::named(event.name, &event.data)).collect()
}

impl Form for Encoder {
    const CHAT: &'static str = "input";

    fn start(&mut self, _: &Usage) -> Vec<Frame> {
        frames(Self::start(self))
    }

    fn delta(&mut self, delta: Delta) -> Vec<Frame> {
        frames(Self::delta(self, delta))
    }

    fn end(&mut self, ending: &Ending) -> Vec<Frame> {
        frames(Self::end(self, ending))
    }

    fn failed(&mut self, failure: &Failure) -> Vec<Frame> {
        let Failure { code, param, message, kind, .. } = failure;
        let data = json!({"type": "error", "code": code.unwrap_or(kind), "message": message, "param": param});
        vec![Frame::named("error", &data)]
    }

    fn whole(&self, ending: &Ending) -> Result<Value, Failure> {
        Ok(self.response(ending))
    }
}
