//! One instance of a plugin and the calls into it.

use super::border::{self, Table};
use super::host;
use super::leaving::inside;
use super::load::Plugin;
use crate::hooks::HookError;
use plugin_api::abi::{self, PluginEntry, RawVerdict};
use plugin_api::{Assessment, Retraction, Rows, Step, Token, Verdict};
use std::ffi::c_void;

/// More state than this is no state.
const LARGEST_STATE: usize = 64 << 20;

/// Ends with a call of the plugin's `destroy`.
#[derive(Debug)]
pub(super) struct Instance {
    /// Hooks that said they do nothing are taken out.
    entry: PluginEntry,
    pointer: *mut c_void,
    name: String,
}

// SAFETY: the ABI lets the host call an instance from changing threads, one at a time, which `&mut self` ensures. What
// `entry` points to is constant and stays: part of the binary, or of a library that is never unloaded.
unsafe impl Send for Instance {}

impl Instance {
    /// Makes one. `settings` is a JSON object. An error is what the plugin said.
    pub fn create(plugin: &Plugin, settings: &str) -> Result<Self, String> {
        let Some(create) = plugin.entry.create else { return Err("it has no function `create`".into()) };
        host::forget_error();
        // SAFETY: the host is static, the settings are borrowed for the call.
        let make = || unsafe { create(&host::HOST, settings.as_ptr(), settings.len()) };
        let pointer = inside(&plugin.name, "in `create`", make);
        if pointer.is_null() {
            return Err(host::take_error().unwrap_or_else(|| "it gave no reason".into()));
        }
        Ok(Self { entry: plugin.entry, pointer, name: plugin.name.clone() })
    }

    /// Calls into the plugin and turns its status into a result: whether there is anything to call again. `what` is as for
    /// [`inside`].
    pub fn call(&mut self, what: &'static str, hook: impl FnOnce(*mut c_void) -> i32) -> Result<bool, HookError> {
        host::forget_error();
        let status = inside(&self.name, what, || hook(self.pointer));
        if status == abi::OK || status == abi::ABSENT {
            return Ok(status == abi::OK);
        }
        let text = host::take_error();
        Err(HookError(match status {
            abi::FAILED => text.unwrap_or_else(|| "it failed and gave no reason".into()),
            abi::PANICKED => text.unwrap_or_else(|| "it panicked".into()),
            _ => {
                let detail = text.map(|text| format!(": {text}")).unwrap_or_default();
                format!("it returned {status}, which is no status of ABI version {}{detail}", abi::ABI_MAJOR)
            }
        }))
    }

    /// Its table, without the hooks that said they do nothing.
    #[cfg(feature = "cli")]
    pub fn entry(&self) -> &PluginEntry {
        &self.entry
    }

    pub fn on_logits(&mut self, step: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), HookError> {
        assert_eq!(fused.len(), rows.units(), "a score for each unit");
        self.on_logits_with(step, &mut Table::of(rows), fused)
    }

    /// Like [`Instance::on_logits`], with a table that can be looked at afterwards, and with `fused` of any length.
    pub fn on_logits_with(&mut self, step: &Step, table: &mut Table, fused: &mut [f32]) -> Result<(), HookError> {
        let Some(hook) = self.entry.on_logits else { return Ok(()) };
        let (step, rows) = (border::step(step), table.lend());
        // SAFETY: all pointers are of live values, and of views that outlive the call; the length is that of `fused`,
        // whatever the rows say; the instance was made by this entry.
        if !self.call("in `on_logits`", |it| unsafe { hook(it, &step, rows, fused.as_mut_ptr(), fused.len()) })? {
            self.entry.on_logits = None;
        }
        Ok(())
    }

    pub fn on_token(&mut self, step: &Step, token: &Token) -> Result<Verdict, HookError> {
        let Some(hook) = self.entry.on_token else { return Ok(Verdict::proceed()) };
        let (step, token) = (border::step(step), border::token(token, step));
        let mut place = Place::default();
        let verdict = place.verdict();
        // SAFETY: all pointers are of live values, and of views that outlive the call; the instance was made by this entry.
        if !self.call("in `on_token`", |it| unsafe { hook(it, &step, &token, verdict) })? {
            self.entry.on_token = None;
        }
        Ok(place.verdict.get()?)
    }

