//! Passes of several models, made so that they can be compared.

use super::{Pass, Store, file_digest};
use crate::engine::{Engine, model_files, shared_vocabulary};
use crate::error::Error;
use crate::member::inspect;
use crate::memory::sha256;
use crate::settings::{Align, ModelSource, Settings};

/// Readings of a text that are decoded side by side.
const BESIDE: usize = 24;

/// What all models have in common while each is measured alone: the shortest context among them, since old text is dropped at
/// other places with another one, and the units. These are bytes where the models' vocabularies differ.
pub struct Plan {
    settings: Settings,
    store: Option<Store>,
}

impl Plan {
    /// Makes the plan for all models of the settings. Passes are kept in the settings' cache folder.
    pub fn new(settings: &Settings) -> Result<Self, Error> {
        let files: Vec<_> = settings.models.iter().map(|model| model.path.clone()).collect();
        let mut context = settings.ctx_size;
        for file in &files {
            let summary = inspect::inspect(file).map_err(|error| Error::Input(error.to_string()))?;
            context = context.min(summary.context_length.and_then(|length| length.try_into().ok()).unwrap_or(context));
        }
        let align = if shared_vocabulary(&files)?.same { Align::Exact } else { Align::Always };
        let settings = Settings { align, beside: BESIDE, ctx_size: context, policies: Vec::new(), ..settings.clone() };
        let store = settings.cache.as_deref().map(Store::new);
        Ok(Self { settings, store })
    }

    /// The settings of an ensemble of these models that is to be compared with the passes.
    pub fn team(&self, models: Vec<ModelSource>) -> Settings {
        Settings { models, align: Align::Exact, ..self.settings.clone() }
    }

    /// A model's pass over a text: from the store, or by loading it with `load`.
    pub fn pass(
        &self,
        model: &ModelSource,
        text: &str,
        load: &mut dyn FnMut(Settings) -> Result<Engine, Error>,
        progress: &mut dyn FnMut(f64),
    ) -> Result<Pass, Error> {
        let settings = Settings { models: vec![model.clone()], ..self.settings.clone() };
        let Settings { align, beside, ctx_size, cache_type, heads, cache, .. } = &settings;
        let unreadable = |file: &std::path::Path, error: std::io::Error| {
            Error::Failure(format!("`{}` cannot be read: {error}", file.display()))
        };
        let mut key = vec![
            sha256(text.as_bytes()),
            format!("{align:?} {beside} {ctx_size} {cache_type:?} {heads:?} {}", model.gpu_layers),
        ];
        for file in model_files(&model.path) {
            key.push(file_digest(&file, cache.as_deref()).map_err(|error| unreadable(&file, error))?);
        }
        let key: Vec<&str> = key.iter().map(String::as_str).collect();
        if let Some(known) = self.store.as_ref().and_then(|store| store.get(&key)) {
            return Ok(known);
        }
        let pass = load(settings.clone())?.pass(text, progress)?;
        if let Some(store) = &self.store
            && let Err(error) = store.put(&key, &pass)
        {
            // It is made again the next time.
            tracing::warn!("a pass cannot be kept: {error}");
        }
        Ok(pass)
    }
}
