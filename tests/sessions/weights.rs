//! Weights are in memory once, however many texts and members there are.
#![cfg(target_os = "linux")]

use super::*;
use crate::support::gguf::TensorType;
use std::path::Path;
use std::process::Command;

/// Some 30 million weights.
fn large(path: &Path) {
    let stories = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models/stories-260k.gguf");
    let tiny = RandomModel::tiny(Architecture::Llama, Vocabulary::copied_from(&stories), 1);
    let large = RandomModel { kind: TensorType::Q8_0, layers: 8, width: 512, heads: 8, kv_heads: 2, ..tiny };
    RandomModel { feed_forward: 2048, ..large }.write(path);
}

/// What is resident in MiB after `members` of one file were loaded for `texts` texts, and one text of each was begun.
fn resident(model: &Path, members: usize, texts: usize) -> f64 {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "sessions::weights::what_is_measured", "--nocapture"])
        .env("LLAMA_SELFMOD_TEST_MODEL", model)
        .env("LLAMA_SELFMOD_TEST_SHAPE", format!("{members} {texts}"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let found = text.lines().find_map(|line| line.split_once("resident: ")?.1.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{text}"))
}

/// Not a test by itself: what the processes of the next one run, in which nothing else is.
#[test]
fn what_is_measured() {
    let Some(model) = std::env::var_os("LLAMA_SELFMOD_TEST_MODEL") else { return };
    let shape = std::env::var("LLAMA_SELFMOD_TEST_SHAPE").unwrap();
    let (members, texts) = shape.split_once(' ').unwrap();
    let models = vec![PathBuf::from(model); members.parse().unwrap()];
    let settings = Settings { ctx_size: 256, ..settings(&models, texts.parse().unwrap()) };
    let mut engine = load(&settings);
    let told = alone_in(&mut engine, &Request { limits: limits(), ..request("Once", 1, 1.0) });
    assert_eq!(told.tokens, 4);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    let kib: f64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    println!("resident: {}", kib / 1024.0);
}

fn limits() -> llama_selfmod::decode::Limits {
    llama_selfmod::decode::Limits { n_predict: 4, horizon: 32, max_retractions: 0 }
}

fn alone_in(engine: &mut Engine, request: &Request) -> llama_selfmod::reply::Reply {
    engine.decoder().reply(request, &Default::default(), &mut |_| {}).unwrap().reply
}

#[test]
fn eight_texts_and_two_members_of_one_file_cost_one_set_of_weights() {
    let folder = tempfile::tempdir().unwrap();
    let model = folder.path().join("large.gguf");
    large(&model);
    let weights = std::fs::metadata(&model).unwrap().len() as f64 / f64::from(1 << 20);
    // Keys and values of a text, and what llama.cpp computes in.
    let cache = 8.0 * 256.0 * 128.0 * 2.0 * 2.0 / f64::from(1 << 20);
    let one = resident(&model, 1, 1);
    let (texts, members) = (resident(&model, 1, 8) - one, resident(&model, 2, 1) - one);
    println!(
        "weights {weights:.1} MiB, a text's cache {cache:.1}; one text {one:.1}, eight +{texts:.1}, two members +{members:.1}"
    );
    assert!(one > weights, "the test can fail: {one} MiB with {weights} MiB of weights");
    assert!(texts < 8.0 * cache + weights / 2.0, "seven texts more cost {texts} MiB");
    assert!(members < 2.0 * cache + weights / 2.0, "a second member costs {members} MiB");
}
