//! What hooks cost at a token, measured on the calls that they get while the ensemble writes.

use crate::engine::Engine;
use crate::error::Error;
use crate::hooks::chain::Chain;
use crate::hooks::native::{self, PluginSettings};
use crate::hooks::script::ScriptHook;
use crate::hooks::{Hook, HookError, Origin};
use crate::registry::policy_columns;
use crate::settings::{PolicySource, Prompt, Settings};
use plugin_api::{Assessment, NoSettings, Plugin, Retraction, Role, Rows, Step, Token, Verdict};
use serde::Serialize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// The stock scripts, by their files' names.
const SCRIPTS: [(&str, &str); 5] = [
    ("retraction.rhai", include_str!("../../../policies/retraction.rhai")),
    ("loop-escape.rhai", include_str!("../../../policies/loop-escape.rhai")),
    ("phrase-guard.rhai", include_str!("../../../policies/phrase-guard.rhai")),
    ("observe.rhai", include_str!("../../../policies/observe.rhai")),
    ("specialist.rhai", include_str!("../../../policies/specialist.rhai")),
];

/// The calls of one hook at a token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HookBench {
    /// Which.
    pub name: String,
    /// Named by `--policy` or `--plugin`; the others are always measured, to compare with.
    pub given: bool,
    /// Median over tokens, all its calls together, with what checks and merges its answers.
    pub microseconds: f64,
    /// Of the whole step.
    pub share: f64,
    /// Calls that failed, and so cost something else.
    pub failures: u64,
}

impl Engine {
    /// Measures the stock hooks and those of the settings over at least `tokens` tokens. Their answers count for nothing, so
    /// that all see the same text.
    pub(super) fn bench_hooks(&mut self, prompt: &Prompt, tokens: usize, step: f64) -> Result<Vec<HookBench>, Error> {
        let (mut measured, mut tallies) = (Chain::default(), Vec::new());
        for (name, given, chain) in subjects(self.settings())? {
            let tally = Arc::new(Mutex::new(Tally::default()));
            let timed = Timed { name: name.clone(), chain, tally: tally.clone(), microseconds: 0.0, row: Vec::new() };
            measured.add(Box::new(timed), true);
            tallies.push((name, given, tally));
        }
        let own = std::mem::replace(&mut self.decoder().chain, measured);
        let written = self.write(prompt, tokens);
        // What failed last is counted at the next start.
        self.decoder().chain.reset();
        self.decoder().chain = own;
        written?;
        let figures = |(name, given, tally): (String, bool, Arc<Mutex<Tally>>)| {
            let tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
            let microseconds = super::median(&tally.tokens);
            HookBench { name, given, microseconds, share: microseconds / 1e3 / step, failures: tally.failures }
        };
        Ok(tallies.into_iter().map(figures).collect())
    }

    /// Writes replies of together this many tokens; fewer where the members end every reply at once.
    fn write(&mut self, prompt: &Prompt, tokens: usize) -> Result<(), Error> {
        let mut left = tokens;
        for seed in 0..tokens as u64 {
            if left == 0 {
                break;
            }
            self.set_seed(seed);
            self.set_n_predict(left.min(REPLY) as u32);
            let reply = self.reply(prompt, &Arc::default(), &mut |_| {})?;
            left = left.saturating_sub(reply.tokens as usize);
        }
        Ok(())
    }
}

/// Tokens of a reply: as far as an assessment looks back.
const REPLY: usize = 256;

