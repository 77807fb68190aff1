//! The adapter on plugins that are linked in, and on entries as an author in C might write them.

use super::*;
use crate::timing::assert_within;
use plugin_api::Plugin;
use plugin_api::abi::{self, RawVerdict};
use plugin_api::testing::{Members, assessment, step, token};
use std::ffi::c_void;
use std::time::Duration;

/// Does at each position what a test asks for.
struct Odd;

impl Plugin for Odd {
    const NAME: &'static str = "odd";
    const DESCRIPTION: &'static str = "fails on demand";
    const ROLE: Role = Role::Policy;
    type Settings = Start;

    fn create(start: Start) -> Result<Self, String> {
        match start.start.as_str() {
            "" => Ok(Odd),
            "panic" => panic!("no luck today"),
            other => Err(format!("`{other}` will not do")),
        }
    }

    fn on_logits(&mut self, _: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), String> {
        rows.mix(&[1.0, -1.0], fused)
    }

    fn on_token(&mut self, _: &Step, _: &Token) -> Result<Verdict, String> {
        Ok(Verdict::proceed())
    }

    fn on_assessment(&mut self, step: &Step, _: &Assessment) -> Result<Verdict, String> {
        match step.position {
            0 => Err("not at the start".into()),
            1 => panic!("at position {}", step.position),
            _ => Ok(Verdict::stop("enough")),
        }
    }
}

#[derive(Default, serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Start {
    /// how it starts
    start: String,
}

fn given(json: &str) -> PluginSettings {
    PluginSettings::given(json).unwrap()
}

fn odd() -> &'static PluginEntry {
    plugin_api::plugin_entry!(Odd)
}

fn stock(name: &str) -> NativeHook {
    let mut hooks = built_in_plugins().iter().map(|entry| built_in(entry, &given("{}")).unwrap());
    hooks.find(|hook| hook.name() == name).unwrap()
}

#[test]
fn the_stock_plugins_are_linked_in() {
    let roles: Vec<(String, Role)> = built_in_plugins()
        .iter()
        .map(|entry| built_in(entry, &given("{}")).unwrap())
        .map(|hook| (hook.name().to_string(), hook.role()))
        .collect();
    let names: Vec<&str> = roles.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["confidence", "average", "voting", "blend", "contrast", "retraction"]);
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
    let mut hook = built_in(odd(), &given("{}")).unwrap();
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
    let error = built_in(odd(), &given("{}")).unwrap().on_logits(&step(), &members.rows(), &mut fused).unwrap_err();
    assert!(error.0.contains("[1.0, -1.0]"), "{error}");
    assert_eq!(fused, [7.0, 7.0]);
}

