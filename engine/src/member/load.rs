//! From files to an ensemble.

mod alone;
mod attention;
mod devices;
mod files;
mod language;
mod remote;
pub(super) mod said;
mod shared;
mod trial;

pub(super) use alone::load_alone;
pub use devices::{Device, devices};
pub use shared::{SharedVocabulary, read_vocabulary, shared_vocabulary};
pub use trial::{model_files, try_model, without_debugger};

use super::ensemble::Member;
use super::inspect::GgufSummary;
use super::mapped::Mapped;
use super::model::Model;
use super::model::context::{Context, MOST_ROWS, Shape};
use super::model::llama::Llama;
use super::model::tap::Tap;
use super::reader::tokens::{begins_texts, text_of, tokenise_control, tokenise_text};
use super::reader::{LlamaTokenizer, Plain, PromptForm, Tongue};
use super::remote::Address;
use super::template::ChatTemplate;
use super::{Ensemble, Unit, Vocabulary};
use crate::error::Error;
use crate::settings::{CacheType, DraftBy, ModelSource, Settings};
use attention::Layers;
use devices::layers_on_devices;
use files::{Files, read_model, read_models};
use language::Language;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

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
    /// What units are, for who speaks them from outside.
    pub speech: Speech,
}

/// The units of an ensemble as its first member's file names them.
pub struct Speech {
    /// The units.
    pub vocabulary: Arc<Vocabulary>,
    /// How many there are.
    pub units: u32,
    /// Whether units are bytes.
    pub is_bytes: bool,
    /// The unit that ends a text, and its text.
    pub end: (Unit, String),
    /// The unit that begins one, where all members begin texts with something, and its text. Where units are bytes it is the one
    /// that ends a text.
    pub beginning: Option<(Unit, String)>,
    /// The first member's Jinja template.
    pub template: Option<String>,
}

impl Speech {
    fn of(model: &LlamaModel, begins: bool, vocabulary: Arc<Vocabulary>, template: Option<String>) -> Self {
        let (own, is_bytes) = (model.vocab(), vocabulary.is_bytes());
        let end = (vocabulary.end(), text_of(model, own.eos()));
        let beginning = match is_bytes {
            true => end.clone(),
            false => (own.bos().0 as Unit, text_of(model, own.bos())),
        };
        let beginning = begins.then_some(beginning);
        Self { units: vocabulary.len() as u32, is_bytes, end, beginning, template, vocabulary }
    }
}

impl Loaded {
    /// A text in units, without a beginning-of-text token.
    pub fn units_of(&self, text: &str) -> Result<Vec<Unit>, Error> {
        let Self { first, language, .. } = self;
        let unknown = || language.tokens.iter().map(|own| own.inexpressible(text)).reduce(Option::and).flatten();
        if let Some(character) = unknown() {
            return Err(Error::Input(format!("the models have no token for `{character}`; leave it out of the text")));
        }
        let tokens =
            || tokenise_text(first, &language.tokens[0], text).into_iter().map(|token| token as Unit).collect();
        language.units_of(text, tokens).ok_or_else(|| {
            Error::Input("the models have no tokens for all of the text; leave out what is unusual in it".into())
        })
    }

    /// [`Loaded::units_of`], where control tokens that stand in the text are control tokens.
    pub fn units_with_control(&self, text: &str) -> Result<Vec<Unit>, Error> {
        let (end, name) = &self.speech.end;
        if self.speech.is_bytes {
            let mut units = Vec::new();
            for (number, part) in text.split(if name.is_empty() { "\0" } else { name }).enumerate() {
                units.extend((number > 0).then_some(*end));
                units.extend(self.units_of(part)?);
            }
            return Ok(units);
        }
        Ok(tokenise_control(&self.first, &self.language.tokens[0], text)
            .into_iter()
            .map(|token| token as Unit)
            .collect())
    }

    /// A unit's bytes, or the name of a control token; `None` where there is no such unit.
    pub fn text_of_unit(&self, unit: Unit) -> Option<Vec<u8>> {
        let vocabulary = &self.speech.vocabulary;
        let bytes = ((unit as usize) < vocabulary.len()).then(|| vocabulary.bytes(unit))?;
        match bytes {
            [] if !self.speech.is_bytes => Some(text_of(&self.first, LlamaToken(unit as i32)).into_bytes()),
            [] => Some(self.speech.end.1.clone().into_bytes()),
            bytes => Some(bytes.to_vec()),
        }
    }
}

