//! The scripts that come with the program.

use super::support::*;

const RETRACTION: &str = include_str!("../../policies/retraction.rhai");
const OBSERVE: &str = include_str!("../../policies/observe.rhai");

fn retraction(settings: &str) -> ScriptHook {
    ScriptHook::from_source("retraction", RETRACTION, settings).unwrap_or_else(|error| panic!("{error}"))
}

/// A candidate that is so surprising where 1 ± 0.4 nats are usual, and is not the likeliest.
fn surprising(surprise: f32) -> Token<'static> {
    Token {
        probability: (-surprise).exp(),
        surprise_mean: 1.0,
        surprise_deviation: 0.4,
        behind: 0.5,
        member_probabilities: &[0.5, 0.1],
        ..plugin_api::testing::token()
    }
}

#[test]
fn what_is_unusual_for_this_reply_is_refused() {
    let mut hook = retraction("{}");
    assert_eq!(hook.on_token(&step(), &surprising(1.99)).unwrap(), Verdict::proceed());
    let verdict = hook.on_token(&step(), &surprising(2.1)).unwrap();
    assert_eq!((verdict.action, verdict.reason.as_str()), (Action::Resample, "surprise 2.1 where 1.0 is usual"));
    let likeliest = Token { behind: 0.0, ..surprising(9.0) };
    assert_eq!(hook.on_token(&step(), &likeliest).unwrap(), Verdict::proceed());
    let early = Step { position: 3, ..step() };
    assert_eq!(hook.on_token(&early, &surprising(9.0)).unwrap(), Verdict::proceed());
}

#[test]
fn the_threshold_says_how_unusual() {
    for (settings, limit) in [
        (r#"{"confidence_threshold": 1}"#, 1.5),
        (r#"{"confidence_threshold": 0.25}"#, 3.0),
        (r#"{"aggressive": true}"#, 1.5),
    ] {
        let mut hook = retraction(settings);
        assert_eq!(hook.on_token(&step(), &surprising(limit - 0.01)).unwrap().action, Action::Continue, "{settings}");
        assert_eq!(hook.on_token(&step(), &surprising(limit + 0.01)).unwrap().action, Action::Resample, "{settings}");
    }
    let never = retraction(r#"{"confidence_threshold": 0}"#).on_token(&step(), &surprising(27.0)).unwrap();
    assert_eq!(never, Verdict::proceed());
}

#[test]
fn a_loop_is_taken_back_and_nothing_else_is() {
    let mut hook = retraction("{}");
    let looping = Assessment { repeated: 15, period: 9, ..assessment(0.9) };
    let verdict = hook.on_assessment(&step(), &looping).unwrap();
    assert_eq!(verdict, Verdict::retract(12, "9 tokens repeat themselves"), "as far as it may");
    let spent = Step { retractions_left: 0, ..step() };
    assert_eq!(hook.on_assessment(&spent, &looping).unwrap(), Verdict::proceed());
    let short = Assessment { repeated: 14, period: 9, ..assessment(0.9) };
    assert_eq!(hook.on_assessment(&step(), &short).unwrap(), Verdict::proceed());
    for mean in [0.05, 0.3, 0.95] {
        assert_eq!(assess(&mut hook, mean), Verdict::proceed());
    }
}

#[test]
fn aggressive_bursts_where_the_seed_says() {
    let mut burst = step();
    while burst.random(0) >= 0.05 {
        burst.seed += 1;
    }
    let temperature = f64::from(0.7f32) + (f64::from(burst.random(1)) * 2.0 - 1.0) * 0.15;
    let adjustment = plugin_api::Adjustment { temperature: Some(temperature as f32), ..Default::default() };
    let verdict = retraction(r#"{"aggressive": true}"#).on_assessment(&burst, &assessment(0.6)).unwrap();
    assert_eq!(verdict, Verdict::adjust(adjustment, "exploration burst"));
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

/// The measured figure is about 5 µs.
#[test]
fn the_retraction_script_costs_less_than_50_microseconds_a_token() {
    let mut hook = retraction("{}");
    let mut samples: Vec<Duration> = (0..2000)
        .map(|turn| {
            let (token, assessment) = (surprising(0.002 * turn as f32), assessment(0.5));
            let begin = Instant::now();
            hook.on_token(&step(), &token).unwrap();
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
