//! `team`.

use super::letters;
use crate::support::program::{Place, model};
use serde_json::Value;

const STORY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/story.txt");

fn files() -> [String; 3] {
    ["stories-260k", "stories-280k", "stories-970k-bytes"]
        .map(|name| model(&format!("{name}.gguf")).to_string_lossy().into_owned())
}

fn json(place: &Place, words: &[&str]) -> Value {
    serde_json::from_str(&place.text(words)).unwrap()
}

#[test]
fn a_search_finds_the_team_that_real_runs_find_and_confirms_it_on_other_text() {
    let place = Place::new();
    let files = files();
    let [a, b, c] = files.each_ref().map(String::as_str);
    let words = ["team", "search", a, b, c, "--text", STORY, "-o", "pack", "--html", "page.html", "--json"];
    let found = json(&place, &words);
    assert_eq!(found["teams"].as_array().unwrap().len(), 4, "three pairs and all: {found}");
    assert_eq!(found["teams"][0]["members"], serde_json::json!([0, 2]), "{found}");
    let confirmed = &found["confirmed"];
    assert_eq!(confirmed["members"], serde_json::json!(["stories-260k", "stories-970k-bytes"]), "{found}");
    assert!(confirmed["difference"]["interval"]["high"].as_f64().unwrap() < 0.0, "{found}");
    assert!(place.read("page.html").contains("stories-970k-bytes"));
    // The passes are kept.
    let text = place.text(&["team", "search", a, b, c, "--text", STORY]);
    assert!(text.contains("best team: stories-260k + stories-970k-bytes"), "{text}");
    let pack = place.read("pack/team.toml");
    assert!(pack.contains("[evidence") && pack.contains("sha256"), "{pack}");
}

#[test]
fn what_single_passes_predict_is_what_a_run_needs() {
    let place = Place::new();
    let files = files();
    let [a, b, c] = files.each_ref().map(String::as_str);
    for (pair, most) in [([a, b], 0.001), ([a, c], 0.005), ([b, c], 0.005)] {
        for fusion in ["confidence", "average", "blend"] {
            let words =
                [&["team", "search"], &pair[..], &["--text", STORY, "--fusion-mode", fusion, "--json"]].concat();
            let found = json(&place, &words);
            // The first half is what the search sees.
            let text = std::fs::read_to_string(STORY).unwrap();
            let place_of_middle = text.len() / 2;
            let ends = text.match_indices('\n').map(|(place, _)| place + 1);
            let middle = ends.min_by_key(|end| end.abs_diff(place_of_middle)).unwrap();
            place.file("half.txt", &text[..middle]);
            let models = pair.join(",");
            let words =
                ["score", "--models", &models, "half.txt", "--fusion-mode", fusion, "--ctx-size", "256", "--json"];
            let run = json(&place, &words)["fused"].as_f64().unwrap();
            let predicted = found["teams"][0]["bits_per_byte"].as_f64().unwrap();
            assert!((predicted / run - 1.0).abs() < most, "{pair:?} by {fusion}: predicted {predicted}, run {run}");
        }
    }
}

#[test]
fn a_pack_can_be_moved_and_writes_the_same_text() {
    let place = Place::new();
    let files = files();
    let [a, b, _] = files.each_ref().map(String::as_str);
    let models = format!("{a},{b}");
    let reply = ["-p", "Once upon a time", "--raw", "-n", "40", "--seed", "5", "--quiet"];
    let own = place.text(
        &[&["--models", &models, "--weights", "2,1", "--fusion-mode", "average", "--policy", "none"], &reply[..]]
            .concat(),
    );
    place.file("calm.rhai", "fn on_token(step, token) { if token.unit < 0 { stop(\"never\") } }\n");
    let pack = [
        "team",
        "pack",
        "--models",
        &models,
        "--weights",
        "2,1",
        "--fusion-mode",
        "average",
        "--policy",
        "none",
        "-o",
        "one",
    ];
    place.text(&pack);
    std::fs::rename(place.path().join("one"), place.path().join("two")).unwrap();
    assert_eq!(place.text(&[&["--team", "two", "--policy", "none"], &reply[..]].concat()), own);
    assert!(place.text(&["team", "verify", "two"]).contains("stories-260k, stories-280k"));
    // What is given beside it counts.
    let other = place.text(&[&["--team", "two", "--fusion-mode", "blend", "--policy", "none"], &reply[..]].concat());
    assert_ne!(other, own);
    // A member that is another file is refused, by its name and with both digests.
    std::fs::copy(b, place.path().join("two/stories-260k.gguf")).unwrap();
    let text = place.read("two/team.toml");
    let digest = text.lines().find_map(|line| line.strip_prefix("sha256 = \"")).unwrap().trim_end_matches('"');
    for words in [&["team", "verify", "two"][..], &["--team", "two", "-p", "a"]] {
        let refusal = place.refusal(words);
        assert!(refusal.contains("stories-260k") && refusal.contains(digest), "{refusal}");
    }
}

