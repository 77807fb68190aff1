//! The engine as a program sees it: load members and hooks, stream replies.

use crate::decode::{Decoder, Limits, Request, Shape};
use crate::error::Error;
use crate::events::Event;
use crate::hooks::chain::HookInfo;
use crate::member::{MemberError, Unit, load, remote};
use crate::registry;
use crate::reply::Reply;
use crate::session::{Core, Session};
use crate::settings::{Drafting, PolicySource, Prompt, Settings, Speaker};
use crate::trace::{self, NewTrace};
use plugin_api::Parameters;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

pub use crate::member::load::{
    MemberInfo, SharedVocabulary, Speech, member_names, model_files, read_vocabulary, shared_vocabulary, try_model,
    without_debugger,
};

/// Loaded members with their hooks. Several threads may share one, and write several texts at once with it: see
/// [`Engine::session`].
pub struct Engine {
    settings: Settings,
    core: Mutex<Core>,
    loaded: load::Loaded,
    /// The vocabulary as constraints see it, from the first one on.
    constrained: OnceLock<Result<constrain::Units, String>>,
}

impl Engine {
    /// Loads members and hooks. `progress(member, 0.0..=1.0)` is called while the files are read.
    pub fn load(settings: Settings, progress: &(dyn Fn(usize, f32) + Sync)) -> Result<Self, Error> {
        Self::load_admitted(settings, Ok, progress)
    }

    /// [`Engine::load`], with a last look at the members: `admit` is called when everything else was found to be in order,
    /// and may refuse them or leave some of them out.
    pub fn load_admitted(
        settings: Settings,
        admit: impl FnOnce(Settings) -> Result<Settings, Error>,
        progress: &(dyn Fn(usize, f32) + Sync),
    ) -> Result<Self, Error> {
        // Hooks and the trace first: a mistake there is found before gigabytes are read.
        let chain = registry::hooks(&settings)?;
        let trace = settings.trace.as_deref().map(NewTrace::open).transpose();
        let trace = trace.map_err(|error| no_trace(&settings, &error))?;
        let settings = admit(settings)?;
        let (ensemble, loaded) = load::load(&settings, progress)?;
        let weights: Vec<f32> = settings.models.iter().map(|model| model.weight).collect();
        let core = Mutex::new(Core::new(Decoder::new(ensemble, chain, &weights)));
        let mut engine = Self { core, settings, loaded, constrained: OnceLock::new() };
        if let Some(trace) = trace {
            engine.record(trace).map_err(|error| no_trace(&engine.settings, &error))?;
        }
        Ok(engine)
    }

    /// What it was made from, with changes since.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The members, in order.
    pub fn members(&self) -> &[MemberInfo] {
        &self.loaded.members
    }

    /// Positions that prompt and reply have together.
    pub fn context(&self) -> u32 {
        self.loaded.context
    }

    pub(crate) fn resident_after_loading(&self) -> f64 {
        self.loaded.resident
    }

    /// The GPUs as they were before anything was loaded.
    pub(crate) fn devices_before_loading(&self) -> &[load::Device] {
        &self.loaded.devices
    }

    /// CPU threads in all.
    pub fn threads(&self) -> usize {
        self.loaded.threads
    }

    /// What the user should know about the members: a context that was capped, say.
    pub fn notes(&self) -> &[String] {
        &self.loaded.notes
    }

    /// Sets the base sampling parameters of the replies to come.
    pub fn set_parameters(&mut self, parameters: Parameters) {
        self.settings.parameters = parameters;
    }

    /// Sets the seed of the replies to come.
    pub fn set_seed(&mut self, seed: u64) {
        self.settings.seed = seed;
    }

    /// Sets the length of the replies to come.
    pub fn set_n_predict(&mut self, n_predict: u32) {
        self.settings.n_predict = n_predict;
    }

    /// Sets what is read ahead of the replies to come; [`DraftBy::Model`](crate::settings::DraftBy::Model) is the model that
    /// was loaded for it.
    pub fn set_draft(&mut self, draft: Drafting) {
        self.settings.draft = draft;
    }

