//! After going back everything is as if what was taken back had never been.

use super::*;
use crate::support::scripted::Policy;
use llama_selfmod::decode::{Limits, Request};
use llama_selfmod::events::{EndReason, Event};
use llama_selfmod::member::MemberError;
use llama_selfmod::settings::{Align, Prompt};
use plugin_api::{Parameters, Verdict};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

#[derive(Debug, Clone)]
enum Action {
    Write(Vec<usize>),
    /// To this part of what stands, in percent.
    GoBack(usize),
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let action = prop_oneof![
        prop::collection::vec(0..253usize, 1..20).prop_map(Action::Write),
        (0..100usize).prop_map(Action::GoBack),
        // Shallow, as policies do it.
        (80..100usize).prop_map(Action::GoBack),
    ];
    prop::collection::vec(action, 1..8)
}

/// Random texts with random retractions leave the rows of fresh members that were given what stands.
fn rewinds_leave_no_trace(models: &[PathBuf], horizon: u32) {
    let load = || Engine::load(Settings { horizon, ..settings(models) }, &|_, _| {}).unwrap();
    let used = std::cell::RefCell::new(load());
    let config = ProptestConfig { cases: 10, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |(prompt in prop::collection::vec(0..9usize, 0..30), actions in actions())| {
        let prompt = Prompt::Tokens(units(prompt));
        let mut used = used.borrow_mut();
        let ensemble = &mut used.decoder().reading().unwrap();
        ensemble.prime(&prompt).unwrap();
        let mut standing = Vec::new();
        for action in &actions {
            match action {
                Action::Write(numbers) => for unit in units(numbers.iter().copied()) {
                    ensemble.extend(unit).unwrap();
                    standing.push(unit);
                },
                Action::GoBack(percent) => {
                    standing.truncate(standing.len() * percent / 100);
                    ensemble.rewind(standing.len()).unwrap();
                }
            }
        }
        let mut fresh = load();
        fresh.decoder().reading().unwrap().prime(&prompt).unwrap();
        for &unit in &standing {
            fresh.decoder().reading().unwrap().extend(unit).unwrap();
        }
        assert_same(&rows(&mut used), &rows(&mut fresh), "after the last action");
        // And what follows is right too.
        used.decoder().reading().unwrap().extend(300).unwrap();
        fresh.decoder().reading().unwrap().extend(300).unwrap();
        assert_same(&rows(&mut used), &rows(&mut fresh), "one unit later");
    });
}

#[test]
fn of_attention_members() {
    let models = Models::new();
    rewinds_leave_no_trace(&[models.random(Architecture::Llama, 1)], 32);
    // Nearly no row is kept.
    rewinds_leave_no_trace(&[models.random(Architecture::Llama, 1)], 1);
    rewinds_leave_no_trace(&[stories("260k"), stories("280k")], 32);
}

#[test]
fn of_recurrent_members() {
    let models = Models::new();
    rewinds_leave_no_trace(&[models.random(Architecture::Mamba, 1)], 32);
    rewinds_leave_no_trace(&[models.random(Architecture::Mamba, 1)], 1);
}

#[test]
fn of_hybrid_members() {
    let models = Models::new();
    rewinds_leave_no_trace(&[models.random(Architecture::Jamba, 1)], 32);
    rewinds_leave_no_trace(&[models.random(Architecture::Jamba, 1)], 1);
}

#[test]
fn of_members_of_every_kind_together() {
    let models = Models::new();
    let architectures = [Architecture::Mamba, Architecture::Llama, Architecture::Jamba];
    rewinds_leave_no_trace(&architectures.map(|architecture| models.random(architecture, 2)), 32);
}

#[test]
fn a_recurrent_member_goes_back_to_the_start_of_the_reply_again_and_again() {
    let models = Models::new();
    for architecture in [Architecture::Mamba, Architecture::Jamba] {
        let mut engine = engine(&[models.random(architecture, 3)]);
        let ensemble = &mut engine.decoder().reading().unwrap();
        ensemble.prime(&Prompt::Tokens(units(0..70))).unwrap();
        let start = ensemble.rows().into_iter().next().unwrap().clone();
        for attempt in 0..4 {
            for unit in units(attempt * 100..attempt * 100 + 90) {
                ensemble.extend(unit).unwrap();
            }
            assert!(deviation(ensemble.rows().into_iter().next().unwrap(), &start) > 0.5, "the test can fail");
            ensemble.rewind(0).unwrap();
            ensemble.extend(300).unwrap();
            ensemble.rewind(0).unwrap();
            assert_same(
                &[ensemble.rows().into_iter().next().unwrap().clone()],
                std::slice::from_ref(&start),
                "attempt",
            );
        }
        let again = ensemble.prime(&Prompt::Tokens(units(0..70))).unwrap();
        assert_eq!(again[0].decoded, 0, "the state at the end of the prompt is kept");
    }
}

