//! What clients see of text that is taken back.

use super::restless;
use crate::serve::pair;
use crate::support::http::{Server, Stream};
use crate::support::program::Place;
use serde_json::{Value, json};

fn asked(seed: u64) -> Value {
    json!({"prompt": "Once upon a time", "max_tokens": 80, "seed": seed, "temperature": 1.0, "stream": true})
}

fn deltas(stream: &mut Stream) -> Vec<String> {
    let delta = |chunk: Value| chunk["choices"][0]["text"].as_str().unwrap_or_default().to_owned();
    std::iter::from_fn(|| stream.event().map(delta)).collect()
}

#[test]
fn deltas_add_up_to_the_text_of_the_log_while_text_is_taken_back() {
    let server = restless(&[]);
    let texts: Vec<String> = (0..6)
        .map(|seed| deltas(&mut Stream::post(server.address, "/v1/completions", &asked(seed))).concat())
        .collect();
    let whole: Vec<String> = (0..6)
        .map(|seed| {
            let mut body = asked(seed);
            body["stream"] = false.into();
            server.post("/v1/completions", &body).ok()["choices"][0]["text"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(texts, whole);
    let log = server.place.log();
    assert_eq!(log.len(), 12);
    for (line, text) in log.iter().zip(&texts) {
        assert_eq!(line["response"], text.as_str());
        assert!(line["retractions"].as_u64().unwrap() >= 5, "{line}");
    }
    assert_eq!(log[3]["seed"], 3);
    assert_eq!(log[3]["settings"]["temperature"], 1.0);
}

#[test]
fn who_can_take_text_back_gets_every_token_at_once() {
    let server = restless(&[]);
    let mut body = asked(1);
    body["retractions"] = true.into();
    let mut stream = Stream::post(server.address, "/v1/completions", &body);
    let (mut text, mut taken, mut held) = (String::new(), 0, 0);
    while let Some(chunk) = stream.event() {
        text += chunk["choices"][0]["text"].as_str().unwrap_or_default();
        let own = &chunk["llama_selfmod"];
        match own["type"].as_str() {
            Some("retract") => {
                taken += 1;
                assert_eq!(own["reason"], "restless");
                text.truncate(text.len() - own["bytes"].as_u64().unwrap() as usize);
            }
            Some("token") => held = held.max(text.len() - own["committed"].as_u64().unwrap() as usize),
            _ => {}
        }
    }
    assert!(taken >= 5 && held > 10, "{taken} times, {held} bytes");
    assert_eq!(server.place.log()[0]["response"], text.as_str());
}

/// How many units a standard client was behind at most.
fn behind(server: &Server, body: &Value) -> usize {
    let mut stream = Stream::post(server.address, "/v1/stream", body);
    let (mut ends, mut behind) = (Vec::new(), 0);
    while let Some(told) = stream.stream_event() {
        match told["type"].as_str() {
            Some("token") => {
                let before = ends.last().copied().unwrap_or(0);
                ends.push(before + told["text"].as_str().unwrap().len());
                let committed = told["committed"].as_u64().unwrap() as usize;
                behind = behind.max(ends.iter().filter(|&&end| end > committed).count());
            }
            Some("retract") => ends.truncate(told["index"].as_u64().unwrap() as usize),
            _ => {}
        }
    }
    behind
}

#[test]
fn text_is_held_back_no_longer_than_policies_reach() {
    let place = Place::new();
    place.file("refuses.rhai", "// Refuses, and takes nothing back.\nfn on_token(step, token) { if token.unit == 300 { return resample(\"no\"); } }\n");
    place.file("short.rhai", "// Takes one back.\nconst MAX_RETRACT = 6;\nfn on_assessment(step, a) { if step.position == 20 { return retract(30); } }\n");
    let models = pair(&place);
    let body = json!({"prompt": "One day", "max_tokens": 60, "seed": 1});
    let mut place = Some(place);
    for (policies, most) in [
        (&["--policy", "none"][..], 0),
        (&["--policy", "refuses.rhai"], 0),
        (&["--policy", "short.rhai"], 6),
        (&["--policy", "retraction"], 32),
    ] {
        let words = [&[models.as_str(), "--threads", "1"], policies].concat();
        let mut server = Server::start(place.take().unwrap(), &words);
        assert_eq!(behind(&server, &body), most, "{policies:?}");
        let mut held = body.clone();
        held["hold"] = 4.into();
        assert_eq!(behind(&server, &held), most.min(4), "{policies:?}");
        place = Some(server.close());
    }
}

#[test]
fn a_text_that_goes_on_is_not_read_again() {
    let server = restless(&["--parallel", "2"]);
    let said = |content: &str| json!({"role": "user", "content": content});
    let ask = |messages: Value| {
        let body = json!({"messages": messages, "max_tokens": 12, "seed": 2});
        server.post("/v1/chat/completions", &body).ok()
    };
    let first = ask(json!([said("Tell me of a cat and of a dog and of a bird, all in one house by the sea.")]));
    let reply = first["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    // Others write meanwhile.
    (0..2)
        .for_each(|_| drop(ask(json!([said("A quite different thing, which has nothing to do with the first one.")]))));
    let second = ask(json!([
        said("Tell me of a cat and of a dog and of a bird, all in one house by the sea."),
        {"role": "assistant", "content": reply},
        said("And then?"),
    ]));
    let [all, cached] = [&second["usage"]["prompt_tokens"], &second["usage"]["prompt_tokens_details"]["cached_tokens"]];
    assert!(cached.as_u64().unwrap() * 10 >= all.as_u64().unwrap() * 6, "{cached} of {all}");
}

#[test]
fn a_text_goes_on_when_the_context_is_full() {
    // Of one vocabulary, and in bytes, of which more fit into a context than it has tokens.
    for models in [None, Some("--demo")] {
        let place = Place::new();
        let models = models.map_or_else(|| pair(&place), String::from);
        let words = [models.as_str(), "--threads", "1", "--ctx-size", "96", "--context-shift", "--policy", "none"];
        let server = Server::start(place, &words);
        let body = json!({"prompt": "Once upon a time", "max_tokens": 300, "seed": 1, "ignore_eos": true});
        let answer = server.post("/v1/completions", &body).ok();
        let [finish, tokens] = [&answer["choices"][0]["finish_reason"], &answer["usage"]["completion_tokens"]];
        assert_eq!((finish.as_str(), tokens.as_u64()), (Some("length"), Some(300)), "{answer}");
    }
}
