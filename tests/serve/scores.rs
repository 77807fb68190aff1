//! Log-probabilities of a text that is given, and replies that begin with what is given.

use super::pair;
use crate::support::http::{Server, Stream};
use crate::support::program::Place;
use serde_json::{Value, json};

const TEXT: &str = "Once upon a time there was a little girl. She had a red ball, and one day it was gone.";

/// In nats, by the server: the first unit is free.
fn asked(server: &Server, text: &str) -> (Vec<f64>, Vec<u64>) {
    let units = server.post("/tokenize", &json!({"prompt": text})).ok()["tokens"].clone();
    let body = json!({"prompt": units, "echo": true, "logprobs": 1, "max_tokens": 1, "temperature": 0});
    let answer = server.post("/v1/completions", &body).ok();
    let own = answer["choices"][0]["logprobs"]["token_logprobs"].as_array().unwrap().clone();
    let units: Vec<u64> = units.as_array().unwrap().iter().map(|unit| unit.as_u64().unwrap()).collect();
    // Those of the prompt, and exactly one more.
    assert_eq!(own.len(), units.len() + 1);
    assert_eq!(own[0], Value::Null);
    (own[1..units.len()].iter().map(|nats| -nats.as_f64().unwrap()).collect(), units)
}

#[test]
fn a_prompt_is_scored_as_score_does_it() {
    // `score` follows more readings where the members have different vocabularies.
    for (models, most) in [(Some("--demo"), 0.02), (None, 1e-4)] {
        let place = Place::new();
        let models = models.map_or_else(|| pair(&place), String::from);
        place.file("text.txt", TEXT);
        let said = place.text(&["score", &models, "--threads", "1", "text.txt", "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        let bits = said["fused"]["bits_per_byte"].as_f64().or(said["fused"].as_f64()).unwrap();
        let server = Server::start(place, &[&models, "--threads", "1", "--policy", "none"]);
        let (nats, units) = asked(&server, TEXT);
        let (first, _) = pieces(&server, &json!({"prompt": "", "given": [[units[0]]], "max_tokens": 1}));
        let all = nats.iter().sum::<f64>() - first[0]["logprob"].as_f64().unwrap();
        // Some vocabularies put a space in front, which `score` counts.
        let bytes = server.post("/detokenize", &json!({"tokens": units})).ok()["prompt"].as_str().unwrap().len();
        let by_server = all / std::f64::consts::LN_2 / bytes as f64;
        assert!((by_server / bits - 1.0).abs() < most, "{by_server}, and {bits} by score");
        // The same numbers, whatever was asked before, and in one request with others.
        assert_eq!(asked(&server, TEXT).0, nats);
    }
}

#[test]
fn units_go_to_text_and_back() {
    for models in ["--demo", ""] {
        let place = Place::new();
        let models = if models.is_empty() { pair(&place) } else { models.into() };
        let server = Server::start(place, &[&models, "--threads", "1"]);
        for text in [TEXT, "a", "  two  spaces\nand a line"] {
            let units = server.post("/tokenize", &json!({"prompt": text, "add_special_tokens": false})).ok();
            let back = server.post("/detokenize", &json!({"tokens": units["tokens"]})).ok();
            assert_eq!(back["prompt"].as_str().unwrap().trim_start_matches(' '), text.trim_start_matches(' '));
        }
        assert_eq!(server.post("/detokenize", &json!({"tokens": [99_999_999]})).status, 400);
    }
}

fn pieces(server: &Server, body: &Value) -> (Vec<Value>, String) {
    let mut stream = Stream::post(server.address, "/v1/stream", body);
    let (mut pieces, mut text) = (Vec::new(), String::new());
    while let Some(told) = stream.stream_event() {
        if told["type"] == "token" && !told["piece"].is_null() {
            pieces.push(told["piece"].clone());
        }
        if told["type"] == "done" {
            text = told["text"].as_str().unwrap().to_owned();
        }
    }
    (pieces, text)
}

#[test]
fn a_reply_goes_on_from_another_choice() {
    for models in ["--demo", ""] {
        let place = Place::new();
        let models = if models.is_empty() { pair(&place) } else { models.into() };
        let server = Server::start(place, &[&models, "--threads", "1", "--policy", "none"]);
        let body = json!({"prompt": "One day a", "max_tokens": 24, "seed": 5, "alternatives": 5, "members": true});
        let (first, text) = pieces(&server, &body);
        assert_eq!(first.len(), 24);
        let members = first[7]["members"].as_array().unwrap();
        assert!(members.len() == 2 && members.iter().all(|member| !member.as_array().unwrap().is_empty()));
        let place = &first[7];
        let other = place["alternatives"]
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["units"] != place["units"] && !one["bytes"].as_array().unwrap().is_empty());
        let mut given: Vec<Value> = first[..7].iter().map(|piece| piece["units"].clone()).collect();
        given.push(other.unwrap()["units"].clone());
        let mut body = body.clone();
        body["given"] = given.clone().into();
        let (second, other_text) = pieces(&server, &body);
        assert!(second.iter().map(|piece| &piece["units"]).take(8).eq(given.iter()), "{second:?}");
        // What stood in front has the numbers that it had.
        let numbers = |piece: &Value| (piece["logprob"].as_f64().unwrap() * 1e3).round();
        assert!(first[..7].iter().map(numbers).eq(second[..7].iter().map(numbers)));
        assert_ne!(text, other_text);
        // The same choice gives the same text.
        body["given"] = first[..9].iter().map(|piece| piece["units"].clone()).collect();
        assert_eq!(pieces(&server, &body).1, text);
    }
}
