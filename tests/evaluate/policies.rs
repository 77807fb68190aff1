//! Open-ended texts, and what policies do to replies: `eval stories`, `eval signals`, `eval retraction`, `--explain`.

use crate::support::program::{self, PAIR, Place};
use serde_json::Value;

const SCRIPT: &str = "fn on_token(step, token) {\n\
                      \x20   if step.attempt == 0 && step.position % 5 == 4 { resample(\"another, <b>please</b>\") }\n\
                      }\n\
                      fn on_assessment(step, a) {\n\
                      \x20   if step.position == 12 && step.retractions_left == 3 { retract(3, \"once more\") }\n\
                      }\n";

fn model(name: &str) -> String {
    program::model(&format!("{name}.gguf")).to_string_lossy().into_owned()
}

fn words() -> String {
    concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/tinystories-dev.txt").into()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_story_has_figures_and_two_policies_are_compared_by_each() {
    let place = Place::new();
    let (judge, words) = (model("stories-280k"), words());
    let own = model("stories-260k");
    let eval = ["eval", "stories", "-m", &own, "-t", "0.9", "--limit", "8", "--judge", &judge, "--words", &words];
    let text = place.text(&[&eval[..], &["-o", "none.jsonl"]].concat());
    for figure in ["bits", "plot", "known words", "distinct 2", "distinct 4", "repeated", "loops", "words"] {
        assert!(text.contains(figure), "{figure} in {text}");
    }
    let before = place.read("none.jsonl");
    let items: Vec<Value> = before.lines().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(items.len(), 8);
    for item in &items {
        let figures = &item["figures"];
        let of = |name: &str| number(&figures[name]["sum"]) / number(&figures[name]["of"]);
        let reply = item["answer"].as_str().unwrap();
        assert_eq!(number(&figures["bits"]["of"]), reply.len() as f64);
        assert!((0.2..4.0).contains(&of("bits")), "{} bits per byte in {reply}", of("bits"));
        assert!((0.5..=1.0).contains(&of("known words")) && [0.0, 1.0].contains(&of("plot")), "{figures}");
    }
    // A run that is there is not asked again.
    place.text(&[&eval[..], &["-o", "none.jsonl"]].concat());
    assert_eq!(place.read("none.jsonl"), before);

    place.text(&[&eval[..], &["-o", "with.jsonl", "--policy", "retraction"]].concat());
    let table = place.text(&["compare", "none.jsonl", "with.jsonl"]);
    assert!(table.contains("known words") && table.contains("bits"), "{table}");
    let other = [&eval[..], &["-o", "none.jsonl", "--repeat-penalty", "1"]].concat();
    assert!(place.refusal(&other).contains("repeat_penalty"), "other settings are other results");
}

#[test]
fn signals_tell_where_a_judge_finds_errors() {
    let place = Place::new();
    let (own, judge) = (model("stories-260k"), model("stories-280k"));
    let eval = ["eval", "signals", "stories", "-m", &own, "-t", "1.0", "--limit", "10", "--judge", &judge];
    let found: Value = serde_json::from_str(&place.text(&[&eval[..], &["--json"]].concat())).unwrap();
    let all = &found["areas"]["all"];
    assert!(number(&all["errors"]) > 5.0 && number(&all["cases"]) > 500.0, "{all}");
    let area = |signal: &str| {
        let areas = all["areas"].as_array().unwrap();
        number(&areas.iter().find(|area| area["signal"] == signal).unwrap()["area"])
    };
    assert!(area("surprise") > 0.7, "what the judge finds unlikely is unlikely: {}", area("surprise"));
    assert!(area("surprise") > area("later_entropy"), "{all}");
    let text = place.text(&eval);
    assert!(text.contains("surprise") && text.contains("refused"), "{text}");
}

#[test]
fn the_fork_test_continues_both_lines_of_what_a_policy_changed() {
    let place = Place::new();
    place.file("odd.rhai", SCRIPT);
    let (own, judge) = (model("stories-260k"), model("stories-280k"));
    let eval = ["eval", "retraction", "stories", "-m", &own, "-t", "0.8", "--limit", "6", "--judge", &judge];
    let found = place.text(&[&eval[..], &["--policy", "odd.rhai", "--json"]].concat());
    let found: Value = serde_json::from_str(&found).unwrap();
    assert!(number(&found["forks"]) > 30.0 && number(&found["judged"]) == 12.0, "{found}");
    assert!((0.2..0.8).contains(&number(&found["improved"]["share"])), "chance changes nothing much: {found}");
    assert!(place.refusal(&eval).contains("`--policy`"));
    assert!(place.refusal(&[&eval[..7], &["--policy", "odd.rhai"]].concat()).contains("`--judge FILE`"));
    assert!(place.refusal(&["eval", "signals", "arc", "-m", &own]).contains("`arc`"));
}

#[test]
fn a_page_strikes_out_what_was_refused_and_taken_back() {
    let place = Place::new();
    place.file("odd.rhai", SCRIPT);
    let words = [PAIR, "--policy", "odd.rhai", "--seed", "1", "-n", "30", "--quiet", "--explain", "why.html"];
    let text = place.text(&[&words[..], &["-p", "Once upon a time"]].concat());
    let page = place.read("why.html");
    assert!(page.contains("<del") && page.contains("once more") && page.contains("another, &lt;b&gt;please&lt;/b&gt;"));
    assert!(!page.contains("<script") && !page.contains("<b>please"), "{page}");
    assert!(text.split_whitespace().take(3).all(|word| page.contains(word.trim_matches('"'))), "{text}");
    let nowhere = [PAIR, "-n", "3", "-p", "Once", "--explain", "no/such/folder/why.html"];
    assert!(place.refusal(&nowhere).contains("no/such/folder"), "told before anything is loaded");
}