/// llama.cpp, which starts once in a process: a program that uses llama-cpp-2 beside the engine takes it from here.
pub fn backend() -> Result<&'static LlamaBackend, Error> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let start = || {
        said::start();
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
    // Who proposes stands behind the members.
    let sources: Vec<ModelSource> = settings.models.iter().chain(&settings.draft_model).cloned().collect();
    let files = Files::of(&sources)?;
    let names = member_names(&sources);
    let mut notes = Vec::new();
    // Before gigabytes are read for nothing.
    let mut servers = remote::meet_all(&files, &names)?;
    let backend = backend()?;
    let devices = devices();
    if sources.iter().any(|model| model.remote.is_none() && model.gpu_layers != 0) && devices.is_empty() {
        notes.push(devices::why_on_the_cpu().into());
    }
    let models = read_models(backend, &files, progress)?;
    let models = remote::vocabularies(&files, &names, models, &mut servers, &mut notes)?;
    let resident = crate::resident::resident("VmRSS:");

    let own: Vec<&Arc<LlamaModel>> = files.places.iter().map(|&place| &models[place]).collect();
    let trained = |index: usize| most_of(own[index], servers[files.places[index]].as_ref());
    let most: Vec<u32> = (0..sources.len()).map(trained).collect();
    let trained = most[..settings.models.len()].iter().copied().min().filter(|&most| most < u32::MAX).unwrap_or(0);
    let context = if trained > 0 { settings.ctx_size.min(trained) } else { settings.ctx_size };
    // The default is a bound, and nobody asked for all of it.
    if context < settings.ctx_size && settings.ctx_size != Settings::default().ctx_size {
        let shortest = most.iter().position(|&most| most == trained);
        let name = shortest.map_or("", |index| &names[index]);
        let is_remote = shortest.is_some_and(|index| sources[index].remote.is_some());
        let why = if is_remote { "has room for" } else { "was trained for" };
        notes.push(format!("the context is {context} tokens, the most that `{name}` {why}"));
    }
    let vocabularies: Vec<Vocabulary> = models.iter().map(|model| Vocabulary::of(model)).collect();
    if let Some(silent) = vocabularies.iter().position(|vocabulary| !vocabulary.writes()) {
        return Err(Error::Input(format!(
            "`{}` has no token that writes text: its file marks all of them as control tokens or as unused; fetch another \
             conversion of the model",
            files.sources[silent].path.display()
        )));
    }
    let vocabulary = |index: usize| vocabularies[files.places[index]].clone();
    let mut language = Language::of((0..settings.models.len()).map(vocabulary).collect(), settings);
    if let Some(source) = &settings.draft_model
        && !language.add_drafter(vocabulary(settings.models.len()))
    {
        return Err(Error::Input(format!(
            "`{}` cannot draft: its tokens are those of no member; name a model of a member's family",
            source.path.display()
        )));
    }

    let threads = settings.threads.unwrap_or_else(default_threads).max(1);
    let horizon = settings.horizon as usize;
    let on_gpu = |place: usize| layers(&files.sources[place], &models[place], &files.summaries[place], devices.len());
    let mut computing: Vec<Box<dyn Model>> = Vec::new();
    for (place, model) in models.iter().enumerate() {
        let name = files.places.iter().position(|&own| own == place).map_or("", |index| &names[index]);
        if let Some(server) = &servers[place] {
            let texts = settings.texts.max(1) * files.readers(place);
            let own = files.places.iter().position(|&own| own == place).unwrap_or_default();
            let remote = server.model(name, language.tokens[own].clone(), texts)?;
            notes.extend(server.note(name, &remote, settings.parameters.repeat_penalty));
            computing.push(Box::new(remote));
            continue;
        }
        let (layers, on_gpu) = on_gpu(place);
        if settings.cache_type == CacheType::Q8_0 {
            check_heads(model, name, &files.summaries[place].architecture)?;
        }
        let texts = settings.texts.max(1) * files.readers(place);
        let readers = (0..sources.len()).filter(|&index| files.places[index] == place);
        let is_recurrent = model.is_recurrent() || model.is_hybrid();
        let branches = readers.map(|index| language.branches(index, is_recurrent)).max().unwrap_or(0);
        let room = Room { context, texts, branches, rows: MOST_ROWS, threads };
        let mut llama = new_context(model, name, &room, settings.cache_type, Layers::of(layers, on_gpu))?;
        llama.rely_on(Mapped::of(&files.sources[place].path));
        computing.push(Box::new(Llama::new(llama, horizon)));
    }
    let mut members: Vec<Member> = Vec::new();
    let mut infos = Vec::new();
    for (index, ((source, name), &model)) in sources.iter().zip(names).zip(&own).enumerate() {
        let place = files.places[index];
        infos.push(match &servers[place] {
            Some(server) => server.info(&name, source),
            None => {
                let (layers, on_gpu) = on_gpu(place);
                MemberInfo {
                    name: name.clone(),
                    path: source.path.clone(),
                    parameters: model.n_params(),
                    context: model.n_ctx_train(),
                    bytes: model.size(),
                    cache_bytes: cache_bytes(model, context, settings),
                    on_gpu: f64::from(on_gpu) / f64::from(layers.max(1)),
                }
            }
        });
        let served = servers[place].as_ref().and_then(|server| server.template(&language.tokens[index]));
        let template = if settings.raw { None } else { template(settings, source, model, &name, served)? };
        let form = PromptForm {
            template,
            raw: settings.raw,
            system: settings.system.clone(),
            own_system: source.system.clone(),
            before: source.before.clone(),
        };
        let tokens = language.tokens[index].clone();
        let tongue = Arc::new(Tongue::new(name.clone(), model.clone(), tokens, form));
        // Of a server several rows are asked for at the same time.
        let is_remote = servers[place].is_some();
        let branches = language.branches(index, is_remote || model.is_recurrent() || model.is_hybrid());
        let (in_units, context) = (language.reader(index, branches), context.min(most[index]) as usize);
        let reader = move |sequence| {
            let tokenizer = Box::new(LlamaTokenizer::new(tongue.clone()));
            let tokens = tongue.vocabulary.clone();
            in_units(Plain::new(tongue.name.clone(), tokens, tokenizer, sequence, context, horizon))
        };
        members.push(Member { name, model: place, reader: Box::new(reader) });
    }
    infos.truncate(settings.models.len());
    let ensemble = language.ensemble(computing, members, threads);
    let is_asked_for = !matches!(settings.draft.by, DraftBy::Auto | DraftBy::Off);
    notes.extend(ensemble.why_nothing_is_read_ahead().filter(|_| is_asked_for));
    let first = own[0].clone();
    let begins = own[..settings.models.len()].iter().all(|model| begins_texts(model));
    let served = servers[files.places[0]].as_ref().and_then(|server| server.template(&language.tokens[0]));
    let template = template_source(settings, &settings.models[0], &first, served);
    let speech = Speech::of(&first, begins, language.units.clone(), template);
    Ok((ensemble, Loaded { members: infos, notes, context, threads, resident, devices, first, language, speech }))
}

