//! The scripts that come with the program.

use super::support::*;

const RETRACTION: &str = include_str!("../../policies/retraction.rhai");
const OBSERVE: &str = include_str!("../../policies/observe.rhai");

fn retraction(settings: &str) -> ScriptHook {
    ScriptHook::from_source("retraction", RETRACTION, settings).unwrap_or_else(|error| panic!("{error}"))
}

fn adjusted(temperature: Option<f32>, repeat_penalty: Option<f32>, reason: &str) -> Verdict {
    let adjustment = plugin_api::Adjustment { temperature, repeat_penalty, ..Default::default() };
    Verdict::adjust(adjustment, reason)
}

#[test]
fn a_critical_mean_takes_text_back_to_the_weakest_token() {
    let verdict = assess(&mut retraction("{}"), 0.31);
    let change = adjusted(Some((f64::from(0.7f32) * 1.2) as f32), Some((f64::from(1.1f32) * 1.1) as f32), "");
    assert_eq!(verdict, Verdict::retract(2, "mean confidence 0.31 is below 0.35").with(change.adjustment));
}

#[test]
fn without_budget_or_room_it_only_adjusts() {
    let mut hook = retraction("{}");
    for step in [Step { retractions_left: 0, ..step() }, Step { retractable: 1, ..step() }] {
        let verdict = hook.on_assessment(&step, &assessment(0.31)).unwrap();
        assert_eq!((verdict.action, verdict.reason.as_str()), (Action::Adjust, "mean confidence 0.31 is below 0.35"));
    }
}

#[test]
fn a_low_mean_loosens_up_to_the_caps() {
    let verdict = assess(&mut retraction("{}"), 0.42);
    assert_eq!((verdict.action, verdict.reason.as_str()), (Action::Adjust, "mean confidence 0.42 is below 0.50"));
    let mut high = step();
    high.parameters.temperature = 1.3;
    high.parameters.repeat_penalty = 1.5;
    assert_eq!(retraction("{}").on_assessment(&high, &assessment(0.42)).unwrap(), Verdict::proceed());
}

#[test]
fn a_high_mean_tightens_and_zero_stays_zero() {
    let temperature = (f64::from(0.7f32) * 0.88) as f32;
    let expected = adjusted(Some(temperature), None, "mean confidence 0.91 is above 0.85");
    assert_eq!(assess(&mut retraction("{}"), 0.91), expected);
    let mut greedy = step();
    greedy.parameters.temperature = 0.0;
    assert_eq!(retraction("{}").on_assessment(&greedy, &assessment(0.91)).unwrap(), Verdict::proceed());
    let verdict = retraction(r#"{"aggressive": true}"#).on_assessment(&greedy, &assessment(0.1)).unwrap();
    assert_eq!(verdict.adjustment.temperature, None);
}

#[test]
fn a_rut_raises_the_penalty_and_reasons_are_joined() {
    let rut = Assessment { unique: 4, ..assessment(0.91) };
    let verdict = retraction("{}").on_assessment(&step(), &rut).unwrap();
    assert_eq!(verdict.adjustment.repeat_penalty, Some((f64::from(1.1f32) * 1.15) as f32));
    assert_eq!(verdict.reason, "mean confidence 0.91 is above 0.85; 4 different tokens in the last 10");
    let few = Assessment { unique: 4, unique_of: 9, ..assessment(0.6) };
    assert_eq!(retraction("{}").on_assessment(&step(), &few).unwrap(), Verdict::proceed());
}

#[test]
fn a_short_window_and_an_ordinary_moment_change_nothing() {
    let whole = assessment(0.1);
    let short = Assessment { confidences: &whole.confidences[..4], units: &whole.units[..4], ..whole };
    assert_eq!(retraction("{}").on_assessment(&step(), &short).unwrap(), Verdict::proceed());
    assert_eq!(assess(&mut retraction("{}"), 0.6), Verdict::proceed());
}

#[test]
fn the_threshold_is_a_setting() {
    assert_eq!(assess(&mut retraction(r#"{"confidence_threshold": 0.4}"#), 0.42), Verdict::proceed());
    assert_eq!(
        assess(&mut retraction(r#"{"confidence_threshold": 1}"#), 0.42).reason,
        "mean confidence 0.42 is below 1.00"
    );
}

#[test]
fn aggressive_acts_earlier_and_bursts_where_the_seed_says() {
    let mut hook = retraction(r#"{"aggressive": true}"#);
    assert_eq!(assess(&mut hook, 0.42).action, Action::Retract(2));
    let mut burst = step();
    while burst.random(0) >= 0.05 {
        burst.seed += 1;
    }
    let expected = f64::from(0.7f32) + (f64::from(burst.random(1)) * 2.0 - 1.0) * 0.15;
    let expected = adjusted(Some(expected as f32), None, "exploration burst");
    assert_eq!(hook.on_assessment(&burst, &assessment(0.6)).unwrap(), expected);
    assert_eq!(retraction("{}").on_assessment(&burst, &assessment(0.6)).unwrap(), Verdict::proceed());
}

#[test]
fn observing_changes_nothing() {
    let mut hook = ScriptHook::from_source("observe", OBSERVE, "{}").unwrap_or_else(|error| panic!("{error}"));
    hook.reset().unwrap();
    for mean in [0.05, 0.5, 0.95] {
        assert_eq!(assess(&mut hook, mean), Verdict::proceed());
    }
    hook.reset().unwrap();
}

/// The measured figure is about 4 µs.
#[test]
fn the_retraction_script_costs_less_than_50_microseconds_a_token() {
    let mut hook = retraction("{}");
    let mut samples: Vec<Duration> = (0..2000)
        .map(|turn| {
            let assessment = assessment(0.2 + 0.0004 * turn as f32);
            let begin = Instant::now();
            hook.on_assessment(&step(), &assessment).unwrap();
            begin.elapsed()
        })
        .collect();
    samples.sort();
    let median = samples[samples.len() / 2];
    println!("median {median:?}");
    assert_within(Duration::from_micros(50), median, "a token");
}

/// Compiling, `init` and all samples; the measured figure is below a millisecond.
#[test]
fn a_reload_of_the_retraction_script_takes_a_few_milliseconds_at_most() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("retraction.rhai");
    std::fs::write(&path, RETRACTION).unwrap();
    let mut hook = ScriptHook::load(&path, "{}", Watching::Native).unwrap();
    let mut times: Vec<f64> = (0..40)
        .map(|_| match hook.reload_now() {
            Reload::Swapped { milliseconds, .. } => milliseconds,
            other => panic!("{other:?}"),
        })
        .collect();
    times.sort_by(f64::total_cmp);
    println!("median {:.3} ms, longest {:.3} ms", times[20], times[39]);
    assert_within(Duration::from_millis(20), Duration::from_secs_f64(times[20] / 1e3), "a reload");
}
