//! `--trace` and `replay`.

use crate::support::program::{ABSOLUTE, PAIR, Place, error_of};
use crate::support::timing::assert_within;
use serde_json::Value;
use std::time::Duration;

const RUN: [&str; 12] = [
    PAIR,
    "--seed",
    "1",
    "-n",
    "60",
    "--quiet",
    "--trace",
    "run.jsonl",
    "--policy",
    ABSOLUTE,
    "-p",
    "Once upon a time",
];
const ONCE: &str =
    "// Takes every unlikely token back.\nfn on_assessment(step, a) { if a.confidence < 0.1 { retract(1) } }\n";

/// A run with a policy that has much to say, in `run.jsonl`.
fn recorded() -> Place {
    let place = Place::new();
    place.text(&RUN);
    place
}

#[test]
fn a_replay_needs_no_model_and_takes_milliseconds() {
    let place = Place::new();
    let prompt = "Once upon a time";
    place.text(&["--demo", "--seed", "1", "-n", "200", "-t", "1.5", "--quiet", "--trace", "run.jsonl", "-p", prompt]);
    // The demo's models are unpacked into the folder.
    let models: Vec<_> = std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    let models: Vec<_> = models.into_iter().filter(|path| path.is_dir()).collect();
    assert!(!models.is_empty());
    models.iter().for_each(|folder| std::fs::remove_dir_all(folder).unwrap());
    place.file("once.rhai", ONCE);
    let text = place.text(&["replay", "run.jsonl", "--policy", "retraction", "--policy", "once.rhai", "--json"]);
    let replay: Value = serde_json::from_str(&text).unwrap();
    let policies = replay["policies"].as_array().unwrap();
    assert_eq!((&policies[0]["name"], &policies[1]["name"]), (&"retraction".into(), &"once.rhai".into()));
    for policy in policies {
        let taken = Duration::from_secs_f64(policy["milliseconds"].as_f64().unwrap() / 1e3);
        assert_within(Duration::from_millis(20), taken, "a replay of 200 tokens");
        assert!(policy["answers"].as_u64().unwrap() > 0, "{policy}");
    }
    for moment in replay["moments"].as_array().unwrap() {
        assert_eq!(moment["given"][0], moment["recorded"], "{moment}");
        let unlikely = moment["hook"] == "assessment" && moment["probability"].as_f64().unwrap() < 0.1;
        assert_eq!(moment["given"][1]["verdict"] == "retract 1", unlikely, "{moment}");
    }
}

#[test]
fn the_table_of_a_replay_is_not_cut_in_a_pipe() {
    let place = recorded();
    place.file("once.rhai", ONCE);
    let text = place.text(&["replay", "run.jsonl", "--policy", ABSOLUTE, "--policy", "once.rhai"]);
    let head = text.lines().next().unwrap();
    assert_eq!(
        head.split_whitespace().collect::<Vec<_>>().join(" "),
        "token text p hook in the run absolute.rhai once.rhai"
    );
    assert!(!text.contains('…'), "{text}");
    assert!(text.contains(" is above 0.85)") && text.contains("retract 1"), "{text}");
    assert!(text.contains("\nabsolute.rhai: ") && text.contains("\nonce.rhai: "), "{text}");
    // Each answer stands below its policy.
    let column = head.find("once.rhai").unwrap();
    for line in text.lines().filter(|line| line.trim_end().ends_with("  retract 1")) {
        let width = line.chars().count() - "retract 1".len();
        assert_eq!(width, head[..column].chars().count(), "{text}");
    }
}

#[test]
fn a_script_is_compared_with_itself_under_other_knobs() {
    let place = recorded();
    let script = "const LOW = knob(\"low\", 0.1, 0.0, 1.0);\n\
                  fn on_assessment(step, a) { if a.confidence < LOW { retract(1) } }\n";
    place.file("low.rhai", script);
    let words = ["replay", "run.jsonl", "--policy", "low.rhai:low=0.3", "--policy", "low.rhai", "--json"];
    let replay: Value = serde_json::from_str(&place.text(&words)).unwrap();
    let [more, fewer] = replay["policies"].as_array().unwrap().as_slice() else { panic!("{replay}") };
    assert_eq!((&more["name"], &fewer["name"]), (&"low.rhai:low=0.3".into(), &"low.rhai".into()));
    assert!(more["answers"].as_u64() > fewer["answers"].as_u64(), "{more} {fewer}");
}