#[test]
fn scripts_go_into_a_pack() {
    let place = Place::new();
    let files = files();
    place.file("calm.rhai", "fn on_token(step, token) { if step.position == 3 { stop(\"calm\") } }\n");
    place.text(&["team", "pack", "-m", &files[0], "--policy", "calm.rhai", "-o", "pack"]);
    std::fs::remove_file(place.path().join("calm.rhai")).unwrap();
    let text = place.text(&["--team", "pack", "-p", "Once", "--raw", "--json-stream"]);
    assert!(text.contains("calm"), "{text}");
}

#[test]
fn packs_that_are_none_are_told_so() {
    let place = Place::new();
    let files = files();
    std::fs::create_dir(place.path().join("folder")).unwrap();
    place.file("folder/team.toml", "team = 1\nfusion = 'confidence'\ncontext = 256\nmembers = []\n");
    let refusal = place.refusal(&["--team", "folder", "-p", "a"]);
    assert!(refusal.contains("team.toml"), "{refusal}");
    place.file("folder/team.toml", "team = 2\nfusion = 'confidence'\ncontext = 256\nmember = []\n");
    assert!(place.refusal(&["--team", "folder", "-p", "a"]).contains("format"));
    assert!(place.refusal(&["--team", "nowhere", "-p", "a"]).contains("nowhere"));
    assert!(place.refusal(&["--team", "folder", "-m", &files[0], "-p", "a"]).contains("--team"));
    let refusal = place.refusal(&["team", "pack", "-m", &files[0], "-o", "folder"]);
    assert!(refusal.contains("not empty"), "{refusal}");
    let refusal = place.refusal(&["team", "search", &files[0], "--text", STORY]);
    assert!(refusal.contains("two candidates"), "{refusal}");
    let refusal = place.refusal(&["team", "search", &files[0], &files[1], "--text", STORY, "--memory", "much"]);
    assert!(refusal.contains("8G"), "{refusal}");
}

#[test]
fn a_candidate_that_cannot_write_the_text_is_left_out_and_told() {
    let place = Place::new();
    let (files, letters) = (files(), letters(&place));
    let [a, _, c] = files.each_ref().map(String::as_str);
    let found = json(&place, &["team", "search", a, &letters, c, "--text", STORY, "--json"]);
    assert_eq!(found["candidates"], serde_json::json!(["stories-260k", "stories-970k-bytes"]), "{found}");
    let why = found["left_out"][0].as_str().unwrap();
    assert!(why.contains("`letters`") && why.contains("no token"), "{why}");
}

#[test]
fn an_item_that_a_model_cannot_read_is_told_and_counts_as_wrong() {
    let place = Place::new();
    let letters = letters(&place);
    place.file("items.jsonl", "{\"id\": \"a\", \"q\": \"one\"}\n{\"id\": \"b\", \"q\": \"1 + 1\"}\n");
    let task =
        "name = 'sums'\nkind = 'generate'\nitems = 'items.jsonl'\nprompt = '{q}'\nexpected = '2'\nmax_tokens = 4\n";
    place.file("sums.toml", task);
    let text = place.text(&["eval", "sums.toml", "-m", &letters, "-o", "r.jsonl"]);
    assert!(text.contains("0 of 2 right"), "{text}");
    let results = place.read("r.jsonl");
    let item = results.lines().find(|line| line.contains("\"id\":\"b\"")).unwrap();
    assert!(item.contains("no token for `1`"), "{item}");
}
