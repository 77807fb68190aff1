//! Chats: what a client gets that cannot take text back, and one that can.

use crate::client::{Server, options};
use crate::double::{Manner, logprob};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

const TEXT: &str = "Grüße, the cat: 5 € für 日本 the cat.";

fn chat(text: &str) -> Value {
    json!({"model": "tale+fable", "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": text}]})
}

fn with(mut body: Value, more: &Value) -> Value {
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// The text of all deltas.
fn joined(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect()
}

#[test]
fn a_reply_has_openais_form() {
    let server = Server::plain();
    let reply = server.post("/v1/chat/completions", &chat(TEXT)).ok();
    assert_eq!(reply["object"], "chat.completion");
    assert_eq!(reply["model"], "tale+fable");
    assert_eq!(reply["system_fingerprint"], "fp_double");
    assert!(reply["id"].as_str().unwrap().starts_with("chatcmpl-"));
    let choice = &reply["choices"][0];
    assert_eq!(choice["message"], json!({"role": "assistant", "content": TEXT, "refusal": null}));
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(choice["logprobs"], Value::Null);
    let units = crate::double::units_of(TEXT).len();
    let usage = &reply["usage"];
    assert_eq!(usage["completion_tokens"], units);
    assert_eq!(usage["prompt_tokens_details"]["cached_tokens"], 1);
    assert_eq!(usage["total_tokens"], units + TEXT.len());
    assert!(usage["llama_selfmod"]["retracted_tokens"].as_u64().unwrap() > 20);
}

#[test]
fn deltas_add_up_although_text_is_taken_back() {
    let server = Server::plain();
    let body = with(chat(TEXT), &json!({"stream": true, "stream_options": {"include_usage": true}}));
    let events = server.post("/v1/chat/completions", &body).events();
    assert_eq!(joined(&events), TEXT);
    assert_eq!(events[0]["choices"][0]["delta"], json!({"role": "assistant", "content": null, "refusal": null}));
    assert!(events.iter().all(|event| event["object"] == "chat.completion.chunk" && event["id"] == events[0]["id"]));
    let (usage, finish) = (&events[events.len() - 1], &events[events.len() - 2]);
    assert_eq!((&finish["choices"][0]["finish_reason"], &finish["choices"][0]["delta"]), (&json!("stop"), &json!({})));
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], crate::double::units_of(TEXT).len());
    assert!(events[..events.len() - 1].iter().all(|event| event["usage"].is_null()));
    assert!(events.len() > 8, "it comes in parts");
    assert!(server.double.seen.retracted.load(Ordering::SeqCst) > 20);
}

#[test]
fn nothing_is_said_of_units_that_were_taken_back() {
    let server = Server::plain();
    let body = with(chat(TEXT), &json!({"stream": true, "logprobs": true, "top_logprobs": 2}));
    let events = server.post("/v1/chat/completions", &body).events();
    let whole =
        server.post("/v1/chat/completions", &with(chat(TEXT), &json!({"logprobs": true, "top_logprobs": 2}))).ok();
    let mut bytes: Vec<u8> = Vec::new();
    let mut entries = Vec::new();
    let mut text = String::new();
    for event in &events {
        text.push_str(event["choices"][0]["delta"]["content"].as_str().unwrap_or_default());
        for entry in event["choices"][0]["logprobs"]["content"].as_array().into_iter().flatten() {
            bytes.extend(entry["bytes"].as_array().unwrap().iter().map(|byte| byte.as_u64().unwrap() as u8));
            entries.push(entry.clone());
        }
        // Log-probabilities come with their text, never before it.
        assert!(bytes.len() <= text.len(), "{} of {text}", String::from_utf8_lossy(&bytes));
    }
    assert_eq!(String::from_utf8(bytes).unwrap(), TEXT);
    assert_eq!(whole["choices"][0]["logprobs"]["content"], Value::Array(entries.clone()));
    assert_eq!(entries[0]["token"], "G");
    assert_eq!(entries[0]["logprob"].as_f64().unwrap() as f32, logprob(71));
    assert_eq!(entries[0]["top_logprobs"].as_array().unwrap().len(), 2);
    assert!(entries.iter().any(|entry| entry["token"] == "bytes:\\xe2\\x82"));
}

