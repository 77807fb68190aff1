//! One model with a context for one text, for whoever looks into it or counts what a text costs: no ensemble, no units.

use super::attention::Layers;
use super::files::{Files, read_models};
use super::{Room, backend, default_threads, devices, layers, member_names, tapped_context};
use crate::error::Error;
use crate::member::Vocabulary;
use crate::member::alone::{Alone, ROWS};
use crate::member::model::tap::Tap;
use crate::member::reader::tokens::beginning;
use crate::settings::{CacheType, ModelSource};
use std::sync::Arc;

/// Loads a model for windows of `context` tokens.
///
/// # Errors
/// For a file that cannot be loaded, and a context that is longer than the model was trained for.
pub(crate) fn load_alone(
    source: &ModelSource,
    context: u32,
    threads: Option<usize>,
    tap: Option<Arc<Tap>>,
) -> Result<Alone, Error> {
    let name = member_names(std::slice::from_ref(source)).remove(0);
    let files = Files::of(std::slice::from_ref(source))?;
    let Some(model) = read_models(backend()?, &files, &|_, _| {})?.remove(0) else {
        return Err(Error::Input(format!("`{name}` is a model on another machine; name a GGUF file")));
    };
    let trained = model.n_ctx_train();
    if trained > 0 && context > trained {
        return Err(Error::Input(format!(
            "windows of {context} tokens are too long for `{name}`, which was trained for {trained}; give `context = \
             {trained}`, or less"
        )));
    }
    let threads = threads.unwrap_or_else(default_threads).max(1);
    let (all, on_gpu) = layers(source, &model, &files.summaries[0], devices().len());
    let room = Room { context, texts: 1, branches: 0, rows: ROWS, threads };
    let context = tapped_context(&model, &name, &room, CacheType::F16, Layers::of(all, on_gpu), tap.clone())?;
    let vocabulary = Vocabulary::of(&model);
    let beginning = beginning(&model).and_then(|token| u32::try_from(token).ok());
    Ok(Alone::new(name, model, vocabulary, context, beginning, tap))
}