/// Tokens that a model was trained for, or that its server has room for.
fn most_of(model: &LlamaModel, server: Option<&remote::Server>) -> u32 {
    match (server, model.n_ctx_train()) {
        (Some(server), _) => server.room(),
        (None, 0) => u32::MAX,
        (None, trained) => trained,
    }
}

/// Layers of a model, and those of them that are on a GPU where there are `devices` of them.
fn layers(source: &ModelSource, model: &LlamaModel, file: &GgufSummary, devices: usize) -> (u32, u32) {
    let layers = blocks(model, &file.architecture);
    (layers, layers_on_devices(source.gpu_layers, layers, devices))
}

/// What a context has room for.
struct Room {
    context: u32,
    texts: usize,
    branches: usize,
    rows: usize,
    threads: usize,
}

/// A context, with llama.cpp's own reason where it makes none.
fn new_context(
    model: &Arc<LlamaModel>,
    name: &str,
    room: &Room,
    cache: CacheType,
    layers: Layers,
) -> Result<Context, Error> {
    tapped_context(model, name, room, cache, layers, None)
}

/// [`new_context`], where somebody sees the tensors that are computed.
fn tapped_context(
    model: &Arc<LlamaModel>,
    name: &str,
    room: &Room,
    cache: CacheType,
    layers: Layers,
    tap: Option<Arc<Tap>>,
) -> Result<Context, Error> {
    let &Room { context: size, texts, branches, rows, threads } = room;
    let (batch, micro_batch) = attention::batches(layers);
    let attention = attention::attention(cache, layers);
    let shape = Shape { size, texts, branches, batch, micro_batch, rows, attention, threads };
    let (context, reason) = said::listen(|| Context::new(model.clone(), shape, tap));
    context.ok_or_else(|| {
        let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
        let cure =
            if cache == CacheType::Q8_0 { "--cache-type f16, or a smaller --ctx-size" } else { "a smaller --ctx-size" };
        Error::Failure(format!(
            "llama.cpp could not make a context of {size} tokens for `{name}`{reason}; try {cure}, or see why with \
             LLAMA_SELFMOD_LOG=info"
        ))
    })
}

