//! A whole recipe with the program itself: from a model to a published card, through kills, and whether it can be verified.

use super::place::{RECIPE, STAGES, TEXT, Workplace};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::{Duration, Instant};

const RUN: [&str; 2] = ["forge", "recipe.toml"];
const VERIFY: [&str; 3] = ["forge", "recipe.toml", "--verify"];
const REPO: &str = "someone/moe-7-experts-GGUF";

/// Longer than all stages take on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// Starts it, and kills it with no chance to tidy up as soon as `now` says so. Whether it was still running then.
fn killed(work: &Workplace, now: impl Fn() -> bool) -> bool {
    let mut child = work.process(&RUN).stderr(std::process::Stdio::null()).spawn().unwrap();
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return false;
        }
        if now() {
            child.kill().unwrap();
            return child.wait().unwrap().signal() == Some(9);
        }
        assert!(start.elapsed() < PATIENCE);
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// The largest file of a stage that is being made, in bytes.
fn in_the_making(store: &Path, stage: &str) -> u64 {
    let is_of = |name: &str| name.contains(&format!("-{stage}.partial-"));
    let folders = fs::read_dir(store).into_iter().flatten().flatten();
    let folders = folders.filter(|folder| is_of(&folder.file_name().to_string_lossy()));
    let files = folders.flat_map(|folder| fs::read_dir(folder.path().join("out")).into_iter().flatten().flatten());
    files.filter_map(|file| file.metadata().ok()).map(|about| about.len()).max().unwrap_or(0)
}

#[test]
fn a_recipe_killed_at_every_boundary_and_inside_stages_publishes_the_same_bytes() {
    let whole = Workplace::new(RECIPE);
    whole.done(&RUN);
    assert_eq!(whole.complete(), STAGES);

    let broken = Workplace::new(RECIPE);
    let store = broken.store();
    // Inside two stages: when a file of it is there, and not all of it.
    assert!(killed(&broken, || in_the_making(&store, "prune") > 0 || broken.complete() == 2));
    let mut kills = 1;
    for stage in 1..STAGES {
        kills += usize::from(killed(&broken, || broken.complete() >= stage));
        if stage == 3 {
            kills += usize::from(killed(&broken, || in_the_making(&store, "quantize") > 1_000_000));
        }
    }
    assert!(kills >= STAGES, "{kills} kills");
    broken.done(&RUN);
    let (one, other) = (whole.made(), broken.made());
    assert!(one.keys().eq(other.keys()), "{:?}\n{:?}", one.keys(), other.keys());
    for (name, bytes) in &one {
        assert!(other[name] == *bytes, "{name} has other bytes");
    }
    let (one, other) = (whole.hub.files(REPO, "main"), broken.hub.files(REPO, "main"));
    assert_eq!(one, other);

    // What was published is a card with three tiers, each figure with its interval.
    let card = String::from_utf8(one["README.md"].clone()).unwrap();
    for words in ["moe-7-experts-Q8_0.gguf", "Q6_K", "Q4_K_M", "95 %", "shown", "llama_selfmod -hf", "7 of 8"] {
        assert!(card.contains(words), "{words}: {card}");
    }
    assert_eq!(one.keys().filter(|name| name.ends_with(".gguf")).count(), 3);
    // A second run has nothing to do, and nothing is found.
    broken.done(&RUN);
    assert_eq!(broken.done(&VERIFY).matches("as it was made").count(), STAGES);

    each_manipulation_is_found(&broken);
}

/// Changes a file, whatever its rights are, and gives back what it was.
fn changed(file: &Path, change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let before = fs::read(file).unwrap();
    let mut after = before.clone();
    change(&mut after);
    replace(file, &after);
    before
}

fn replace(file: &Path, bytes: &[u8]) {
    // The file may be read-only, its folder is not.
    let _ = fs::remove_file(file);
    fs::write(file, bytes).unwrap();
}

fn flip(bytes: &mut [u8]) {
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
}