#[test]
fn a_client_that_can_sees_everything_at_once() {
    let server = Server::plain();
    let body = with(chat(TEXT), &json!({"stream": true, "retractions": true}));
    let events = server.post("/v1/chat/completions", &body).events();
    let (mut text, mut longest, mut kinds) = (String::new(), 0, Vec::new());
    for event in &events {
        let own = &event["llama_selfmod"];
        let content = event["choices"][0]["delta"]["content"].as_str().unwrap_or_default();
        kinds.push(own["type"].as_str().unwrap_or_default().to_owned());
        match own["type"].as_str() {
            Some("retract") => {
                assert_eq!(event["choices"][0]["delta"], json!({}));
                text.truncate(text.len() - own["bytes"].as_u64().unwrap() as usize);
            }
            Some("token") => assert_eq!(own["bytes"], content.len()),
            _ => {}
        }
        text.push_str(content);
        longest = longest.max(text.len());
    }
    assert_eq!(text, TEXT);
    for kind in ["token", "retract", "notice"] {
        assert!(kinds.iter().any(|one| one == kind), "{kinds:?}");
    }
}

#[test]
fn a_hold_of_none_takes_nothing_back() {
    let server = Server::plain();
    let body = with(chat(TEXT), &json!({"retraction": {"hold": 0}}));
    let reply = server.post("/v1/chat/completions", &body).ok();
    assert_eq!(reply["usage"]["llama_selfmod"]["retracted_tokens"], 0);
    let refused = server.post("/v1/chat/completions", &with(chat(TEXT), &json!({"retraction": {"held": 0}})));
    assert_eq!(refused.refused(400).0, "retraction");
}

#[test]
fn a_stop_string_is_never_seen() {
    let server = Server::plain();
    for (stop, expected) in [(json!("€ für"), "Grüße, the cat: 5 "), (json!(["zzz", " cat: "]), "Grüße, the")] {
        let body = with(chat(TEXT), &json!({"stop": stop, "logprobs": true}));
        let reply = server.post("/v1/chat/completions", &body).ok();
        assert_eq!(reply["choices"][0]["message"]["content"], expected);
        assert_eq!(reply["choices"][0]["finish_reason"], "stop");
        let entries = reply["choices"][0]["logprobs"]["content"].as_array().unwrap().clone();
        let bytes = entries.iter().flat_map(|entry| entry["bytes"].as_array().unwrap().clone());
        let bytes: Vec<u8> = bytes.map(|byte| byte.as_u64().unwrap() as u8).collect();
        assert_eq!(String::from_utf8(bytes).unwrap(), expected);
        let events = server.post("/v1/chat/completions", &with(body, &json!({"stream": true}))).events();
        assert_eq!(joined(&events), expected);
    }
}

