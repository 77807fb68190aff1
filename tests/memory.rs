//! The memory log, written by real processes.

use llama_selfmod::events::EndReason;
use llama_selfmod::memory::{Memory, MemoryError, ModelRecord, Record, Session};
use llama_selfmod::reply::{Drafts, FusionData, Modification, Reply, RetractionRecord, Timings};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn reply(text: &str) -> Reply {
    Reply {
        text: text.into(),
        reason: EndReason::End,
        stopped_by: None,
        tokens: 3,
        retractions: vec![RetractionRecord {
            index: 1,
            tokens: 2,
            policy: "retraction".into(),
            reason: "mean confidence 0.2".into(),
            rejected: "früher".into(),
            chosen: "später".into(),
        }],
        modifications: vec![Modification {
            token_index: 1,
            kind: "retract",
            confidence: 0.25,
            description: "retraction: mean confidence 0.2".into(),
            fusion_data: FusionData {
                mode: "confidence".into(),
                leader: "a".into(),
                agreement: 0.5,
                probabilities: vec![0.25, 0.75],
            },
        }],
        avg_confidence: 0.5,
        final_parameters: plugin_api::Parameters {
            temperature: 0.75,
            top_p: 0.95,
            min_p: 0.05,
            repeat_penalty: 1.1,
            top_k: 40,
        },
        timings: Timings::default(),
        dropped_messages: 0,
        drafts: Drafts::default(),
    }
}

fn session() -> Session {
    Session {
        fusion_mode: "confidence".into(),
        models: vec![ModelRecord { name: "a".into(), path: "a.gguf".into(), sha256: None }],
        seed: 7,
        settings: serde_json::json!({ "ctx_size": 2048 }),
    }
}

fn append(path: &Path, prompt: &str, text: &str) -> Result<(), MemoryError> {
    let (reply, session) = (reply(text), session());
    Memory::open(path)?.append(&Record::new(prompt, &reply, &session))
}

fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn log() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.jsonl");
    (folder, path)
}

#[test]
fn a_reply_becomes_one_line_with_all_its_fields() {
    let (_folder, path) = log();
    append(&path, "Größe?\n\"😀\"", "Zwei Zeilen\n日本").unwrap();
    let lines = lines(&path);
    assert_eq!(lines.len(), 1);
    let line = &lines[0];
    let timestamp: jiff::Timestamp = line["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(timestamp).as_secs().abs() < 60, "{timestamp}");
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    let mut rest = line.clone();
    rest["timestamp"] = Value::Null;
    let expected = serde_json::json!({
        "timestamp": null,
        "prompt": "Größe?\n\"😀\"",
        "response": "Zwei Zeilen\n日本",
        "reason": "end",
        "tokens": 3,
        "avg_confidence": 0.5,
        "final_temperature": 0.75,
        "modifications": [{
            "token_index": 1,
            "type": "retract",
            "confidence": 0.25,
            "description": "retraction: mean confidence 0.2",
            "fusion_data": {
                "mode": "confidence", "leader": "a", "agreement": 0.5, "probabilities": [0.25, 0.75],
            },
        }],
        "retractions": 1,
        "retraction_details": [{
            "index": 1, "tokens": 2, "policy": "retraction", "reason": "mean confidence 0.2",
            "rejected": "früher", "chosen": "später",
        }],
        "num_models": 1,
        "fusion_mode": "confidence",
        "models": [{ "name": "a", "path": "a.gguf", "sha256": null }],
        "seed": 7,
        "settings": { "ctx_size": 2048 },
        "timings": {
            "prompt_ms": 0.0, "reply_ms": 0.0, "prompt_tokens": 0, "prompt_tokens_decoded": 0,
        },
    });
    // Through text on both sides, so that the numbers have the width they have in the file.
    assert_eq!(rest, serde_json::from_str::<Value>(&expected.to_string()).unwrap());
}

const WRITERS: u64 = 3;
const LINES: u64 = 60;

/// Not a test by itself: what the processes of the next test run.
#[test]
fn one_of_several_writers() {
    let Ok(path) = std::env::var("LLAMA_SELFMOD_TEST_LOG") else { return };
    let writer = std::env::var("LLAMA_SELFMOD_TEST_WRITER").unwrap();
    let mut memory = Memory::open(Path::new(&path)).unwrap();
    let (reply, session) = (reply(&"ä".repeat(100_000)), session());
    for number in 0..LINES {
        memory.append(&Record::new(&format!("{writer} {number}"), &reply, &session)).unwrap();
    }
    assert_eq!(memory.take_notice(), None);
}

#[test]
fn processes_that_write_at_the_same_time_lose_nothing() {
    let (_folder, path) = log();
    let children = (0..WRITERS).map(|writer| {
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "memory::one_of_several_writers"])
            .env("LLAMA_SELFMOD_TEST_LOG", &path)
            .env("LLAMA_SELFMOD_TEST_WRITER", writer.to_string())
            .spawn()
            .unwrap()
    });
    for mut child in children.collect::<Vec<_>>() {
        assert!(child.wait().unwrap().success());
    }
    let lines = lines(&path);
    for writer in 0..WRITERS {
        let prefix = format!("{writer} ");
        let prompts = lines.iter().filter_map(|line| line["prompt"].as_str().unwrap().strip_prefix(&prefix));
        assert!(prompts.eq((0..LINES).map(|number| number.to_string())), "writer {writer} lost lines");
    }
}

