//! The model files that other tests write are what llama.cpp takes for models.

use std::path::{Path, PathBuf};

use llama_cpp_2::context::params::LlamaContextParams;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;

use crate::support::gguf;
use crate::support::widened;

use gguf::{Architecture, Gguf, PieceType, RandomModel, TensorType, Value, Vocabulary, requantise};

fn backend() -> &'static LlamaBackend {
    llama_selfmod::member::backend().unwrap()
}

fn stories() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models/stories-260k.gguf")
}

fn load(path: &Path) -> LlamaModel {
    LlamaModel::load_from_file(backend(), path, &LlamaModelParams::default()).unwrap()
}

/// The logits after `text`.
fn logits(model: &LlamaModel, text: &str) -> Vec<f32> {
    let tokens = model.vocab().tokenize(text.as_bytes(), true, false);
    let parameters = LlamaContextParams::default().with_n_threads(1).with_n_threads_batch(1);
    let mut context = model.new_context(backend(), parameters).unwrap();
    let mut batch = LlamaBatch::new(tokens.len(), 1);
    for (position, &token) in tokens.iter().enumerate() {
        batch.add(token, position as i32, &[0], position + 1 == tokens.len()).unwrap();
    }
    context.decode(&mut batch).unwrap();
    context.get_logits_ith(tokens.len() as i32 - 1).to_vec()
}

fn logits_of_written(model: &RandomModel) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    model.write(&path);
    logits(&load(&path), "Once upon a time")
}

/// Largest difference, in units of the reference's spread.
fn deviation(logits: &[f32], reference: &[f32]) -> f32 {
    let mean = reference.iter().sum::<f32>() / reference.len() as f32;
    let spread = (reference.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / reference.len() as f32).sqrt();
    logits.iter().zip(reference).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max) / spread
}

#[test]
fn a_model_that_is_read_and_written_is_the_same_file() {
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.gguf");
    Gguf::read(&stories()).write(&copy);
    assert!(std::fs::read(stories()).unwrap() == std::fs::read(copy).unwrap());
}

#[test]
fn an_attention_model_of_every_type_decodes() {
    for kind in [TensorType::F32, TensorType::F16, TensorType::Q8_0, TensorType::Q4_0] {
        let model =
            RandomModel { kind, ..RandomModel::tiny(Architecture::Llama, Vocabulary::copied_from(&stories()), 1) };
        let row = logits_of_written(&model);
        assert_eq!(row.len(), 512);
        assert!(row.iter().all(|x| x.is_finite()), "{kind:?}");
    }
}

#[test]
fn a_recurrent_model_of_every_type_decodes() {
    for kind in [TensorType::F32, TensorType::F16, TensorType::Q8_0, TensorType::Q4_0] {
        let model =
            RandomModel { kind, ..RandomModel::tiny(Architecture::Mamba, Vocabulary::copied_from(&stories()), 1) };
        let row = logits_of_written(&model);
        assert_eq!(row.len(), 512);
        assert!(row.iter().all(|x| x.is_finite()), "{kind:?}");
    }
}

#[test]
fn a_hybrid_model_decodes() {
    let row = logits_of_written(&RandomModel::tiny(Architecture::Jamba, Vocabulary::copied_from(&stories()), 1));
    assert_eq!(row.len(), 512);
    assert!(row.iter().all(|x| x.is_finite()));
}

#[test]
fn a_vocabulary_of_bytes_tokenises_byte_by_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    RandomModel::tiny(Architecture::Llama, Vocabulary::of_bytes("gpt-2"), 1).write(&path);
    let ids: Vec<i32> =
        load(&path).vocab().tokenize("é b\n".as_bytes(), true, false).iter().map(|token| token.0).collect();
    assert_eq!(ids, [0xc3, 0xa9, 0x20, 0x62, 0x0a]);
}

