//! Compiled plugins as hooks: those that are linked in and those of shared libraries, through the same C ABI.

mod host;
mod image;
mod load;

pub use load::{load_library, LoadError};

use super::{Hook, HookError, Origin};
use load::PluginTexts;
use plugin_api::abi::{self, PluginEntry, RawVerdict};
use plugin_api::{Assessment, Retraction, Role, Rows, Step, Token, Verdict};
use std::ffi::c_void;

/// One instance of a plugin.
#[derive(Debug)]
pub struct NativeHook {
    entry: PluginEntry,
    instance: *mut c_void,
    texts: PluginTexts,
    role: Role,
    origin: Origin,
}

// SAFETY: the ABI lets the host call an instance from changing threads, one at a time, which `&mut self` ensures. What
// `entry` points to is constant and stays: part of the binary, or of a library that is never unloaded.
unsafe impl Send for NativeHook {}

/// The stock plugins: the default fusion first, policies last.
pub fn built_in_plugins() -> &'static [&'static PluginEntry] {
    static STOCK: [&PluginEntry; 5] = [
        plugin_api::plugin_entry!(confidence::Confidence),
        plugin_api::plugin_entry!(average::Average),
        plugin_api::plugin_entry!(voting::Voting),
        plugin_api::plugin_entry!(blend::Blend),
        plugin_api::plugin_entry!(retraction::Retraction),
    ];
    &STOCK
}

/// A plugin that is linked in. `settings` is a JSON object.
pub fn built_in(entry: &'static PluginEntry, settings: &str) -> Result<NativeHook, LoadError> {
    // SAFETY: a reference to a constant entry of a plugin that is part of the binary.
    unsafe { load::instantiate(entry, "the binary", Origin::BuiltIn, settings) }
}

impl NativeHook {
    /// Calls into the plugin and turns its status into a result: whether there is anything to call again.
    fn call(&mut self, hook: impl FnOnce(*mut c_void) -> i32) -> Result<bool, HookError> {
        host::forget_error();
        let status = hook(self.instance);
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
}

impl Hook for NativeHook {
    fn name(&self) -> &str {
        &self.texts.name
    }

    fn role(&self) -> Role {
        self.role
    }

    fn origin(&self) -> Origin {
        self.origin.clone()
    }

    fn describe(&self) -> (String, String) {
        (self.texts.version.clone(), self.texts.description.clone())
    }

    fn on_logits(&mut self, step: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), HookError> {
        let Some(hook) = self.entry.on_logits else { return Ok(()) };
        // SAFETY: all pointers are of live references; `instance` was made by this entry.
        if !self.call(|instance| unsafe { hook(instance, step, rows, fused.as_mut_ptr(), fused.len()) })? {
            self.entry.on_logits = None;
        }
        Ok(())
    }

    fn on_token(&mut self, step: &Step, token: &Token) -> Result<Verdict, HookError> {
        let Some(hook) = self.entry.on_token else { return Ok(Verdict::proceed()) };
        let mut verdict = RawVerdict::NOTHING;
        // SAFETY: as in `on_logits`.
        if !self.call(|instance| unsafe { hook(instance, step, token, &mut verdict) })? {
            self.entry.on_token = None;
        }
        Ok(verdict.get()?)
    }

    fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Result<Verdict, HookError> {
        let Some(hook) = self.entry.on_assessment else { return Ok(Verdict::proceed()) };
        let mut verdict = RawVerdict::NOTHING;
        // SAFETY: as in `on_logits`.
        if !self.call(|instance| unsafe { hook(instance, step, assessment, &mut verdict) })? {
            self.entry.on_assessment = None;
        }
        Ok(verdict.get()?)
    }

    fn on_retract(&mut self, step: &Step, retraction: &Retraction) -> Result<(), HookError> {
        let Some(hook) = self.entry.on_retract else { return Ok(()) };
        // SAFETY: as in `on_logits`.
        if !self.call(|instance| unsafe { hook(instance, step, retraction) })? {
            self.entry.on_retract = None;
        }
        Ok(())
    }