#[test]
fn several_replies_have_seeds_in_a_row() {
    let server = Server::start(Manner::default(), serve::Options { parallel: 2, ..options() });
    let body = with(chat(TEXT), &json!({"n": 5, "seed": 40}));
    let reply = server.post("/v1/chat/completions", &body).ok();
    let choices = reply["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 5);
    assert!(choices.iter().enumerate().all(|(index, choice)| choice["index"] == index));
    let seeds: Vec<_> = server.double.seen.begun.lock().unwrap().iter().map(|(_, seed)| seed.unwrap()).collect();
    assert_eq!(seeds, [40, 41, 42, 43, 44]);
    assert_eq!(server.double.seen.most.load(Ordering::SeqCst), 2);
    assert_eq!(reply["usage"]["prompt_tokens"], TEXT.len());
    let events = server.post("/v1/chat/completions", &with(body, &json!({"stream": true}))).events();
    for index in 0..5 {
        let own = events.iter().filter(|event| event["choices"][0]["index"] == index);
        let text: String = own.filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
        assert_eq!(text, TEXT);
    }
}

#[test]
fn ends_are_told_in_openais_words_and_ours() {
    let server = Server::plain();
    let reply = server.post("/v1/chat/completions", &with(chat(TEXT), &json!({"max_completion_tokens": 3}))).ok();
    assert_eq!(reply["choices"][0]["finish_reason"], "length");
    assert_eq!(reply["usage"]["completion_tokens"], 3);
    let reply = server.post("/v1/chat/completions", &chat("policy|on and on")).ok();
    assert_eq!(reply["choices"][0]["finish_reason"], "stop");
    assert_eq!(reply["choices"][0]["llama_selfmod"]["finish"], json!({"kind": "policy", "reason": "loop"}));
    server.post("/v1/chat/completions", &chat("fail|half")).refused(500);
    server.post("/v1/chat/completions", &chat("silent|half")).refused(500);
    let events =
        server.post("/v1/chat/completions", &with(chat("fail|half a text"), &json!({"stream": true}))).events();
    assert!(events.last().unwrap()["error"]["message"].as_str().unwrap().contains("a member is gone"));
}

#[test]
fn what_the_backend_refuses_has_its_status_in_a_stream_too() {
    let server = Server::plain();
    for stream in [false, true] {
        let refused = server.post("/v1/chat/completions", &with(chat("refuse"), &json!({"stream": stream})));
        assert_eq!(refused.refused(400), ("messages".into(), "context_length_exceeded".into()));
    }
}

#[test]
fn a_prompt_that_is_too_long_is_refused_by_the_name_it_has_in_the_request() {
    let server = Server::plain();
    let messages = json!([{"role": "user", "content": "refuse"}]);
    for (path, field, prompt) in [
        ("/v1/chat/completions", "messages", messages.clone()),
        ("/v1/stream", "messages", messages),
        ("/v1/stream", "prompt", json!("refuse")),
        ("/v1/completions", "prompt", json!("refuse")),
        ("/v1/responses", "input", json!("refuse")),
    ] {
        for stream in [json!(false), json!(true)] {
            let mut body = json!({"stream": stream});
            body[field] = prompt.clone();
            assert_eq!(server.post(path, &body).refused(400).0, field, "{path}");
        }
    }
}

#[test]
fn what_is_not_honoured_is_refused_by_name() {
    let server = Server::plain();
    let refused = [
        ("frequency_penalty", json!(0.5)),
        ("presence_penalty", json!(-1)),
        ("response_format", json!({"type": "xml"})),
        ("tools", json!([{"type": "function", "function": {"name": "a b"}}])),
        ("tool_choice", json!("required")),
        ("functions", json!([])),
        ("audio", json!({})),
        ("reasoning_effort", json!("high")),
        ("store", json!(true)),
        ("n", json!(9)),
        ("n", json!(0)),
        ("top_logprobs", json!(3)),
        ("top_logprobs", json!(21)),
        ("temperature", json!("warm")),
        ("temperature", json!(-1)),
        ("top_p", json!(1.5)),
        ("stop", json!([1])),
        ("stop", json!("")),
        ("stop", json!(vec!["a"; 17])),
        ("seed", json!(1.5)),
        ("max_tokens", json!(0)),
        ("max_tokens", json!(-1)),
        ("logit_bias", json!({"9999": 1})),
        ("logit_bias", json!({"5": 101})),
        ("logit_bias", json!([])),
        ("stream", json!("yes")),
        ("stream_options", json!({"x": 1})),
        ("a_field_of_next_year", json!(1)),
        ("messages", json!([])),
        ("messages", json!([{"role": "assistant", "content": "I"}])),
        ("messages[0].role", json!([{"role": "robot", "content": "I"}])),
        ("messages[0].content", json!([{"role": "user"}])),
        ("messages[0].content[0].type", json!([{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}])),
        ("messages[0].name", json!([{"role": "user", "content": "I", "name": "Ada"}])),
    ];
    for (param, value) in refused {
        let field = param.split('[').next().unwrap();
        let body = with(chat("hello"), &json!({field: value}));
        let answer = server.post("/v1/chat/completions", &body);
        assert_eq!(answer.refused(400).0, param, "{answer:?}");
    }
    let both = with(chat("hello"), &json!({"max_tokens": 5, "max_completion_tokens": 6}));
    server.post("/v1/chat/completions", &both).refused(400);
    let unknown = server.post("/v1/chat/completions", &with(chat("hello"), &json!({"model": "gpt"})));
    assert_eq!(unknown.refused(404), ("model".into(), "model_not_found".into()));
}

#[test]
fn what_changes_nothing_is_accepted() {
    let server = Server::start(Manner::default(), serve::Options { aliases: vec!["team".into()], ..options() });
    let more = json!({
        "model": "team", "user": "ada", "metadata": {}, "service_tier": "auto", "store": false, "presence_penalty": 0,
        "frequency_penalty": 0.0, "parallel_tool_calls": true, "logit_bias": {"5": -100}, "n": null, "stop": null,
        "response_format": {"type": "text"}, "modalities": ["text"], "temperature": 0.5, "top_p": 1, "top_k": 40,
        "min_p": 0.05, "repeat_penalty": 1.1, "seed": -1, "stream_options": null, "tools": [],
        "messages": [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    });
    let reply = server.post("/v1/chat/completions", &with(chat(""), &more)).ok();
    assert_eq!(reply["choices"][0]["message"]["content"], "a\nb");
    for model in [json!(null), json!("")] {
        server.post("/chat/completions", &with(chat("hello"), &json!({"model": model}))).ok();
    }
}

#[test]
fn calls_are_taken_out_of_the_text() {
    let server = Server::plain();
    let call = |name: &str, arguments: &str| {
        format!("<tool_call>\n{{\"name\": \"{name}\", \"arguments\": {arguments}}}\n</tool_call>")
    };
    let text =
        format!("Let me see.\n{}\n{}", call("weather", "{\"city\": \"Zürich\"}"), call("add", "{\"a\": [1, 2]}"));
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object"}}});
    let body = json!({
        "messages": [
            {"role": "user", "content": "How warm is it?"},
            {"role": "assistant", "content": null, "tool_calls": [{"id": "1", "type": "function", "function": {"name": "add", "arguments": "{}"}}]},
            {"role": "tool", "tool_call_id": "1", "content": "3"},
            {"role": "user", "content": format!("say|{text}")},
        ],
        "tools": [tool("weather"), tool("add")],
    });
    let reply = server.post("/v1/chat/completions", &body).ok();
    let choice = &reply["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["message"]["content"]),
        (&json!("tool_calls"), &json!("Let me see."))
    );
    let calls = choice["message"]["tool_calls"].as_array().unwrap();
    let functions: Vec<_> = calls.iter().map(|call| call["function"].clone()).collect();
    let expected = [
        json!({"name": "weather", "arguments": "{\"city\": \"Zürich\"}"}),
        json!({"name": "add", "arguments": "{\"a\": [1, 2]}"}),
    ];
    assert_eq!(functions, expected);
    let said = server.double.seen.begun.lock().unwrap()[0].0.clone();
    assert!(said.contains("<tools>") && said.contains("<tool_response>\n3"), "{said}");
    let events = server.post("/v1/chat/completions", &with(body.clone(), &json!({"stream": true}))).events();
    assert_eq!(joined(&events), "Let me see.");
    let mut functions: Vec<Value> = Vec::new();
    for call in events.iter().filter_map(|event| event["choices"][0]["delta"]["tool_calls"].get(0)) {
        if call["id"].is_string() {
            assert_eq!(call["index"], functions.len());
            functions.push(json!({"name": call["function"]["name"], "arguments": ""}));
        }
        let last = functions.last_mut().unwrap();
        let arguments =
            format!("{}{}", last["arguments"].as_str().unwrap(), call["function"]["arguments"].as_str().unwrap());
        last["arguments"] = json!(arguments);
    }
    assert_eq!(functions, expected);
    assert_eq!(events.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
    let mut alone = body.clone();
    alone["messages"] = json!([{"role": "user", "content": format!("say|{}", call("add", "{}"))}]);
    assert_eq!(server.post("/v1/chat/completions", &alone).ok()["choices"][0]["message"]["content"], Value::Null);
    let events = server.post("/v1/chat/completions", &with(alone, &json!({"stream": true}))).events();
    assert!(events.iter().all(|event| event["choices"][0]["delta"]["content"].is_null()), "{events:?}");
    let both = with(body, &json!({"stream": true, "retractions": true}));
    assert_eq!(server.post("/v1/chat/completions", &both).refused(400).0, "retractions");
}

#[test]
fn parts_of_a_message_have_a_line_break_between_them_in_every_interface() {
    let server = Server::plain();
    let parts = |kind: &str| {
        let part = |text: &str| json!({"type": kind, "text": text});
        json!([{"role": "user", "content": [part("What is"), part("the best book?")]}])
    };
    for (path, body) in [
        ("/v1/chat/completions", json!({"messages": parts("text")})),
        ("/v1/messages", json!({"model": "tale+fable", "max_tokens": 50, "messages": parts("text")})),
        ("/v1/responses", json!({"input": parts("input_text")})),
    ] {
        server.post(path, &body).ok();
        let said = server.double.seen.begun.lock().unwrap().pop().unwrap().0;
        assert_eq!(said, "What is\nthe best book?", "{path}");
    }
}

#[test]
fn shapes_are_passed_on() {
    let server = Server::plain();
    for shape in [
        json!({"response_format": {"type": "json_object"}}),
        json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}}),
        json!({"grammar": "root ::= \"a\""}),
    ] {
        server.post("/v1/chat/completions", &with(chat("hello"), &shape)).ok();
        server.post("/v1/completions", &with(json!({"prompt": "hello"}), &shape)).ok();
    }
    assert_eq!(server.double.seen.constrained.load(Ordering::SeqCst), 6);
}
