//! Rhai scripts as hooks, the only code that names Rhai. A script can be edited while text is being written.
//!
//! What follows is `policies/README.md`, for authors of scripts.
#![doc = include_str!("../../../../policies/README.md")]

mod arithmetic;
pub mod check;
#[cfg(test)]
mod definitions;
mod diagnose;
mod draws;
mod edition;
mod hooks;
mod knobs;
mod limits;
mod patterns;
mod probe;
mod program;
mod rows;
mod surface;
mod verdicts;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use plugin_api::{Assessment, Retraction, Role, Rows, Step, Token, Verdict};
use rhai::{Dynamic, Engine, Map};

pub use self::check::check;
pub use self::diagnose::Diagnosis;
use self::edition::{Edition, ScriptFile};
use self::knobs::Knobs;
use self::program::{Function, Program};
use super::source::{Attached, Post, Source};
use super::watch::Watching;
use super::{Hook, HookError, Knob, Origin, Reload};
use crate::files::{self, Why};

/// Why a script cannot be loaded.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// There is no such file, or it is no text of a reasonable size.
    #[error("the script `{}` cannot be read: {reason}", path.display())]
    Unreadable {
        /// As it was given.
        path: PathBuf,
        /// What is in the way.
        reason: String,
    },
    /// It does not work; displayed over several lines.
    #[error("{0}")]
    Faulty(Box<Diagnosis>),
    /// The settings are no JSON object.
    #[error("the settings of a script are a JSON object: {0}")]
    Settings(String),
}

/// A script that runs. See the module's documentation for what it can do.
pub struct ScriptHook {
    name: String,
    settings: Arc<Map>,
    running: Running,
    file: Option<InFile>,
}

/// One version of a script with its state.
struct Running {
    program: Program,
    state: Dynamic,
    /// What `init` made: tells state from knobs when the next version takes over.
    initial: Dynamic,
}

/// Where a script comes from.
struct InFile {
    path: PathBuf,
    source: Attached<ScriptFile>,
}

impl ScriptHook {
    /// Loads a script from a file and watches it. `settings` is a JSON object: what `init(cfg)` gets as a map.
    pub fn load(path: &Path, settings: &str, watching: Watching) -> Result<Self, ScriptError> {
        let settings = Arc::new(parse_settings(settings)?);
        let (label, name) = labels(path);
        let (source, edition) = Source::open(path, watching, || {
            let seen = read_script(path)
                .map_err(|problem| ScriptError::Unreadable { path: path.into(), reason: problem.reason() })?;
            let edition = Edition::new(&label, &seen, &settings).map_err(ScriptError::Faulty)?;
            Ok((ScriptFile { label, settings: Arc::clone(&settings), seen }, Arc::new(edition)))
        })?;
        let running = edition
            .program(Knobs::default())
            .and_then(|program| Running::afresh(program, &settings))
            .map_err(ScriptError::Faulty)?;
        let file = InFile { path: path.into(), source: Attached::new(&source, Post::Alone) };
        Ok(Self { name, settings, running, file: Some(file) })
    }

    /// A script that is no file: built in, or a test's. `name` is the hook's name.
    pub fn from_source(name: &str, source: &str, settings: &str) -> Result<Self, ScriptError> {
        let settings = Arc::new(parse_settings(settings)?);
        let running = Edition::new(&format!("{name}.rhai"), source, &settings)
            .and_then(|edition| Running::afresh(edition.program(Knobs::default())?, &settings))
            .map_err(ScriptError::Faulty)?;
        Ok(Self { name: name.into(), settings, running, file: None })
    }

    /// Takes over what `look` finds in the file.
    fn reload(
        &mut self,
        look: impl FnOnce(&mut Attached<ScriptFile>) -> Option<Result<Arc<Edition>, String>>,
    ) -> Reload {
        let begin = Instant::now();
        let Some(file) = &mut self.file else { return Reload::Unchanged };
        let edition = match look(&mut file.source) {
            None => return Reload::Unchanged,
            Some(Err(why)) => return Reload::Refused(why),
            Some(Ok(edition)) => edition,
        };
        match self.running.edited(&edition, &self.settings) {
            Ok(running) => {
                self.running = running;
                let version = file.source.took_over(&self.name);
                Reload::Swapped { version, milliseconds: begin.elapsed().as_secs_f64() * 1e3 }
            }
            Err(diagnosis) => Reload::Refused(diagnosis.to_string()),
        }
    }
}

