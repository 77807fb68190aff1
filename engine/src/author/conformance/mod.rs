//! What a compiled plugin has to keep to, as a list of checks. They run in a process of their own ([`super::supervise`]),
//! since what is wrong with a plugin may end the process.
//!
//! Every check starts instances of its own, so that one that fails says nothing about the others.

mod fixtures;
mod life;
mod logits;
mod surroundings;
mod time;
mod verdicts;

pub use time::duration;

use crate::hooks::native::trial::{Described, HookName, Specimen, Surroundings, Trial};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What became of a check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Finding {
    /// As it should be; with something worth knowing, or an empty text.
    Passed(String),
    /// It works, and could be better.
    Warning(String),
    /// A sentence without a subject, which is the plugin.
    Failed(String),
    /// It was not tried, with the reason.
    Skipped(String),
    /// There is nothing to check.
    Nothing,
}

/// What the process of the checks tells the one that waits for it, in this order for each check: a beginning, what is
/// being done, the finding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Told {
    /// The library is open and has this many plugins.
    Opened(usize),
    /// It cannot be opened.
    Unusable(String),
    /// The check of this number begins.
    Begins(usize),
    /// What the plugin is called for next.
    Doing(String),
    /// The check is over.
    Found(Finding),
    /// All checks are over.
    Done,
}

/// One line of the report.
struct Check {
    title: &'static str,
    /// The hook it calls, if it is about one.
    hook: Option<HookName>,
    run: fn(&mut Subject) -> Outcome,
}

/// An error is a failed check.
type Outcome = Result<Finding, String>;

/// In the order in which they are worth reading. The first one is the gate: without an instance there is nothing to check.
const CHECKS: [Check; 18] = {
    use HookName::*;
    const fn check(title: &'static str, hook: Option<HookName>, run: fn(&mut Subject) -> Outcome) -> Check {
        Check { title, hook, run }
    }
    [
        check("start", None, life::start),
        check("settings", None, life::settings),
        check("on_logits: edge rows", Some(OnLogits), logits::edge_rows),
        check("on_logits: keeps to its buffer", Some(OnLogits), logits::keeps_to_its_buffer),
        check("on_logits: wrong lengths", Some(OnLogits), logits::wrong_lengths),
        check("on_logits: same input, same bits", Some(OnLogits), logits::repeatable),
        check("on_token: verdicts", Some(OnToken), verdicts::of_candidates),
        check("on_assessment: verdicts", Some(OnAssessment), verdicts::of_windows),
        check("on_retract", Some(OnRetract), verdicts::retractions),
        check("standard streams", None, surroundings::streams),
        check("floating-point arithmetic", None, surroundings::arithmetic),
        check("working folder, signals, limits", None, surroundings::process),
        check("memory and threads", None, surroundings::growth),
        check("verdicts: same seed, same verdicts", Some(OnAssessment), verdicts::repeatable),
        check("save and restore", None, life::save_and_restore),
        check("destroy", None, life::destroy),
        check("time of on_logits", Some(OnLogits), time::of_logits),
        check("time of on_token, on_assessment", Some(OnAssessment), time::of_verdicts),
    ]
};

/// How many checks each plugin of a library goes through.
pub const CHECKS_OF_A_PLUGIN: usize = CHECKS.len();

/// What a check is called. `number` counts over all plugins of a library.
pub fn title(number: usize) -> &'static str {
    CHECKS[number % CHECKS.len()].title
}

/// The hook that a check is about.
pub fn hook(number: usize) -> Option<HookName> {
    CHECKS[number % CHECKS.len()].hook
}

/// Runs the checks of all plugins of a library from number `from` on, but those about hooks that `without` names.
/// `tell` is called before each step, so that it is known what was being done when the process ends.
pub fn run(library: &Path, from: usize, without: &[HookName], tell: &mut dyn FnMut(Told)) {
    let before = Surroundings::now();
    tell(Told::Doing("while it was being opened".into()));
    let trial = match Trial::open(library) {
        Ok(trial) => trial,
        Err(error) => return tell(Told::Unusable(error.to_string())),
    };
    tell(Told::Opened(trial.plugins()));
    let mut number = from;
    while number < trial.plugins() * CHECKS.len() {
        let check = &CHECKS[number % CHECKS.len()];
        let is_gate = number.is_multiple_of(CHECKS.len());
        tell(Told::Begins(number));
        if let Some(hook) = check.hook.filter(|hook| without.contains(hook)) {
            tell(Told::Found(Finding::Skipped(format!("{hook} does not come back"))));
            number += 1;
            continue;
        }
        let mut subject =
            Subject { trial: &trial, plugin: number / CHECKS.len(), before: &before, without, tell, last: "" };
        let outcome = (check.run)(&mut subject);
        number += if outcome.is_err() && is_gate { CHECKS.len() } else { 1 };
        tell(Told::Found(outcome.unwrap_or_else(Finding::Failed)));
    }
    tell(Told::Done);
}

/// The plugin that is checked.
struct Subject<'a> {
    trial: &'a Trial,
    plugin: usize,
    /// The process before the library was opened.
    before: &'a Surroundings,
    /// Hooks that are not called any more.
    without: &'a [HookName],
    tell: &'a mut dyn FnMut(Told),
    /// What [`Subject::doing_again`] said last.
    last: &'static str,
}

impl Subject<'_> {
    /// Says what comes next, as the end of a sentence: `in on_logits on a row of one unit`.
    fn doing(&mut self, what: impl Into<String>) {
        self.last = "";
        (self.tell)(Told::Doing(what.into()));
    }

    /// The same for what is done many times.
    fn doing_again(&mut self, what: &'static str) {
        if self.last != what {
            self.doing(what);
            self.last = what;
        }
    }

    /// What it says about itself.
    fn described(&self) -> Described<'_> {
        self.trial.describe(self.plugin)
    }

    /// An instance with these settings.
    fn start_with(&mut self, settings: &str) -> Result<Specimen, String> {
        self.doing(format!("in create with the settings {settings}"));
        self.trial.start(self.plugin, settings)
    }

    /// An instance with its default settings.
    fn start(&mut self) -> Result<Specimen, String> {
        self.start_with("{}").map_err(|error| format!("does not start with its default settings: {error}"))
    }

    /// An instance that has this hook, or `None`.
    ///
    /// A plugin in Rust has all functions and says that a hook is none of its own when it is called, so this says what a
    /// hook is called on the most usual input for.
    fn start_having(&mut self, hook: HookName) -> Result<Option<Specimen>, String> {
        let mut instance = self.start()?;
        if instance.hooks().contains(&hook) {
            self.doing(format!("in {hook} on usual input"));
            fixtures::call_once(&mut instance, hook);
        }
        Ok(instance.hooks().contains(&hook).then_some(instance))
    }
}
