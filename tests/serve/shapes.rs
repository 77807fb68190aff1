//! What a reply has to look like: schemas and grammars, while policies take text back.

use super::restless;
use crate::support::http::Server;
use crate::support::program::Place;
use serde_json::{Value, json};

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "age": {"type": "integer", "minimum": 0, "maximum": 99},
            "likes": {"type": "array", "items": {"enum": ["cats", "dogs", "birds"]}, "minItems": 2, "maxItems": 3},
        },
        "required": ["name", "age", "likes"],
        "additionalProperties": false,
    })
}

fn holds(value: &Value) {
    assert!(value["name"].as_str().unwrap().chars().count() <= 12, "{value}");
    assert!(value["age"].as_u64().unwrap() <= 99, "{value}");
    let likes = value["likes"].as_array().unwrap();
    assert!(
        (2..=3).contains(&likes.len())
            && likes.iter().all(|like| ["cats", "dogs", "birds"].contains(&like.as_str().unwrap()))
    );
    assert_eq!(value.as_object().unwrap().len(), 3);
}

fn replies(server: &Server) {
    for seed in 0..8 {
        let body = json!({
            "messages": [{"role": "user", "content": "Who is it?"}], "max_tokens": 200, "seed": seed, "temperature": 1.5,
            "response_format": {"type": "json_schema", "json_schema": {"name": "who", "strict": true, "schema": schema()}},
        });
        let answer = server.post("/v1/chat/completions", &body).ok();
        let choice = &answer["choices"][0];
        assert_eq!(choice["finish_reason"], "stop", "{answer}");
        holds(&serde_json::from_str(choice["message"]["content"].as_str().unwrap()).unwrap());
    }
}

#[test]
fn json_of_a_schema_comes_whole_though_text_is_taken_back() {
    let server = restless(&[]);
    replies(&server);
    assert!(server.place.log().iter().all(|line| line["retractions"].as_u64().unwrap() > 0));
}

#[test]
fn json_of_a_schema_comes_from_members_of_different_vocabularies() {
    let server = Server::start(Place::new(), &["--demo", "--threads", "1"]);
    replies(&server);
}

#[test]
fn a_grammar_is_kept_to() {
    for words in [&["--demo"][..], &[]] {
        let server = if words.is_empty() {
            restless(&[])
        } else {
            Server::start(Place::new(), &[words, &["--threads", "1"]].concat())
        };
        for seed in 0..5 {
            let body = json!({"prompt": "Is it a cat?", "grammar": "root ::= (\"yes\" | \"no\") (\", \" (\"yes\" | \"no\")){3,12} \".\"",
                "max_tokens": 100, "seed": seed, "temperature": 1.0});
            let answer = server.post("/v1/completions", &body).ok();
            let text = answer["choices"][0]["text"].as_str().unwrap().to_owned();
            let words: Vec<&str> = text.strip_suffix('.').unwrap_or_else(|| panic!("{text}")).split(", ").collect();
            assert!((4..=13).contains(&words.len()) && words.iter().all(|word| ["yes", "no"].contains(word)), "{text}");
        }
    }
}

#[test]
fn what_cannot_be_used_is_refused_with_its_name() {
    let server = restless(&[]);
    let with = |field: &str, value: Value| {
        let mut body = json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 5});
        body[field] = value;
        let answer = server.post("/v1/chat/completions", &body);
        (answer.status, answer.json()["error"]["param"].as_str().unwrap_or_default().to_owned())
    };
    assert_eq!(
        with(
            "response_format",
            json!({"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nothing"}}})
        ),
        (400, "response_format".into())
    );
    assert_eq!(with("grammar", json!("root ::= (")), (400, "grammar".into()));
    assert_eq!(with("logit_bias", json!({"9999999": 5})), (400, "logit_bias".into()));
    assert_eq!(with("temperature", json!(7)), (400, "temperature".into()));
    assert_eq!(with("mirostat", json!(2)), (400, "mirostat".into()));
    let demo = Server::start(Place::new(), &["--demo", "--threads", "1"]);
    let body = json!({"prompt": "a", "max_tokens": 2, "logit_bias": {"97": 5}});
    assert_eq!(demo.post("/v1/completions", &body).json()["error"]["param"], "logit_bias");
}

#[test]
fn a_bias_makes_units_come_or_not() {
    let server = restless(&[]);
    let unit = |text: &str| {
        server.post("/tokenize", &json!({"prompt": text})).ok()["tokens"]
            .as_array()
            .unwrap()
            .last()
            .unwrap()
            .to_string()
    };
    let (the, dot) = (unit("the the"), unit("a."));
    let ask = |bias: Value| {
        let body = json!({"prompt": "Once", "max_tokens": 40, "seed": 3, "logit_bias": bias});
        server.post("/v1/completions", &body).ok()["choices"][0]["text"].as_str().unwrap().to_owned()
    };
    assert!(ask(json!({})).contains('.'));
    assert!(!ask(json!({dot: -100})).contains('.'));
    assert!(ask(json!({the: 100})).matches("the").count() > 30);
}