impl Running {
    /// A text begins.
    fn afresh(program: Program, settings: &Map) -> Result<Self, Box<Diagnosis>> {
        let initial = hooks::init(&program, settings)?;
        Ok(Self { program, state: initial.clone(), initial })
    }

    /// What follows on this version by an edit.
    fn edited(&self, edition: &Edition, settings: &Map) -> Result<Self, Box<Diagnosis>> {
        let program = edition.program(self.program.knobs().after_edit())?;
        let mut next = Self::afresh(program, settings)?;
        if next.program.defines(Function::Migrate) {
            hooks::migrate(&next.program, &mut next.state, self.state.clone())?;
        } else {
            next.inherit(self);
        }
        // The edition was tried, with a state as it begins.
        let begins = format!("{:?}", next.state) == format!("{:?}", next.initial);
        if begins { Ok(next) } else { next.tried() }
    }

    /// The same version with other knobs.
    fn with_knobs(&self, knobs: Knobs, settings: &Map) -> Result<Self, Box<Diagnosis>> {
        let program = Program::compile(self.program.file(), self.program.source(), knobs)?;
        let mut next = Self::afresh(program, settings)?;
        next.inherit(self);
        let next = next.tried()?;
        next.program.knobs().forget_outdated();
        Ok(next)
    }

    fn inherit(&mut self, old: &Self) {
        self.state = inherit(&self.initial, &old.initial, &old.state);
    }

    /// Tries everything on samples with the state of this text.
    fn tried(self) -> Result<Self, Box<Diagnosis>> {
        probe::run(&self.program, self.state.clone())?;
        Ok(self)
    }

    /// Calls a function if the script defines it; otherwise nothing is to do. A call that leaves a state beyond the limits
    /// costs the state: it starts again as `init` made it, or every later call would fail too.
    fn call_if<T: Default>(
        &mut self,
        function: Function,
        call: impl FnOnce(&Program, &mut Dynamic) -> Result<T, Box<Diagnosis>>,
    ) -> Result<T, HookError> {
        if !self.program.defines(function) {
            return Ok(T::default());
        }
        call(&self.program, &mut self.state).map_err(|diagnosis| {
            if !self.program.can_hold(&self.state) {
                self.state = self.initial.clone();
            }
            HookError(diagnosis.sentence())
        })
    }
}

/// Lays the old state over the new initial one, except for what the old `init` set and nothing changed since.
fn inherit(initial: &Dynamic, old_initial: &Dynamic, old_state: &Dynamic) -> Dynamic {
    let map = |value: &Dynamic| value.clone().try_cast::<Map>().unwrap_or_default();
    let (mut state, old_initial) = (map(initial), map(old_initial));
    for (key, value) in map(old_state) {
        let is_untouched = old_initial.get(&key).is_some_and(|before| format!("{before:?}") == format!("{value:?}"));
        if !(is_untouched && state.contains_key(&key)) {
            state.insert(key, value);
        }
    }
    state.into()
}

