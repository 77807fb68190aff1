//! Chats by Anthropic's interface and by OpenAI's newer one.

use crate::client::{Answer, Server, options};
use crate::double::Manner;
use serde_json::{Value, json};

const TEXT: &str = "Grüße, the cat: 5 € für 日本.";

fn call() -> String {
    "say|Hm. <tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1}}\n</tool_call>".into()
}

/// Events with a name, as pairs of it and the data.
fn events(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let mut events = Vec::new();
    for block in answer.body.split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':')) {
        let (name, data) = block.split_once("\ndata: ").unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        events.push((data["type"].as_str().unwrap().to_owned(), data));
    }
    events
}

fn anthropic(text: &str, stream: bool) -> Value {
    json!({"model": "tale+fable", "max_tokens": 300, "messages": [{"role": "user", "content": text}], "stream": stream})
}

#[test]
fn messages_have_anthropics_form() {
    let server = Server::plain();
    let reply = server.post("/v1/messages", &anthropic(TEXT, false)).ok();
    assert_eq!(reply["content"], json!([{"type": "text", "text": TEXT}]));
    assert_eq!((&reply["type"], &reply["stop_reason"]), (&json!("message"), &json!("end_turn")));
    assert_eq!(reply["usage"]["cache_read_input_tokens"], 1);
    let told = events(&server.post("/v1/messages", &anthropic(TEXT, true)));
    assert_eq!(told[0].0, "message_start");
    assert_eq!(told.last().unwrap().0, "message_stop");
    let text: String = told.iter().filter_map(|(_, data)| data["delta"]["text"].as_str()).collect();
    assert_eq!(text, TEXT);
    let mut body = anthropic(&call(), false);
    body["tools"] = json!([{"name": "add", "input_schema": {"type": "object"}}]);
    let reply = server.post("/v1/messages", &body).ok();
    assert_eq!((&reply["content"][1]["input"], &reply["stop_reason"]), (&json!({"a": 1}), &json!("tool_use")));
}

#[test]
fn a_message_says_which_stop_sequence_ended_it() {
    let server = Server::plain();
    for (stops, stop) in [(json!(["€"]), "€"), (json!(["never", "für", " cat"]), " cat")] {
        let with_stops = |stream: bool| {
            let mut body = anthropic(TEXT, stream);
            body["stop_sequences"] = stops.clone();
            server.post("/v1/messages", &body)
        };
        let reply = with_stops(false).ok();
        assert_eq!((&reply["stop_reason"], &reply["stop_sequence"]), (&json!("stop_sequence"), &json!(stop)));
        let told = events(&with_stops(true));
        let delta = &told[told.len() - 2].1["delta"];
        assert_eq!(*delta, json!({"stop_reason": "stop_sequence", "stop_sequence": stop}));
    }
    let mut body = anthropic(TEXT, false);
    body["stop_sequences"] = json!(["never"]);
    let reply = server.post("/v1/messages", &body).ok();
    assert_eq!((&reply["stop_reason"], &reply["stop_sequence"]), (&json!("end_turn"), &Value::Null));
}

#[test]
fn messages_have_anthropics_errors() {
    let server = Server::start(Manner::default(), serve::Options { keys: vec!["key".into()], ..options() });
    let ask = |headers: &str, path: &str, body: &Value| {
        let headers = format!("content-type: application/json\r\n{headers}");
        server.ask("POST", path, &headers, body.to_string().as_bytes())
    };
    let kind = |answer: &Answer, status: u16| {
        assert_eq!((answer.status, &answer.json()["type"]), (status, &json!("error")), "{answer:?}");
        answer.json()["error"]["type"].as_str().unwrap().to_owned()
    };
    let key = "x-api-key: key\r\n";
    assert_eq!(kind(&ask("", "/v1/messages", &anthropic(TEXT, false)), 401), "authentication_error");
    assert_eq!(kind(&ask(key, "/v1/messages", &json!({})), 400), "invalid_request_error");
    assert_eq!(kind(&ask(key, "/v1/messages", &anthropic("refuse", true)), 400), "invalid_request_error");
    assert_eq!(kind(&ask(key, "/v1/messages", &anthropic("fail|a", false)), 500), "api_error");
    let mut other = anthropic(TEXT, false);
    other["model"] = json!("claude");
    assert_eq!(kind(&ask(key, "/v1/messages", &other), 404), "not_found_error");
    let told = events(&ask(key, "/v1/messages", &anthropic("fail|a", true)));
    assert_eq!(told.last().unwrap().0, "error");
    let count = json!({"model": "tale+fable", "messages": [{"role": "user", "content": TEXT}]});
    assert_eq!(ask(key, "/v1/messages/count_tokens", &count).ok(), json!({"input_tokens": TEXT.len()}));
    server.until("nothing is left", |server| server.double.seen.running.load(std::sync::atomic::Ordering::SeqCst) == 0);
}

#[test]
fn responses_have_openais_form() {
    let server = Server::plain();
    let reply = server.post("/v1/responses", &json!({"model": "tale+fable", "input": TEXT})).ok();
    assert_eq!((&reply["object"], &reply["status"]), (&json!("response"), &json!("completed")));
    assert_eq!(reply["output"][0]["content"][0]["text"], TEXT);
    assert_eq!(reply["usage"]["input_tokens_details"]["cached_tokens"], 1);
    let told = events(&server.post("/v1/responses", &json!({"input": TEXT, "stream": true})));
    assert_eq!((told[0].0.as_str(), told.last().unwrap().0.as_str()), ("response.created", "response.completed"));
    let deltas = told.iter().filter(|(name, _)| name == "response.output_text.delta");
    assert_eq!(deltas.filter_map(|(_, data)| data["delta"].as_str()).collect::<String>(), TEXT);
    let tools = json!([{"type": "function", "name": "add", "parameters": {"type": "object"}}]);
    let reply = server.post("/v1/responses", &json!({"input": call(), "tools": tools})).ok();
    let called = &reply["output"][1];
    assert_eq!((&called["type"], &called["arguments"]), (&json!("function_call"), &json!("{\"a\": 1}")));
    let kept = json!({"input": TEXT, "previous_response_id": "resp_1"});
    assert_eq!(server.post("/v1/responses", &kept).refused(400).0, "previous_response_id");
    let unknown = json!({"input": TEXT, "seed": 1, "of_next_year": true});
    server.post("/v1/responses", &unknown).refused(400);
    let told = events(&server.post("/v1/responses", &json!({"input": "fail|a", "stream": true})));
    assert_eq!(told.last().unwrap().0, "response.failed");
}
