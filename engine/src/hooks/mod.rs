//! What hangs on the decode loop: fusions and policies. A plugin that is linked in, one in a shared library and a
//! script are adapters to one trait, [`Hook`]; [`chain`] runs them in order and merges what they answer.

pub mod chain;
pub mod native;
pub mod script;
mod source;
pub(crate) mod watch;

pub use watch::Watching;

use plugin_api::{Assessment, Retraction, Role, Rows, Step, Token, Verdict};

/// Why a hook call gave nothing. The text is a sentence for the user, without the hook's name.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{0}")]
pub struct HookError(pub String);

impl From<String> for HookError {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// Where a hook comes from; for `--list-hooks`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Part of the binary.
    BuiltIn,
    /// A shared library.
    Library(std::path::PathBuf),
    /// A Rhai script.
    Script(std::path::PathBuf),
}

impl Origin {
    /// Its file, or that it has none, in words.
    pub fn place(&self) -> String {
        match self {
            Self::BuiltIn => "the program itself".into(),
            Self::Library(path) | Self::Script(path) => path.display().to_string(),
        }
    }

    /// The name of its file; `None` for a part of the binary.
    pub fn file_name(&self) -> Option<String> {
        match self {
            Self::BuiltIn => None,
            Self::Library(path) | Self::Script(path) => {
                Some(path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned())
            }
        }
    }
}

/// A number that a person can set while a hook runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Knob {
    /// Its name.
    pub name: String,
    /// In force.
    pub value: f64,
    /// What the hook's author chose.
    pub default: f64,
    /// Lowest value.
    pub minimum: f64,
    /// Highest value.
    pub maximum: f64,
}

/// A changed file whose new version runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Reloaded {
    /// The hook's name.
    pub hook: String,
    /// The name of its file.
    pub file: String,
    /// The version that runs now; counts from 1.
    pub version: u32,
    /// Compile, check, probe and swap together.
    pub milliseconds: f64,
}

/// "1st", "2nd", …
pub(crate) fn ordinal(number: u32) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

/// What happened when a hook looked whether its file changed.
#[derive(Debug, Clone, PartialEq)]
pub enum Reload {
    /// Nothing new.
    Unchanged,
    /// A new version runs from the next call on. Versions count from 1.
    Swapped {
        /// The version that runs now.
        version: u32,
        /// Compile, check, probe and swap together.
        milliseconds: f64,
    },
    /// The file does not work; the last good version goes on. The text says where and why, over several lines. Said
    /// once for each content of the file.
    Refused(String),
}

/// A fusion or a policy, wherever it comes from. One thread calls it at a time.
///
/// An instance belongs to one text: what it keeps in mind is about that text.
pub trait Hook: Send {
    /// Another instance of the same hook, for another text: with the same code, settings and knobs, and a state that begins
    /// anew. What is expensive, and what belongs to the hook's file, both share. An error is a sentence for the user; the other
    /// text does without this hook then.
    fn another(&self) -> Result<Box<dyn Hook>, HookError> {
        Err(HookError("it is made for one text alone".into()))
    }
    /// What `--fusion-mode`, events and messages call it.
    fn name(&self) -> &str;
    /// Fusion or policy.
    fn role(&self) -> Role;
    /// Where it comes from.
    fn origin(&self) -> Origin;
    /// Its version and one sentence on what it does.
    fn describe(&self) -> (String, String);
    /// How often its file was taken over, counted from 1: which code answers. Always 1 where nothing is reloaded.
    fn generation(&self) -> u32 {
        1
    }
    /// What a person can set while it runs.
    fn knobs(&self) -> Vec<Knob> {
        Vec::new()
    }
    /// Sets a knob from the next call on. An error is a sentence for the user, and changes nothing.
    fn set_knob(&mut self, knob: &str, _value: f64) -> Result<(), HookError> {
        Err(HookError(format!("it has no knob `{knob}`")))
    }
    /// Computes or edits the fused row: log-probabilities up to a constant.
    fn on_logits(&mut self, step: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), HookError>;
    /// Judges a candidate.
    fn on_token(&mut self, step: &Step, token: &Token) -> Result<Verdict, HookError>;
    /// Judges the recent window.
    fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Result<Verdict, HookError>;
    /// Hears of a retraction.
    fn on_retract(&mut self, step: &Step, retraction: &Retraction) -> Result<(), HookError>;
    /// True when `on_logits` may change the row; the chain skips the call and the checks of the row otherwise.
    fn edits_logits(&self) -> bool {
        true
    }
    /// How many of the newest units it takes back at most; `None` where it does not say.
    fn reach(&self) -> Option<u32> {
        None
    }
    /// Starts a new reply: forgets what belongs to the last one.
    fn reset(&mut self) -> Result<(), HookError> {
        Ok(())
    }
    /// Watches its file from now on, or leaves it alone while it is switched off, as far as no other instance needs it. What
    /// changed in the meantime is taken over between two steps.
    fn set_watched(&mut self, _watched: bool) {}
    /// Between two steps: takes over a changed file if there is one. Cheap when there is none.
    fn reload_if_changed(&mut self) -> Reload {
        Reload::Unchanged
    }
    /// `/reload`: takes over the file as it is now, changed or not.
    fn reload_now(&mut self) -> Reload {
        Reload::Unchanged
    }
}
