//! The rules that hooks may rely on, one by one, on scripted members: for one text, for eight at once, and where members read
//! ahead. Reloading between steps is in `scripts.rs`.

use crate::support::rules::{Notes, rule, silent_rule};
use crate::support::scripted;

use llama_selfmod::decode::Limits;
use llama_selfmod::events::EndReason;
use llama_selfmod::hooks::HookError;
use plugin_api::{Action, Adjustment, Parameters, Verdict};
use proptest::prelude::*;
use scripted::*;

/// One member that writes the alphabet.
fn sure() -> Vec<Scripted> {
    vec![Scripted::new("m", alphabet(0.9))]
}

/// The same, of which every letter may come.
fn unsure() -> Vec<Scripted> {
    vec![Scripted::new("m", alphabet(0.3))]
}

/// Asks to take back `units` at this length of the text, once.
fn once_at(name: &str, position: u32, units: u32) -> Policy {
    let mut done = false;
    Policy::new(name).assess(move |step, _| {
        if step.position == position && !std::mem::replace(&mut done, true) {
            return Ok(Verdict::retract(units, "once"));
        }
        Ok(Verdict::proceed())
    })
}

// Rule 1

#[test]
fn the_deepest_retraction_wins_and_every_policy_hears_of_it() {
    let policies = |heard: &Notes<_>| {
        let listen = |name: &'static str| {
            let heard = heard.clone();
            move |_: &plugin_api::Step, retraction: &plugin_api::Retraction| {
                heard.add((name, retraction.policy.to_string(), retraction.units));
                Ok(())
            }
        };
        vec![
            once_at("shallow", 6, 2).retracted(listen("shallow")),
            once_at("deep", 6, 4).retracted(listen("deep")),
            Policy::new("bystander").retracted(listen("bystander")),
        ]
    };
    let ran = rule(sure, policies, &request());
    assert_eq!(retractions(&ran.seen), [(2, 4)]);
    let deep = "deep".to_string();
    assert_eq!(ran.notes, [("shallow", deep.clone(), 4), ("deep", deep.clone(), 4), ("bystander", deep, 4)]);
}

#[test]
fn bans_of_all_retractions_are_united() {
    let ban = |name: &str, unit: u32| {
        let mut done = false;
        Policy::new(name).assess(move |step, _| {
            let first = step.position == 4 && !std::mem::replace(&mut done, true);
            Ok(if first { Verdict::retract(1, "").ban(&[unit]) } else { Verdict::proceed() })
        })
    };
    // At position 3 the member prefers `d`, then every letter alike; a, b and c are banned by policies.
    let ran = silent_rule(sure, || vec![ban("one", 1), ban("two", 2), ban("three", 3)], &request());
    assert!(ran.units[3] > 4, "{:?}", ran.units);
}

#[test]
fn stop_wins_over_everything() {
    let end = || {
        Policy::new("end")
            .assess(|step, _| Ok(if step.position == 5 { Verdict::stop("enough") } else { Verdict::proceed() }))
    };
    let ran = silent_rule(sure, || vec![once_at("back", 5, 2), end()], &request());
    assert_eq!(ran.reply.reason, EndReason::Policy("enough".into()));
    assert_eq!((ran.reply.text.as_str(), retractions(&ran.seen).len()), ("abcde", 0));
}

#[test]
fn a_forced_unit_stands_in_place_of_the_candidate() {
    let force = || {
        Policy::new("force")
            .token(|step, _| Ok(if step.position == 2 { Verdict::force(8, "an h") } else { Verdict::proceed() }))
    };
    let ran = silent_rule(sure, || vec![force()], &request());
    assert_eq!(&ran.reply.text[..5], "abhde");
}

#[test]
fn a_resampled_candidate_does_not_come_again_and_costs_no_forward_pass() {
    let resample = || {
        Policy::new("no c")
            .token(|_, token| Ok(if token.bytes == b"c" { Verdict::resample("no c") } else { Verdict::proceed() }))
    };
    let ran = silent_rule(sure, || vec![resample()], &request());
    assert!(!ran.reply.text.contains('c'), "{}", ran.reply.text);
    // The last unit is never decoded: nothing follows it.
    assert_eq!(ran.decoded[0].len(), 1 + 15, "the prompt and the reply");
}

// Rule 2

#[test]
fn nothing_is_taken_back_beyond_the_start_or_the_horizon() {
    let ran = silent_rule(sure, || vec![once_at("p", 3, 99)], &request());
    assert_eq!(retractions(&ran.seen), [(0, 3)]);
    let mut request = request();
    request.limits.horizon = 4;
    let ran = silent_rule(sure, || vec![once_at("p", 9, 99)], &request);
    assert_eq!(retractions(&ran.seen), [(5, 4)]);
}