    /// Chooses another fusion.
    pub fn set_fusion(&mut self, name: &str) -> Result<(), Error> {
        registry::choose_fusion(&mut self.decoder().chain, name)?;
        self.settings.fusion_mode = name.to_string();
        Ok(())
    }

    /// Lets a policy run or stops it.
    pub fn set_policy(&mut self, name: &str, running: bool) -> Result<(), Error> {
        registry::run_policy(&mut self.decoder().chain, name, running)
    }

    /// Sets a knob of a fusion or a policy from the next step on.
    pub fn set_knob(&mut self, name: &str, knob: &str, value: f64) -> Result<(), Error> {
        self.decoder().chain.set_knob(name, knob, value).map_err(|error| Error::Input(error.to_string()))
    }

    /// Adds a policy and lets it run; its name. One of the same file or name that is there already gives way to it, and a
    /// notice says so.
    pub fn add_policy(&mut self, source: &PolicySource) -> Result<String, Error> {
        registry::add_policy(&mut open(&mut self.core).decoder.chain, source, &self.settings)
    }

    /// All hooks.
    pub fn hooks(&self) -> Vec<HookInfo> {
        self.core().decoder.chain.list()
    }

    /// Names of the policies that run, in order.
    pub fn policies(&self) -> Vec<String> {
        self.core().decoder.chain.policies()
    }

    /// Takes over all scripts as they are now; lines for the user.
    pub fn reload(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        self.decoder().chain.reload_all(&mut |reloaded| {
            lines.push(crate::events::reload_line(&reloaded.file, reloaded.version, reloaded.milliseconds));
        });
        lines.extend(self.decoder().chain.take_notices());
        if lines.is_empty() {
            lines.push("there is no changed file to reload".into());
        }
        lines
    }

    /// Writes a reply. `interrupted` ends it, also while the prompt is read. An error means that nothing was written.
    pub fn reply(
        &mut self,
        prompt: &Prompt,
        interrupted: &Arc<AtomicBool>,
        observer: &mut dyn FnMut(&Event),
    ) -> Result<Reply, Error> {
        let request = self.request(prompt);
        let outcome = self.decoder().reply(&request, interrupted, observer);
        let outcome = outcome.map_err(|error| self.refused(prompt, error))?;
        Ok(outcome.reply)
    }

    /// A reply to this prompt, as the settings want it.
    pub fn request(&self, prompt: &Prompt) -> Request {
        let settings = &self.settings;
        Request {
            prompt: prompt.clone(),
            parameters: settings.parameters,
            limits: Limits {
                n_predict: settings.n_predict,
                horizon: settings.horizon,
                max_retractions: settings.max_retractions,
            },
            seed: settings.seed,
            stop: settings.stop.clone(),
            context_shift: settings.context_shift,
            draft: settings.draft,
            shape: Shape::default(),
        }
    }

    /// Begins a reply beside others, of which [`Settings::texts`] can be written at once: see [`Session`]. An error means that
    /// the prompt cannot be read, or that there is no place for another text.
    pub fn session(self: &Arc<Self>, prompt: &Prompt) -> Result<Session, Error> {
        self.open(self.request(prompt))
    }

    /// [`Engine::session`] for a request with its own seed, parameters and bounds.
    pub fn open(self: &Arc<Self>, request: Request) -> Result<Session, Error> {
        let prompt = request.prompt.clone();
        Session::begin(self.clone(), request, None).map_err(|error| self.refused(&prompt, error))
    }

    /// [`Engine::open`], where `recorder` sees what its hooks are asked.
    #[cfg(feature = "serve")]
    pub(crate) fn open_watched(
        self: &Arc<Self>,
        request: Request,
        recorder: Option<crate::hooks::chain::Recorder>,
    ) -> Result<Session, MemberError> {
        Session::begin(self.clone(), request, recorder)
    }

    /// A step of all sessions; false where there is nothing to do.
    #[cfg(feature = "serve")]
    pub(crate) fn step(&self) -> bool {
        self.core().step()
    }

