//! What goes wrong in a plugin stays there: it is skipped, counted, named, and parked after three times in a row.

use super::{from_c, library, load, loaded};
use llama_selfmod::hooks::chain::{Chain, HookInfo};
use llama_selfmod::hooks::native::NativeHook;
use llama_selfmod::hooks::{Hook, HookError};
use plugin_api::testing::{Members, assessment, step, token};
use plugin_api::{Action, Assessment, Retraction, Role, Verdict};

#[test]
fn a_panic_in_a_plugin_is_an_error_and_not_the_end() {
    let mut hook = loaded("panics", "{}");
    let members = Members::new(&[&[1.0, 2.0]]);
    let mut fused = members.mean();
    let told = |error: HookError, place: &str, text: &str| {
        assert!(error.0.starts_with("it panicked at ") && error.0.contains(place), "{error}");
        assert!(error.0.ends_with(text), "{error}");
    };
    let error = hook.on_logits(&step(), &members.rows(), &mut fused).unwrap_err();
    told(error, "views.rs:", ": row 1000 of 1");
    told(hook.on_token(&step(), &token()).unwrap_err(), "panics.rs:", ": at position 40");
    told(hook.on_assessment(&step(), &assessment()).unwrap_err(), "panics.rs:", ": a text without arguments");
    told(hook.on_retract(&step(), &Retraction::default()).unwrap_err(), "panics.rs:", ": no message");
    drop(hook);
    let error = load(&library("panics"), r#"{"in_create":1}"#).unwrap_err().to_string();
    assert!(error.contains("could not start: it panicked at ") && error.ends_with(": panicked in create"), "{error}");
}

/// A chain with this plugin, before another one that stops.
fn chain(hook: NativeHook) -> Chain {
    let mut chain = Chain::default();
    let (name, role) = (hook.name().to_string(), hook.role());
    chain.add(Box::new(hook), role == Role::Policy);
    assert!(role == Role::Policy || chain.set_fusion(&name));
    chain.add(Box::new(from_c(&[]).unwrap().remove(0)), true);
    chain
}

fn info(chain: &Chain) -> HookInfo {
    chain.list().remove(0)
}

/// Three failures in a row at `on_assessment`, each counted, the last one parks; the other policy is heard all the same.
fn is_parked_at_assessments(hook: NativeHook, assessment: &Assessment, sentence: &str) {
    let name = hook.name().to_string();
    let mut chain = chain(hook);
    for failures in 1..=3 {
        assert!(info(&chain).active);
        assert_eq!(chain.on_assessment(&step(), assessment).action, Action::Stop);
        assert_eq!(info(&chain).failures, failures);
    }
    let notices = chain.take_notices();
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices[0].starts_with(&format!("`{name}` is skipped for this step: {sentence}")), "{notices:?}");
    assert!(
        notices[1].starts_with(&format!("`{name}` failed 3 times in a row and is parked: {sentence}")),
        "{notices:?}"
    );
    assert!(info(&chain).state.starts_with("parked: ") && !info(&chain).active);
    chain.on_assessment(&step(), assessment);
    assert_eq!(info(&chain).failures, 3, "a parked plugin is called no more");
}

#[test]
fn a_panic_is_skipped_counted_and_parked() {
    is_parked_at_assessments(loaded("panics", "{}"), &assessment(), "it panicked at ");
}

#[test]
fn a_status_that_is_none_is_skipped_counted_and_parked() {
    let hook = from_c(&["STATUS=17"]).unwrap().remove(0);
    is_parked_at_assessments(hook, &assessment(), "it returned 17, which is no status of ABI version 1");
}

#[test]
fn a_verdict_that_is_none_is_skipped_counted_and_parked() {
    let hook = from_c(&["ACTION=77"]).unwrap().remove(0);
    is_parked_at_assessments(hook, &assessment(), "the verdict's action 77 is none of 0 to 5");
    let hook = from_c(&["ACTION=LLSM_RESAMPLE"]).unwrap().remove(0);
    is_parked_at_assessments(hook, &assessment(), "it answered `resample` from on_assessment");
}

#[test]
fn an_overrun_of_time_is_skipped_counted_and_parked() {
    // The same sentence each time but for the milliseconds.
    let mut chain = chain(from_c(&["PAUSE_MS=260"]).unwrap().remove(0));
    for failures in 1..=3 {
        chain.on_assessment(&step(), &assessment());
        assert_eq!(info(&chain).failures, failures);
    }
    assert!(info(&chain).state.starts_with("parked: it took ") && info(&chain).state.ends_with("the limit is 250 ms"));
}

#[test]
fn a_row_that_is_none_is_undone_counted_and_parked() {
    for (score, sentence) in
        [("NAN", "it left a row that "), ("INFINITY", "it left a row that "), ("-INFINITY", "it left a row that ")]
    {
        let fusion = ["ROLE=LLSM_ROLE_FUSION".to_string(), format!("SCORE={score}")];
        let mut chain = chain(from_c(&[&fusion[0], &fusion[1]]).unwrap().remove(0));
        let members = Members::new(&[&[1.0, 2.0], &[0.0, 0.5]]);
        let mean = members.mean();
        for failures in 1..=4 {
            let mut fused = mean.clone();
            chain.on_logits(&step(), &members.rows(), &mut fused, &|row| row.copy_from_slice(&mean));
            assert_eq!(fused, mean);
            assert_eq!(info(&chain).failures, failures.min(3));
        }
        assert!(info(&chain).state.starts_with(&format!("parked: {sentence}")), "{}", info(&chain).state);
    }
}

#[test]
fn a_success_in_between_forgives() {
    let mut chain = chain(from_c(&["STATUS=(report->unit == 7 ? 0 : 17)"]).unwrap().remove(0));
    for unit in [1, 1, 7, 1, 1, 7] {
        chain.on_assessment(&step(), &Assessment { unit, ..assessment() });
    }
    assert_eq!((info(&chain).failures, info(&chain).active), (4, true));
    assert!(chain.set_running("stops", true));
    assert_eq!(Verdict::stop("").action, chain.on_assessment(&step(), &assessment()).action);
}