#[test]
fn a_policy_is_told_how_far_it_can_go() {
    let watch = |told: &Notes<u32>| {
        let told = told.clone();
        Policy::new("watch").assess(move |step, _| {
            told.add(step.retractable);
            Ok(Verdict::proceed())
        })
    };
    let mut request = request();
    request.limits.horizon = 4;
    let ran = rule(sure, |told| vec![watch(told)], &request);
    assert_eq!(ran.notes[..6], [1, 2, 3, 4, 4, 4]);
}

// Rule 3

#[test]
fn a_policy_that_always_takes_back_cannot_stop_the_text() {
    let always = || Policy::new("always").assess(|_, _| Ok(Verdict::retract(1, "never good enough")));
    let ran = silent_rule(sure, || vec![always()], &request());
    assert_eq!(ran.reply.retractions.len(), 3);
    assert_eq!(ran.reply.tokens, 16, "units that were taken back do not count");
    assert_eq!(ran.reply.reason, EndReason::Length);
    let notices = notices(&ran.seen);
    assert_eq!(notices.len(), 1, "the policy's further wishes are told once: {notices:?}");
}

#[test]
fn tries_of_one_position_are_bounded_whatever_the_budget() {
    let mut request = request();
    request.limits = Limits { max_retractions: 1000, n_predict: 8, horizon: 32 };
    let always = || Policy::new("always").assess(|_, _| Ok(Verdict::retract(1, "")));
    let never = || Policy::new("never").token(|_, _| Ok(Verdict::resample("")));
    for policy in [always, never] {
        assert_eq!(silent_rule(sure, || vec![policy()], &request).reply.tokens, 8);
    }
}

#[test]
fn bans_yield_when_nothing_else_is_left() {
    // Only `a` is possible, and it is taken back.
    let only_a = |_: &[u32]| {
        let mut row = vec![f32::NEG_INFINITY; PIECES.len()];
        row[1] = 0.0;
        row
    };
    let ran = silent_rule(|| vec![Scripted::new("m", only_a)], || vec![once_at("p", 2, 1)], &request());
    assert_eq!(ran.reply.text, "a".repeat(16));
}

// Rule 4

#[test]
fn parameters_decay_to_the_base_unless_held() {
    for hold in [false, true] {
        let warm = |seen: &Notes<f32>| {
            let seen = seen.clone();
            Policy::new("warm").assess(move |step, _| {
                seen.add(step.parameters.temperature);
                let adjustment = Adjustment { temperature: Some(1.5), hold, ..Adjustment::default() };
                Ok(if step.position == 1 { Verdict::adjust(adjustment, "") } else { Verdict::proceed() })
            })
        };
        let mut request = request();
        request.parameters.temperature = 0.5;
        let temperatures = rule(sure, |seen| vec![warm(seen)], &request).notes;
        if hold {
            assert!(temperatures[1..].iter().all(|&temperature| temperature == 1.5), "{temperatures:?}");
        } else {
            assert!(temperatures[1..].windows(2).all(|pair| pair[1] < pair[0]), "{temperatures:?}");
            assert!(temperatures[15] > 0.5 && temperatures[15] < 1.1, "{temperatures:?}");
        }
    }
}

// Rule 5

#[test]
fn the_same_seed_gives_the_same_text_and_another_seed_another() {
    let mut request = request();
    request.parameters = Parameters { temperature: 1.0, ..request.parameters };
    let text = |seed: u64| {
        let request = llama_selfmod::decode::Request { seed, ..request.clone() };
        silent_rule(unsure, || vec![once_at("p", 7, 3)], &request).reply.text
    };
    assert_eq!(text(5), text(5));
    assert_ne!(text(5), text(6));
}

#[test]
fn hooks_without_verdicts_leave_every_byte_as_it_is() {
    let mut request = request();
    request.parameters.temperature = 1.0;
    let silent = || {
        Policy::new("silent")
            .assess(|_, _| Ok(Verdict::proceed()))
            .token(|_, _| Ok(Verdict::proceed()))
            .logits(|_, _, _| Ok(()))
    };
    let (with, without) = (silent_rule(unsure, || vec![silent()], &request), silent_rule(unsure, Vec::new, &request));
    assert_eq!(with.reply.text, without.reply.text);
}

#[test]
fn text_before_a_retraction_is_drawn_as_if_nothing_had_been_taken_back() {
    let mut request = request();
    request.parameters.temperature = 1.0;
    let plain = silent_rule(unsure, Vec::new, &request).units;
    let corrected = silent_rule(unsure, || vec![once_at("p", 9, 4)], &request).units;
    assert_eq!(plain[..5], corrected[..5]);
    assert_ne!(plain[5], corrected[5]);
}

// Rule 6

