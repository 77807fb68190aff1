//! How much vocabularies share, without loading any weights.

use super::{backend, member_names, read_model};
use crate::error::Error;
use crate::member::spelling::{self, Description};
use crate::member::{Vocabulary, inspect};
use crate::settings::ModelSource;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use std::path::{Path, PathBuf};

/// What some models' vocabularies have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedVocabulary {
    /// Of the models, in order.
    pub names: Vec<String>,
    /// They are the same, byte for byte: such members decode in tokens.
    pub same: bool,
    /// What they are like beside each other.
    pub description: Description,
}

/// Reads the vocabularies of model files, also of such that hold nothing else, and says what they share.
pub fn shared_vocabulary(files: &[PathBuf]) -> Result<SharedVocabulary, Error> {
    let vocabularies: Vec<Vocabulary> = files.iter().map(|file| read_vocabulary(file)).collect::<Result<_, _>>()?;
    let names = member_names(&files.iter().map(ModelSource::new).collect::<Vec<_>>());
    let same = Vocabulary::unify(&mut vocabularies.clone());
    let description = spelling::describe(&vocabularies.iter().collect::<Vec<_>>());
    Ok(SharedVocabulary { names, same, description })
}

/// The vocabulary in a file, of which nothing else is read.
pub fn read_vocabulary(file: &Path) -> Result<Vocabulary, Error> {
    read_vocabulary_model(file).map(|model| Vocabulary::of(&model))
}

/// A file as a model that has tokens and computes nothing.
pub(super) fn read_vocabulary_model(file: &Path) -> Result<LlamaModel, Error> {
    inspect::inspect_vocabulary(file).map_err(|error| Error::Input(error.to_string()))?;
    let parameters = LlamaModelParams::default().with_vocab_only(true);
    let backend = backend()?;
    read_model(file, || LlamaModel::load_from_file(backend, file, &parameters))
}
