//! From files to an ensemble.

mod devices;
mod language;
mod shared;

pub use devices::{Device, devices};
pub use shared::{SharedVocabulary, shared_vocabulary};

use super::context::Context;
use super::inspect::{self, GgufSummary};
use super::llama::LlamaMember;
use super::prompt::PromptForm;
use super::template::ChatTemplate;
use super::tokens::{text_of, tokenise_text};
use super::{Ensemble, Member, Unit, Vocabulary, weights};
use crate::error::Error;
use crate::settings::{ModelSource, Settings};
use devices::layers_on_devices;
use language::Language;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock, mpsc};

/// A member for people.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberInfo {
    /// Unique in the ensemble.
    pub name: String,
    /// Its file.
    pub path: PathBuf,
    /// How many weights.
    pub parameters: u64,
    /// What it was trained for, in tokens.
    pub context: u32,
    /// Size of its weights.
    pub bytes: u64,
    /// Size of its KV cache or state.
    pub cache_bytes: u64,
    /// The part of its layers, and so of its cache, that is on a GPU.
    pub on_gpu: f64,
}

/// What stays of loading.
pub(crate) struct Loaded {
    pub members: Vec<MemberInfo>,
    pub notes: Vec<String>,
    pub context: u32,
    pub threads: usize,
    /// Resident memory once the weights and llama.cpp's tables of the vocabularies were read, in MiB; 0 where the system
    /// does not tell.
    pub resident: f64,
    /// The devices before anything was put on them.
    pub devices: Vec<Device>,
    first: Arc<LlamaModel>,
    language: Language,
}

impl Loaded {
    /// A text in units, without a beginning-of-text token.
    pub fn units_of(&self, text: &str) -> Result<Vec<Unit>, Error> {
        let vocabulary = &self.language.tokens[0];
        if let Some(character) = vocabulary.inexpressible(text) {
            return Err(Error::Input(format!("the models have no token for `{character}`; leave it out of the text")));
        }
        let tokens = tokenise_text(&self.first, vocabulary, text);
        let tokens: Vec<Unit> = tokens.into_iter().map(|token| token as Unit).collect();
        self.language.units_of(&tokens).ok_or_else(|| {
            Error::Input("the models have no tokens for all of the text; leave out what is unusual in it".into())
        })
    }
}

/// llama.cpp, which starts once in a process: a program that uses llama-cpp-2 beside the engine takes it from here.
pub fn backend() -> Result<&'static LlamaBackend, Error> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let start = || {
        llama_cpp_2::send_logs_to_tracing(llama_cpp_2::LogOptions::default());
        LlamaBackend::init().map_err(|error| error.to_string())
    };
    BACKEND.get_or_init(start).as_ref().map_err(|why| Error::Failure(format!("llama.cpp does not start: {why}")))
}

/// Threads for decoding when the user gives none: one per physical core; two threads of one core only wait for each other.
fn default_threads() -> usize {
    // What this process may use can be less than there is, in a container for example.
    num_cpus::get_physical().min(num_cpus::get())
}

/// Loads all members side by side.
pub(crate) fn load(settings: &Settings, progress: &(dyn Fn(usize, f32) + Sync)) -> Result<(Ensemble, Loaded), Error> {
    if settings.models.is_empty() {
        return Err(Error::Input("no model is given; name a GGUF file with --model, or try --demo".into()));
    }
    let look = |source: &ModelSource| inspect::inspect(&source.path).map_err(|error| Error::Input(error.to_string()));
    let files: Vec<GgufSummary> = settings.models.iter().map(look).collect::<Result<_, _>>()?;
    let names = unique_names(&settings.models);
    let mut notes = Vec::new();
    let backend = backend()?;
    let devices = devices();
    if settings.models.iter().any(|model| model.gpu_layers != 0) && devices.is_empty() {
        notes.push(devices::why_on_the_cpu().into());
    }
    let models = read_models(backend, &settings.models, &files, progress)?;
    let resident = crate::resident::resident("VmRSS:");

    let trained = models.iter().map(|model| model.n_ctx_train()).min().unwrap_or(0);
    let context = if trained > 0 { settings.ctx_size.min(trained) } else { settings.ctx_size };
    // The default is a bound, and nobody asked for all of it.
    if context < settings.ctx_size && settings.ctx_size != Settings::default().ctx_size {
        let shortest = models.iter().position(|model| model.n_ctx_train() == trained).map_or("", |index| &names[index]);
        notes.push(format!("the context is {context} tokens, the most that `{shortest}` was trained for"));
    }
    let vocabularies: Vec<Vocabulary> = models.iter().map(|model| Vocabulary::of(model)).collect();
    if let Some(silent) = vocabularies.iter().position(|vocabulary| !vocabulary.writes()) {
        return Err(Error::Input(format!(
            "`{}` has no token that writes text: its file marks all of them as control tokens or as unused; fetch another \
             conversion of the model",
            settings.models[silent].path.display()
        )));
    }
    let language = Language::of(vocabularies, settings);

    let threads = settings.threads.unwrap_or_else(default_threads).max(1);
    let mut members: Vec<Box<dyn Member>> = Vec::new();
    let mut infos = Vec::new();
    for (index, ((source, model), name)) in settings.models.iter().zip(&models).zip(names).enumerate() {
        let template = if settings.raw { None } else { template(settings, model, &name)? };
        let form = PromptForm { template, raw: settings.raw, system: settings.system.clone() };
        let layers = blocks(model, &files[index].architecture);
        let on_gpu = layers_on_devices(source.gpu_layers, layers, devices.len());
        let all_on_gpu = on_gpu == layers && !devices.is_empty();
        let Some(llama) = Context::new(model.clone(), context, threads, all_on_gpu, language.branches()) else {
            return Err(Error::Failure(format!(
                "llama.cpp could not make a context of {context} tokens for `{name}`; try a smaller --ctx-size, or see why with \
                 LLAMA_SELFMOD_LOG=info"
            )));
        };
        infos.push(MemberInfo {
            name: name.clone(),
            path: source.path.clone(),
            parameters: model.n_params(),
            context: model.n_ctx_train(),
            bytes: model.size(),
            cache_bytes: cache_bytes(model, context),
            on_gpu: f64::from(on_gpu) / f64::from(layers.max(1)),
        });
        let own = LlamaMember::new(name, llama, language.tokens[index].clone(), form, settings.horizon as usize);
        members.push(language.member(index, Box::new(own)));
    }
    let ensemble = language.ensemble(members, threads);
    let loaded =
        Loaded { members: infos, notes, context, threads, resident, devices, first: models[0].clone(), language };
    Ok((ensemble, loaded))
}

