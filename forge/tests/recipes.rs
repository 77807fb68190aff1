//! What recipes may say, and what is said of those that say something else.

mod support;

use llama_selfmod_forge::recipe::{By, Kind, Recipe, RecipeError};
use std::path::Path;
use support::WHOLE;

/// A recipe with these stages, whose first line is line 5.
fn read(stages: &str) -> Result<Recipe, RecipeError> {
    let text = format!("recipe = 1\n[input]\nbase = \"base.gguf\"\ntext = \"text.txt\"\n{stages}");
    Recipe::read(&text, Path::new("/r/recipe.toml"))
}

fn words(stages: &str) -> String {
    read(stages).unwrap_err().to_string()
}

#[test]
fn a_recipe_with_every_kind_is_read() {
    let more = r#"
[[stage]]
kind = "prune"
name = "by-coverage"
model = "base"
profile = "profile"
coverage = 0.95
by = "count"

[[stage]]
kind = "search"
model = "base"
profile = "profile"
text = "text"
axes = { experts = [128, 96], type = ["Q8_0"] }
strategy = "binary"
fits = "24G"
keep = { perplexity = "+5%" }
quick = 20_000

[[stage]]
kind = "card"
models = "prune"
results = ["perplexity", "eval"]
license = "mit"
"#;
    let recipe = Recipe::read(&format!("{WHOLE}{more}"), Path::new("/r/recipe.toml")).unwrap_or_else(|e| panic!("{e}"));
    let kinds: std::collections::BTreeSet<&str> = recipe.stages.iter().map(|stage| stage.kind.name()).collect();
    assert_eq!(kinds.len(), Kind::NAMES.len());
    let prune = recipe.stage("prune").unwrap();
    let names: Vec<String> = recipe.outputs(prune).unwrap().all().map(Into::into).collect();
    assert_eq!(names, ["moe-6-experts.gguf", "moe-4-experts.gguf", "experts.json"]);
    let Kind::Prune(coverage) = &recipe.stages[recipe.stage("by-coverage").unwrap()].kind else { panic!() };
    assert_eq!((coverage.by, coverage.coverage), (By::Count, Some(0.95)));
    let Kind::Search(search) = &recipe.stages[recipe.stage("search").unwrap()].kind else { panic!() };
    assert_eq!((search.fits.unwrap().0, search.keep.unwrap().perplexity.0), (24 << 30, 0.05));
}

#[test]
fn json_says_the_same_as_toml() {
    let json = r#"{
  "recipe": 1,
  "input": { "base": "base.gguf", "text": "text.txt" },
  "stage": [
    { "kind": "profile", "model": "base", "text": "text", "windows": 3 },
    { "kind": "quantize", "model": "base", "types": ["Q8_0", "Q4_K_M"] }
  ]
}"#;
    let toml = "[[stage]]\nkind = \"profile\"\nmodel = \"base\"\ntext = \"text\"\nwindows = 3\n\
                [[stage]]\nkind = \"quantize\"\nmodel = \"base\"\ntypes = [\"Q8_0\", \"Q4_K_M\"]\n";
    let json = Recipe::read(json, Path::new("/r/recipe.json")).unwrap_or_else(|error| panic!("{error}"));
    let toml = read(toml).unwrap();
    let kinds = |recipe: &Recipe| recipe.stages.iter().map(|stage| stage.kind.clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&json), kinds(&toml));
    let lines: Vec<usize> = json.stages.iter().map(|stage| stage.line).collect();
    assert_eq!(lines, [5, 6]);
}

#[test]
fn problems_of_json_have_their_lines() {
    let text = "{\n \"recipe\": 1,\n \"stage\": [\n  { \"kind\": \"fetch\",\n    \"fiel\": \"hf:a/b/c\" }\n ]\n}";
    let words = Recipe::read(text, Path::new("r.json")).unwrap_err().to_string();
    assert_eq!(words, "r.json:5: there is no key `fiel` here (did you mean `file`?); keys are `file`");
    let words = Recipe::read("{\n\"recipe\": }", Path::new("r.json")).unwrap_err().to_string();
    assert_eq!(words, "r.json:2: expected value");
}

