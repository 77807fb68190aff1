//! A policy that is edited while a reply is written.

use crate::support::program::{Place, model, slow};
use crate::support::replay::Replay;
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::process::Stdio;

/// Says at every token which text it is; the temperature goes up and down so that each time is news.
fn script(name: &str) -> String {
    format!(
        "fn on_token(step, token) {{ if token.is_end {{ resample() }} }}\n\
         fn on_assessment(step, a) {{\n    \
             adjust(#{{ temperature: if step.position % 2 == 0 {{ 0.6 }} else {{ 0.8 }}, hold: true, reason: \"{name}\" }})\n\
         }}\n"
    )
}

#[test]
fn five_edits_two_of_them_broken_act_at_the_right_tokens_and_the_text_is_whole() {
    let place = Place::new();
    place.file("policy.rhai", script("first"));
    let plugin = slow(place.path());
    let model = model("stories-260k.gguf");
    let words = ["-m", model.to_str().unwrap(), "--seed", "1", "-p", "Once upon a time", "-n", "400", "--json-stream"];
    let words = [&words[..], &["--plugin", &plugin, "--policy", "policy.rhai"]].concat();
    // What is saved, and how the text of it that acts afterwards is called.
    let edits = [
        (script("second"), "second"),
        ("fn on_assessment(step, a) {\n    adjst(#{ temperature: 0.5 })\n}\n".to_string(), "second"),
        (script("third"), "third"),
        (script("fourth").replace("fn on_token(step, token) {", "fn on_token(step, token)"), "third"),
        (script("fifth"), "fifth"),
    ];
    let mut child = place.process(&words).stdout(Stdio::piped()).spawn().unwrap();
    let mut stream = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let (mut edited, mut told, mut units) = (0, 0, 0);
    let mut acting = vec!["first"];
    let mut seen: Vec<(usize, u64)> = Vec::new();
    loop {
        let start = stream.len();
        if lines.read_line(&mut stream).unwrap() == 0 {
            break;
        }
        let event: Value = serde_json::from_str(&stream[start..]).unwrap();
        match event["type"].as_str().unwrap() {
            "token" => units += 1,
            "adjust" => {
                // The version that the stream tells of last is the one that acts.
                assert_eq!(event["policy"], "policy");
                assert_eq!(event["reason"], *acting.last().unwrap(), "{event}");
                assert_eq!(event["version"], acting.len() as u64, "{event}");
                seen.push((units, acting.len() as u64));
            }
            "reload" => {
                acting.push(edits[told].1);
                assert_eq!(
                    (event["file"].as_str(), event["version"].as_u64()),
                    (Some("policy.rhai"), Some(acting.len() as u64))
                );
                told += 1;
            }
            "notice" => {
                let text = event["text"].as_str().unwrap();
                assert!(text.contains("`policy.rhai`, line ") && text.contains('^'), "{text}");
                assert_eq!(*acting.last().unwrap(), edits[told].1, "what is refused changes nothing");
                told += 1;
            }
            _ => {}
        }
        if edited == told && edited < edits.len() && units > 40 + 60 * edited {
            place.file("policy.rhai", &edits[edited].0);
            edited += 1;
        }
    }
    assert!(child.wait().unwrap().success());
    assert_eq!((edited, told), (5, 5), "every edit is taken over or refused once");
    assert_eq!(acting, ["first", "second", "third", "fifth"]);
    // At every token one version acted, and each of them did.
    assert_eq!(seen.len(), 400);
    assert!(seen.iter().map(|(token, _)| *token).eq(1..=400));
    assert!((1..=4).all(|version| seen.iter().filter(|(_, acted)| *acted == version).count() > 20), "{seen:?}");
    let replay = Replay::of(&stream);
    assert_eq!((replay.done["tokens"].as_u64(), replay.done["reason"].as_str()), (Some(400), Some("length")));
}