/// Each hook in a chain of its own, with its name and whether it was given.
fn subjects(settings: &Settings) -> Result<Vec<(String, bool, Chain)>, Error> {
    let refused = |error: native::LoadError| Error::Failure(error.to_string());
    let alone = |hook: Box<dyn Hook>| {
        let mut chain = Chain::default();
        chain.add(hook, true);
        chain
    };
    let entry = plugin_api::plugin_entry!(Empty);
    let mut subjects = Vec::new();
    // Decoding has emptied the processor's caches. Whichever hook is called first fills them with what all need.
    for name in ["an empty plugin, called first", "an empty plugin"] {
        let empty = native::built_in(entry, &PluginSettings::default()).map_err(refused)?;
        subjects.push((name.to_string(), false, alone(Box::new(empty))));
    }
    let policies = vec![PolicySource::Named("retraction".into())];
    let stock = Settings { policies, plugins: Vec::new(), ..settings.clone() };
    subjects.extend(policy_columns(&stock)?.into_iter().map(|(name, chain)| (name + ", compiled", false, chain)));
    for (name, source) in SCRIPTS {
        let script = ScriptHook::from_source(name, source, "{}").map_err(|error| Error::Failure(error.to_string()))?;
        subjects.push((name.into(), false, alone(Box::new(script))));
    }
    subjects.extend(policy_columns(settings)?.into_iter().map(|(name, chain)| (name, true, chain)));
    Ok(subjects)
}

/// Does nothing: what is left is the way to a plugin and back.
struct Empty;

impl Plugin for Empty {
    const NAME: &'static str = "empty";
    const DESCRIPTION: &'static str = "Does nothing.";
    const ROLE: Role = Role::Policy;
    type Settings = NoSettings;

    fn create(_: NoSettings) -> Result<Self, String> {
        Ok(Self)
    }

    fn on_token(&mut self, _: &Step, _: &Token) -> Result<Verdict, String> {
        Ok(Verdict::proceed())
    }

    fn on_assessment(&mut self, _: &Step, _: &Assessment) -> Result<Verdict, String> {
        Ok(Verdict::proceed())
    }
}

#[derive(Default)]
struct Tally {
    /// Microseconds of each token.
    tokens: Vec<f64>,
    failures: u64,
}

/// Calls a chain of one hook and drops what it answers.
struct Timed {
    name: String,
    chain: Chain,
    tally: Arc<Mutex<Tally>>,
    /// Of the token that is being written.
    microseconds: f64,
    /// What a hook that edits rows gets to edit.
    row: Vec<f32>,
}

impl Timed {
    fn time(&mut self, call: impl FnOnce(&mut Chain, &mut [f32])) {
        let start = Instant::now();
        call(&mut self.chain, &mut self.row);
        self.microseconds += start.elapsed().as_secs_f64() * 1e6;
    }

    fn tally(&self, note: impl FnOnce(&mut Tally)) {
        note(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Hook for Timed {
    fn name(&self) -> &str {
        &self.name
    }

    /// Whatever it is: of fusions only one would run.
    fn role(&self) -> Role {
        Role::Policy
    }

    fn origin(&self) -> Origin {
        Origin::BuiltIn
    }

    fn describe(&self) -> (String, String) {
        (String::new(), String::new())
    }

    fn edits_logits(&self) -> bool {
        self.chain.edits_logits()
    }

    fn on_logits(&mut self, step: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), HookError> {
        self.row.clear();
        self.row.extend_from_slice(fused);
        self.time(|chain, row| chain.on_logits(step, rows, row, &|row| row.copy_from_slice(fused)));
        Ok(())
    }

    fn on_token(&mut self, step: &Step, token: &Token) -> Result<Verdict, HookError> {
        self.time(|chain, _| drop(chain.on_token(step, token)));
        Ok(Verdict::proceed())
    }

    fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Result<Verdict, HookError> {
        self.time(|chain, _| drop(chain.on_assessment(step, assessment)));
        let microseconds = std::mem::take(&mut self.microseconds);
        self.tally(|tally| tally.tokens.push(microseconds));
        Ok(Verdict::proceed())
    }

    fn on_retract(&mut self, _: &Step, _: &Retraction) -> Result<(), HookError> {
        Ok(())
    }

    fn reset(&mut self) -> Result<(), HookError> {
        self.microseconds = 0.0;
        self.chain.reset();
        let failures = self.chain.list().iter().map(|hook| hook.failures).sum();
        self.tally(|tally| tally.failures = failures);
        Ok(())
    }
}