    /// Does something with the hooks of all texts, those to come and those that are open. The first error ends it.
    #[cfg(feature = "serve")]
    pub(crate) fn each_chain(
        &self,
        act: &mut dyn FnMut(&mut crate::hooks::chain::Chain) -> Result<(), Error>,
    ) -> Result<(), Error> {
        self.core().chains().try_for_each(act)
    }

    /// Takes over changed files for the texts to come; lines for the user.
    #[cfg(feature = "serve")]
    pub(crate) fn take_over_files(&self) -> Vec<String> {
        let chain = &mut self.core().decoder.chain;
        let mut lines = Vec::new();
        chain.reload_changed(&mut |reloaded| {
            lines.push(crate::events::reload_line(&reloaded.file, reloaded.version, reloaded.milliseconds));
        });
        lines.extend(chain.take_notices());
        lines
    }

    /// What units are, for who speaks them from outside.
    pub fn speech(&self) -> &Speech {
        &self.loaded.speech
    }

    /// A text in units. With `special`, control tokens that stand in it as text are control tokens.
    pub fn units_of_text(&self, text: &str, special: bool) -> Result<Vec<Unit>, Error> {
        if special { self.loaded.units_with_control(text) } else { self.loaded.units_of(text) }
    }

    /// A unit as text: its bytes, or the name of a control token. `None` where there is no such unit.
    pub fn text_of_unit(&self, unit: Unit) -> Option<Vec<u8>> {
        self.loaded.text_of_unit(unit)
    }

    /// The bytes of each unit.
    #[cfg(feature = "serve")]
    pub(crate) fn bytes_of_units(&self) -> Box<dyn Fn(Unit) -> Vec<u8> + Send> {
        let vocabulary = self.speech().vocabulary.clone();
        Box::new(move |unit| vocabulary.bytes(unit).to_vec())
    }

    /// A constraint for a reply, at its beginning: what [`Shape::constraint`](crate::decode::Shape::constraint) takes. The first one takes a moment,
    /// some 100 ms for 150,000 tokens, to make a trie of the vocabulary. An error says what is wrong with the constraint.
    pub fn constraint(&self, constraint: &constrain::Constraint) -> Result<constrain::State, String> {
        let units = self.constrained.get_or_init(|| {
            let vocabulary = &self.loaded.speech.vocabulary;
            let piece = |unit| if vocabulary.can_emit(unit) { vocabulary.bytes(unit).to_vec() } else { Vec::new() };
            constrain::Units::new(&(0..vocabulary.len() as Unit).map(piece).collect::<Vec<_>>(), vocabulary.end())
        });
        units.as_ref().map_err(String::clone)?.open(constraint)
    }

    /// Why a prompt cannot be read, with what can be done.
    pub(crate) fn refused(&self, prompt: &Prompt, error: MemberError) -> Error {
        match error {
            MemberError::PromptTooLong { tokens, or_more, room, .. } => {
                let tokens = format!("{}{tokens}", if or_more { "at least " } else { "" });
                Error::Input(self.too_long(prompt, &tokens, room))
            }
            MemberError::EmptyPrompt(_) | MemberError::Inexpressible { .. } | MemberError::Template { .. } => {
                Error::Input(error.to_string())
            }
            _ => Error::Failure(error.to_string()),
        }
    }

