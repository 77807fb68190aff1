//! The files of an ensemble, each read once.

use super::said;
use crate::error::Error;
use crate::member::inspect::{self, GgufSummary};
use crate::member::weights;
use crate::settings::ModelSource;
use llama_cpp_2::LlamaModelLoadError;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use std::path::Path;
use std::sync::{Arc, mpsc};

/// The files of some sources: one that several of them name is there once.
pub(super) struct Files {
    /// One for each file.
    pub sources: Vec<ModelSource>,
    /// What their headers say.
    pub summaries: Vec<GgufSummary>,
    /// Of each source, which of the files it is.
    pub places: Vec<usize>,
}

impl Files {
    pub fn of(sources: &[ModelSource]) -> Result<Self, Error> {
        let mut files = Self { sources: Vec::new(), summaries: Vec::new(), places: Vec::new() };
        for source in sources {
            let known = files.sources.iter().position(|known| is_same(known, source));
            files.places.push(known.unwrap_or(files.sources.len()));
            if known.is_none() {
                let summary = match &source.remote {
                    Some(_) => GgufSummary::default(),
                    None => inspect::inspect(&source.path).map_err(|error| Error::Input(error.to_string()))?,
                };
                files.summaries.push(summary);
                files.sources.push(source.clone());
            }
        }
        Ok(files)
    }

    /// How many of the sources are this file.
    pub fn readers(&self, place: usize) -> usize {
        self.places.iter().filter(|&&own| own == place).count()
    }
}

fn is_same(known: &ModelSource, source: &ModelSource) -> bool {
    let is_same_path =
        || known.path == source.path || same_file::is_same_file(&known.path, &source.path).unwrap_or(false);
    match (&known.remote, &source.remote) {
        (None, None) => known.gpu_layers == source.gpu_layers && is_same_path(),
        (known, source) => known == source,
    }
}

/// Reads the weights of all files side by side; nothing of a member that a server computes.
pub(super) fn read_models(
    backend: &'static LlamaBackend,
    files: &Files,
    progress: &(dyn Fn(usize, f32) + Sync),
) -> Result<Vec<Option<Arc<LlamaModel>>>, Error> {
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let loading: Vec<_> = files
            .sources
            .iter()
            .zip(&files.summaries)
            .enumerate()
            .map(|(index, (source, file))| {
                let sender = sender.clone();
                let read = move || {
                    let mut progress = |part| sender.send((index, part)).is_ok();
                    read_model(&source.path, || {
                        weights::load(backend, &source.path, &file.architecture, source.gpu_layers, &mut progress)
                    })
                };
                source.remote.is_none().then(|| scope.spawn(read))
            })
            .collect();
        drop(sender);
        // Ends when the last thread has dropped its sender.
        for (index, fraction) in receiver {
            progress(index, fraction);
        }
        let panicked = |source: &ModelSource| not_loaded(&source.path, None, "its thread panicked");
        let models = files.sources.iter().zip(loading);
        let read = |source, handle: std::thread::ScopedJoinHandle<'_, Result<LlamaModel, Error>>| {
            handle.join().unwrap_or_else(|_| Err(panicked(source))).map(Arc::new)
        };
        models.map(|(source, handle)| handle.map(|handle| read(source, handle)).transpose()).collect()
    })
}

/// Reads one file, with llama.cpp's own reason where that fails.
pub(super) fn read_model(
    path: &Path,
    load: impl FnOnce() -> Result<LlamaModel, LlamaModelLoadError>,
) -> Result<LlamaModel, Error> {
    let (model, reason) = said::listen(load);
    model.map_err(|error| not_loaded(path, reason, &error.to_string()))
}

/// llama.cpp's own reason says most; without one there is `otherwise`.
fn not_loaded(path: &Path, reason: Option<String>, otherwise: &str) -> Error {
    let (reason, cure) = match reason {
        Some(reason) if reason.starts_with("unknown ") => (reason, "the file may be newer than this build"),
        Some(reason) if reason.contains("allocate") => (reason, "free some memory, or choose a smaller file"),
        Some(reason) => (reason, "fetch it again, or another conversion of the model"),
        None => (otherwise.to_string(), "LLAMA_SELFMOD_LOG=info shows what it says"),
    };
    Error::Failure(format!("llama.cpp could not load `{}`: {reason}; {cure}", path.display()))
}
