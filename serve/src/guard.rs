//! What is checked before a request is looked at.

use crate::bridge::messages;
use crate::failure::Failure;
use crate::metrics::Answered;
use crate::state::State;
use axum::extract::{MatchedPath, Request, State as Shared};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::net::IpAddr;
use std::sync::Arc;
use subtle::{Choice, ConstantTimeEq};

/// Paths that need no key: a balancer asks for the one, and a browser has no key before it has the page.
fn is_public(path: &str) -> bool {
    matches!(path, "/" | "/health" | "/v1/health" | "/favicon.ico") || path.starts_with("/page/")
}

/// Host, key, and whether the server stops.
pub(crate) async fn check(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let path = request.uri().path().to_owned();
    let authority = request.uri().authority().map(Authority::as_str);
    let checked = if state.is_loopback && !is_local(request.headers(), authority) {
        let message = "This server answers this machine only, under the names localhost, 127.0.0.1 and [::1].";
        Err(Failure::new(StatusCode::FORBIDDEN, message))
    } else if !is_public(&path) && !has_key(request.headers(), &state.options().keys) {
        let message = "The API key is missing or wrong. Send `authorization: Bearer KEY`.";
        Err(Failure::new(StatusCode::UNAUTHORIZED, message).with_code("invalid_api_key"))
    } else if state.stop.is_draining() && path != "/metrics" {
        Err(Failure::draining())
    } else {
        Ok(())
    };
    match checked {
        Ok(()) => next.run(request).await,
        Err(failure) if path.starts_with(messages::PATH) => messages::refused(&failure),
        Err(failure) => failure.into_response(),
    }
}

/// A foreign name that leads to this machine is a web page that wants to read along (DNS rebinding).
fn is_local(headers: &HeaderMap, authority: Option<&str>) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let is_local = |host: &str| {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host();
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
    };
    hosts.all(|host| host.to_str().is_ok_and(is_local)) && authority.is_none_or(is_local)
}

/// Whether a key is sent that is one of ours. How long it takes does not depend on where they differ, or on which it is.
fn has_key(headers: &HeaderMap, keys: &[String]) -> bool {
    if keys.is_empty() {
        return true;
    }
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.as_bytes().split_at_checked(7)?;
        scheme.eq_ignore_ascii_case(b"bearer ").then_some(key)
    });
    let Some(sent) = bearer.or_else(|| headers.get("x-api-key").map(HeaderValue::as_bytes)) else { return false };
    let matches = |found: Choice, key: &String| found | key.as_bytes().ct_eq(sent);
    keys.iter().fold(Choice::from(0), matches).into()
}

/// Counts the request by its endpoint and status.
pub(crate) async fn count(Shared(state): Shared<Arc<State>>, request: Request, next: Next) -> Response {
    let matched = request.extensions().get::<MatchedPath>();
    let endpoint = matched.map_or_else(|| "other".to_owned(), |path| path.as_str().to_owned());
    let response = next.run(request).await;
    let status = u32::from(response.status().as_u16());
    state.metrics.requests.get_or_create(&Answered { endpoint, status }).inc();
    response
}

/// Browsers are not to guess what a response is.
pub(crate) async fn nosniff(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
