//! Members as llama.cpp runs them: going back, vocabularies, prompts, loading. On models of random weights, which are as
//! sensitive to every token as trained ones, and on the demo's.

use crate::support::gguf;

mod context;
mod contexts;
mod loading;
mod numbers;
mod prompts;
mod rewind;
mod tokenizers;
mod vocabularies;

use gguf::{Architecture, RandomModel, Vocabulary};
use llama_selfmod::Engine;
use llama_selfmod::member::MemberRow;
use llama_selfmod::settings::{ModelSource, Settings};
use std::path::PathBuf;

/// A demo model, by the last part of its name.
fn stories(size: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/models/stories-{size}.gguf"))
}

/// The vocabulary of the demo's models: 512 tokens, of which those from 259 on are text.
fn stories_vocabulary() -> Vocabulary {
    Vocabulary::copied_from(&stories("260k"))
}

/// Text units of [`stories_vocabulary`], from any numbers.
fn units(numbers: impl IntoIterator<Item = usize>) -> Vec<u32> {
    numbers.into_iter().map(|number| 259 + (number * 89 % 253) as u32).collect()
}

/// A folder for the models of one test.
struct Models(tempfile::TempDir);

impl Models {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, model: &RandomModel) -> PathBuf {
        let path = self.0.path().join(format!("{name}.gguf"));
        model.write(&path);
        path
    }

    /// A model of random weights with the demo's vocabulary.
    fn random(&self, architecture: Architecture, seed: u64) -> PathBuf {
        let model = RandomModel { context: 2048, ..RandomModel::tiny(architecture, stories_vocabulary(), seed) };
        self.write(&format!("{architecture:?}{seed}"), &model)
    }

    fn with_vocabulary(&self, name: &str, vocabulary: Vocabulary) -> PathBuf {
        self.write(name, &RandomModel::tiny(Architecture::Llama, vocabulary, 1))
    }
}

fn settings(models: &[PathBuf]) -> Settings {
    let models = models.iter().map(ModelSource::new).collect();
    Settings { models, policies: Vec::new(), threads: Some(1), ..Settings::default() }
}

fn engine(models: &[PathBuf]) -> Engine {
    Engine::load(settings(models), &|_, _| {}).unwrap()
}

fn rows(engine: &mut Engine) -> Vec<MemberRow> {
    engine.decoder().reading().unwrap().rows().into_iter().cloned().collect()
}

/// Largest difference of two rows' logits, in units of their spread; infinite when other units can be emitted.
fn deviation(found: &MemberRow, expected: &MemberRow) -> f32 {
    let finite: Vec<f32> = expected.logits.iter().copied().filter(|logit| logit.is_finite()).collect();
    let mean = finite.iter().sum::<f32>() / finite.len() as f32;
    let spread = (finite.iter().map(|logit| (logit - mean).powi(2)).sum::<f32>() / finite.len() as f32).sqrt();
    let difference = |(a, b): (&f32, &f32)| if a == b { 0.0 } else { (a - b).abs() };
    found.logits.iter().zip(&expected.logits).map(difference).fold(0.0, f32::max) / spread
}

/// Rows that were made on different ways agree up to the order in which llama.cpp adds numbers.
fn assert_same(found: &[MemberRow], expected: &[MemberRow], what: &str) {
    assert_eq!(found.len(), expected.len());
    for (member, (found, expected)) in found.iter().zip(expected).enumerate() {
        assert_eq!(found.logits.len(), expected.logits.len(), "{what}, member {member}");
        let deviation = deviation(found, expected);
        assert!(deviation < 0.02, "{what}, member {member}: the logits differ by {deviation} of their spread");
        let evidence = (found.evidence - expected.evidence).abs();
        assert!(evidence < 0.05, "{what}, member {member}: evidence {} and {}", found.evidence, expected.evidence);
    }
}