/// The text and the units of a greedy reply in which a policy takes much back.
fn reply_with_retractions(models: &[PathBuf], horizon: u32) -> (Engine, Vec<u32>, Vec<u32>) {
    let mut engine = Engine::load(Settings { horizon, ..settings(models) }, &|_, _| {}).unwrap();
    let mut plan = vec![(40, 30), (20, 7), (12, 4)];
    let policy = Policy::new("plan").assess(move |step, _| {
        Ok(match plan.last() {
            Some(&(position, units)) if step.position == position => {
                plan.pop();
                Verdict::retract(units, "as planned")
            }
            _ => Verdict::proceed(),
        })
    });
    engine.decoder().chain.add(Box::new(policy), true);
    let prompt = units(0..20);
    let request = Request {
        prompt: Prompt::Tokens(prompt.clone()),
        parameters: Parameters { temperature: 0.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.3, top_k: 0 },
        limits: Limits { n_predict: 60, horizon, max_retractions: 3 },
        seed: 1,
        stop: Vec::new(),
        context_shift: false,
        draft: Default::default(),
        shape: Default::default(),
    };
    let outcome = engine.decoder().reply(&request, &Arc::default(), &mut |_| {}).unwrap();
    assert_eq!(outcome.reply.retractions.len(), 3);
    (engine, prompt, outcome.units)
}

#[test]
fn a_reply_of_recurrent_members_is_the_same_whatever_was_kept_of_their_states() {
    let models = Models::new();
    let paths = [models.random(Architecture::Mamba, 4), models.random(Architecture::Jamba, 5)];
    let (mut engine, prompt, written) = reply_with_retractions(&paths, 32);
    for horizon in [64, 500] {
        assert_eq!(reply_with_retractions(&paths, horizon).2, written, "horizon {horizon}");
    }
    // What the members hold is what stands.
    let all = Prompt::Tokens([prompt, written].concat());
    let primed = engine.decoder().reading().unwrap().prime(&all).unwrap();
    assert!(primed.iter().all(|primed| primed.decoded == 1), "{primed:?}");
    let mut fresh = super::engine(&paths);
    fresh.decoder().reading().unwrap().prime(&all).unwrap();
    for (found, expected) in rows(&mut engine).iter().zip(&rows(&mut fresh)) {
        assert!(deviation(found, expected) < 0.02);
    }
}

#[test]
fn a_prompt_whose_reading_was_interrupted_is_read_as_if_nothing_had_been() {
    let models = Models::new();
    for architecture in [Architecture::Llama, Architecture::Mamba, Architecture::Jamba] {
        let settings = settings(&[models.random(architecture, 5)]);
        let long = Prompt::Tokens(units(0..400));
        let mut engine = Engine::load(settings.clone(), &|_, _| {}).unwrap();
        let interrupted = Arc::new(AtomicBool::new(false));
        engine.decoder().reading().unwrap().heed(&interrupted);
        for delay in 0..12 {
            // What was read before is a beginning of it, so that there is something to keep.
            engine.decoder().reading().unwrap().prime(&Prompt::Tokens(units(0..100))).unwrap();
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_micros(delay * 300));
                    interrupted.store(true, Ordering::SeqCst);
                });
                // In time or too late, as it happens.
                let _ = engine.decoder().reading().unwrap().prime(&long);
            });
            let refused = engine.decoder().reading().unwrap().prime(&Prompt::Tokens(units(7..90)));
            assert!(matches!(refused, Err(MemberError::Interrupted(_))), "{architecture:?}: {refused:?}");
            interrupted.store(false, Ordering::SeqCst);
            engine.decoder().reading().unwrap().prime(&long).unwrap();
            let mut fresh = Engine::load(settings.clone(), &|_, _| {}).unwrap();
            fresh.decoder().reading().unwrap().prime(&long).unwrap();
            assert_same(&rows(&mut engine), &rows(&mut fresh), &format!("{architecture:?} after {delay}"));
        }
    }
}

