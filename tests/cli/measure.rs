//! `score` and `bench`.

use crate::program::Place;
use serde_json::Value;

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
        let score = json(&["score", "--demo", STORY, "--json", "--fusion-mode", fusion]);
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
    let score = json(&["score", "--demo", STORY, "--json"]);
    for member in score["members"].as_array().unwrap() {
        assert!(number(&score["fused"]) < number(&member["bits_per_byte"]), "{score}");
    }
}

#[test]
fn a_score_for_people_is_a_table() {
    let text = Place::new().text(&["score", "--demo", STORY]);
    for row in ["stories-260k ", "stories-280k ", "fused by `confidence` ", "oracle ", "headroom captured "] {
        assert!(text.lines().any(|line| line.starts_with(row)), "{row:?} in {text}");
    }
}

#[test]
fn a_bench_has_the_times_and_their_ratio() {
    let bench = json(&["bench", "--demo", "-n", "16", "--json"]);
    let members = bench["members"].as_array().unwrap();
    assert_eq!((members.len(), &members[0]["name"]), (2, &"stories-260k".into()));
    let [sequential, parallel, step] = ["sequential", "parallel", "step"].map(|key| number(&bench[key]));
    assert!(sequential > 0.0 && parallel > 0.0 && step > 0.0, "{bench}");
    let overhead = step / sequential.min(parallel);
    assert!((number(&bench["overhead"]) - overhead).abs() < 1e-9, "{bench}");
    let text = Place::new().text(&["bench", "--demo", "-n", "16"]);
    assert!(text.contains("overhead") && text.contains("medians over 16 steps"), "{text}");
}