#[test]
fn the_seed_decides_the_weights() {
    let of_seed = |seed| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.gguf");
        RandomModel::tiny(Architecture::Llama, Vocabulary::copied_from(&stories()), seed).write(&path);
        Gguf::read(&path).tensors[0].data.clone()
    };
    assert_eq!(of_seed(1), of_seed(1));
    assert_ne!(of_seed(1), of_seed(2));
}

#[test]
fn a_requantised_model_says_nearly_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let reference = logits(&load(&stories()), "Once upon a time");
    for (kind, tolerance) in [(TensorType::Q8_0, 0.1), (TensorType::Q4_0, 2.0)] {
        let path = folder.path().join("model.gguf");
        requantise(&stories(), kind, &path);
        let found = deviation(&logits(&load(&path), "Once upon a time"), &reference);
        assert!(found < tolerance, "{kind:?}: {found}");
    }
}

#[test]
fn a_requantised_model_keeps_rows_that_are_no_multiple_of_32_in_half_precision() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    requantise(&stories(), TensorType::Q4_0, &path);
    let model = Gguf::read(&path);
    let kind = |name: &str| model.tensors.iter().find(|tensor| tensor.name == name).unwrap().kind;
    assert_eq!(kind("blk.0.ffn_down.weight"), TensorType::F16, "rows of 172");
    assert_eq!(kind("blk.0.ffn_up.weight"), TensorType::Q4_0, "rows of 64");
    assert_eq!(kind("blk.0.ffn_norm.weight"), TensorType::F32);
}

#[test]
fn a_widened_model_computes_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    widened::widen(&stories(), TensorType::F32, &path);
    let found = deviation(&logits(&load(&path), "Once upon a time"), &logits(&load(&stories()), "Once upon a time"));
    assert!(found < 0.02, "{found}");
}

#[test]
fn half_precision_survives_the_round_trip_and_rounds_to_even() {
    let finite: Vec<u8> = (0..=u16::MAX).filter(|half| half & 0x7fff <= 0x7c00).flat_map(u16::to_le_bytes).collect();
    assert!(TensorType::F16.encode(&TensorType::F16.decode(&finite)) == finite);

    let step = 2f32.powi(-10);
    let rounded = |value: f32| TensorType::F16.decode(&TensorType::F16.encode(&[value]))[0];
    assert_eq!(rounded(1.0 + 0.5 * step), 1.0);
    assert_eq!(rounded(1.0 + 1.5 * step), 1.0 + 2.0 * step);
    assert_eq!(rounded(1e6), f32::INFINITY);
}

#[test]
fn a_vocabulary_of_pieces_tokenises_by_them() {
    let mut pieces = Vocabulary::bytes();
    for (rank, piece) in ["▁", "c", "a", "t", "▁c", "at", "▁cat"].into_iter().enumerate() {
        pieces.push((piece.into(), rank as f32 - 7.0, PieceType::Normal));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    RandomModel::tiny(Architecture::Llama, Vocabulary::of_pieces(&pieces), 1).write(&path);
    let ids: Vec<i32> =
        load(&path).vocab().tokenize("cat é".as_bytes(), true, false).iter().map(|token| token.0).collect();
    let end = 3 + 256;
    assert_eq!(ids, [1, end + 6, end, 3 + 0xc3, 3 + 0xa9]);
}

#[test]
fn template_context_end_and_padding_reach_the_model() {
    let vocabulary =
        Vocabulary::copied_from(&stories()).padded_to(544).ending_with(5).with_template("{{ messages[0].content }}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    RandomModel { context: 96, ..RandomModel::tiny(Architecture::Llama, vocabulary, 1) }.write(&path);

    let model = load(&path);
    assert_eq!(model.n_vocab(), 544);
    assert_eq!(model.n_ctx_train(), 96);
    assert_eq!(model.vocab().eos().0, 5);
    assert_eq!(logits(&model, "Once upon a time").len(), 544);
    let template = Value::Text("{{ messages[0].content }}".into());
    assert_eq!(Gguf::read(&path).get("tokenizer.chat_template"), &template);
}
