//! What a program that reads `--json-stream` does, with every promise about the events checked on the way.
//!

use serde_json::Value;

/// The lines of a stream.
pub fn events(stream: &str) -> Vec<Value> {
    stream.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error} in {line}"))).collect()
}

/// A reply as its events tell it.
#[derive(Debug)]
pub struct Replay {
    /// The text that stands at the end.
    pub text: String,
    /// What each retraction took away.
    pub rejected: Vec<String>,
    /// Positions of the retractions.
    pub positions: Vec<usize>,
    /// The last event.
    pub done: Value,
}

impl Replay {
    pub fn of(stream: &str) -> Self {
        let events = events(stream);
        let (first, rest) = events.split_first().expect("there is an event");
        let (done, middle) = rest.split_last().expect("there is a last event");
        has(first, "init", &["models", "fusion_mode", "policies", "seed"]);
        has(done, "done", &["reason", "text", "tokens", "retractions", "avg_confidence", "tokens_per_second"]);
        let models: Vec<&str> = first["models"].as_array().unwrap().iter().map(text).collect();
        let (mut replay, mut confidences, mut committed) = (String::new(), Vec::<f64>::new(), 0);
        let (mut rejected, mut positions) = (Vec::new(), Vec::new());
        for event in middle {
            let kind = text(&event["type"]);
            match kind {
                "token" => {
                    let keys = ["index", "text", "confidence", "entropy", "agreement", "leader", "members"];
                    has(event, "token", &keys);
                    replay += text(&event["text"]);
                    // The last one comes again when it has to show what could have become a stop string.
                    let again = event == &middle[middle.len() - 1] && number(&event["index"]) + 1 == confidences.len();
                    if !again {
                        assert_eq!(number(&event["index"]), confidences.len(), "{event}");
                        confidences.push(event["confidence"].as_f64().unwrap());
                    }
                    check_token(event, &models);
                    committed = number(&event["committed"]).max(committed);
                    assert!(committed <= replay.len(), "{event}");
                }
                "retract" => {
                    has(event, "retract", &["index", "tokens", "bytes", "policy", "reason"]);
                    let keep = replay.len() - number(&event["bytes"]);
                    assert!(keep >= committed, "{event} takes back what was certain");
                    rejected.push(replay.split_off(keep));
                    confidences.truncate(confidences.len() - number(&event["tokens"]));
                    assert_eq!(number(&event["index"]), confidences.len(), "{event}");
                    positions.push(confidences.len());
                }
                "adjust" => has(event, "adjust", &["policy", "temperature", "repeat_penalty", "reason"]),
                "reload" => has(event, "reload", &["hook", "version"]),
                "notice" => has(event, "notice", &["text"]),
                _ => panic!("unknown event {event}"),
            }
        }
        assert_eq!(text(&done["text"]), replay);
        assert_eq!(number(&done["tokens"]), confidences.len());
        assert_eq!(number(&done["retractions"]), rejected.len());
        let mean = confidences.iter().sum::<f64>() / confidences.len().max(1) as f64;
        assert!((done["avg_confidence"].as_f64().unwrap() - mean).abs() < 1e-4, "{mean} is not that of {done}");
        Self { text: replay, rejected, positions, done: done.clone() }
    }
}

fn has(event: &Value, kind: &str, keys: &[&str]) {
    assert_eq!(event["type"], kind);
    for key in keys {
        assert!(!event[key].is_null(), "no `{key}` in {event}");
    }
}

fn check_token(event: &Value, models: &[&str]) {
    let share = |value: &Value| value.as_f64().is_some_and(|x| (0.0..=1.0 + 1e-6).contains(&x));
    assert!(share(&event["confidence"]) && share(&event["agreement"]), "{event}");
    assert!(event["entropy"].as_f64().unwrap() >= 0.0, "{event}");
    assert!(models.contains(&text(&event["leader"])), "{event}");
    let members = event["members"].as_array().unwrap();
    assert!(members.iter().map(|member| text(&member["name"])).eq(models.iter().copied()), "{event}");
    assert!(members.iter().all(|member| share(&member["probability"])), "{event}");
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no whole number")) as usize
}