    pub fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Result<Verdict, HookError> {
        let Some(hook) = self.entry.on_assessment else { return Ok(Verdict::proceed()) };
        let (step, assessment) = (border::step(step), border::assessment(assessment));
        let mut place = Place::default();
        let verdict = place.verdict();
        // SAFETY: as in `on_token`.
        if !self.call("in `on_assessment`", |it| unsafe { hook(it, &step, &assessment, verdict) })? {
            self.entry.on_assessment = None;
        }
        Ok(place.verdict.get()?)
    }

    pub fn on_retract(&mut self, step: &Step, retraction: &Retraction) -> Result<(), HookError> {
        let Some(hook) = self.entry.on_retract else { return Ok(()) };
        let (step, retraction) = (border::step(step), border::retraction(retraction));
        // SAFETY: as in `on_token`.
        if !self.call("in `on_retract`", |it| unsafe { hook(it, &step, &retraction) })? {
            self.entry.on_retract = None;
        }
        Ok(())
    }

    pub fn edits_logits(&self) -> bool {
        self.entry.on_logits.is_some()
    }

    /// How many units it takes back at most, as far as it says. Who judges no window takes none back.
    pub fn reach(&self) -> Option<u32> {
        if self.entry.on_assessment.is_none() { Some(0) } else { self.entry.reach.checked_sub(1) }
    }

    /// Its state; `None` where it has none.
    pub fn save(&mut self) -> Result<Option<Vec<u8>>, HookError> {
        let Some(save) = self.entry.save else { return Ok(None) };
        let mut state = State::default();
        let context = (&raw mut state).cast::<c_void>();
        // SAFETY: `context` is the state that `write` expects, and lives during the call.
        let is_there = self.call("in `save`", |it| unsafe { save(it, write, context) })?;
        if state.is_too_large {
            return Err(HookError(format!("its state has more than {} MiB", LARGEST_STATE >> 20)));
        }
        Ok(is_there.then_some(state.bytes))
    }

    /// Takes over a state, if the plugin does that.
    pub fn restore(&mut self, state: &[u8]) -> Result<(), HookError> {
        let Some(restore) = self.entry.restore else { return Ok(()) };
        // SAFETY: the bytes are borrowed for the call.
        self.call("in `restore`", |it| unsafe { restore(it, state.as_ptr(), state.len()) }).map(drop)
    }
}

/// A verdict with room behind it: a plugin that writes a little too much spoils nothing of the program's.
#[repr(C)]
struct Place {
    verdict: RawVerdict,
    spare: [u8; 256],
}

impl Default for Place {
    fn default() -> Self {
        Self { verdict: RawVerdict::NOTHING, spare: [0; 256] }
    }
}

impl Place {
    /// Where the plugin writes. Made from the whole place, which the optimiser must not take apart.
    fn verdict(&mut self) -> *mut RawVerdict {
        std::hint::black_box(std::ptr::from_mut(self)).cast()
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if let Some(destroy) = self.entry.destroy {
            // SAFETY: made by this entry, passed here once.
            inside(&self.name, "in `destroy`", || unsafe { destroy(self.pointer) });
        }
    }
}

/// What `save` has written so far.
#[derive(Default)]
struct State {
    bytes: Vec<u8>,
    is_too_large: bool,
}

/// Called from foreign code, so nothing in it may panic.
unsafe extern "C" fn write(context: *mut c_void, bytes: *const u8, len: usize) {
    if context.is_null() || bytes.is_null() || len == 0 {
        return;
    }
    // SAFETY: the ABI promises the context that came with this function, which `save` made.
    let state = unsafe { &mut *context.cast::<State>() };
    if len > LARGEST_STATE - state.bytes.len() {
        state.is_too_large = true;
        return;
    }
    // SAFETY: the ABI promises `len` bytes.
    state.bytes.extend_from_slice(unsafe { std::slice::from_raw_parts(bytes, len) });
}