    /// All that decodes, for one thread at a time. Nothing that is left half done by a panic stays in it: a session that
    /// panics ends.
    pub(crate) fn core(&self) -> MutexGuard<'_, Core> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same without waiting; `None` while another thread has it.
    pub(crate) fn free_core(&self) -> Option<MutexGuard<'_, Core>> {
        match self.core.try_lock() {
            Ok(core) => Some(core),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// What can be changed when a prompt of `tokens` does not fit into `room`.
    fn too_long(&self, prompt: &Prompt, tokens: &str, room: usize) -> String {
        let context = self.context();
        let questions = match prompt {
            Prompt::Chat(messages) => messages.iter().filter(|message| message.role == Speaker::User).count(),
            Prompt::Text(_) | Prompt::Raw(_) | Prompt::Tokens(_) => 1,
        };
        let (what, cure) = if questions > 1 && !self.settings.context_shift {
            ("conversation", "take turns back, start anew, or let --context-shift drop the oldest ones")
        } else if self.settings.models.iter().any(|model| model.before.is_some()) {
            ("prompt", "shorten it, or the text that a member reads before it")
        } else {
            ("prompt", "shorten it")
        };
        let shortest = self.members().iter().min_by_key(|member| member.context);
        let larger = match shortest.filter(|member| member.context <= context) {
            Some(member) => format!(" (`{}` was trained for {context} tokens and no more)", member.name),
            None => ", or raise --ctx-size".into(),
        };
        format!("the {what} is {tokens} tokens long and the context has room for {room}; {cure}{larger}")
    }

    /// Writes what the hooks see from now on to a file.
    fn record(&mut self, trace: NewTrace) -> io::Result<()> {
        let recorder = trace.recorder(self.source())?;
        self.decoder().chain.record(recorder);
        Ok(())
    }

    /// Keeps what the hooks see of the newest reply from now on, in memory. Replies beside others ([`Engine::session`]) are
    /// not seen.
    pub fn watch(&mut self) -> trace::Watch {
        let (watch, recorder) = trace::Watch::new(self.source());
        self.decoder().chain.record(recorder);
        watch
    }

    fn source(&mut self) -> trace::Source {
        let decoder = &mut open(&mut self.core).decoder;
        let members = decoder.members();
        let reply = trace::Reply {
            trace: 1,
            members: members.names.iter().cloned().zip(members.weights.iter().copied()).collect(),
            units: decoder.scheduler.ensemble.vocabulary().len() as u32,
            fusion: decoder.chain.fusion().to_string(),
            horizon: self.settings.horizon,
            max_retractions: self.settings.max_retractions,
            confidence_threshold: self.settings.confidence_threshold,
            aggressive: self.settings.aggressive,
        };
        let vocabulary = decoder.scheduler.ensemble.shared_vocabulary();
        let bytes = Box::new(move |unit| vocabulary.bytes(unit).to_vec());
        trace::Source { reply, bytes }
    }

    /// What hooks and the trace have to say since it was last asked for; for what writes no reply, whose events tell it.
    pub fn take_notices(&mut self) -> Vec<String> {
        self.decoder().chain.take_notices()
    }

    /// What the servers of members on other machines were asked so far; empty where all members are here.
    pub fn remotes(&self) -> Vec<remote::Account> {
        self.core().decoder.scheduler.ensemble.links().map(|link| link.account()).collect()
    }

    /// Where members were away since this was asked before: their names, with the places in texts at which they had no say, as
    /// ranges of units from the beginning of the reply. `None` where all members are here.
    pub fn take_missed(&self) -> Option<BTreeMap<String, Vec<(usize, usize)>>> {
        let core = self.core();
        let mut links = core.decoder.scheduler.ensemble.links().peekable();
        links.peek()?;
        Some(
            links
                .map(|link| (link.name.clone(), link.take_missed()))
                .filter(|(_, missed)| !missed.is_empty())
                .collect(),
        )
    }

    /// A text in units, without a beginning-of-text token.
    pub(crate) fn units_of(&self, text: &str) -> Result<Vec<Unit>, Error> {
        self.loaded.units_of(text)
    }

    /// The loop itself, for programs that drive the members step by step.
    pub fn decoder(&mut self) -> &mut Decoder {
        open(&mut self.core).decoder()
    }
}

fn open(core: &mut Mutex<Core>) -> &mut Core {
    core.get_mut().unwrap_or_else(PoisonError::into_inner)
}

fn no_trace(settings: &Settings, error: &io::Error) -> Error {
    let path = settings.trace.as_deref().unwrap_or(Path::new(""));
    Error::Input(format!("the trace `{}` cannot be written: {error}; name another file", path.display()))
}