    fn edits_logits(&self) -> bool {
        self.entry.on_logits.is_some()
    }
}

impl Drop for NativeHook {
    fn drop(&mut self) {
        if let Some(destroy) = self.entry.destroy {
            // SAFETY: made by this entry, passed here once.
            unsafe { destroy(self.instance) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{assessment, step, Members};
    use plugin_api::Plugin;

    /// Does at each position what a test asks for.
    struct Odd;

    impl Plugin for Odd {
        const NAME: &'static str = "odd";
        const DESCRIPTION: &'static str = "fails on demand";
        const ROLE: Role = Role::Policy;

        fn create(settings: &str) -> Result<Self, String> {
            match settings {
                "{}" => Ok(Odd),
                "panic" => panic!("no luck today"),
                other => Err(format!("`{other}` will not do")),
            }
        }

        fn on_logits(&mut self, _: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), String> {
            rows.mix(&[1.0, -1.0], fused)
        }

        fn on_assessment(&mut self, step: &Step, _: &Assessment) -> Result<Verdict, String> {
            match step.position {
                0 => Err("not at the start".into()),
                1 => panic!("at position {}", step.position),
                _ => Ok(Verdict::stop("enough")),
            }
        }
    }

    fn odd() -> &'static PluginEntry {
        plugin_api::plugin_entry!(Odd)
    }

    fn stock(name: &str) -> NativeHook {
        let mut hooks = built_in_plugins().iter().map(|entry| built_in(entry, "{}").unwrap());
        hooks.find(|hook| hook.name() == name).unwrap()
    }

    #[test]
    fn the_stock_plugins_are_linked_in() {
        let roles: Vec<(String, Role)> = built_in_plugins()
            .iter()
            .map(|entry| built_in(entry, "{}").unwrap())
            .map(|hook| (hook.name().to_string(), hook.role()))
            .collect();
        let names: Vec<&str> = roles.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["confidence", "average", "voting", "blend", "retraction"]);
        assert!(roles.iter().all(|(name, role)| (name == "retraction") == (*role == Role::Policy)));
    }

    #[test]
    fn a_fusion_mixes_with_the_hosts_arithmetic() {
        let members = Members::new(&[&[1.0, 2.0, 0.5], &[0.0, -1.0, 3.0]]).weights(&[0.25, 0.75]);
        let mut fused = vec![0.0; 3];
        stock("average").on_logits(&step(), &members.rows(), &mut fused).unwrap();
        for (score, mean) in fused.iter().zip(members.mean()) {
            assert!((score - mean).abs() < 1e-5);
        }
    }

    #[test]
    fn a_hook_that_the_author_did_not_write_is_called_once() {
        let mut policy = stock("retraction");
        assert!(policy.edits_logits());
        let members = Members::new(&[&[1.0, 2.0]]);
        let mut fused = vec![7.0; 2];
        policy.on_logits(&step(), &members.rows(), &mut fused).unwrap();
        assert!(!policy.edits_logits());
        assert_eq!(fused, [7.0, 7.0]);
        let mut fusion = stock("average");
        fusion.on_logits(&step(), &members.rows(), &mut fused).unwrap();
        assert!(fusion.edits_logits());
    }

    #[test]
    fn errors_and_panics_become_hook_errors_and_the_plugin_goes_on() {
        let mut hook = built_in(odd(), "{}").unwrap();
        let mut at = |position| hook.on_assessment(&Step { position, ..step() }, &assessment());
        assert_eq!(at(0).unwrap_err().0, "not at the start");
        let panic = at(1).unwrap_err().0;
        assert!(panic.starts_with("it panicked at ") && panic.ends_with(": at position 1"), "{panic}");
        assert_eq!(at(2).unwrap(), Verdict::stop("enough"));
    }

    #[test]
    fn weights_that_cannot_be_mixed_are_refused() {
        let members = Members::new(&[&[1.0, 2.0], &[0.0, -1.0]]);
        let mut fused = vec![7.0; 2];
        let error = built_in(odd(), "{}").unwrap().on_logits(&step(), &members.rows(), &mut fused).unwrap_err();
        assert!(error.0.contains("[1.0, -1.0]"), "{error}");
        assert_eq!(fused, [7.0, 7.0]);
    }

    #[test]
    fn a_plugin_that_cannot_be_made_says_why() {
        let error = built_in(odd(), "green").unwrap_err().to_string();
        assert_eq!(error, "the plugin `odd` of the binary could not start: `green` will not do");
        let error = built_in(odd(), "panic").unwrap_err().to_string();
        assert!(error.starts_with("the plugin `odd` of the binary could not start: it panicked at "), "{error}");
        assert!(error.ends_with(": no luck today"), "{error}");
    }

    unsafe extern "C" fn returns_17(_: *mut c_void, _: *const Step, _: *const Token, _: *mut RawVerdict) -> i32 {
        17
    }

    unsafe extern "C" fn acts_77(
        _: *mut c_void,
        _: *const Step,
        _: *const Assessment,
        verdict: *mut RawVerdict,
    ) -> i32 {
        // SAFETY: the host's buffer.
        unsafe { (*verdict).action = 77 }
        abi::OK
    }

    /// An entry as an author in C might write it: two hooks, the others null, and all of them nonsense.
    fn sparse() -> &'static PluginEntry {
        Box::leak(Box::new(PluginEntry {
            version: std::ptr::null(),
            description: std::ptr::null(),
            on_logits: None,
            on_token: Some(returns_17),
            on_assessment: Some(acts_77),
            on_retract: None,
            ..*odd()
        }))
    }