#[test]
fn a_prompt_that_was_refused_before_it_was_read_is_read_when_it_comes_again() {
    let models = Models::new();
    for architecture in [Architecture::Llama, Architecture::Mamba, Architecture::Jamba] {
        let settings = settings(&[models.random(architecture, 5)]);
        let mut engine = Engine::load(settings.clone(), &|_, _| {}).unwrap();
        let interrupted = Arc::new(AtomicBool::new(false));
        let reading = &mut engine.decoder().reading().unwrap();
        reading.heed(&interrupted);
        // Another text, which is in the context still.
        reading.prime(&Prompt::Tokens(units(0..100))).unwrap();
        let prompt = Prompt::Tokens([units(0..40), units(200..250)].concat());
        interrupted.store(true, Ordering::SeqCst);
        assert!(matches!(reading.prime(&prompt), Err(MemberError::Interrupted(_))));
        interrupted.store(false, Ordering::SeqCst);
        reading.prime(&prompt).unwrap();
        let mut fresh = Engine::load(settings, &|_, _| {}).unwrap();
        fresh.decoder().reading().unwrap().prime(&prompt).unwrap();
        assert_same(&rows(&mut engine), &rows(&mut fresh), &format!("{architecture:?}"));
    }
}

#[test]
fn a_reply_that_is_interrupted_before_its_first_token_is_empty_and_the_next_one_as_ever() {
    let settings = settings(&[stories("260k")]);
    let mut engine = Engine::load(settings.clone(), &|_, _| {}).unwrap();
    let prompt = Prompt::Text("Once upon a time".into());
    let interrupted = Arc::new(AtomicBool::new(true));
    let reply = engine.reply(&prompt, &interrupted, &mut |_| {}).unwrap();
    assert_eq!((reply.reason, reply.text.as_str(), reply.tokens), (EndReason::Interrupted, "", 0));
    // Not −0, which prints with its sign.
    assert!(reply.avg_confidence.is_sign_positive());
    interrupted.store(false, Ordering::SeqCst);
    let after = engine.reply(&prompt, &interrupted, &mut |_| {}).unwrap();
    let mut fresh = Engine::load(settings, &|_, _| {}).unwrap();
    assert_eq!(after.text, fresh.reply(&prompt, &Arc::default(), &mut |_| {}).unwrap().text);
}

#[test]
fn replies_that_are_interrupted_at_any_moment_leave_members_that_go_on() {
    let pairs = [[stories("260k"), stories("280k")], [stories("260k"), stories("970k-bytes")]];
    for (models, align) in pairs.iter().zip([Align::Exact, Align::Exact]).chain([(&pairs[1], Align::Boundary)]) {
        // Short of room, so that prompts are read again in the middle of a reply.
        let settings = Settings { ctx_size: 96, n_predict: 300, context_shift: true, align, ..settings(models) };
        let mut engine = Engine::load(settings.clone(), &|_, _| {}).unwrap();
        let policy = Policy::new("back").assess(|step, _| {
            let goes_back = step.position % 7 == 3 && step.attempt == 0;
            Ok(if goes_back { Verdict::retract(3, "") } else { Verdict::proceed() })
        });
        engine.decoder().chain.add(Box::new(policy), true);
        let interrupted = Arc::new(AtomicBool::new(false));
        for delay in 0..40 {
            engine.set_seed(delay);
            let mut told = String::new();
            let reply = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(Duration::from_micros(delay * delay * 40));
                    interrupted.store(true, Ordering::SeqCst);
                });
                let prompt = Prompt::Text("Once upon a time there was a cat".into());
                engine.reply(&prompt, &interrupted, &mut |event| match event {
                    Event::Token { text, .. } => told.push_str(text),
                    Event::Retract { bytes, .. } => told.truncate(told.len() - bytes),
                    _ => {}
                })
            });
            interrupted.store(false, Ordering::SeqCst);
            let reply = reply.unwrap();
            assert_eq!(told, reply.text);
            assert_ne!(reply.reason, EndReason::Failed, "{align:?} after {delay}");
        }
        engine.set_n_predict(20);
        let after = engine.reply(&Prompt::Text("Once".into()), &interrupted, &mut |_| {}).unwrap();
        assert_eq!(after.reason, EndReason::Length);
    }
}
