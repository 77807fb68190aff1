//! A library on trial: what the conformance check needs beside what a hook is. It starts plugins without a look at settings
//! and without a probe, and watches where they write. What has to be unsafe for that stands here.

mod surroundings;

pub use surroundings::Surroundings;

use super::LoadError;
use super::border::{self, Table};
use super::instance::Instance;
use super::load::{self, Plugin};
use crate::hooks::HookError;
use plugin_api::abi::RawVerdict;
use plugin_api::{Assessment, Retraction, Role, Rows, Step, Token, Verdict};
use serde_json::Value;
use std::ffi::c_void;
use std::path::Path;

/// How many bytes before and after a verdict are watched.
const ZONE: usize = 512;
/// What stands in them: no plausible value of any type.
const PAINT: u8 = 0xa5;

/// An opened library of which no plugin has started yet.
#[derive(Debug)]
pub struct Trial {
    plugins: Vec<Plugin>,
}

/// An instance of a plugin on trial.
#[derive(Debug)]
pub struct Specimen(Instance);

/// A hook of the ABI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, clippy::enum_variant_names, reason = "named as in the ABI")]
pub enum HookName {
    OnLogits,
    OnToken,
    OnAssessment,
    OnRetract,
}

impl HookName {
    /// All of them, in the order in which a step calls them.
    pub const ALL: [Self; 4] = [Self::OnLogits, Self::OnToken, Self::OnAssessment, Self::OnRetract];
}

impl std::fmt::Display for HookName {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::OnLogits => "on_logits",
            Self::OnToken => "on_token",
            Self::OnAssessment => "on_assessment",
            Self::OnRetract => "on_retract",
        })
    }
}

/// What a call that answers with a verdict did.
#[derive(Debug)]
pub struct Answered {
    /// As the decode loop would take it.
    pub verdict: Result<Verdict, HookError>,
    /// What the call wrote beside the fields of the verdict, in words.
    pub overrun: Option<&'static str>,
}

/// What a plugin says about itself.
#[derive(Debug)]
pub struct Described<'a> {
    /// What `--fusion-mode` and events call it.
    pub name: &'a str,
    /// May be empty.
    pub version: &'a str,
    /// May be empty.
    pub description: &'a str,
    /// Fusion or policy.
    pub role: Role,
    /// The JSON schema of its settings; `None` where it looks at them by itself.
    pub schema: Option<&'a Value>,
}

impl Trial {
    /// Opens a library and reads its table.
    ///
    /// # Errors
    /// As for [`super::load_library`], as far as they come before a plugin starts.
    pub fn open(path: &Path) -> Result<Self, LoadError> {
        Ok(Self { plugins: load::open(path, &load::read_file(path)?)? })
    }

    /// How many plugins it has; at least 1.
    pub fn plugins(&self) -> usize {
        self.plugins.len()
    }

    /// What one of them says about itself.
    pub fn describe(&self, plugin: usize) -> Described<'_> {
        let Plugin { name, version, description, role, schema, .. } = &self.plugins[plugin];
        Described { name, version, description, role: *role, schema: schema.as_ref().map(|schema| schema.root()) }
    }

    /// Starts an instance of one plugin. `settings` go to it as they stand.
    ///
    /// # Errors
    /// Its own words when it refuses to start.
    pub fn start(&self, plugin: usize, settings: &str) -> Result<Specimen, String> {
        Instance::create(&self.plugins[plugin], settings).map(Specimen)
    }
}

impl Specimen {
    /// The hooks that are there and have not said that they do nothing.
    pub fn hooks(&self) -> Vec<HookName> {
        let entry = self.0.entry();
        let there = [
            entry.on_logits.is_some(),
            entry.on_token.is_some(),
            entry.on_assessment.is_some(),
            entry.on_retract.is_some(),
        ];
        HookName::ALL.into_iter().zip(there).filter_map(|(hook, is_there)| is_there.then_some(hook)).collect()
    }