fn read_models(
    backend: &'static LlamaBackend,
    sources: &[ModelSource],
    files: &[GgufSummary],
    progress: &(dyn Fn(usize, f32) + Sync),
) -> Result<Vec<Arc<LlamaModel>>, Error> {
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        let loading: Vec<_> = sources
            .iter()
            .zip(files)
            .enumerate()
            .map(|(index, (source, file))| {
                let sender = sender.clone();
                scope.spawn(move || {
                    let mut progress = |part| sender.send((index, part)).is_ok();
                    weights::load(backend, &source.path, &file.architecture, source.gpu_layers, &mut progress)
                })
            })
            .collect();
        drop(sender);
        // Ends when the last thread has dropped its sender.
        for (index, fraction) in receiver {
            progress(index, fraction);
        }
        let outcome = |(source, handle): (
            &ModelSource,
            std::thread::ScopedJoinHandle<Result<LlamaModel, llama_cpp_2::LlamaModelLoadError>>,
        )| {
            let failed = |why: String| {
                Error::Failure(format!(
                    "llama.cpp could not load `{}`: {why}; LLAMA_SELFMOD_LOG=info shows what it says",
                    source.path.display()
                ))
            };
            match handle.join() {
                Ok(Ok(model)) => Ok(Arc::new(model)),
                Ok(Err(error)) => Err(failed(error.to_string())),
                Err(_) => Err(failed("its thread panicked".into())),
            }
        };
        sources.iter().zip(loading).map(outcome).collect()
    })
}

fn template(settings: &Settings, model: &LlamaModel, name: &str) -> Result<Option<ChatTemplate>, Error> {
    // Some files name a form that llama.cpp knows (`rwkv-world`) in place of a template.
    let own = || {
        let template = model.chat_template(None).ok().and_then(|template| template.to_string().ok());
        template.filter(|source| source.contains("{{"))
    };
    let Some(source) = settings.chat_template.clone().or_else(own) else { return Ok(None) };
    let vocabulary = model.vocab();
    let text = |token| text_of(model, token);
    ChatTemplate::jinja(&source, &text(vocabulary.bos()), &text(vocabulary.eos())).map(Some).map_err(|error| {
        Error::Input(format!(
            "the chat template of `{name}` cannot be used: {error}; give another with --chat-template, or --raw"
        ))
    })
}

/// Layers as llama.cpp counts them when it puts some on a GPU: those for drafting, which `n_layer` leaves out, too.
fn blocks(model: &LlamaModel, architecture: &str) -> u32 {
    let named = model.meta_val_str(&format!("{architecture}.block_count")).ok();
    named.and_then(|blocks| blocks.parse().ok()).unwrap_or_else(|| model.n_layer())
}

/// Two bytes for each key and each value of each layer and position.
fn cache_bytes(model: &LlamaModel, context: u32) -> u64 {
    if model.is_recurrent() {
        return 0;
    }
    let (layers, heads, kv_heads) =
        (u64::from(model.n_layer()), u64::from(model.n_head()), u64::from(model.n_head_kv()));
    let width = model.n_embd().unsigned_abs() as u64;
    layers * u64::from(context) * (width / heads.max(1) * kv_heads) * 2 * 2
}

/// File names without the extension; a second one of the same name gets a number.
fn unique_names(models: &[ModelSource]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for model in models {
        let stem = model.path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned());
        let same = |name: &str| names.iter().any(|known| known == name);
        let name = if same(&stem) {
            (2..).map(|number| format!("{stem}#{number}")).find(|name| !same(name)).unwrap_or(stem)
        } else {
            stem
        };
        names.push(name);
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let models = ["a/m.gguf", "b/m.gguf", "m#2.gguf", "a/m.gguf", "n.v1.gguf"].map(ModelSource::new);
        assert_eq!(unique_names(&models), ["m", "m#2", "m#2#2", "m#3", "n.v1"]);
    }
}
