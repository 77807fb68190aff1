//! How much vocabularies share, without loading any weights.

use super::{backend, member_names, read_model};
use crate::error::Error;
use crate::member::units::{self, Description};
use crate::member::{Vocabulary, inspect};
use crate::settings::ModelSource;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::model::params::LlamaModelParams;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// What some models' vocabularies have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct SharedVocabulary {
    /// Of the models, in order.
    pub names: Vec<String>,
    /// They are the same, byte for byte: such members decode in tokens.
    pub same: bool,
    /// The common units.
    pub description: Description,
    /// To work it out, or to read it.
    pub milliseconds: f64,
    /// It was read from the cache folder.
    pub cached: bool,
}

/// Reads the vocabularies of model files, also of such that hold nothing else, and says what they share.
pub fn shared_vocabulary(files: &[PathBuf], cache: Option<&Path>) -> Result<SharedVocabulary, Error> {
    let vocabularies: Vec<Vocabulary> = files.iter().map(|file| read_vocabulary(file)).collect::<Result<_, _>>()?;
    let names = member_names(&files.iter().map(ModelSource::new).collect::<Vec<_>>());
    let same = Vocabulary::unify(&mut vocabularies.clone());
    let start = Instant::now();
    let (common, cached) = units::reduce_cached(&vocabularies.iter().collect::<Vec<_>>(), cache);
    let milliseconds = start.elapsed().as_secs_f64() * 1e3;
    Ok(SharedVocabulary { names, same, description: common.describe(), milliseconds, cached })
}

/// The vocabulary in a file, of which nothing else is read.
pub fn read_vocabulary(file: &Path) -> Result<Vocabulary, Error> {
    inspect::inspect_vocabulary(file).map_err(|error| Error::Input(error.to_string()))?;
    let parameters = LlamaModelParams::default().with_vocab_only(true);
    let backend = backend()?;
    read_model(file, || LlamaModel::load_from_file(backend, file, &parameters)).map(|model| Vocabulary::of(&model))
}