    /// As the decode loop calls it. `fused` need not be as long as the rows.
    pub fn on_logits(&mut self, step: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), HookError> {
        self.0.on_logits_with(step, &mut Table::of(rows), fused)
    }

    /// Calls `on_logits`, whatever it answers; true when the table of the rows is afterwards as it was lent.
    pub fn keeps_off_the_table(&mut self, step: &Step, rows: &Rows, fused: &mut [f32]) -> bool {
        let mut table = Table::of(rows);
        let _ = self.0.on_logits_with(step, &mut table, fused);
        table.is_whole()
    }

    /// As the decode loop calls it.
    pub fn on_token(&mut self, step: &Step, token: &Token) -> Result<Verdict, HookError> {
        self.0.on_token(step, token)
    }

    /// As the decode loop calls it.
    pub fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Result<Verdict, HookError> {
        self.0.on_assessment(step, assessment)
    }

    /// As the decode loop calls it.
    pub fn on_retract(&mut self, step: &Step, retraction: &Retraction) -> Result<(), HookError> {
        self.0.on_retract(step, retraction)
    }

    /// The state to hand over; `None` where it has nothing to say.
    pub fn save(&mut self) -> Result<Option<Vec<u8>>, HookError> {
        self.0.save()
    }

    /// Takes a state over.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), HookError> {
        self.0.restore(state)
    }

    /// Calls `on_token` with a verdict whose surroundings are watched.
    pub fn on_token_watched(&mut self, step: &Step, token: &Token) -> Answered {
        let Some(hook) = self.0.entry().on_token else { return Answered::nothing() };
        let (step, token) = (border::step(step), border::token(token, step));
        // SAFETY: all pointers are of live values; the instance was made by this entry.
        self.watched("in `on_token`", |instance, verdict| unsafe { hook(instance, &step, &token, verdict) })
    }

    /// Calls `on_assessment` with a verdict whose surroundings are watched.
    pub fn on_assessment_watched(&mut self, step: &Step, assessment: &Assessment) -> Answered {
        let Some(hook) = self.0.entry().on_assessment else { return Answered::nothing() };
        let (step, assessment) = (border::step(step), border::assessment(assessment));
        // SAFETY: as in `on_token_watched`.
        self.watched("in `on_assessment`", |instance, verdict| unsafe { hook(instance, &step, &assessment, verdict) })
    }

    fn watched(&mut self, what: &'static str, hook: impl FnOnce(*mut c_void, *mut RawVerdict) -> i32) -> Answered {
        let mut frame = Frame { before: [PAINT; ZONE], verdict: RawVerdict::NOTHING, after: [PAINT; ZONE] };
        // Opaque, so that the zones lie around the verdict whatever the optimiser knows.
        let whole: *mut Frame = std::hint::black_box(&mut frame);
        // SAFETY: the address of a field of a live value. The pointer is made from the whole frame, so that a write into
        // the zones is a fault that is found, and not one that the compiler may assume away.
        let outcome = self.0.call(what, |instance| hook(instance, unsafe { &raw mut (*whole).verdict }));
        // SAFETY: as above; the call is over.
        let frame = unsafe { &*whole };
        let is_whole = |zone: &[u8; ZONE]| zone.iter().all(|byte| *byte == PAINT);
        let overrun = if !is_whole(&frame.after) {
            Some("it wrote beyond the end of the verdict")
        } else if !is_whole(&frame.before) {
            Some("it wrote before the beginning of the verdict")
        } else if frame.verdict.struct_size != RawVerdict::NOTHING.struct_size {
            Some("it wrote over the verdict's struct_size, which belongs to the program")
        } else {
            None
        };
        let verdict = outcome.and_then(|_| Ok(frame.verdict.get()?));
        Answered { verdict, overrun }
    }
}

impl Answered {
    /// Of a hook that is not there.
    fn nothing() -> Self {
        Self { verdict: Ok(Verdict::proceed()), overrun: None }
    }
}

/// A verdict between two zones that nobody may write to.
#[repr(C)]
struct Frame {
    before: [u8; ZONE],
    verdict: RawVerdict,
    after: [u8; ZONE],
}
