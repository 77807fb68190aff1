//! Keys, hosts, origins, methods, bodies.

use crate::client::{Server, options};
use crate::double::Manner;
use serde_json::json;
use serve::{Options, Stop};
use std::io::Write;

#[test]
fn a_key_is_asked_for_but_not_for_health() {
    let keys = vec!["first".into(), "second".into()];
    let server = Server::start(Manner::default(), Options { keys, ..options() });
    server.get("/health").ok();
    // A browser has no key before it has the page.
    for path in ["/", "/page/main.js"] {
        let answer = server.get(path);
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("content-security-policy: default-src 'none'"), "{}", answer.head);
    }
    for headers in [
        "",
        "authorization: Bearer wrong\r\n",
        "authorization: first\r\n",
        "x-api-key: firs\r\n",
        "authorization: Bearer \r\n",
    ] {
        let refused = server.ask("GET", "/v1/models", headers, b"");
        assert_eq!(refused.refused(401).1, "invalid_api_key");
        assert!(refused.head.contains("www-authenticate: bearer"));
        server.ask("GET", "/nowhere", headers, b"").refused(401);
    }
    for headers in ["authorization: Bearer first\r\n", "authorization: bearer second\r\n", "x-api-key: second\r\n"] {
        server.ask("GET", "/v1/models", headers, b"").ok();
    }
}

#[test]
fn a_foreign_host_is_refused() {
    let server = Server::plain();
    let port = server.address.port();
    for host in ["localhost", "LOCALHOST", "127.0.0.1", "[::1]", "127.0.0.1:99"] {
        server.ask("GET", "/health", &format!("host: {host}\r\n"), b"").ok();
    }
    for host in [
        "evil.example",
        "localhost.evil.example",
        &format!("evil.example:{port}"),
        "192.168.0.1",
        "a b",
        "localhost@evil.example",
    ] {
        let answer = server.ask("GET", "/health", &format!("host: {host}\r\n"), b"");
        assert!(matches!(answer.status, 400 | 403), "{host}: {answer:?}");
    }
    let mut socket = server.open();
    socket
        .write_all(b"GET http://evil.example/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    assert_eq!(crate::client::finish(socket).status, 403);
}

#[test]
fn only_named_origins_may_read() {
    let preflight = "origin: https://good.example\r\naccess-control-request-method: POST\r\naccess-control-request-headers: content-type\r\n";
    let server = Server::plain();
    let answer = server.ask("OPTIONS", "/v1/chat/completions", preflight, b"");
    assert_eq!(answer.status, 405);
    assert!(!answer.head.contains("access-control"), "{}", answer.head);
    let origins = vec!["https://good.example".into()];
    let server = Server::start(Manner::default(), Options { origins, keys: vec!["key".into()], ..options() });
    let answer = server.ask("OPTIONS", "/v1/chat/completions", preflight, b"");
    assert_eq!(answer.status, 200);
    assert!(answer.head.contains("access-control-allow-origin: https://good.example"), "{}", answer.head);
    let answer = server.ask("GET", "/health", "origin: https://evil.example\r\n", b"");
    assert!(!answer.head.contains("access-control-allow-origin"), "{}", answer.head);
    let wrong = Options { origins: vec!["good.example".into()], ..options() };
    let result = serve::run(crate::double::Double::new(Manner::default()), wrong, |_| {}, &Stop::new());
    assert!(matches!(result, Err(serve::Error::Origin(_))));
}

#[test]
fn paths_methods_and_bodies_are_refused_in_openais_form() {
    let server = Server::start(Manner::default(), Options { body_limit: 1000, ..options() });
    server.get("/v2").refused(404);
    server.get("/v1/completions").refused(405);
    server.post("/v1/models", &json!({})).refused(405);
    let post = |kind: &str, body: &[u8]| server.ask("POST", "/v1/completions", kind, body);
    let json = "content-type: application/json; charset=utf-8\r\n";
    post("", b"{}").refused(415);
    post("content-type: text/plain\r\n", b"{}").refused(415);
    assert_eq!(post(json, b"{\"prompt\": }").refused(400).1, "invalid_json");
    assert!(post(json, b"{\"prompt\": }").body.contains("line 1 column 12"));
    post(json, b"[]").refused(400);
    post(json, b"\xff\xfe").refused(400);
    post(json, &vec![b' '; 1001]).refused(413);
    post(json, "[".repeat(900).as_bytes()).refused(400);
    let chunked = "content-type: application/json\r\ntransfer-encoding: chunked\r\n";
    let mut socket = server.open();
    let head = format!("POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{chunked}\r\n");
    socket.write_all(head.as_bytes()).unwrap();
    for _ in 0..3 {
        let _ = socket.write_all(format!("190\r\n{}\r\n", " ".repeat(400)).as_bytes());
    }
    let _ = socket.write_all(b"0\r\n\r\n");
    crate::client::finish(socket).refused(413);
    assert!(server.get("/health").head.contains("x-content-type-options: nosniff"));
}

#[test]
fn a_panic_harms_nobody_else() {
    let server = Server::plain();
    server.post("/tokenize", &json!({"prompt": "panic"})).refused(500);
    server.post("/v1/completions", &json!({"prompt": "panic"})).refused(500);
    server.post("/v1/completions", &json!({"prompt": "fine"})).ok();
    for name in ["llama_selfmod_requests_in_flight", "llama_selfmod_jobs_running"] {
        server.until("all is given back", |server| server.metric(name) == 0.0);
    }
}

#[test]
fn models_are_listed() {
    let server = Server::start(Manner::default(), Options { aliases: vec!["org/team".into()], ..options() });
    let list = server.get("/v1/models").ok();
    let names: Vec<_> = list["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["tale+fable", "org/team"]);
    assert_eq!(server.get("/v1/models/tale+fable").ok()["object"], "model");
    assert_eq!(server.get("/v1/models/org/team").ok()["id"], "org/team");
    assert_eq!(server.get("/v1/models/gpt").refused(404).1, "model_not_found");
    server.get("/v1/models/%ff").refused(400);
    server.get("/v1/script?name=%ff").refused(404);
}
