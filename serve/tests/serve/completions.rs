//! Completions, log-probabilities of given texts, and units, as lm-eval asks for them.

use crate::client::Server;
use crate::double::{logprob, units_of};
use serde_json::{Value, json};

const TEXT: &str = "Grüße, the cat: 5 €";

fn joined(events: &[Value]) -> String {
    events.iter().filter_map(|event| event["choices"][0]["text"].as_str()).collect()
}

#[test]
fn a_completion_has_openais_form() {
    let server = Server::plain();
    let reply = server.post("/v1/completions", &json!({"prompt": TEXT, "logprobs": 2})).ok();
    assert_eq!(reply["object"], "text_completion");
    let choice = &reply["choices"][0];
    assert_eq!((&choice["text"], &choice["finish_reason"]), (&json!(TEXT), &json!("stop")));
    let logprobs = &choice["logprobs"];
    let count = units_of(TEXT).len();
    for column in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        assert_eq!(logprobs[column].as_array().unwrap().len(), count, "{column}");
    }
    // "ü" is two units of one character.
    assert_eq!(logprobs["tokens"][2], "bytes:\\xc3");
    assert_eq!((&logprobs["text_offset"][2], &logprobs["text_offset"][4]), (&json!(2), &json!(3)));
    let body = json!({"prompt": TEXT, "logprobs": 2, "stream": true, "stream_options": {"include_usage": true}});
    let events = server.post("/v1/completions", &body).events();
    assert_eq!(joined(&events), TEXT);
    for column in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
        let parts = events.iter().filter_map(|event| event["choices"][0]["logprobs"][column].as_array());
        assert_eq!(Value::Array(parts.flatten().cloned().collect()), logprobs[column], "{column}");
    }
    assert_eq!(events.last().unwrap()["usage"], reply["usage"]);
}

#[test]
fn prompts_come_as_texts_and_as_units() {
    let server = Server::plain();
    let reply = server.post("/v1/completions", &json!({"prompt": ["one", "two"], "n": 2})).ok();
    let texts: Vec<_> = reply["choices"].as_array().unwrap().iter().map(|choice| choice["text"].clone()).collect();
    assert_eq!(json!(texts), json!(["one", "one", "two", "two"]));
    assert_eq!(reply["usage"]["prompt_tokens"], 6);
    let reply = server.post("/v1/completions", &json!({"prompt": [257, 97, 98]})).ok();
    assert_eq!(reply["choices"][0]["text"], "ab");
    assert_eq!(server.double.seen.begun.lock().unwrap().last().unwrap().0, "[97, 98]", "a text begins once");
    let reply = server.post("/v1/completions", &json!({"prompt": [[97], [98]], "echo": true})).ok();
    assert_eq!((&reply["choices"][0]["text"], &reply["choices"][1]["text"]), (&json!("aa"), &json!("bb")));
    let events = server.post("/v1/completions", &json!({"prompt": "ab", "echo": true, "stream": true})).events();
    assert_eq!(joined(&events), "abab");
}

#[test]
fn a_given_text_is_scored_as_lm_eval_wants_it() {
    let server = Server::plain();
    let units = units_of(TEXT);
    for prompt in [json!(units), json!([units, units]), json!(TEXT)] {
        for generated in [0, 1] {
            let body = json!({
                "model": "tale+fable", "prompt": prompt, "echo": true, "logprobs": 1, "max_tokens": generated, "seed": 1234,
                "temperature": 0,
            });
            let reply = server.post("/v1/completions", &body).ok();
            let choice = &reply["choices"][0];
            let logprobs = &choice["logprobs"];
            let count = units.len() + generated;
            for column in ["tokens", "token_logprobs", "top_logprobs", "text_offset"] {
                assert_eq!(logprobs[column].as_array().unwrap().len(), count, "{column} of {reply}");
            }
            assert_eq!(logprobs["token_logprobs"][0], Value::Null);
            assert_eq!(logprobs["top_logprobs"][0], Value::Null);
            for (place, unit) in units.iter().enumerate().skip(1) {
                assert_eq!(logprobs["token_logprobs"][place].as_f64().unwrap() as f32, logprob(*unit));
                let top = logprobs["top_logprobs"][place].as_object().unwrap();
                let name = logprobs["tokens"][place].as_str().unwrap();
                assert_eq!(top[name], logprobs["token_logprobs"][place], "to the bit");
                assert!(top.len() <= 2);
            }
            assert!(choice["text"].as_str().unwrap().starts_with(TEXT));
            assert_eq!(reply["usage"]["completion_tokens"].as_u64().unwrap() % (generated as u64).max(1), 0);
        }
    }
}

