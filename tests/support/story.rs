//! Children's stories that no model of the tests was tuned on: `tests/fixtures/tinystories-dev.txt`.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::path::{Path, PathBuf};

pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/tinystories-dev.txt")
}

pub fn text() -> String {
    std::fs::read_to_string(path()).unwrap()
}

/// The first five words of sentences, from all over the text.
pub fn prompts(count: usize) -> Vec<String> {
    let text = text();
    let sentences: Vec<Vec<&str>> = text
        .split_inclusive(['.', '!', '?', '\n'])
        .map(|sentence| sentence.split_whitespace().take(5).collect::<Vec<_>>())
        .filter(|words| words.len() == 5)
        .collect();
    assert!(sentences.len() >= count);
    (0..count).map(|index| sentences[index * sentences.len() / count].join(" ")).collect()
}
