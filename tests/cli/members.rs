//! Members with prompts, names and weights of their own.

use crate::support::program::{PAIR, Place, model};
use crate::support::replay::Replay;
use serde_json::{Value, json};

/// The models of the first event of a stream.
fn models(stream: &str) -> Value {
    let init: Value = serde_json::from_str(stream.lines().next().unwrap()).unwrap();
    init["models"].clone()
}

#[test]
fn members_come_in_order_with_their_names_and_the_log_has_what_they_read() {
    let place = Place::new();
    place.file("red.txt", "The ball was red.\n");
    let file = model("stories-260k.gguf").display().to_string();
    let brief = format!(r#"{file}:name=brief,system="Be brief, please.",weight=0.5"#);
    let red = format!("{file}:prompt-file=red.txt,weight=2");
    let words = ["--member", &brief, "--member", &red, "--member", &file, "--seed", "1", "-n", "8", "-p", "It was"];
    let stream = place.text(&[&[PAIR], &words[..], &["--json-stream"]].concat());
    let names = ["stories-260k", "stories-280k", "brief", "stories-260k#2", "stories-260k#3"];
    assert_eq!(models(&stream), json!(names));
    let line = &place.log()[0];
    assert_eq!(line["settings"]["weights"], json!([1.0, 1.0, 0.5, 2.0, 1.0]));
    let own = json!([null, null, {"system": "Be brief, please.", "before": null}, {"system": null, "before": "The ball was red."}, null]);
    assert_eq!(line["settings"]["members"], own);
}

#[test]
fn a_text_of_its_own_is_what_a_member_reads() {
    let place = Place::new();
    place.file("front.txt", "Lily had a red ball.\n\n");
    place.file("chat.jinja", "Lily had a red ball.\n\n{{ messages[0].content }}");
    let file = model("stories-260k.gguf").display().to_string();
    let text = |words: &[&str]| {
        let common = ["--json-stream", "--seed", "3", "-n", "40", "--policy", "none"];
        Replay::of(&place.text(&[&common[..], words].concat())).text
    };
    let whole = text(&["-m", &file, "-p", "Lily had a red ball.\n\nShe went out."]);
    let with = |settings: &str| text(&["--member", &format!("{file}:{settings}"), "-p", "She went out."]);
    assert_eq!(with("prompt-file=front.txt"), whole);
    assert_eq!(with(r#"system="Lily had a red ball.""#), whole, "a base model's system message is a paragraph");
    assert_eq!(with("template=chat.jinja"), whole);
    assert_ne!(text(&["-m", &file, "-p", "She went out."]), whole);
}

#[test]
fn contrast_is_told_by_its_settings() {
    let place = Place::new();
    place.file("front.txt", "Lily had a red ball.");
    let file = model("stories-260k.gguf").display().to_string();
    let red = format!("{file}:prompt-file=front.txt");
    let text = |others: &[&str], config: &str| {
        place.file("c.json", config);
        let common = ["--member", &red, "--seed", "3", "-n", "40", "--policy", "none", "--fusion-mode", "contrast"];
        place.text(&[&common[..], others, &["--plugin-config", "c.json", "-p", "She went out."]].concat())
    };
    let second = ["--member", &file];
    let alone = text(&[], "{}");
    assert_eq!(text(&second, r#"{"contrast": {"beta": 0, "alpha": 0}}"#), alone);
    assert_ne!(text(&second, r#"{"contrast": {"beta": 2}}"#), alone);
}