impl Hook for ScriptHook {
    fn another(&self) -> Result<Box<dyn Hook>, HookError> {
        let running = Running::afresh(self.running.program.another(), &self.settings)
            .map_err(|diagnosis| HookError(diagnosis.sentence()))?;
        let file = self.file.as_ref().map(|file| InFile { path: file.path.clone(), source: file.source.another() });
        Ok(Box::new(Self { name: self.name.clone(), settings: Arc::clone(&self.settings), running, file }))
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn role(&self) -> Role {
        self.running.program.role()
    }

    fn origin(&self) -> Origin {
        self.file.as_ref().map_or(Origin::BuiltIn, |file| Origin::Script(file.path.clone()))
    }

    /// The version counts edits; the sentence is the first line of the script's opening comment.
    fn describe(&self) -> (String, String) {
        (self.generation().to_string(), self.running.program.summary())
    }

    fn generation(&self) -> u32 {
        self.file.as_ref().map_or(1, |file| file.source.generation())
    }

    /// Those that the script has asked for so far: of the top level all, inside functions what was reached.
    fn knobs(&self) -> Vec<Knob> {
        self.running.program.knobs().list()
    }

    /// Builds the program again, so that constants follow; its state stays.
    fn set_knob(&mut self, knob: &str, value: f64) -> Result<(), HookError> {
        let knobs = self.running.program.knobs().with(knob, value)?;
        self.running = self
            .running
            .with_knobs(knobs, &self.settings)
            .map_err(|diagnosis| HookError(format!("`{knob}` stays as it is: {}", diagnosis.sentence())))?;
        Ok(())
    }

    fn edits_logits(&self) -> bool {
        self.running.program.defines(Function::OnLogits)
    }

    fn reach(&self) -> Option<u32> {
        self.running.program.reach()
    }

    fn on_logits(&mut self, step: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), HookError> {
        self.running.call_if(Function::OnLogits, |program, state| hooks::on_logits(program, state, step, rows, fused))
    }

    fn on_token(&mut self, step: &Step, token: &Token) -> Result<Verdict, HookError> {
        self.running.call_if(Function::OnToken, |program, state| hooks::on_token(program, state, step, token))
    }

    fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Result<Verdict, HookError> {
        self.running
            .call_if(Function::OnAssessment, |program, state| hooks::on_assessment(program, state, step, assessment))
    }

    fn on_retract(&mut self, step: &Step, retraction: &Retraction) -> Result<(), HookError> {
        self.running.call_if(Function::OnRetract, |program, state| hooks::on_retract(program, state, step, retraction))
    }

    /// Calls the script's `reset`; without one its state stays.
    fn reset(&mut self) -> Result<(), HookError> {
        self.running.call_if(Function::Reset, hooks::reset)
    }

    fn set_watched(&mut self, watched: bool) {
        if let Some(file) = &mut self.file {
            file.source.set_watched(watched);
        }
    }

    fn reload_if_changed(&mut self) -> Reload {
        self.reload(Attached::news)
    }

    fn reload_now(&mut self) -> Reload {
        self.reload(Attached::news_now)
    }
}

/// A file's name for diagnoses, and the hook's name.
fn labels(path: &Path) -> (String, String) {
    let text = |part: Option<&std::ffi::OsStr>| part.unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
    (text(path.file_name()), text(path.file_stem()))
}

fn parse_settings(settings: &str) -> Result<Map, ScriptError> {
    Engine::new_raw().parse_json(settings, true).map_err(|error| ScriptError::Settings(error.to_string()))
}

/// What is in the way of reading a script.
enum ReadProblem {
    Absent,
    Empty,
    Other(String),
}

impl ReadProblem {
    /// True for what a file looks like in the middle of a save.
    fn may_pass(&self) -> bool {
        matches!(self, Self::Absent | Self::Empty)
    }

    fn reason(self) -> String {
        match self {
            Self::Absent => "there is no such file".into(),
            Self::Empty => "the file is empty".into(),
            Self::Other(reason) => reason,
        }
    }
}

fn read_script(path: &Path) -> Result<String, ReadProblem> {
    let text = files::read_text(path, limits::FILE_BYTES).map_err(|error| match error.why {
        Why::Missing => ReadProblem::Absent,
        Why::Directory => ReadProblem::Other("it is a folder; name the `.rhai` file in it".into()),
        Why::Special(what) => ReadProblem::Other(format!("it is {what}; name a file")),
        Why::TooLarge(largest) => ReadProblem::Other(format!("it is larger than {}", files::size(largest))),
        Why::NotText(_) => ReadProblem::Other("it is no text in UTF-8".into()),
        Why::Unreadable(error) => ReadProblem::Other(error.to_string()),
    })?;
    // Some editors put a byte order mark in front.
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    if text.trim().is_empty() {
        return Err(ReadProblem::Empty);
    }
    Ok(text.to_owned())
}