#[test]
fn unknown_keys_are_refused_with_the_line_and_the_nearest() {
    assert_eq!(
        words("[[stage]]\nkind = \"imatrix\"\nmodel = \"base\"\ntext = \"text\"\nwindow = 3\n"),
        "/r/recipe.toml:9: there is no key `window` here (did you mean `windows`?); keys are `model`, `text`, `context` and `windows`"
    );
    assert!(words("[input2]\n").contains("no recipe has the key `input2` (did you mean `input`?)"));
}

#[test]
fn unknown_kinds_are_refused_with_the_nearest() {
    let words = words("[[stage]]\nkind = \"quantise\"\n");
    assert!(
        words.starts_with("/r/recipe.toml:6: no stage is of the kind `quantise` (did you mean `quantize`?)"),
        "{words}"
    );
}

#[test]
fn wrong_types_are_refused_in_words() {
    for (key, expected) in [
        ("context = \"512\"", "8: `context`: \"512\" where a whole number from 0 on is needed"),
        ("context = 0.5", "8: `context`: `0.5` where a whole number from 0 on is needed"),
        ("context = -1", "8: `context`: `-1` where a whole number from 0 on is needed"),
        ("context = 2", "5: `profile`: `context` is at least 4 tokens: half of a window counts"),
        ("windows = [1]", "8: `windows`: a list where a whole number from 0 on is needed"),
        ("context = 2026-01-01", "8: `2026-01-01` is a date, which no key takes"),
    ] {
        let words = words(&format!("[[stage]]\nkind = \"profile\"\nmodel = \"base\"\n{key}\ntext = \"text\"\n"));
        assert_eq!(words, format!("/r/recipe.toml:{expected}"));
    }
}

#[test]
fn missing_keys_are_named() {
    assert_eq!(
        words("[[stage]]\nkind = \"profile\"\nmodel = \"base\"\n"),
        "/r/recipe.toml:5: the key `text` is missing"
    );
    assert!(words("[[stage]]\nmodel = \"base\"\n").contains("a stage says its `kind`"));
    assert!(words("").contains("a recipe has stages"));
}

#[test]
fn references_lead_to_inputs_and_earlier_stages_alone() {
    let profile = "[[stage]]\nkind = \"profile\"\nmodel = \"bose\"\ntext = \"text\"\n";
    assert_eq!(
        words(profile),
        "/r/recipe.toml:7: `model`: `bose` is neither an input nor a stage before this one (did you mean `base`?)"
    );
    let itself = "[[stage]]\nkind = \"imatrix\"\nmodel = \"imatrix\"\ntext = \"text\"\n";
    assert!(words(itself).contains("`imatrix` is neither an input nor a stage before this one"));
    let quantize = "[[stage]]\nkind = \"quantize\"\nmodel = \"base\"\ntypes = [\"Q8_0\", \"Q4_0\"]\n";
    let several = format!("{quantize}[[stage]]\nkind = \"profile\"\nmodel = \"quantize\"\ntext = \"text\"\n");
    assert!(words(&several).contains(
        "11: `model`: the stage `quantize` makes several files; name one: `quantize/base-Q8_0.gguf` and `quantize/base-Q4_0.gguf`"
    ));
    let slip = several.replace("model = \"quantize\"", "model = \"quantize/base-Q4_O.gguf\"");
    assert!(words(&slip).contains("makes no `base-Q4_O.gguf` (did you mean `base-Q4_0.gguf`?)"));
}

#[test]
fn names_are_taken_once() {
    let twice = "[[stage]]\nkind = \"profile\"\nmodel = \"base\"\ntext = \"text\"\n".repeat(2);
    assert_eq!(words(&twice), "/r/recipe.toml:10: the name `profile` is taken in line 5: give this stage a `name`");
    let input = "[[stage]]\nkind = \"profile\"\nname = \"text\"\nmodel = \"base\"\ntext = \"text\"\n";
    assert_eq!(words(input), "/r/recipe.toml:7: the name `text` is taken in line 4");
    for name in ["", "a/b", "..", ".x", "ä", "a.partial-b"] {
        let stage = format!("[[stage]]\nkind = \"profile\"\nname = {name:?}\nmodel = \"base\"\ntext = \"text\"\n");
        assert!(words(&stage).contains("becomes a part of a folder's name"), "{name}");
    }
}