#[test]
fn what_is_no_trace_is_refused_with_what_to_do() {
    let place = Place::new();
    place.file("once.rhai", ONCE);
    place.file("empty.jsonl", "");
    place.file("story.txt", "Once upon a time\n");
    place.file("log.jsonl", "{\"prompt\": \"a\"}\n{\"prompt\": \"b\"}\n");
    place.file("binary", [0x7f, b'E', b'L', b'F', 0xff, 0, 0, b'\n', 1]);
    place.file("future.jsonl", "{\"reply\":{\"trace\":2,\"voices\":[]}}\n");
    place.file("cut.jsonl", "{\"reply\":{\"trace\":1,\"mem");
    for (file, sentence) in [
        ("absent.jsonl", "there is no file `absent.jsonl`; check the path"),
        (".", "`.` is a directory; name a file in it"),
        ("empty.jsonl", "`empty.jsonl` holds no reply; record one with `--trace FILE`"),
        ("story.txt", "`story.txt` is no trace: line 1 is not a line of one"),
        ("log.jsonl", "`log.jsonl` is no trace: line 1 is not a line of one"),
        ("binary", "`binary` is no trace: line 1 is not a line of one"),
        ("cut.jsonl", "`cut.jsonl` is no trace: line 1 is not a line of one"),
        ("future.jsonl", "`future.jsonl` is a trace of format 2, this program reads format 1; record it again"),
    ] {
        let error = place.refusal(&["replay", file, "--policy", "once.rhai"]);
        assert!(error.contains(sentence), "{error}");
        assert_eq!(error.lines().count(), 1, "{error}");
    }
}

#[test]
fn a_replay_without_a_policy_or_with_one_that_does_not_work_is_refused() {
    let place = recorded();
    place.file("broken.rhai", "fn on_assessment(step, a) { retrct(1) }\n");
    let told = |words: &[&str]| place.refusal(&[&["replay", "run.jsonl"], words].concat());
    assert!(told(&[]).contains("name a policy to replay: `--policy FILE`, once for each"));
    assert!(told(&["--policy", "calm"]).contains("there is no built-in policy `calm`"));
    let error = told(&["--policy", "broken.rhai"]);
    assert!(error.contains("`broken.rhai`, line 1") && error.contains("retract"), "{error}");
}

#[test]
fn a_trace_of_a_text_that_is_scored_is_replayed() {
    let place = Place::new();
    place.file("story.txt", "The cat sat. The cat sat. The cat sat. The cat sat. The cat sat. The cat sat.");
    place.text(&["score", PAIR, "story.txt", "--trace", "score.jsonl"]);
    place.file("again.rhai", "fn on_assessment(step, a) { if a.repeated > 20 { stop(\"again\") } }\n");
    let text = place.text(&["replay", "score.jsonl", "--policy", "again.rhai"]);
    assert!(text.contains("stop (again)"), "{text}");
}

#[test]
fn a_trace_that_cannot_be_begun_is_refused_before_a_model_is_loaded() {
    let place = Place::new();
    place.file("not-a-model.gguf", "GGUF");
    for trace in ["no/such/folder/run.jsonl", "."] {
        let error = place.refusal(&["-m", "not-a-model.gguf", "-p", "x", "--trace", trace]);
        assert!(error.contains(&format!("the trace `{trace}` cannot be written: ")), "{error}");
        assert!(error.contains("name another file"), "{error}");
    }
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_ends_the_trace_and_not_the_text() {
    let place = Place::new();
    let words = [PAIR, "--seed", "1", "-n", "60", "-p", "Once upon a time"];
    let whole = place.text(&words);
    let output = place.run(&[&words[..], &["--trace", "/dev/full"]].concat());
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned()), (Some(0), whole));
    let said = error_of(&output);
    assert_eq!(said.matches("the trace `/dev/full` cannot be written any more and ends here: ").count(), 1, "{said}");
    // A measurement says so, too.
    place.file("story.txt", "The cat sat on the mat and looked at the moon.");
    let output = place.run(&["score", PAIR, "story.txt", "--trace", "/dev/full"]);
    assert_eq!(output.status.code(), Some(0));
    let said = error_of(&output);
    assert!(said.contains("the trace `/dev/full` cannot be written any more"), "{said}");
}
