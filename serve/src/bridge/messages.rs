//! `/v1/messages` and `/v1/messages/count_tokens`: Anthropic's interface.

use super::Form;
use crate::body::Body;
use crate::convert::messages::{self as convert, Encoder};
use crate::convert::neutral::{Delta, Ending, Event, Usage};
use crate::events::Frame;
use crate::failure::Failure;
use crate::state::State;
use crate::stream;
use crate::write::Writing;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use std::sync::Arc;

/// Where requests have their errors in Anthropic's form.
pub(crate) const PATH: &str = "/v1/messages";

type Shared = axum::extract::State<Arc<State>>;

/// Answers `POST /v1/messages`.
pub(crate) async fn answer(axum::extract::State(state): Shared, body: Result<Body, Failure>) -> Response {
    write(&state, body).await.unwrap_or_else(|failure| refused(&failure))
}

async fn write(state: &Arc<State>, body: Result<Body, Failure>) -> Result<Response, Failure> {
    let request = convert::request(&body?.0.into_value())?;
    let id = state.id("msg");
    let form = Encoder::new(&id, &state.about().name);
    super::answer(state, request, &id, form).await
}

/// Answers `POST /v1/messages/count_tokens`.
pub(crate) async fn count(axum::extract::State(state): Shared, body: Result<Body, Failure>) -> Response {
    let counted = counted(&state, body).await;
    counted.map_or_else(|failure| refused(&failure), |tokens| Json(convert::count(tokens)).into_response())
}

/// Only who reads a prompt in each member's template knows how long it is, and then it is known for the reply to it.
async fn counted(state: &Arc<State>, body: Result<Body, Failure>) -> Result<u32, Failure> {
    let request = convert::count_request(&body?.0.into_value())?;
    state.check_model(request.model.as_deref())?;
    let ask = super::ask(crate::convert::neutral::ChatRequest { max_tokens: Some(1), ..request });
    let mut writing = Writing::begin(state, vec![ask], stream::View::Certain)?;
    while let Some((_, delta)) = writing.next().await {
        if let stream::Delta::Started { prompt_tokens, .. } = delta? {
            return Ok(prompt_tokens);
        }
    }
    Err(Failure::internal("The prompt was not read. The server's log may say more."))
}

/// A failure in Anthropic's form.
pub(crate) fn refused(failure: &Failure) -> Response {
    let mut response = (failure.status, Json(error(failure))).into_response();
    if let Some(seconds) = failure.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn error(failure: &Failure) -> Value {
    let kind = match failure.status {
        StatusCode::UNAUTHORIZED => "authentication_error",
        StatusCode::FORBIDDEN => "permission_error",
        StatusCode::NOT_FOUND => "not_found_error",
        StatusCode::PAYLOAD_TOO_LARGE => "request_too_large",
        StatusCode::TOO_MANY_REQUESTS => "rate_limit_error",
        StatusCode::SERVICE_UNAVAILABLE => "overloaded_error",
        status if status.is_server_error() => "api_error",
        _ => "invalid_request_error",
    };
    convert::error(kind, &failure.message)
}

fn frames(events: Vec<Event>) -> Vec<Frame> {
    events.iter().map(|event| Frame::named(event.name, &event.data)).collect()
}

impl Form for Encoder {
    const CHAT: &'static str = "messages";

    fn start(&mut self, usage: &Usage) -> Vec<Frame> {
        frames(Self::start(self, usage))
    }

    fn delta(&mut self, delta: Delta) -> Vec<Frame> {
        frames(Self::delta(self, delta))
    }

    fn end(&mut self, ending: &Ending) -> Vec<Frame> {
        frames(Self::end(self, ending))
    }

    fn failed(&mut self, failure: &Failure) -> Vec<Frame> {
        vec![Frame::named("error", &error(failure))]
    }

    fn whole(&self, ending: &Ending) -> Result<Value, Failure> {
        Ok(self.message(ending)?)
    }
}
