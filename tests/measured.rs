//! Models of random weights for measurements (`docs/measurements.md`): a real shape, a large vocabulary, no training. How fast
//! a model is does not depend on what its weights say.

use crate::support::gguf::{Architecture, PieceType, RandomModel, TensorType, Vocabulary};
use std::path::PathBuf;

/// So many tokens: bytes, and words without end of the letters a to z.
fn vocabulary(tokens: usize) -> Vocabulary {
    let mut pieces = Vocabulary::bytes();
    let word = |mut number: usize| {
        let mut letters = String::new();
        loop {
            letters.insert(0, char::from(b'a' + (number % 26) as u8));
            number /= 26;
            if number == 0 {
                return letters;
            }
            number -= 1;
        }
    };
    for number in 0..tokens - pieces.len() {
        let (space, number) = if number % 2 == 0 { ("▁", number / 2) } else { ("", number / 2) };
        pieces.push((format!("{space}{}", word(number)), -(number as f32), PieceType::Normal));
    }
    Vocabulary::of_pieces(&pieces)
}

#[test]
#[ignore = "writes 1 GB for measurements: MODELS=folder cargo test --release measured:: -- --ignored"]
fn random_models_are_written_for_measurements() {
    let folder = PathBuf::from(std::env::var_os("MODELS").expect("MODELS names the folder to write to"));
    std::fs::create_dir_all(&folder).unwrap();
    let large = vocabulary(152_000);
    let small = vocabulary(32_000);
    for seed in 1..=3 {
        let tiny = RandomModel::tiny(Architecture::Llama, large.clone(), seed);
        let kind = TensorType::Q8_0;
        let shape = RandomModel { kind, context: 8192, layers: 30, width: 576, feed_forward: 1536, ..tiny };
        RandomModel { heads: 9, kv_heads: 3, ..shape }.write(&folder.join(format!("135m-{seed}.gguf")));
    }
    for seed in 1..=2 {
        let tiny = RandomModel::tiny(Architecture::Llama, small.clone(), seed);
        let kind = TensorType::Q8_0;
        let shape = RandomModel { kind, context: 8192, layers: 6, width: 288, feed_forward: 768, ..tiny };
        RandomModel { heads: 6, kv_heads: 6, ..shape }.write(&folder.join(format!("15m-{seed}.gguf")));
    }
}

#[test]
fn such_a_vocabulary_has_as_many_tokens_as_are_asked_for() {
    let vocabulary = vocabulary(2_000);
    let mut pieces = vocabulary.pieces().to_vec();
    assert_eq!(pieces.len(), 2_000);
    pieces.sort();
    pieces.dedup();
    assert_eq!(pieces.len(), 2_000, "each is there once");
}