#[test]
fn all_problems_are_told_at_once_in_the_order_of_lines() {
    let stages = "[[stage]]\nkind = \"profile\"\nmodel = \"bose\"\ntext = \"txt\"\n[[stage]]\nkind = \"quantize\"\nmodel = \"base\"\ntypes = []\n";
    let words = words(stages);
    let lines: Vec<&str> = words.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(lines, ["/r/recipe.toml:7:", "/r/recipe.toml:8:", "/r/recipe.toml:9:"]);
}

#[test]
fn parameters_that_do_not_go_together_are_refused() {
    let prune = |keys: &str| words(&format!("[[stage]]\nkind = \"prune\"\nmodel = \"base\"\n{keys}\n"));
    assert!(prune("").contains("say how many `experts` are kept, or the `coverage`"));
    assert!(prune("experts = 6").contains("to rank experts, name a `profile` stage"));
    assert!(prune("experts = 0\nby = \"first\"").contains("at least 1 expert is kept"));
    assert!(prune("experts = [6, 6]\nby = \"first\"").contains("6 `experts` stand there twice"));
    assert!(prune("coverage = 1.5\nby = \"random\"").contains("`coverage` is above 0 and at most 1"));
    assert!(prune("experts = 6\nby = \"saliancy\"").contains(
        "`saliancy` is none of `saliency`, `total`, `count`, `random` and `first` (did you mean `saliency`?)"
    ));
    assert!(prune("coverage = 0.9\nby = \"first\"").contains("`by` is \"saliency\", \"total\" or \"count\""));
    for weight in ["0.0", "1e300", "1e-300", "nan"] {
        let pack = words(&format!("[[stage]]\nkind = \"pack\"\nmodels = \"base\"\nweights = [{weight}]\n"));
        assert!(pack.contains("a weight is above 0"), "{pack}");
    }
    let run = |keys: &str| words(&format!("[[stage]]\nkind = \"run\"\ninputs = \"base\"\n{keys}\n"));
    assert!(run("command = []").contains("`command` is a list: the program and what it is given"));
    assert!(
        run("command = [\"cat\", \"{in.bas}\"]")
            .contains("`{in.bas}` is none of its `inputs` (did you mean `{in.base}`?)")
    );
    assert!(run("command = [\"cat\"]\noutputs = [\"../a\"]").contains("is not inside `{out}`"));
    let fetch = words("[[stage]]\nkind = \"fetch\"\nfile = \"owner/repo\"\n");
    assert!(fetch.contains("`owner/repo` is no address on the hub"), "{fetch}");
}

#[test]
fn text_that_is_no_recipe_never_panics() {
    for text in [
        "",
        "recipe",
        "recipe = 2",
        "= 1",
        "stage = 3",
        "recipe = 1\nstage = [1]",
        "input = 3",
        "\u{feff}",
        "recipe = 1\n[[stage]]\nkind = 3",
        "{",
        "[]",
        "nul",
        "{\"stage\": [{\"kind\": \"a\\\"b\"}]}",
        "{\"recipe\": 1e400}",
    ] {
        for name in ["r.toml", "r.json"] {
            assert!(Recipe::read(text, Path::new(name)).is_err(), "{text} as {name}");
        }
    }
    for cut in 0..WHOLE.len() {
        let _ = Recipe::read(&WHOLE[..cut], Path::new("r.toml"));
    }
}

#[test]
fn a_recipe_that_is_not_there_is_told() {
    let words = Recipe::open(Path::new("/nowhere/r.toml")).unwrap_err().to_string();
    assert!(words.starts_with("cannot read the recipe `/nowhere/r.toml`"), "{words}");
}

#[test]
fn long_chains_of_stages_are_read_in_a_moment() {
    let mut stages = String::new();
    let mut before = "base".to_owned();
    for number in 0..3_000 {
        let models = format!("[\"{before}\", \"{before}\"]");
        stages += &format!("[[stage]]\nkind = \"eval\"\nname = \"e{number}\"\nmodels = {models}\ntask = \"gsm8k\"\n");
        before = format!("e{number}");
    }
    let recipe = read(&stages).unwrap();
    assert_eq!(recipe.outputs(2_999).unwrap().main, ["base.jsonl"]);
}