#[test]
fn a_line_torn_by_a_crash_is_moved_away_and_nothing_else() {
    let (_folder, path) = log();
    append(&path, "whole", "text").unwrap();
    let whole = std::fs::read(&path).unwrap();
    let torn = &whole[..whole.len() / 2];
    std::fs::write(&path, [&whole, torn].concat()).unwrap();

    let mut memory = Memory::open(&path).unwrap();
    let notice = memory.take_notice().unwrap();
    assert!(notice.contains("log.jsonl.torn"), "{notice}");
    assert_eq!(memory.take_notice(), None);
    assert_eq!(std::fs::read(&path).unwrap(), whole);
    assert_eq!(std::fs::read(path.with_extension("jsonl.torn")).unwrap(), [torn, b"\n"].concat());
}

#[test]
fn a_torn_line_longer_than_a_block_and_without_a_line_before_it_is_moved_whole() {
    let (_folder, path) = log();
    let torn = format!("{{\"prompt\":\"{}", "x".repeat(300_000));
    std::fs::write(&path, &torn).unwrap();
    append(&path, "next", "text").unwrap();
    assert_eq!(lines(&path).len(), 1);
    assert_eq!(std::fs::read_to_string(path.with_extension("jsonl.torn")).unwrap(), torn + "\n");
}

#[test]
fn a_whole_last_line_without_its_newline_stays() {
    let (_folder, path) = log();
    std::fs::write(&path, "{\"prompt\":\"a\"}\n{\"prompt\":\"b\"}").unwrap();
    let mut memory = Memory::open(&path).unwrap();
    assert!(memory.take_notice().unwrap().contains("nothing is lost"));
    append(&path, "c", "text").unwrap();
    let prompts: Vec<_> = lines(&path).iter().map(|line| line["prompt"].as_str().unwrap().to_string()).collect();
    assert_eq!(prompts, ["a", "b", "c"]);
    assert!(!path.with_extension("jsonl.torn").exists());
}

#[test]
fn a_line_torn_by_another_process_in_the_meantime_spoils_no_later_line() {
    let (_folder, path) = log();
    let mut memory = Memory::open(&path).unwrap();
    std::fs::write(&path, "{\"prom").unwrap();
    let (reply, session) = (reply("text"), session());
    memory.append(&Record::new("after", &reply, &session)).unwrap();
    assert_eq!(lines(&path).len(), 1);
}

#[test]
fn a_file_that_cannot_be_written_is_reported_at_once() {
    let (folder, path) = log();
    let error = |path: &Path| Memory::open(path).unwrap_err().to_string();
    assert!(error(folder.path()).contains("is a folder"));
    assert!(error(&folder.path().join("missing/log.jsonl")).contains("its folder does not exist"));
    std::fs::write(&path, "").unwrap();
    assert!(error(&path.join("log.jsonl")).contains("cannot be written ("));
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_is_an_error_of_the_append() {
    let error = append(Path::new("/dev/full"), "prompt", "text").unwrap_err().to_string();
    assert!(error.contains("`/dev/full` cannot be written (No space left on device"), "{error}");
}