fn each_manipulation_is_found(work: &Workplace) {
    let out = |stage: &str, file: &str| work.stage(stage).join("out").join(file);
    let statement = |stage: &str| work.stage(stage).join("statement.json");
    let root = work.place.path().to_path_buf();
    let swap = |bytes: &mut Vec<u8>, from: &str, to: &str| {
        let text = String::from_utf8(std::mem::take(bytes)).unwrap();
        assert!(text.contains(from), "{from}");
        *bytes = text.replace(from, to).into_bytes();
    };
    type Change<'a> = Box<dyn FnOnce(&mut Vec<u8>) + 'a>;
    let of_prune = fs::read(statement("prune")).unwrap();
    let manipulations: Vec<(&str, std::path::PathBuf, Change, Vec<&str>)> = vec![
        (
            "a bit of a model",
            out("prune", "moe-7-experts.gguf"),
            Box::new(|bytes| flip(bytes)),
            vec!["moe-7-experts.gguf", "quantize", "publish"],
        ),
        (
            "a bit of a tier",
            out("quantize", "moe-7-experts-Q6_K.gguf"),
            Box::new(|bytes| flip(bytes)),
            vec!["Q6_K", "perplexity", "card"],
        ),
        (
            "a bit of a profile",
            out("profile", "profile.json"),
            Box::new(|bytes| flip(bytes)),
            vec!["profile.json", "prune"],
        ),
        (
            "a better figure",
            out("perplexity", "perplexity.json"),
            Box::new(|bytes| swap(bytes, "\"perplexity\": ", "\"perplexity\": 1")),
            vec!["perplexity.json", "card"],
        ),
        ("a bit of the base", root.join("moe.gguf"), Box::new(|bytes| flip(bytes)), vec!["moe", "profile"]),
        ("another text", root.join("held.txt"), Box::new(|bytes| bytes.truncate(9_000)), vec!["held", "perplexity"]),
        (
            "a shorter file",
            out("quantize", "moe-7-experts-Q8_0.gguf"),
            Box::new(|bytes| bytes.truncate(1000)),
            vec!["Q8_0"],
        ),
        (
            "an edited statement",
            statement("quantize"),
            Box::new(|bytes| swap(bytes, "Q4_K_M", "Q5_K_M")),
            vec!["quantize"],
        ),
        ("a statement of another stage", statement("imatrix"), Box::new(|bytes| *bytes = of_prune), vec!["imatrix"]),
        ("half a statement", statement("eval"), Box::new(|bytes| bytes.truncate(bytes.len() / 2)), vec!["eval"]),
        (
            "a card that was touched up",
            out("card", "README.md"),
            Box::new(|bytes| bytes.extend(b"\nBest of all.\n")),
            vec!["README.md", "publish"],
        ),
    ];
    assert!(manipulations.len() > 10);
    for (what, file, change, names) in manipulations {
        let before = changed(&file, change);
        let (code, found, error) = work.run(&VERIFY);
        assert_eq!(code, Some(1), "{what}: {found}{error}");
        for name in names {
            assert!(found.contains(name), "{what}: {name} is not named in {found}");
        }
        replace(&file, &before);
    }
    // A file too many, and one too few.
    let extra = out("card", "extra.md");
    fs::write(&extra, "x").unwrap();
    assert!(work.run(&VERIFY).1.contains("extra.md"));
    fs::remove_file(extra).unwrap();
    let tier = out("quantize", "moe-7-experts-Q8_0.gguf");
    let bytes = fs::read(&tier).unwrap();
    fs::remove_file(&tier).unwrap();
    let (code, found, _) = work.run(&VERIFY);
    assert!(code == Some(1) && found.contains("Q8_0"), "{found}");
    replace(&tier, &bytes);
    work.done(&VERIFY);
}

#[test]
fn a_plan_predicts_sizes_to_the_byte_and_makes_nothing() {
    let recipe =
        RECIPE.replace("\"Q8_0\", \"Q6_K\", \"Q4_K_M\"", "\"Q8_0\", \"Q6_K\", \"Q5_K_M\", \"Q4_K_M\", \"Q4_0\"");
    let (plain, _) = recipe.split_once("[[stage]]\nkind = \"perplexity\"").unwrap();
    // The choice of types hears of the importance matrix that there is not yet.
    let work = Workplace::new(plain);
    let said = work.done(&["forge", "recipe.toml", "--dry-run"]);
    assert!(!work.store().exists());
    // `NAME  SIZE bytes (…)`
    let predicted: BTreeMap<&str, u64> = said
        .lines()
        .filter_map(|line| {
            let (name, rest) = line.trim().split_once("  ")?;
            Some((name, rest.split_once(" bytes (")?.0.parse().ok()?))
        })
        .collect();
    assert_eq!(predicted.len(), 6, "{said}");
    work.done(&RUN);
    for (path, bytes) in work.made() {
        let name = path.rsplit('/').next().unwrap();
        if let Some(size) = predicted.get(name) {
            assert_eq!(bytes.len() as u64, *size, "{name}");
        }
    }
}

#[test]
fn a_search_finds_the_smallest_that_is_kept_and_a_pack_of_it_writes() {
    let work = Workplace::new(
        r#"
recipe = 1
[input]
moe = "moe.gguf"
text = "long.txt"

[[stage]]
kind = "profile"
model = "moe"
text = "text"
context = 128
windows = 20

[[stage]]
kind = "search"
model = "moe"
profile = "profile"
text = "text"
context = 128
axes = { experts = [8, 4], type = ["Q6_K", "Q8_0", "Q2_K"] }
keep = { perplexity = "+10%" }
quick = 1500
full = 8000

[[stage]]
kind = "pack"
models = ["moe", "search"]
weights = [1, 2]
policies = ["retraction"]

[[stage]]
kind = "run"
command = ["sh", "-c", "wc -c < {in.search} > {out}/size"]
inputs = ["search/moe-search.gguf"]
outputs = ["size"]
"#
        .replace("{in.search}", "{in.search/moe-search.gguf}")
        .as_str(),
    );
    work.place.file("long.txt", &TEXT[..60_000]);
    work.done(&RUN);
    let found: serde_json::Value =
        serde_json::from_slice(&fs::read(work.stage("search").join("out/search.json")).unwrap()).unwrap();
    // Half of the experts cost far more than 10 %, as do two bits; six bits cost next to nothing.
    let listed = found["listed"].as_array().unwrap();
    assert_eq!(listed.len(), 6, "{found}");
    let winner = listed.iter().find(|one| one["fate"] == "winner").unwrap();
    assert!(winner["label"].as_str().unwrap().contains("Q6_K"), "{winner}");
    assert!(winner["label"].as_str().unwrap().contains('8'), "{winner}");
    assert!(listed.iter().all(|one| one["fate"].is_string() && one["size"].is_u64()), "{found}");
    let file = work.stage("search").join("out/moe-search.gguf");
    assert_eq!(fs::metadata(&file).unwrap().len(), winner["size"].as_u64().unwrap());
    let size = fs::read_to_string(work.stage("run").join("out/size")).unwrap();
    assert_eq!(size.trim(), winner["size"].to_string());
    // No candidate is left behind.
    assert!(!fs::read_dir(work.stage("search")).unwrap().flatten().any(|entry| entry.path().join("out").is_dir()));
    let pack = work.stage("pack").join("out");
    let pack = pack.to_str().unwrap();
    let said = work.done(&["--team", pack, "-p", "Once upon a time", "-n", "8", "--quiet", "--raw", "--seed", "1"]);
    assert!(!said.trim().is_empty());
}
