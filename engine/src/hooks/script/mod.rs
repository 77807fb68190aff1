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
use std::time::{Duration, Instant};

use plugin_api::{Assessment, Retraction, Role, Rows, Step, Token, Verdict};
use rhai::{Dynamic, Engine, Map};

pub use self::check::check;
pub use self::diagnose::Diagnosis;
use self::knobs::Knobs;
use self::program::{Function, Program};
use super::watch::{Watch, Watching};
use super::{Hook, HookError, Knob, Origin, Reload};
use crate::files::{self, Why};

/// How long a file may be absent or empty before that is worth a message: editors that delete and create, or that empty
/// the file first, are done long before.
const PATIENCE: Duration = Duration::from_secs(2);

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
    settings: Map,
    running: Running,
    version: u32,
    file: Option<ScriptFile>,
}

/// One version of a script with its state.
struct Running {
    program: Program,
    state: Dynamic,
    /// What `init` made: tells state from knobs when the next version takes over.
    initial: Dynamic,
}

/// What a version follows on.
enum Follows<'a> {
    Nothing,
    /// The version that runs, by an edit.
    Edit(&'a Running),
    /// The same version with other knobs.
    Knob(&'a Running, Knobs),
}

/// Where a script comes from, and what was seen there.
struct ScriptFile {
    path: PathBuf,
    label: String,
    watching: Watching,
    /// `None` while it is switched off, and where nothing can be watched; `/reload` works all the same.
    watch: Option<Watch>,
    /// Nobody watched for a while: it may be another one now.
    is_stale: bool,
    /// The newest content that was looked at, good or bad.
    seen: String,
    missing_since: Option<Instant>,
}

impl ScriptHook {
    /// Loads a script from a file and watches it. `settings` is a JSON object: what `init(cfg)` gets as a map.
    pub fn load(path: &Path, settings: &str, watching: Watching) -> Result<Self, ScriptError> {
        let settings = parse_settings(settings)?;
        // Watched before it is read, so that no change falls between.
        let watch = watch(path, watching);
        let source = read_script(path)
            .map_err(|problem| ScriptError::Unreadable { path: path.into(), reason: problem.reason() })?;
        let (label, name) = labels(path);
        let running = Running::prepare(&label, &source, &settings, Follows::Nothing).map_err(ScriptError::Faulty)?;
        let file = ScriptFile {
            path: path.into(),
            label,
            watching,
            watch,
            is_stale: false,
            seen: source,
            missing_since: None,
        };
        Ok(Self { name, settings, running, version: 1, file: Some(file) })
    }

    /// A script that is no file: built in, or a test's. `name` is the hook's name.
    pub fn from_source(name: &str, source: &str, settings: &str) -> Result<Self, ScriptError> {
        let settings = parse_settings(settings)?;
        let running = Running::prepare(&format!("{name}.rhai"), source, &settings, Follows::Nothing)
            .map_err(ScriptError::Faulty)?;
        Ok(Self { name: name.into(), settings, running, version: 1, file: None })
    }

    /// Takes over `source` if it works.
    fn take_over(&mut self, source: String, begin: Instant) -> Reload {
        let Some(file) = &mut self.file else { return Reload::Unchanged };
        file.missing_since = None;
        let prepared = Running::prepare(&file.label, &source, &self.settings, Follows::Edit(&self.running));
        file.seen = source;
        match prepared {
            Ok(running) => {
                self.running = running;
                self.version += 1;
                Reload::Swapped { version: self.version, milliseconds: begin.elapsed().as_secs_f64() * 1e3 }
            }
            Err(diagnosis) => Reload::Refused(diagnosis.to_string()),
        }
    }
}

impl Running {
    /// Compiles, checks, makes the state and tries everything on samples.
    fn prepare(label: &str, source: &str, settings: &Map, follows: Follows) -> Result<Self, Box<Diagnosis>> {
        let (old, knobs, is_edit) = match follows {
            Follows::Nothing => (None, Knobs::default(), false),
            Follows::Edit(old) => (Some(old), old.program.knobs().after_edit(), true),
            Follows::Knob(old, knobs) => (Some(old), knobs, false),
        };
        let program = Program::compile(label, source, knobs)?;
        let initial = hooks::init(&program, settings)?;
        let mut state = match old {
            Some(old) if !(is_edit && program.defines(Function::Migrate)) => {
                inherit(&initial, &old.initial, &old.state)
            }
            _ => initial.clone(),
        };
        if let (Some(old), true) = (old, is_edit && program.defines(Function::Migrate)) {
            hooks::migrate(&program, &mut state, old.state.clone())?;
        }
        probe::run(&program, state.clone())?;
        program.knobs().forget_outdated();
        Ok(Self { program, state, initial })
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
        (self.version.to_string(), self.running.program.summary())
    }

    fn generation(&self) -> u32 {
        self.version
    }

    /// Those that the script has asked for so far: of the top level all, inside functions what was reached.
    fn knobs(&self) -> Vec<Knob> {
        self.running.program.knobs().list()
    }

    /// Builds the program again, so that constants follow; its state stays.
    fn set_knob(&mut self, knob: &str, value: f64) -> Result<(), HookError> {
        let program = &self.running.program;
        let knobs = program.knobs().with(knob, value)?;
        let follows = Follows::Knob(&self.running, knobs);
        self.running = Running::prepare(program.file(), program.source(), &self.settings, follows)
            .map_err(|diagnosis| HookError(format!("`{knob}` stays as it is: {}", diagnosis.sentence())))?;
        Ok(())
    }

    fn edits_logits(&self) -> bool {
        self.running.program.defines(Function::OnLogits)
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
        let Some(file) = &mut self.file else { return };
        if !watched {
            file.watch = None;
        } else if file.watch.is_none() {
            file.watch = watch(&file.path, file.watching);
            file.is_stale = true;
        }
    }

    fn reload_if_changed(&mut self) -> Reload {
        let begin = Instant::now();
        let Some(file) = &mut self.file else { return Reload::Unchanged };
        let has_settled = file.watch.as_ref().is_some_and(Watch::settled) || std::mem::take(&mut file.is_stale);
        let is_overdue = file.missing_since.is_some_and(|since| since.elapsed() >= PATIENCE);
        if !has_settled && !is_overdue {
            return Reload::Unchanged;
        }
        let read = read_script(&file.path);
        if has_settled && file.watch.as_ref().is_some_and(Watch::is_disturbed) {
            // The next save began while this one was read.
            return Reload::Unchanged;
        }
        match read {
            Ok(source) if source == file.seen => {
                file.missing_since = None;
                Reload::Unchanged
            }
            Ok(source) => self.take_over(source, begin),
            Err(problem) if problem.may_pass() && !is_overdue => {
                file.missing_since.get_or_insert(begin);
                Reload::Unchanged
            }
            Err(problem) => {
                file.missing_since = None;
                Reload::Refused(format!("`{}`: {}", file.label, problem.reason()))
            }
        }
    }

    fn reload_now(&mut self) -> Reload {
        let begin = Instant::now();
        let Some(file) = &self.file else { return Reload::Unchanged };
        match read_script(&file.path) {
            Ok(source) => self.take_over(source, begin),
            Err(problem) => Reload::Refused(format!("`{}`: {}", file.label, problem.reason())),
        }
    }
}

fn watch(path: &Path, watching: Watching) -> Option<Watch> {
    let unwatched = |reason: &std::io::Error| {
        tracing::warn!("{} cannot be watched ({reason}); use /reload after an edit", path.display());
    };
    Watch::start(path, watching).inspect_err(unwatched).ok()
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
