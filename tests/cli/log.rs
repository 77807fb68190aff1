//! The memory log as the program writes it.

use crate::support::program::{PAIR, Place, error_of, model};
use crate::support::replay::Replay;
use llama_selfmod::memory::file_sha256;
use serde_json::Value;
use std::process::Stdio;

const WORDS: [&str; 8] = [PAIR, "--seed", "1", "-n", "120", "--aggressive", "-p", "Once upon a time"];

#[test]
fn a_line_says_what_the_stream_said() {
    let place = Place::new();
    let replay = Replay::of(&place.text(&[&WORDS[..], &["--json-stream"]].concat()));
    let log = place.log();
    assert_eq!(log.len(), 1);
    let line = &log[0];
    assert_eq!(line["prompt"], "Once upon a time");
    assert_eq!(line["response"], replay.done["text"]);
    for key in ["reason", "tokens", "retractions", "avg_confidence"] {
        assert_eq!(line[key], replay.done[key], "{key}");
    }
    assert_eq!(
        (&line["seed"], &line["num_models"], &line["fusion_mode"]),
        (&1.into(), &2.into(), &"confidence".into())
    );
    assert_eq!((&line["settings"]["aggressive"], &line["settings"]["n_predict"]), (&true.into(), &120.into()));
    assert!(line["final_temperature"].is_f64() && line["timings"]["reply_ms"].is_f64());
    let timestamp: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(timestamp).as_secs().abs() < 600);
    for change in line["modifications"].as_array().unwrap() {
        assert!(change["token_index"].is_u64() && change["confidence"].is_f64() && change["description"].is_string());
        assert_eq!(change["fusion_data"]["mode"], "confidence");
        assert_eq!(change["fusion_data"]["probabilities"].as_array().unwrap().len(), 2);
    }
}

#[test]
fn retractions_are_logged_with_the_text_they_took_and_the_one_in_its_place() {
    let place = Place::new();
    let script = "fn on_token(step, token) { if token.is_end { resample() } }
    fn on_assessment(step, a) {
        if step.attempt == 0 && step.position % 20 == 10 && step.retractable >= 4 { retract(4, \"try\") }
    }";
    place.file("try.rhai", script);
    let words = [&WORDS[..], &["--policy", "try.rhai", "--json-stream", "--max-retractions", "20"]].concat();
    let replay = Replay::of(&place.text(&words));
    assert!(replay.rejected.len() >= 4, "{:?}", replay.rejected);
    let line = &place.log()[0];
    let details = line["retraction_details"].as_array().unwrap();
    assert_eq!(details.len(), replay.rejected.len());
    let response = line["response"].as_str().unwrap();
    for (detail, (rejected, position)) in details.iter().zip(replay.rejected.iter().zip(&replay.positions)) {
        assert_eq!((&detail["rejected"], &detail["policy"]), (&rejected.as_str().into(), &"try".into()));
        assert_eq!((&detail["index"], &detail["tokens"]), (&Value::from(*position), &4.into()));
        let chosen = detail["chosen"].as_str().unwrap();
        assert_ne!(chosen, rejected);
        assert!(!chosen.is_empty() && response.contains(chosen), "{chosen:?} in {response}");
    }
}

#[test]
fn the_models_are_known_by_the_hash_of_their_files() {
    let place = Place::new();
    place.text(&[PAIR, "-p", "x", "-n", "1"]);
    let log = place.log();
    for (record, name) in log[0]["models"].as_array().unwrap().iter().zip(["stories-260k", "stories-280k"]) {
        assert_eq!(record["name"], name);
        assert_eq!(record["sha256"], file_sha256(&model(&format!("{name}.gguf"))).unwrap());
    }
}

#[test]
fn processes_that_write_at_once_lose_no_line() {
    let place = Place::new();
    let start = |prompt: &str| {
        place.process(&[PAIR, "-n", "5", "-p", prompt]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    for round in 0..3 {
        let children: Vec<_> = (0..3).map(|writer| start(&format!("{round} {writer}"))).collect();
        for mut child in children {
            assert!(child.wait().unwrap().success());
        }
    }
    let mut prompts: Vec<_> = place.log().iter().map(|line| line["prompt"].as_str().unwrap().to_owned()).collect();
    prompts.sort();
    assert_eq!(prompts, ["0 0", "0 1", "0 2", "1 0", "1 1", "1 2", "2 0", "2 1", "2 2"]);
}

#[test]
fn a_line_torn_by_a_crash_is_moved_away_and_told() {
    let place = Place::new();
    place.file("selfmod_memory.jsonl", "{\"prompt\":\"whole\"}\n{\"prompt\":\"to");
    let output = place.run(&[PAIR, "-p", "x", "-n", "1"]);
    let error = error_of(&output);
    assert!(error.contains("was cut off by a crash; its 13 bytes are now in `selfmod_memory.jsonl.torn`"), "{error}");
    assert_eq!(place.read("selfmod_memory.jsonl.torn"), "{\"prompt\":\"to\n");
    let log = place.log();
    assert_eq!((log.len(), &log[0]["prompt"], &log[1]["prompt"]), (2, &"whole".into(), &"x".into()));
}

#[test]
fn none_writes_no_log() {
    let place = Place::new();
    place.text(&[PAIR, "-p", "x", "-n", "1", "--memory-file", "none"]);
    assert!(!place.path().join("selfmod_memory.jsonl").exists() && !place.path().join("none").exists());
}
