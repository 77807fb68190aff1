//! The stock policy of earlier versions, whose limits are the same for every text.

use super::support::*;

const ABSOLUTE: &str = include_str!("../../policies/absolute.rhai");

fn absolute(settings: &str) -> ScriptHook {
    ScriptHook::from_source("absolute", ABSOLUTE, settings).unwrap_or_else(|error| panic!("{error}"))
}

fn adjusted(temperature: Option<f32>, repeat_penalty: Option<f32>, reason: &str) -> Verdict {
    let adjustment = plugin_api::Adjustment { temperature, repeat_penalty, ..Default::default() };
    Verdict::adjust(adjustment, reason)
}

#[test]
fn a_critical_mean_takes_text_back_to_the_weakest_token() {
    let verdict = assess(&mut absolute("{}"), 0.31);
    let change = adjusted(Some((f64::from(0.7f32) * 1.2) as f32), Some((f64::from(1.1f32) * 1.1) as f32), "");
    assert_eq!(verdict, Verdict::retract(2, "mean confidence 0.31 is below 0.35").with(change.adjustment));
}

#[test]
fn without_budget_or_room_it_only_adjusts() {
    let mut hook = absolute("{}");
    for step in [Step { retractions_left: 0, ..step() }, Step { retractable: 1, ..step() }] {
        let verdict = hook.on_assessment(&step, &assessment(0.31)).unwrap();
        assert_eq!((verdict.action, verdict.reason.as_str()), (Action::Adjust, "mean confidence 0.31 is below 0.35"));
    }
}

#[test]
fn a_low_mean_loosens_up_to_the_caps() {
    let verdict = assess(&mut absolute("{}"), 0.42);
    assert_eq!((verdict.action, verdict.reason.as_str()), (Action::Adjust, "mean confidence 0.42 is below 0.50"));
    let mut high = step();
    high.parameters.temperature = 1.3;
    high.parameters.repeat_penalty = 1.5;
    assert_eq!(absolute("{}").on_assessment(&high, &assessment(0.42)).unwrap(), Verdict::proceed());
}

#[test]
fn a_high_mean_tightens_and_zero_stays_zero() {
    let temperature = (f64::from(0.7f32) * 0.88) as f32;
    let expected = adjusted(Some(temperature), None, "mean confidence 0.91 is above 0.85");
    assert_eq!(assess(&mut absolute("{}"), 0.91), expected);
    let mut greedy = step();
    greedy.parameters.temperature = 0.0;
    assert_eq!(absolute("{}").on_assessment(&greedy, &assessment(0.91)).unwrap(), Verdict::proceed());
    let verdict = absolute(r#"{"aggressive": true}"#).on_assessment(&greedy, &assessment(0.1)).unwrap();
    assert_eq!(verdict.adjustment.temperature, None);
}

#[test]
fn a_rut_raises_the_penalty_and_reasons_are_joined() {
    let rut = Assessment { unique: 4, ..assessment(0.91) };
    let verdict = absolute("{}").on_assessment(&step(), &rut).unwrap();
    assert_eq!(verdict.adjustment.repeat_penalty, Some((f64::from(1.1f32) * 1.15) as f32));
    assert_eq!(verdict.reason, "mean confidence 0.91 is above 0.85; 4 different tokens in the last 10");
    let few = Assessment { unique: 4, unique_of: 9, ..assessment(0.6) };
    assert_eq!(absolute("{}").on_assessment(&step(), &few).unwrap(), Verdict::proceed());
}

#[test]
fn a_short_window_and_an_ordinary_moment_change_nothing() {
    let whole = assessment(0.1);
    let short = Assessment { confidences: &whole.confidences[..4], units: &whole.units[..4], ..whole };
    assert_eq!(absolute("{}").on_assessment(&step(), &short).unwrap(), Verdict::proceed());
    assert_eq!(assess(&mut absolute("{}"), 0.6), Verdict::proceed());
}

#[test]
fn the_threshold_is_a_setting() {
    assert_eq!(assess(&mut absolute(r#"{"confidence_threshold": 0.4}"#), 0.42), Verdict::proceed());
    assert_eq!(
        assess(&mut absolute(r#"{"confidence_threshold": 1}"#), 0.42).reason,
        "mean confidence 0.42 is below 1.00"
    );
}

#[test]
fn aggressive_acts_earlier_and_bursts_where_the_seed_says() {
    let mut hook = absolute(r#"{"aggressive": true}"#);
    assert_eq!(assess(&mut hook, 0.42).action, Action::Retract(2));
    let mut burst = step();
    while burst.random(0) >= 0.05 {
        burst.seed += 1;
    }
    let expected = f64::from(0.7f32) + (f64::from(burst.random(1)) * 2.0 - 1.0) * 0.15;
    let expected = adjusted(Some(expected as f32), None, "exploration burst");
    assert_eq!(hook.on_assessment(&burst, &assessment(0.6)).unwrap(), expected);
    assert_eq!(absolute("{}").on_assessment(&burst, &assessment(0.6)).unwrap(), Verdict::proceed());
}
