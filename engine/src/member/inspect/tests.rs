use super::*;
use crate::timing::assert_within;
use proptest::prelude::*;
use std::io::Cursor;
use std::time::{Duration, Instant};

/// Writes small GGUF files.
struct Gguf {
    values: Vec<Vec<u8>>,
    tensors: Vec<(&'static str, [u64; 2], u64)>,
}

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

impl Gguf {
    fn new(architecture: &str) -> Self {
        Self { values: Vec::new(), tensors: vec![("blk.0.attn_q.weight", [32, 4], 0), ("output.weight", [32, 2], 512)] }
            .with_text("general.architecture", architecture)
    }

    fn with(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.values.push([&text(key)[..], &kind.to_le_bytes(), value].concat());
        self
    }

    fn with_text(self, key: &str, value: &str) -> Self {
        self.with(key, 8, &text(value))
    }

    fn with_number(self, key: &str, value: u32) -> Self {
        self.with(key, 4, &value.to_le_bytes())
    }

    fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF\x03\0\0\0".to_vec();
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend((self.values.len() as u64).to_le_bytes());
        file.extend(self.values.concat());
        for (name, dimensions, offset) in &self.tensors {
            file.extend(text(name));
            file.extend(2u32.to_le_bytes());
            dimensions.iter().for_each(|dimension| file.extend(dimension.to_le_bytes()));
            file.extend(0u32.to_le_bytes());
            file.extend(offset.to_le_bytes());
        }
        if !self.tensors.is_empty() {
            file.resize(file.len().next_multiple_of(32) + 512 + 256, 1);
        }
        file
    }
}

/// With all kinds of values.
fn everything() -> Gguf {
    let tokens = [&8u32.to_le_bytes()[..], &3u64.to_le_bytes(), &text("a"), &text(""), &text("ccc")].concat();
    let scores = [&6u32.to_le_bytes()[..], &3u64.to_le_bytes(), &[0; 12]].concat();
    Gguf::new("llama")
        .with("tokenizer.ggml.tokens", 9, &tokens)
        .with("tokenizer.ggml.scores", 9, &scores)
        .with("llama.rope.freq_base", 6, &1f32.to_le_bytes())
        .with("llama.context_length", 10, &2048u64.to_le_bytes())
        .with("llama.attention.causal", 7, &[1])
        .with("some.negative", 5, &(-1i32).to_le_bytes())
        .with_number("general.file_type", 15)
        .with_text("general.name", "Größe")
        .with_text("tokenizer.chat_template", &"x".repeat(10_000))
}

fn inspect_bytes(name: &str, bytes: &[u8]) -> Result<GgufSummary, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    inspect(&path).map_err(|error| error.to_string().replace(&format!("{}/", folder.path().display()), ""))
}

fn refusal(bytes: &[u8]) -> String {
    inspect_bytes("m.gguf", bytes).unwrap_err()
}

#[test]
fn a_real_model_is_summarised() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models/stories-260k.gguf");
    let summary = inspect(&path).unwrap();
    assert_eq!((summary.architecture.as_str(), summary.vocabulary), ("llama", Some(512)));
    assert_eq!((summary.context_length, summary.file_size), (Some(512), std::fs::metadata(path).unwrap().len()));
}

#[test]
fn a_summary_has_what_the_file_says() {
    let bytes = everything().bytes();
    let summary = inspect_bytes("m.gguf", &bytes).unwrap();
    let expected = GgufSummary {
        architecture: "llama".into(),
        name: Some("Größe".into()),
        context_length: Some(2048),
        vocabulary: Some(3),
        file_size: bytes.len() as u64,
        quantisation: Some("Q4_K_M"),
        has_chat_template: true,
    };
    assert_eq!(summary, expected);
}

#[test]
fn what_is_no_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = |path: &Path| inspect(path).unwrap_err().to_string();
    assert!(error(folder.path()).contains("is a folder"));
    assert!(error(&folder.path().join("none")).contains("does not exist; check the path"));
    #[cfg(unix)]
    assert!(error(Path::new("/dev/zero")).contains("is not a regular file"));
    assert_eq!(refusal(b""), "`m.gguf` is empty; fetch the model again");
    assert!(refusal(b"<html>").starts_with("`m.gguf` is not a GGUF file: it is a web page"));
    assert!(refusal(b"GG").starts_with("`m.gguf` is not a GGUF file: "));
}

#[test]
fn other_versions_are_refused() {
    let mut bytes = everything().bytes();
    bytes[4] = 1;
    assert!(refusal(&bytes).contains("is GGUF version 1, and versions 2 and 3"));
    bytes[4..8].copy_from_slice(&[0, 0, 0, 3]);
    assert!(refusal(&bytes).contains("big-endian"));
}

