//! The page that the server shows: files that are part of the program, and the headers that keep it to itself.
//!
//! Its text comes from models, scripts and file names, so nothing may run that is not one of these files, and nothing may be
//! loaded from, or sent to, any other place.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use std::fmt::Write;

/// What a browser may do with the page. Without `'unsafe-inline'`: the page has no script, style or handler of its own text.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; \
                          base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page.
#[derive(Clone, Copy)]
struct File {
    path: &'static str,
    media_type: &'static str,
    text: &'static str,
}

macro_rules! scripts {
    ($($name:literal),* $(,)?) => {
        [$(File { path: concat!("/page/", $name), media_type: SCRIPT, text: include_str!(concat!("page/", $name)) }),*]
    };
}

const INDEX: File = File { path: "/", media_type: HTML, text: include_str!("page/index.html") };
const SHEET: File = File { path: "/page/page.css", media_type: CSS, text: include_str!("page/page.css") };
const SCRIPTS: [File; 17] = scripts![
    "api.js",
    "bytes.js",
    "candidates.js",
    "follow.js",
    "legend.js",
    "main.js",
    "pack.js",
    "parameters.js",
    "policies.js",
    "reply.js",
    "script.js",
    "session.js",
    "tokens.js",
    "turns.js",
    "view.js",
    "voice.js",
    "writing.js",
];

/// Routes of the page: `/` and `/page/…`. They need no key, since they are the same for everyone and hold nothing secret.
pub fn routes<S: Clone + Send + Sync + 'static>() -> Router<S> {
    [INDEX, SHEET].into_iter().chain(SCRIPTS).fold(Router::new(), |router, file| {
        let tag = tag(file.text);
        router.route(file.path, get(move |headers: HeaderMap| std::future::ready(answer(file, &tag, &headers))))
    })
}

fn answer(file: File, tag: &HeaderValue, asked: &HeaderMap) -> Response {
    let is_known = asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| matches!(known.trim(), "*") || known.trim().trim_start_matches("W/").as_bytes() == tag.as_bytes());
    let headers: [(HeaderName, HeaderValue); 8] = [
        (header::CONTENT_TYPE, HeaderValue::from_static(file.media_type)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        // For browsers that do not know `frame-ancestors`.
        (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
        (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
        // Files of one version belong together: a browser asks each time, and gets 304.
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
        (header::ETAG, tag.clone()),
    ];
    if is_known { (StatusCode::NOT_MODIFIED, headers).into_response() } else { (headers, file.text).into_response() }
}

/// FNV-1a with 64 bits: the files are our own, so nobody looks for collisions.
fn tag(text: &str) -> HeaderValue {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    let mut tag = String::with_capacity(18);
    let _ = write!(tag, "\"{hash:016x}\"");
    HeaderValue::try_from(tag).unwrap_or_else(|_| HeaderValue::from_static("\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use std::collections::BTreeSet;
    use tower::ServiceExt;

    async fn get(path: &str, tag: Option<&HeaderValue>) -> Response {
        let mut request = Request::get(path);
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        routes::<()>().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn every_file_has_its_type_and_the_headers_that_keep_it_to_itself() {
        for file in [INDEX, SHEET].into_iter().chain(SCRIPTS) {
            let response = get(file.path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{}", file.path);
            let headers = response.headers().clone();
            assert_eq!(headers[header::CONTENT_TYPE], file.media_type);
            assert_eq!(headers[header::CONTENT_SECURITY_POLICY], POLICY);
            assert_eq!(headers[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(headers[header::REFERRER_POLICY], "no-referrer");
            assert_eq!(to_bytes(response.into_body(), usize::MAX).await.unwrap(), file.text);
        }
    }

    #[tokio::test]
    async fn a_file_that_the_browser_has_is_not_sent_again() {
        let tag = get("/", None).await.headers()[header::ETAG].clone();
        assert_eq!(get("/", Some(&tag)).await.status(), StatusCode::NOT_MODIFIED);
        let weak = HeaderValue::try_from(format!("\"other\", W/{}", tag.to_str().unwrap())).unwrap();
        assert_eq!(get("/", Some(&weak)).await.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(get("/page/page.css", Some(&tag)).await.status(), StatusCode::OK);
    }

    #[test]
    fn every_import_is_served_and_every_script_is_imported() {
        let served: BTreeSet<&str> = SCRIPTS.iter().map(|file| file.path.trim_start_matches("/page/")).collect();
        let mut imported = BTreeSet::from(["main.js"]);
        for file in SCRIPTS {
            imported.extend(file.text.split("from './").skip(1).filter_map(|rest| rest.split('\'').next()));
        }
        assert_eq!(served, imported);
    }

    #[test]
    fn no_file_names_another_host_or_writes_markup() {
        for file in [INDEX, SHEET].into_iter().chain(SCRIPTS) {
            let own = file.text.replace("http://www.w3.org/2000/svg", "");
            for word in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                " onclick=",
                " style=\"",
            ] {
                assert!(!own.contains(word), "{} has {word}", file.path);
            }
        }
    }
}
