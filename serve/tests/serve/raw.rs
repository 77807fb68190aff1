//! `/v1/stream`, and what the page asks beside it.

use crate::client::Server;
use serde_json::{Value, json};

const TEXT: &str = "the cat: 5 € für 日本";

#[test]
fn a_stream_has_everything_and_adds_up() {
    let server = Server::plain();
    let body = json!({"prompt": TEXT, "members": true, "alternatives": 3, "given": [[258], [259]], "hold": 6});
    let lines = server.post("/v1/stream", &body);
    assert!(lines.head.contains("application/x-ndjson"), "{}", lines.head);
    let objects: Vec<Value> =
        lines.body.lines().filter(|line| !line.is_empty()).map(|line| serde_json::from_str(line).unwrap()).collect();
    let headers = "content-type: application/json\r\naccept: text/event-stream\r\n";
    let events = server.ask("POST", "/v1/stream", headers, body.to_string().as_bytes()).events();
    assert_eq!(events, objects);
    assert_eq!(objects[0]["type"], "started");
    assert_eq!(objects[0]["event"]["models"], json!(["tale", "fable"]));
    let mut text = String::new();
    for object in &objects {
        match object["type"].as_str().unwrap() {
            "token" => text.push_str(object["text"].as_str().unwrap()),
            "retract" => text.truncate(text.len() - object["bytes"].as_u64().unwrap() as usize),
            _ => {}
        }
    }
    let done = objects.last().unwrap();
    assert_eq!(done["finish"], json!({"kind": "end"}));
    assert_eq!(done["text"], text);
    assert_eq!(text, format!(" the cat{TEXT}"));
    let piece = &objects[1]["piece"];
    assert_eq!((&piece["units"], &piece["bytes"]), (&json!([258]), &json!(b" the")));
    assert_eq!(piece["members"].as_array().unwrap().len(), 2);
    assert_eq!(piece["alternatives"].as_array().unwrap().len(), 3);
    assert!(objects.iter().any(|object| object["type"] == "event" && object["event"]["type"] == "notice"));
}

#[test]
fn a_stream_takes_a_chat_or_one_prompt() {
    let server = Server::plain();
    let chat = json!({"messages": [{"role": "user", "content": "hello"}]});
    assert!(server.post("/v1/stream", &chat).body.contains("\"text\":\"hello\""));
    let stopped = server.post("/v1/stream", &json!({"prompt": "hello", "stop": ["never", "ll"]}));
    assert!(stopped.body.contains("{\"kind\":\"stop\",\"reason\":\"ll\"}"), "{stopped:?}");
    for (param, body) in [
        ("prompt", json!({})),
        ("prompt", json!({"prompt": ["a", "b"]})),
        ("prompt", json!({"prompt": "a", "messages": []})),
        ("given", json!({"prompt": "a", "given": [[1, 2]]})),
        ("given", json!({"prompt": "a", "given": [[9999]]})),
        ("n", json!({"prompt": "a", "n": 2})),
        ("alternatives", json!({"prompt": "a", "alternatives": 21})),
        ("echo", json!({"prompt": "a", "echo": true})),
    ] {
        assert_eq!(server.post("/v1/stream", &body).refused(400).0, param);
    }
    assert_eq!(server.post("/v1/stream", &json!({"prompt": "refuse"})).refused(400).1, "context_length_exceeded");
}

#[test]
fn hooks_and_scripts_can_be_changed() {
    let server = Server::plain();
    assert_eq!(server.get("/v1/hooks").ok()["hooks"][0]["knobs"][0]["value"], 0.5);
    server.post("/v1/hooks", &json!({"policy": "calm", "running": false})).ok();
    server.post("/v1/hooks", &json!({"hook": "calm", "knob": "limit", "value": 0.1})).ok();
    assert_eq!(server.post("/v1/hooks", &json!({"fusion": "average"})).ok()["lines"], json!(["done"]));
    assert_eq!(server.double.seen.changes.lock().unwrap().len(), 3);
    assert_eq!(server.post("/v1/hooks", &json!({"fusion": "nothing"})).refused(404).0, "fusion");
    assert_eq!(server.post("/v1/hooks", &json!({"policy": "calm"})).refused(400).0, "running");
    server.post("/v1/hooks", &json!({})).refused(400);
    assert_eq!(server.get("/v1/script?name=calm").ok()["text"], "fn on_token() {}");
    server.get("/v1/script?name=other").refused(404);
    server.get("/v1/script").refused(400);
    assert_eq!(server.post("/v1/script/check", &json!({"text": "bad"})).ok()["lines"], json!(["line 1: bad"]));
    let save = |text: &str| {
        let body = json!({"name": "calm", "text": text}).to_string();
        server.ask("PUT", "/v1/script", "content-type: application/json\r\n", body.as_bytes())
    };
    assert_eq!(save("good").ok()["lines"], json!(["saved"]));
    assert_eq!(save("bad").refused(400).0, "text");
    let about = server.get("/v1/about").ok();
    assert_eq!((&about["name"], &about["horizon"]), (&json!("tale+fable"), &json!(6)));
}