#[test]
fn a_cut_off_file_says_how_much_is_missing() {
    let bytes = everything().bytes();
    let cut = &bytes[..bytes.len() - 100];
    let expected = format!("`m.gguf` is cut off: 100 of its {} bytes are missing; fetch it again", bytes.len());
    assert_eq!(refusal(cut), expected);
    assert_eq!(refusal(&bytes[..60]), "`m.gguf` ends in the middle of its header, after 60 bytes; fetch it again");
}

#[test]
fn models_that_do_not_write_text_are_refused() {
    let cases = [
        (Gguf::new("nomic-bert"), "an embedding model (`nomic-bert`)"),
        (Gguf::new("qwen3").with_number("qwen3.pooling_type", 3), "an embedding model (`qwen3`)"),
        (Gguf::new("gemma3").with("gemma3.attention.causal", 7, &[0]), "an embedding model (`gemma3`)"),
        (Gguf::new("clip"), "the vision or audio part of a model (mmproj) (`clip`)"),
        (Gguf::new("llama").with_text("general.type", "adapter"), "an adapter (LoRA) for another model"),
        (Gguf { tensors: vec![], ..Gguf::new("llama") }, "holds a vocabulary and no weights"),
        (Gguf::new("llama").with_text("tokenizer.ggml.model", "no_vocab"), "a model without a vocabulary"),
        (Gguf::new(""), "is damaged: it does not name its architecture"),
    ];
    for (gguf, expected) in cases {
        let refusal = refusal(&gguf.bytes());
        assert!(refusal.contains(expected), "{refusal}");
    }
    let no_pooling = Gguf::new("qwen3").with_number("qwen3.pooling_type", 0);
    assert!(inspect_bytes("m.gguf", &no_pooling.bytes()).is_ok());
}

#[test]
fn of_a_split_model_the_first_part_is_asked_for_and_all_are_needed() {
    let part = |number| Gguf::new("llama").with_number("split.no", number).with_number("split.count", 3);
    assert_eq!(
        inspect_bytes("m-00002-of-00003.gguf", &part(1).bytes()).unwrap_err(),
        "`m-00002-of-00003.gguf` is part 2 of 3 of a split model; give the first part, `m-00001-of-00003.gguf`"
    );
    assert!(
        inspect_bytes("m-00001-of-00003.gguf", &part(0).bytes())
            .unwrap_err()
            .contains("needs `m-00002-of-00003.gguf` beside it")
    );
    assert!(inspect_bytes("renamed.gguf", &part(1).bytes()).unwrap_err().contains("part 2 of 3"));
}

/// The whole verdict on bytes in memory.
fn verdict(bytes: &[u8]) -> Option<GgufSummary> {
    let len = bytes.len() as u64;
    judge("m.gguf".into(), &Header::read(Cursor::new(bytes), len).ok()?, len).ok()
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = everything().bytes();
    assert!(verdict(&bytes).is_some());
    for len in 0..bytes.len() {
        assert_eq!(verdict(&bytes[..len]), None, "{len} of {} bytes", bytes.len());
    }
}

#[test]
fn a_length_beyond_the_file_is_not_allocated() {
    let huge = u64::MAX.to_le_bytes();
    let strings = [&8u32.to_le_bytes()[..], &huge].concat();
    for gguf in [
        Gguf::new("llama").with("x", 8, &huge),
        Gguf::new("llama").with("x", 9, &strings),
        Gguf::new("llama").with("x", 9, &[&10u32.to_le_bytes()[..], &huge].concat()),
        Gguf { tensors: vec![("blk.0", [u64::MAX, u64::MAX], 0)], ..Gguf::new("llama") },
        Gguf { tensors: vec![("blk.0", [32, 1], u64::MAX)], ..Gguf::new("llama") },
        Gguf::new("llama").with("general.alignment", 10, &huge),
        Gguf::new("llama").with("general.alignment", 10, &0u64.to_le_bytes()),
    ] {
        assert_eq!(verdict(&gguf.bytes()), None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn flipped_bytes_never_panic(flips in prop::collection::vec((0usize..900, any::<u8>()), 1..8)) {
        let mut bytes = everything().bytes();
        for (at, value) in flips {
            if let Some(byte) = bytes.get_mut(at) {
                *byte = value;
            }
        }
        let start = Instant::now();
        verdict(&bytes);
        assert_within(Duration::from_millis(500), start.elapsed(), "an inspection");
    }
}
