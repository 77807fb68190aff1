//! `--json-stream`: what a program can rely on.

use crate::support::program::{ABSOLUTE, PAIR, Place};
use crate::support::replay::{Replay, events};

/// Takes text back every now and then, as deep as it may.
const OFTEN: &str = r#"
fn init(cfg) { this.seen = 0; }
// No text ends by itself.
fn on_token(step, token) { if token.is_end { resample() } }
fn on_assessment(step, a) {
    this.seen += 1;
    if this.seen % 9 == 0 && step.retractable > 0 {
        retract(1 + this.seen % min(step.retractable, 7), "every ninth")
    }
}
"#;

#[test]
fn replaying_the_events_gives_the_text_however_often_it_is_taken_back() {
    let place = Place::new();
    place.file("often.rhai", OFTEN);
    for seed in ["1", "2", "3", "4"] {
        let words = [PAIR, "--seed", seed, "-n", "150", "--aggressive", "--max-retractions", "40"];
        let words = [&words[..], &["--policy", "retraction", "--policy", "often.rhai", "-p", "One day"]].concat();
        let stream = place.text(&[&words[..], &["--json-stream"]].concat());
        let replay = Replay::of(&stream);
        assert!(replay.rejected.len() >= 10, "seed {seed}: {} retractions", replay.rejected.len());
        assert!(events(&stream).iter().any(|event| event["type"] == "adjust"), "seed {seed}");
        assert_eq!(place.text(&words), printed(&replay.text), "seed {seed}: a pipe gets the same text");
    }
}

/// A text as a pipe gets it: with a line end.
fn printed(text: &str) -> String {
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    format!("{text}{end}")
}

#[test]
fn the_first_event_says_what_runs() {
    let place = Place::new();
    place.file("often.rhai", OFTEN);
    let words = [PAIR, "-p", "One day", "-n", "4", "--json-stream", "--seed", "7", "--fusion-mode", "average"];
    let stream = place.text(&[&words[..], &["--policy", "often.rhai", "--policy", "retraction"]].concat());
    let expected = serde_json::json!({
        "type": "init", "models": ["stories-260k", "stories-280k"], "fusion_mode": "average",
        "policies": ["often", "retraction"], "seed": 7,
    });
    let mut first = events(&stream).remove(0);
    first["policies"].as_array_mut().unwrap().sort_by_key(ToString::to_string);
    assert_eq!(first, expected);
}

#[test]
fn a_seed_that_was_drawn_is_told_and_gives_the_same_reply_again() {
    let place = Place::new();
    let words = [PAIR, "-p", "One day", "-n", "40", "--json-stream"];
    let first = place.text(&words);
    let seed = events(&first)[0]["seed"].to_string();
    let again = place.text(&[&words[..], &["--seed", &seed]].concat());
    assert_eq!(Replay::of(&first).text, Replay::of(&again).text);
}

#[test]
fn a_stop_string_ends_the_stream_before_it() {
    let place = Place::new();
    let words = [PAIR, "-p", "One day", "--json-stream", "--seed", "1", "--stop", "q!", "--stop", "e"];
    let replay = Replay::of(&place.text(&words));
    assert_eq!(replay.done["reason"], "stop_string");
    assert!(!replay.text.contains('e'), "{}", replay.text);
}

#[test]
fn quiet_and_verbose_change_nothing_in_the_stream() {
    let place = Place::new();
    let words = [PAIR, "-p", "One day", "-n", "10", "--seed", "1", "--json-stream"];
    let output = place.run(&[&words[..], &["--quiet"]].concat());
    assert_eq!(Replay::of(&String::from_utf8(output.stdout).unwrap()).text, Replay::of(&place.text(&words)).text);
    assert!(output.stderr.is_empty());
    assert!(place.refusal(&[&words[..], &["--verbose"]].concat()).contains("cannot be used with"));
}

#[test]
fn units_of_three_vocabularies_are_taken_back_like_tokens() {
    let place = Place::new();
    let mut taken_back = 0;
    for seed in ["1", "2", "3"] {
        let words = ["--demo", "--seed", seed, "-n", "220", "-t", "1.2", "--json-stream", "-p", "Once upon a time"];
        let words = [&words[..], &["--policy", ABSOLUTE]].concat();
        let first = place.text(&words);
        let replay = Replay::of(&first);
        taken_back += replay.rejected.len();
        assert_eq!(Replay::of(&place.text(&words)).text, replay.text, "the same seed, the same text");
    }
    assert!(taken_back > 0, "nothing was taken back in three replies");
}
