//! Bodies of requests: JSON, not too long, not too slow.

use crate::failure::Failure;
use crate::fields::Fields;
use crate::state::State;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use futures_util::StreamExt;
use std::sync::Arc;

/// The fields of a JSON body.
///
/// The content type must say JSON: a foreign web page can send any other one without asking the server first.
pub(crate) struct Body(pub(crate) Fields);

impl FromRequest<Arc<State>> for Body {
    type Rejection = Failure;

    async fn from_request(request: Request, state: &Arc<State>) -> Result<Self, Failure> {
        let kind =
            request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if !kind.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
            let message = "Send JSON, with the header `content-type: application/json`.";
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, message));
        }
        let options = state.options();
        let read = read(request.into_body(), options.body_limit);
        let bytes = tokio::time::timeout(options.body_timeout, read).await.map_err(|_| {
            Failure::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time. Send the request again.")
        })??;
        let value = serde_json::from_slice(&bytes)
            .map_err(|error| Failure::invalid(format!("The body is not JSON: {error}.")).with_code("invalid_json"))?;
        Ok(Self(Fields::of(value)?))
    }
}

async fn read(body: axum::body::Body, limit: usize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut frames = body.into_data_stream();
    while let Some(frame) = frames.next().await {
        let frame = frame.map_err(|_| Failure::invalid("The body broke off. Send the request again."))?;
        if bytes.len() + frame.len() > limit {
            let message = format!("The body is longer than {limit} bytes. Send less text.");
            return Err(Failure::new(StatusCode::PAYLOAD_TOO_LARGE, message));
        }
        bytes.extend_from_slice(&frame);
    }
    Ok(bytes)
}