#[test]
fn a_failing_hook_is_skipped_and_parked_after_three_and_the_text_goes_on() {
    let broken = |calls: &Notes<()>| {
        let calls = calls.clone();
        Policy::new("broken").assess(move |_, _| {
            calls.add(());
            Err(HookError("it divides by zero".into()))
        })
    };
    let ran = rule(sure, |calls| vec![broken(calls)], &request());
    assert_eq!((ran.reply.text.as_str(), ran.notes.len()), ("abcdefghabcdefgh", 3));
    let notices = notices(&ran.seen);
    assert_eq!(notices.len(), 2, "{notices:?}");
    assert!(notices[1].contains("`broken`") && notices[1].contains("parked") && notices[1].contains("divides by zero"));
}

#[test]
fn failures_with_successes_between_them_do_not_park() {
    let shaky = || {
        let mut call = 0;
        Policy::new("shaky").assess(move |_, _| {
            call += 1;
            if call % 3 == 0 { Ok(Verdict::proceed()) } else { Err(HookError("now and then".into())) }
        })
    };
    let ran = silent_rule(sure, || vec![shaky()], &request());
    assert_eq!((ran.hooks[0].state.as_str(), ran.hooks[0].failures), ("running", 11));
}

#[test]
fn a_row_of_nonsense_is_undone() {
    for nonsense in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let broken = || {
            Policy::new("broken").logits(move |_, _, fused| {
                fused.fill(nonsense);
                Ok(())
            })
        };
        let ran = silent_rule(sure, || vec![broken()], &request());
        assert_eq!(ran.reply.text, "abcdefghabcdefgh", "{nonsense}");
    }
}

#[test]
fn verdicts_in_the_wrong_place_and_values_out_of_range_are_faults() {
    let cold = Adjustment { temperature: Some(-1.0), ..Adjustment::default() };
    let wrong: [&dyn Fn() -> Policy; 4] = [
        &|| Policy::new("retract from on_token").token(|_, _| Ok(Verdict::retract(1, ""))),
        &|| Policy::new("resample from on_assessment").assess(|_, _| Ok(Verdict::resample(""))),
        &|| {
            let nothing = Verdict { action: Action::Retract(0), ..Verdict::default() };
            Policy::new("retract nothing").assess(move |_, _| Ok(nothing.clone()))
        },
        &|| Policy::new("too cold").assess(move |_, _| Ok(Verdict::adjust(cold, ""))),
    ];
    for policy in wrong {
        let ran = silent_rule(sure, || vec![policy()], &request());
        assert_eq!(ran.reply.text, "abcdefghabcdefgh");
        let is_told = notices(&ran.seen).iter().any(|notice| notice.contains("parked"));
        assert!(ran.hooks[0].state.starts_with("parked: ") && is_told, "{:?}", ran.hooks[0]);
    }
}

// Rule 8

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_was_shown_is_the_text_of_the_units_that_stand(
        seed in 0u64..1000,
        retractions in proptest::collection::vec((1u32..40, 1u32..9), 0..6),
        stop in proptest::option::of("[a-h]{2,3}"),
    ) {
        // Every letter and both halves of `é` are likely, so that characters are split and taken back in their middle.
        let even = |_: &[u32]| vec![-3.0; PIECES.len()];
        let mut request = request();
        request.seed = seed;
        request.parameters.temperature = 1.0;
        request.limits = Limits { n_predict: 40, horizon: 8, max_retractions: 6 };
        request.stop = stop.iter().cloned().collect();
        let policies = || retractions.iter().map(|&(position, units)| once_at("p", position, units)).collect();
        let ran = silent_rule(|| vec![Scripted::new("m", even)], policies, &request);
        prop_assert_eq!(&replay(&ran.seen), &ran.reply.text);
        let bytes: Vec<u8> = ran.units.iter().flat_map(|&unit| PIECES[unit as usize].to_vec()).collect();
        let whole = String::from_utf8_lossy(&bytes).into_owned();
        prop_assert!(whole.starts_with(&ran.reply.text));
        if let Some(stop) = &stop {
            prop_assert!(!ran.reply.text.contains(stop.as_str()));
        }
    }

    #[test]
    fn what_was_committed_is_never_taken_back(
        seed in 0u64..1000,
        retractions in proptest::collection::vec((1u32..40, 1u32..9), 0..6),
    ) {
        let even = |_: &[u32]| vec![-3.0; PIECES.len()];
        let mut request = request();
        request.seed = seed;
        request.parameters.temperature = 1.0;
        request.limits = Limits { n_predict: 40, horizon: 8, max_retractions: 4 };
        let policies = || retractions.iter().map(|&(position, units)| once_at("p", position, units)).collect();
        let seen = silent_rule(|| vec![Scripted::new("m", even)], policies, &request).seen;
        let (mut length, mut certain) = (0, 0);
        for event in seen {
            match event {
                Seen::Token { text, committed, .. } => {
                    length += text.len();
                    prop_assert!(committed >= certain && committed <= length);
                    certain = committed;
                }
                Seen::Retract { bytes, .. } => {
                    length -= bytes;
                    prop_assert!(length >= certain, "{} bytes were certain, {} are left", certain, length);
                }
                _ => {}
            }
        }
    }
}
