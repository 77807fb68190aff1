//! Which request goes where.

use crate::bridge::{messages, responses};
use crate::failure::Failure;
use crate::guard;
use crate::state::State;
use crate::{chat, completions, hooks, models, page, raw, units};
use axum::Router;
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use std::any::Any;
use std::sync::Arc;
use std::time::Duration;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowOrigin, CorsLayer};

/// All routes, with what stands before them. `origins` are those of `Options`, as headers have them.
pub(crate) fn routes(state: Arc<State>, origins: Vec<HeaderValue>) -> Router {
    let router = Router::new()
        .route("/v1/chat/completions", post(chat::answer))
        .route("/chat/completions", post(chat::answer))
        .route("/v1/completions", post(completions::answer))
        .route("/v1/responses", post(responses::answer))
        .route(messages::PATH, post(messages::answer))
        .route("/v1/messages/count_tokens", post(messages::count))
        .route("/v1/stream", post(raw::answer))
        .route("/v1/models", get(models::list))
        .route("/models", get(models::list))
        // A team's name may have slashes in it.
        .route("/v1/models/{*name}", get(models::one))
        .route("/v1/about", get(models::about))
        .route("/health", get(models::health))
        .route("/v1/health", get(models::health))
        .route("/metrics", get(models::metrics))
        .route("/tokenize", post(units::tokenize))
        .route("/detokenize", post(units::detokenize))
        .route("/tokenizer_info", get(units::info))
        .route("/v1/hooks", get(hooks::list).post(hooks::change))
        .route("/v1/script", get(hooks::script).put(hooks::save))
        .route("/v1/script/check", post(hooks::check))
        .merge(page::routes())
        .fallback(async || Failure::new(StatusCode::NOT_FOUND, "There is nothing at this path."))
        .method_not_allowed_fallback(async || {
            Failure::new(StatusCode::METHOD_NOT_ALLOWED, "This path does not know the method. See the reference.")
        })
        .layer(from_fn_with_state(Arc::clone(&state), guard::check));
    let router = if origins.is_empty() { router } else { router.layer(cors(origins)) };
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(Arc::clone(&state), guard::count))
        .layer(from_fn(guard::nosniff))
        .with_state(state)
}

fn cors(origins: Vec<HeaderValue>) -> CorsLayer {
    let headers = [
        header::AUTHORIZATION,
        header::CONTENT_TYPE,
        header::ACCEPT,
        HeaderName::from_static("x-api-key"),
        HeaderName::from_static("anthropic-version"),
        HeaderName::from_static("anthropic-beta"),
    ];
    CorsLayer::new()
        .allow_origin(AllowOrigin::list(origins))
        .allow_methods([Method::GET, Method::POST, Method::PUT])
        .allow_headers(headers)
        .expose_headers([header::RETRY_AFTER])
        .max_age(Duration::from_secs(600))
}

fn panicked(_: Box<dyn Any + Send>) -> axum::response::Response {
    Failure::internal("The server failed at this request. Its log says more.").into_response()
}