#[test]
fn a_plugin_that_cannot_be_made_says_why() {
    let error = built_in(odd(), &given(r#"{"start":"green"}"#)).unwrap_err().to_string();
    assert_eq!(error, "the plugin `odd` of the binary could not start: `green` will not do");
    let error = built_in(odd(), &given(r#"{"start":"panic"}"#)).unwrap_err().to_string();
    assert!(error.starts_with("the plugin `odd` of the binary could not start: it panicked at "), "{error}");
    assert!(error.ends_with(": no luck today"), "{error}");
}

#[test]
fn the_command_lines_settings_go_to_those_who_know_them_and_given_ones_must_be_known() {
    let map = |json: &str| serde_json::from_str(json).unwrap();
    let common = map(r#"{"confidence_threshold":0.6,"aggressive":true}"#);
    let settings = PluginSettings { common, ..PluginSettings::default() };
    built_in_plugins().iter().for_each(|entry| drop(built_in(entry, &settings).unwrap()));
    let told = |json: &str| built_in(built_in_plugins()[3], &given(json)).unwrap_err().to_string();
    assert_eq!(
        told(r#"{"alhpa":0.2}"#),
        "the plugin `blend` of the binary has no setting `alhpa`; did you mean `alpha`? Its settings:
  alpha               a number, 0 to 1, default 0.1: share of the specialists
  entropy_gate        a number or null, -100 to 100, default null: entropy of the leader, in nats, at which the share is half; null: always the full share
  entropy_gate_width  a number, above 0, at most 100, default 0.5: how softly the gate opens, in nats"
    );
    let error = built_in(built_in_plugins()[4], &given(r#"{"beta":-1}"#)).unwrap_err().to_string();
    assert!(error.contains("`contrast`") && error.contains("a number, 0 to 100"), "{error}");
    let wrong = [("7", "7"), ("\"x\"", "\"x\""), ("null", "null")];
    for (value, shown) in wrong {
        let error = told(&format!(r#"{{"alpha":{value}}}"#));
        let start = format!(
            "the plugin `blend` of the binary cannot take {shown} as `alpha`, which has to be a number, 0 to 1. Its settings:\n  alpha "
        );
        assert!(error.starts_with(&start), "{error}");
    }
    let error = built_in(built_in_plugins()[1], &given(r#"{"alpha":1}"#)).unwrap_err().to_string();
    assert_eq!(error, "the plugin `average` of the binary has no setting `alpha`. Its settings: none");
}

#[test]
fn settings_in_a_file_are_for_the_plugin_they_name_and_those_given_for_it_win() {
    let config = PluginConfig::parse(Path::new("p.json"), "{\"blend\":\n  {\"alpha\": 0.2, \"width\": 1}}").unwrap();
    let settings = PluginSettings { config, ..PluginSettings::default() };
    assert!(built_in(built_in_plugins()[0], &settings).is_ok());
    let error = built_in(built_in_plugins()[3], &settings).unwrap_err().to_string();
    assert!(
        error.starts_with("`p.json`, line 2, column 18: the plugin `blend` of the binary has no setting `width`. "),
        "{error}"
    );

    let config = PluginConfig::parse(Path::new("p.json"), r#"{"blend": {"alpha": 2}}"#).unwrap();
    let error =
        built_in(built_in_plugins()[3], &PluginSettings { config: config.clone(), ..settings.clone() }).unwrap_err();
    assert!(error.to_string().starts_with("`p.json`, line 1, column 12: the plugin `blend`"), "{error}");
    let both = PluginSettings { config, ..given(r#"{"alpha":0.3}"#) };
    assert!(built_in(built_in_plugins()[3], &both).is_ok());
}

unsafe extern "C" fn returns_17(_: *mut c_void, _: *const abi::Step, _: *const abi::Token, _: *mut RawVerdict) -> i32 {
    17
}

unsafe extern "C" fn acts_77(
    _: *mut c_void,
    _: *const abi::Step,
    _: *const abi::Assessment,
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

#[test]
fn missing_hooks_do_nothing_and_nonsense_is_named() {
    let mut hook = built_in(sparse(), &given("{}")).unwrap();
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
    let mut hook = built_in(Box::leak(Box::new(older)), &given("{}")).unwrap();
    assert_eq!(hook.on_token(&step(), &token()), Ok(Verdict::proceed()));
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture calls_are_cheap"]
fn calls_are_cheap() {
    let median = |mut call: Box<dyn FnMut()>| {
        let mut times: Vec<Duration> = (0..101)
            .map(|_| {
                let start = Instant::now();
                (0..10_000).for_each(|_| call());
                start.elapsed() / 10_000
            })
            .collect();
        times.sort();
        times[50]
    };
    let (token, now) = (token(), step());
    let mut absent = stock("retraction");
    let absent = median(Box::new(move || drop(absent.on_token(&now, &token))));
    let mut empty = built_in(odd(), &given("{}")).unwrap();
    let empty = median(Box::new(move || drop(empty.on_token(&now, &token))));
    let (mut policy, weak) = (stock("retraction"), Assessment { mean_confidence: 0.3, ..assessment() });
    let policy = median(Box::new(move || drop(policy.on_assessment(&now, &weak))));
    println!(
        "a hook that is not there {absent:?}, one that does nothing {empty:?}, a retraction with its reason {policy:?}"
    );
    assert_within(Duration::from_micros(1), empty, "an empty hook");
    assert_within(Duration::from_micros(5), policy, "a retraction");
}
