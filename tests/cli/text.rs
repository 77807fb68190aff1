//! The text itself: where it goes, when it ends, and that the same seed gives the same bytes.

use crate::support::program::{PAIR, Place, error_of};
use crate::support::replay::Replay;

const STORY: [&str; 6] = [PAIR, "--seed", "5", "-p", "Once upon a time", "--json-stream"];

/// What a policy that never asks for anything looks like.
const SILENT: &str = "fn on_token(step, token) {}\nfn on_assessment(step, a) {}\nfn on_retract(step, r) {}";
/// Lets no text end by itself.
const ENDLESS: &str = "fn on_token(step, token) { if token.is_end { resample(\"go on\") } }";

fn story(place: &Place, words: &[&str]) -> Replay {
    Replay::of(&place.text(&[&STORY, words].concat()))
}

#[test]
fn the_same_seed_gives_the_same_text_whatever_the_threads() {
    let place = Place::new();
    let first = story(&place, &["-n", "120"]).text;
    assert!(first.len() > 100, "{first}");
    for threads in ["1", "2", "2"] {
        assert_eq!(story(&place, &["-n", "120", "--threads", threads]).text, first);
    }
    let other = Replay::of(&place.text(&[PAIR, "--seed", "6", "-p", "Once upon a time", "--json-stream"]));
    assert_ne!(other.text, first);
}

#[test]
fn a_policy_without_verdicts_leaves_the_text_as_it_is_without_policies() {
    let place = Place::new();
    place.file("silent.rhai", SILENT);
    let plain = story(&place, &["-n", "120", "--policy", "none"]).text;
    assert_eq!(story(&place, &["-n", "120", "--policy", "silent.rhai"]).text, plain);
}

#[test]
fn temperature_0_needs_no_seed() {
    let place = Place::new();
    let at = |seed| place.text(&[PAIR, "-p", "Once upon a time", "-n", "60", "-t", "0", "--seed", seed]);
    assert_eq!(at("1"), at("2"));
}

#[test]
fn quiet_says_nothing_beside_the_text() {
    let place = Place::new();
    let words = [PAIR, "--seed", "5", "-p", "Once upon a time", "-n", "100"];
    let output = place.run(&[&words[..], &["--quiet", "--aggressive"]].concat());
    assert!(output.status.success());
    assert_eq!(error_of(&output), "");
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(text, place.text(&[&words[..], &["--aggressive"]].concat()));
    assert!(text.ends_with('\n') && !text.contains('\x1b'), "{text:?}");
}

#[test]
fn verbose_tells_of_every_token_on_standard_error() {
    let place = Place::new();
    let words = [PAIR, "--seed", "5", "-p", "Once upon a time", "-n", "12", "--policy", "none"];
    let output = place.run(&[&words[..], &["--verbose"]].concat());
    let error = error_of(&output);
    assert_eq!(error.matches("confidence 0.").count(), 12 + 1, "{error}");
    assert!(error.contains("seed 5") && error.contains("leader stories-2"), "{error}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), place.text(&words));
}

#[test]
fn standard_input_is_a_prompt_and_two_models_can_be_named() {
    let place = Place::new();
    let model = crate::support::program::model("stories-260k.gguf");
    let model = model.to_str().unwrap();
    let words = ["-m", model, "-m", model, "--seed", "5", "-n", "20", "--json-stream"];
    let piped = place.command(&words).write_stdin("Once upon a time\n").output().unwrap();
    let piped = Replay::of(&String::from_utf8(piped.stdout).unwrap());
    let given = Replay::of(&place.text(&[&words[..], &["-p", "Once upon a time"]].concat()));
    assert_eq!(piped.text, given.text);
}

#[test]
fn a_reply_ends_where_it_is_told_to() {
    let place = Place::new();
    place.file("endless.rhai", ENDLESS);
    let ends = |words: &[&str]| {
        let done = story(&place, &[words, &["--policy", "endless.rhai"]].concat()).done;
        (done["reason"].as_str().unwrap().to_owned(), done["tokens"].as_u64().unwrap())
    };
    assert_eq!(ends(&["-n", "17"]), ("length".into(), 17));
    let (reason, tokens) = ends(&["-n", "1000", "-c", "64"]);
    assert_eq!(reason, "context");
    assert!((40..64).contains(&tokens), "{tokens} tokens beside the prompt");
    assert_eq!(ends(&["-n", "300", "-c", "64", "--context-shift"]), ("length".into(), 300));
    place.file("endless.rhai", "fn on_assessment(step, a) { if step.position == 9 { stop(\"enough\") } }");
    assert_eq!(ends(&[]), ("enough".into(), 9));
}