    fn token() -> Token {
        // SAFETY: integers, floats and null pointers, behind which nothing is read.
        unsafe { std::mem::zeroed() }
    }

    #[test]
    fn missing_hooks_do_nothing_and_nonsense_is_named() {
        let mut hook = built_in(sparse(), "{}").unwrap();
        assert_eq!(hook.describe(), (String::new(), String::new()));
        assert!(!hook.edits_logits());
        let mut fused = vec![7.0; 2];
        hook.on_logits(&step(), &Members::new(&[&[1.0, 2.0]]).rows(), &mut fused).unwrap();
        assert_eq!(fused, [7.0, 7.0]);
        let error = hook.on_token(&step(), &token()).unwrap_err();
        assert_eq!(error.0, "it returned 17, which is no status of ABI version 1");
        let error = hook.on_assessment(&step(), &assessment()).unwrap_err();
        assert_eq!(error.0, "the verdict's action 77 is none of 0 to 5");
    }

    #[test]
    fn hooks_beyond_the_end_of_an_older_entry_are_missing() {
        let entry = sparse();
        let size = std::mem::offset_of!(PluginEntry, on_token) as u32;
        let older = PluginEntry { struct_size: size, ..*entry };
        let mut hook = built_in(Box::leak(Box::new(older)), "{}").unwrap();
        assert_eq!(hook.on_token(&step(), &token()), Ok(Verdict::proceed()));
    }

    #[test]
    #[ignore = "a measurement: cargo test --release -- --ignored --nocapture calls_are_cheap"]
    fn calls_are_cheap() {
        let median = |mut call: Box<dyn FnMut()>| {
            let mut times: Vec<f64> = (0..101)
                .map(|_| {
                    let start = std::time::Instant::now();
                    (0..10_000).for_each(|_| call());
                    start.elapsed().as_secs_f64() / 10_000.0 * 1e9
                })
                .collect();
            times.sort_by(f64::total_cmp);
            times[50]
        };
        let (mut empty, token, now) = (stock("retraction"), token(), step());
        let empty = median(Box::new(move || drop(empty.on_token(&now, &token))));
        let (mut policy, weak) = (stock("retraction"), Assessment { mean_confidence: 0.3, ..assessment() });
        let policy = median(Box::new(move || drop(policy.on_assessment(&now, &weak))));
        println!("a hook that does nothing {empty:.0} ns, a retraction with its reason {policy:.0} ns");
        assert!(empty < 1_000.0 && policy < 5_000.0);
    }
}
