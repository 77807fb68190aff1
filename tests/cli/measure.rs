//! `score` and `bench`.

use crate::support::program::{PAIR, Place, library};
use serde_json::Value;
use std::path::Path;

const STORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/story.txt");

fn json(words: &[&str]) -> Value {
    let text = Place::new().text(words);
    assert_eq!(text.lines().count(), 1, "{text}");
    serde_json::from_str(&text).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn a_score_stands_between_the_oracle_and_no_knowledge() {
    for fusion in ["confidence", "average", "blend"] {
        let score = json(&["score", PAIR, STORY, "--json", "--fusion-mode", fusion]);
        let members = score["members"].as_array().unwrap();
        assert_eq!((&members[0]["name"], &members[1]["name"]), (&"stories-260k".into(), &"stories-280k".into()));
        let members: Vec<f64> = members.iter().map(|member| number(&member["bits_per_byte"])).collect();
        let (fused, oracle) = (number(&score["fused"]), number(&score["oracle"]));
        let best = members.iter().copied().fold(f64::INFINITY, f64::min);
        let worst = members.iter().copied().fold(0.0, f64::max);
        assert!(oracle > 0.0 && oracle <= best && oracle <= fused, "{fusion}: {score}");
        assert!(fused < worst && worst < 8.0, "{fusion}: {score}");
        let captured = (best - fused) / (best - oracle);
        assert!((number(&score["headroom_captured"]) - captured).abs() < 1e-9, "{fusion}: {score}");
    }
}

#[test]
fn the_default_fusion_is_better_than_the_best_member() {
    let score = json(&["score", PAIR, STORY, "--json"]);
    for member in score["members"].as_array().unwrap() {
        assert!(number(&score["fused"]) < number(&member["bits_per_byte"]), "{score}");
    }
}

#[test]
fn a_score_for_people_is_a_table() {
    let text = Place::new().text(&["score", PAIR, STORY]);
    for row in ["stories-260k ", "stories-280k ", "fused by `confidence` ", "oracle ", "headroom captured "] {
        assert!(text.lines().any(|line| line.starts_with(row)), "{row:?} in {text}");
    }
}

#[test]
fn a_bench_has_the_times_and_their_ratio() {
    let bench = json(&["bench", PAIR, "-n", "16", "--json"]);
    let members = bench["members"].as_array().unwrap();
    assert_eq!((members.len(), &members[0]["name"]), (2, &"stories-260k".into()));
    let [sequential, parallel, step] = ["sequential", "parallel", "step"].map(|key| number(&bench[key]));
    assert!(sequential > 0.0 && parallel > 0.0 && step > 0.0, "{bench}");
    let overhead = step / sequential.min(parallel);
    assert!((number(&bench["overhead"]) - overhead).abs() < 1e-9, "{bench}");
    let text = Place::new().text(&["bench", PAIR, "-n", "16"]);
    assert!(text.contains("overhead") && text.contains("medians over 16 steps"), "{text}");
}

#[test]
fn a_bench_has_drafts_beside_none() {
    let bench = json(&["bench", PAIR, "-n", "16", "--json"]);
    let ways = bench["drafts"]["ways"].as_array().unwrap();
    assert_eq!((ways.len(), &ways[0]["who"], &ways[1]["who"]), (2, &"off".into(), &"auto".into()));
    assert_eq!((number(&ways[0]["ratio"]), &ways[0]["kept"]), (1.0, &Value::Null), "{bench}");
    assert_eq!(number(&ways[0]["units_per_round"]), 1.0, "{bench}");
    // The last unit of a reply is decoded by nobody, and the prompt in one batch.
    for batches in ways[0]["batches"].as_array().unwrap() {
        assert!((0.9..1.1).contains(&number(batches)), "{bench}");
    }
    assert_eq!((&bench["texts"], &bench["prompt"]), (&Value::Null, &Value::Null));
    let text = Place::new().text(&["bench", PAIR, "-n", "16", "--draft", "off"]);
    assert!(text.contains("\noff ") && !text.contains("\nauto "), "{text}");
}

#[test]
fn a_bench_lets_proposals_be_right_as_often_as_it_is_told() {
    let drafted = |rate: &str| {
        let words =
            ["bench", PAIR, "-n", "1", "--json", "--draft", "stories-280k:length=3", "--synthetic-accept", rate];
        json(&words)["drafts"]["ways"][1].clone()
    };
    let (always, never) = (drafted("1"), drafted("0"));
    assert!(number(&always["kept"]) > 0.98 && number(&always["units_per_round"]) > 3.5, "{always}");
    assert!(always["who"].as_str().unwrap().starts_with("stories-280k:length=3"), "{always}");
    assert!(number(&never["kept"]) < number(&always["kept"]), "{never}");
}

#[test]
fn a_bench_measures_texts_at_once_and_a_long_prompt_where_it_is_asked_to() {
    let words = ["bench", PAIR, "-n", "1", "--texts", "3", "--prompt-tokens", "100"];
    let bench = json(&[&words[..], &["--json"]].concat());
    let texts = &bench["texts"];
    assert_eq!(texts["texts"], 3);
    assert!(["one", "all", "ratio"].iter().all(|key| number(&texts[*key]) > 0.0), "{bench}");
    // The beginnings are alike.
    let tokens = number(&bench["prompt"]["tokens"]);
    assert!((97.0..=101.0).contains(&tokens), "{bench}");
    let [milliseconds, rate] = ["milliseconds", "per_second"].map(|key| number(&bench["prompt"][key]));
    assert!((rate - tokens / milliseconds * 1e3).abs() < 1e-6, "{bench}");
    let text = Place::new().text(&words);
    assert!(text.contains("3 texts at once ") && text.contains(&format!("a prompt of {tokens} tokens ")), "{text}");
    // As many as fit.
    let bench = json(&["bench", PAIR, "-n", "1", "--json", "--prompt-tokens", "9999"]);
    assert!((251.0..=255.0).contains(&number(&bench["prompt"]["tokens"])), "{bench}");
}

#[test]
fn a_bench_has_what_hooks_cost_and_how_soon_changed_code_runs() {
    let blend = library("blend");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/observe.rhai");
    let words = ["bench", PAIR, "-n", "16", "--plugin", &blend, "--policy", script];
    let bench = json(&[&words[..], &["--json"]].concat());
    let hooks = bench["hooks"].as_array().unwrap();
    let step = number(&bench["step"]);
    for (name, given) in [
        ("an empty plugin, called first", false),
        ("an empty plugin", false),
        ("retraction, compiled", false),
        ("retraction.rhai", false),
        ("loop-escape.rhai", false),
        ("phrase-guard.rhai", false),
        ("observe.rhai", false),
        ("specialist.rhai", false),
        (Path::new(&blend).file_name().unwrap().to_str().unwrap(), true),
        ("observe.rhai", true),
    ] {
        let found = hooks.iter().find(|hook| hook["name"] == name && hook["given"] == given);
        let hook = found.unwrap_or_else(|| panic!("no {name} in {bench}"));
        let microseconds = number(&hook["microseconds"]);
        assert!(microseconds > 0.0 && hook["failures"] == 0, "{hook}");
        assert!((number(&hook["share"]) - microseconds / 1e3 / step).abs() < 1e-9, "{hook}");
    }
    let cost = |name: &str| number(&hooks.iter().find(|hook| hook["name"] == name).unwrap()["microseconds"]);
    assert!(cost("an empty plugin") < cost("retraction.rhai"), "{bench}");
    for key in ["script", "plugin", "edit"] {
        assert!(number(&bench["reloads"][key]) > 0.0, "{key}: {bench}");
    }
    // Within the time in which a save has to come to rest.
    assert!(number(&bench["reloads"]["edit"]) > 60.0, "{bench}");
    let text = Place::new().text(&words);
    assert!(text.contains("\nobserve.rhai (given) ") && text.contains("\nsave to first step with it "), "{text}");
}

#[test]
fn a_bench_names_a_hook_whose_calls_fail() {
    let place = Place::new();
    // The samples that are tried before it runs have fewer units.
    place
        .file("fails.rhai", "fn on_assessment(step, a) { if step.position > 9 && a.unit > 20 { throw \"enough\" } }\n");
    let text = place.text(&["bench", PAIR, "-n", "32", "--policy", "fails.rhai"]);
    let row = text.lines().find(|line| line.starts_with("fails.rhai (given) ")).unwrap();
    assert!(row.ends_with(" failed calls"), "{text}");
}