#[test]
fn a_context_with_its_beginning_and_the_end_of_a_text_count() {
    let server = Server::plain();
    let body = json!({"prompt": [257, 97, 98], "echo": true, "logprobs": 1, "max_tokens": 1});
    let reply = server.post("/v1/completions", &body).ok();
    let logprobs = &reply["choices"][0]["logprobs"];
    assert_eq!(logprobs["tokens"], json!(["<s>", "a", "b", "</s>"]));
    assert_eq!(logprobs["token_logprobs"][1].as_f64().unwrap() as f32, logprob(97));
    assert_eq!(logprobs["text_offset"], json!([0, 3, 4, 5]));
    assert_eq!(reply["usage"]["completion_tokens"], 1);
    assert_eq!(server.double.seen.begun.lock().unwrap()[0].0, "[]");
}

#[test]
fn what_completions_do_not_honour_is_refused_by_name() {
    let server = Server::plain();
    let refused = [
        ("prompt", json!({})),
        ("prompt", json!({"prompt": []})),
        ("prompt", json!({"prompt": [[]]})),
        ("prompt", json!({"prompt": [1, "a"]})),
        ("prompt", json!({"prompt": [-1]})),
        ("prompt", json!({"prompt": [9999]})),
        ("prompt", json!({"prompt": {"a": 1}})),
        ("prompt", json!({"prompt": vec!["a"; 200]})),
        ("suffix", json!({"prompt": "a", "suffix": "b"})),
        ("best_of", json!({"prompt": "a", "best_of": 2})),
        ("logprobs", json!({"prompt": "a", "logprobs": 21})),
        ("logprobs", json!({"prompt": "a", "logprobs": true})),
        ("max_tokens", json!({"prompt": "a", "max_tokens": 0})),
        ("stop", json!({"prompt": "a", "echo": true, "logprobs": 1, "stop": "b"})),
        ("stream", json!({"prompt": "a", "echo": true, "logprobs": 1, "stream": true})),
        ("prompt", json!({"prompt": "", "echo": true, "logprobs": 1})),
        ("messages", json!({"prompt": "a", "messages": []})),
    ];
    for (param, body) in refused {
        assert_eq!(server.post("/v1/completions", &body).refused(400).0, param, "{body}");
    }
}

#[test]
fn units_of_a_text_and_back() {
    let server = Server::plain();
    for name in ["prompt", "content", "text"] {
        assert_eq!(server.post("/tokenize", &json!({name: "a the"})).ok()["tokens"], json!([97, 258]));
    }
    let reply = server.post("/tokenize", &json!({"prompt": "€", "add_special_tokens": true, "with_pieces": true})).ok();
    let pieces = json!([{"id": 257, "piece": "<s>"}, {"id": 260, "piece": [226, 130]}, {"id": 172, "piece": [172]}]);
    assert_eq!((&reply["tokens"], &reply["count"]), (&pieces, &json!(3)));
    let reply = server.post("/detokenize", &json!({"tokens": [260, 172, 258]})).ok();
    assert_eq!((&reply["prompt"], &reply["content"]), (&json!("€ the"), &json!("€ the")));
    assert_eq!(server.post("/detokenize", &json!({"tokens": [9999]})).refused(400).0, "tokens");
    server.post("/detokenize", &json!({})).refused(400);
    assert_eq!(server.post("/tokenize", &json!({"prompt": "a", "content": "a"})).refused(400).0, "content");
    let info = server.get("/tokenizer_info").ok();
    assert_eq!(
        (&info["eos_token"], &info["bos_token"], &info["pad_token"]),
        (&json!("</s>"), &json!("<s>"), &json!("</s>"))
    );
    assert_eq!(info["chat_template"], "{{ messages }}");
}