/// A member's template: the one that was given, its server's, or its file's own.
fn template_source(
    settings: &Settings,
    source: &ModelSource,
    model: &LlamaModel,
    served: Option<&str>,
) -> Option<String> {
    // Some files name a form that llama.cpp knows (`rwkv-world`) in place of a template.
    let own = || {
        let template = model.chat_template(None).ok().and_then(|template| template.to_string().ok());
        template.filter(|source| source.contains("{{"))
    };
    let given = source.template.as_ref().or(settings.chat_template.as_ref());
    given.cloned().or_else(|| served.map(String::from)).or_else(own)
}

fn template(
    settings: &Settings,
    source: &ModelSource,
    model: &LlamaModel,
    name: &str,
    served: Option<&str>,
) -> Result<Option<ChatTemplate>, Error> {
    let Some(source) = template_source(settings, source, model, served) else { return Ok(None) };
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

/// Quantised keys and values come in blocks of 32: a clear word in place of llama.cpp's, which says that no context was made.
fn check_heads(model: &LlamaModel, name: &str, architecture: &str) -> Result<(), Error> {
    if model.is_recurrent() {
        return Ok(());
    }
    let usual = model.n_embd().unsigned_abs().checked_div(model.n_head()).unwrap_or(0);
    let given = |key: &str| model.meta_val_str(&format!("{architecture}.attention.{key}")).ok()?.parse().ok();
    let widths = ["key_length", "value_length"].map(|key| given(key).unwrap_or(usual));
    match widths.into_iter().find(|width| !width.is_multiple_of(32)) {
        None => Ok(()),
        Some(width) => Err(Error::Input(format!(
            "`{name}` cannot keep its keys and values as q8_0: its heads are {width} wide, which is no multiple of 32; leave \
             out --cache-type, or the model"
        ))),
    }
}

/// Keys and values of each layer and position, for all texts.
fn cache_bytes(model: &LlamaModel, context: u32, settings: &Settings) -> u64 {
    if model.is_recurrent() {
        return 0;
    }
    let (layers, heads, kv_heads) =
        (u64::from(model.n_layer()), u64::from(model.n_head()), u64::from(model.n_head_kv()));
    let width = model.n_embd().unsigned_abs() as u64;
    let numbers = layers * u64::from(context) * settings.texts.max(1) as u64 * (width / heads.max(1) * kv_heads) * 2;
    match settings.cache_type {
        CacheType::F16 | CacheType::Bf16 => numbers * 2,
        // 32 of one byte each, and their scale.
        CacheType::Q8_0 => numbers / 32 * 34,
    }
}

/// The members' names: those that were given, or the files' without the extension; a second one of the same name gets a
/// number.
pub fn member_names(models: &[ModelSource]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for model in models {
        let of_file = || match &model.remote {
            Some(remote) => Address::parse(&remote.url).map_or_else(|_| "remote".into(), |address| address.host),
            None => model.path.file_stem().map_or_else(|| "model".into(), |stem| stem.to_string_lossy().into_owned()),
        };
        let stem = model.name.clone().unwrap_or_else(of_file);
        // A name that was given is kept for its member, wherever it stands.
        let is_given =
            |name: &str| model.name.is_none() && models.iter().any(|other| other.name.as_deref() == Some(name));
        let same = |name: &str| is_given(name) || names.iter().any(|known| known == name);
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
        assert_eq!(member_names(&models), ["m", "m#2", "m#2#2", "m#3", "n.v1"]);
        let named = |path: &str, name: &str| ModelSource { name: Some(name.into()), ..ModelSource::new(path) };
        let models = [ModelSource::new("m.gguf"), named("m.gguf", "m"), named("m.gguf", "d"), named("n.gguf", "d")];
        assert_eq!(member_names(&models), ["m#2", "m", "d", "d#2"]);
    }
}
