//! The stock self-correction. It refuses a token that is unusual for this reply, and takes loops back:
//!
//! * a token whose surprise, −ln of its probability, is above the mean of the tokens so far by k times their standard deviation
//!   and 0.1 nats, and which is not the likeliest, is drawn again; from the fifth token on;
//! * a passage that the text ends in again and again is taken back to where its second copy begins;
//! * aggressive: half the k, and now and then the temperature changes at random.
//!
//! Confidence is relative because what is a usual one depends on the text: in a calculation nearly all tokens are certain, in a
//! story half of all good ones are below 0.5. Of the signals that were measured (`docs/measurements.md`) this one foretells best
//! that a token begins an error.
//!
//! `policies/retraction.rhai` is the same policy as a script and gives the same verdicts to the bit. That is why all
//! arithmetic is done in f64, the script's only float.

use plugin_api::{Adjustment, Assessment, Plugin, Role, Step, Token, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

/// Units that have to stand in the reply before one is judged.
const FIRST_JUDGED: u32 = 4;
/// Added to the deviation, in nats.
const FLOOR: f64 = 0.1;
/// Tries of a place after which whatever is drawn stands: after a few more the engine gives up, and says so.
const TRIES: u32 = 12;
/// How often a passage stands in a row in a loop, and how many units all copies have.
const COPIES: f64 = 2.5;
const LOOP: u32 = 24;

/// Refuses what is unusual.
pub struct Retraction {
    settings: Settings,
    /// Deviations from the mean that are too many.
    times: f64,
}

/// What can be set.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// 1 / k: at 0.5 a token is refused that is 2 deviations more surprising than the mean, at 0 none is
    #[schemars(range(min = 0.0, max = 1.0))]
    confidence_threshold: f64,
    /// refuse what is half as far out
    aggressive: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self { confidence_threshold: 0.5, aggressive: false }
    }
}

impl Plugin for Retraction {
    const NAME: &'static str = "retraction";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &'static str = "Refuses tokens that are unusual for this reply, and takes loops back.";
    const ROLE: Role = Role::Policy;
    type Settings = Settings;

    fn create(settings: Settings) -> Result<Self, String> {
        let half = if settings.aggressive { 0.5 } else { 1.0 };
        let times = if settings.confidence_threshold > 0.0 { half / settings.confidence_threshold } else { 1e9 };
        Ok(Self { settings, times })
    }

    fn on_token(&mut self, step: &Step, token: &Token) -> Result<Verdict, String> {
        let [surprise, usual, deviation] =
            [token.surprise(), token.surprise_mean, token.surprise_deviation].map(f64::from);
        let is_unusual = surprise > usual + self.times * (deviation + FLOOR);
        if step.position < FIRST_JUDGED || step.attempt >= TRIES || token.behind <= 0.0 || !is_unusual {
            return Ok(Verdict::proceed());
        }
        Ok(Verdict::resample(format!("surprise {surprise:.1} where {usual:.1} is usual")))
    }

    fn on_assessment(&mut self, step: &Step, a: &Assessment) -> Result<Verdict, String> {
        // `repeated` units stand a second time, `period` further left: a run of both together.
        let run = a.repeated + a.period;
        let is_loop = a.period > 0 && run >= LOOP && f64::from(run) >= f64::from(a.period) * COPIES;
        if is_loop && step.retractions_left > 0 && step.retractable > 0 {
            let reason = format!("{} tokens repeat themselves", a.period);
            return Ok(Verdict::retract(a.repeated.min(step.retractable), reason));
        }
        let temperature = f64::from(step.parameters.temperature);
        if self.settings.aggressive && temperature > 0.0 && f64::from(step.random(0)) < BURSTS {
            let burst = (f64::from(step.random(1)) * 2.0 - 1.0) * BURST;
            let adjustment = Adjustment {
                temperature: changed(step.parameters.temperature, (temperature + burst).clamp(0.05, 2.0)),
                ..Adjustment::default()
            };
            if !adjustment.is_empty() {
                return Ok(Verdict::adjust(adjustment, "exploration burst"));
            }
        }
        Ok(Verdict::proceed())
    }
}

/// Share of the units that start a burst, and how far it goes at most.
const BURSTS: f64 = 0.05;
const BURST: f64 = 0.15;

/// The new value, where it is another one than before.
fn changed(before: f32, after: f64) -> Option<f32> {
    Some(after as f32).filter(|after| *after != before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{assessment, made, step, token};
    use plugin_api::{Action, Parameters};

    fn answer(settings: &str, step: &Step, token: &Token) -> Verdict {
        made::<Retraction>(settings).unwrap().on_token(step, token).unwrap()
    }

    fn judge(settings: &str, step: &Step, assessment: &Assessment) -> Verdict {
        made::<Retraction>(settings).unwrap().on_assessment(step, assessment).unwrap()
    }

    /// A candidate that is so surprising where 1 ± 0.4 nats are usual, and is not the likeliest.
    fn surprising(surprise: f32) -> Token<'static> {
        Token { probability: (-surprise).exp(), surprise_mean: 1.0, surprise_deviation: 0.4, behind: 0.5, ..token() }
    }

    #[test]
    fn what_is_unusual_for_this_reply_is_refused() {
        assert_eq!(answer("{}", &step(), &surprising(1.99)), Verdict::proceed());
        let verdict = answer("{}", &step(), &surprising(2.1));
        assert_eq!((verdict.action, verdict.reason.as_str()), (Action::Resample, "surprise 2.1 where 1.0 is usual"));
    }

    #[test]
    fn the_likeliest_and_the_first_tokens_are_not_judged() {
        assert_eq!(answer("{}", &step(), &Token { behind: 0.0, ..surprising(5.0) }), Verdict::proceed());
        for (position, action) in [(3, Action::Continue), (4, Action::Resample)] {
            assert_eq!(answer("{}", &Step { position, ..step() }, &surprising(5.0)).action, action);
        }
    }

    #[test]
    fn in_the_end_something_stands() {
        for (attempt, action) in [(11, Action::Resample), (12, Action::Continue)] {
            assert_eq!(answer("{}", &Step { attempt, ..step() }, &surprising(5.0)).action, action);
        }
    }

    #[test]
    fn the_threshold_is_one_over_k() {
        for (settings, limit) in [
            (r#"{"confidence_threshold":1.0}"#, 1.5),
            (r#"{"confidence_threshold":0.25}"#, 3.0),
            (r#"{"aggressive":true}"#, 1.5),
            (r#"{"aggressive":true,"confidence_threshold":0.25}"#, 2.0),
        ] {
            assert_eq!(answer(settings, &step(), &surprising(limit - 0.01)).action, Action::Continue, "{settings}");
            assert_eq!(answer(settings, &step(), &surprising(limit + 0.01)).action, Action::Resample, "{settings}");
        }
        assert_eq!(answer(r#"{"confidence_threshold":0}"#, &step(), &surprising(25.0)), Verdict::proceed());
    }

    #[test]
    fn doubt_that_comes_first_is_not_refused_for_being_the_first() {
        let sure = Token { surprise_mean: 0.0, surprise_deviation: 0.0, ..surprising(0.19) };
        assert_eq!(answer("{}", &step(), &sure), Verdict::proceed());
        assert_eq!(answer("{}", &step(), &Token { probability: 0.8, ..sure }).action, Action::Resample);
    }

    #[test]
    fn a_loop_is_taken_back_to_its_second_copy() {
        let circling = |repeated, period| Assessment { repeated, period, ..assessment() };
        let verdict = judge("{}", &step(), &circling(15, 9));
        assert_eq!(verdict, Verdict::retract(15.min(step().retractable), "9 tokens repeat themselves"));
        for usual in [circling(12, 9), circling(20, 14), circling(0, 0), circling(5, 2)] {
            assert_eq!(judge("{}", &step(), &usual), Verdict::proceed());
        }
        for bound in [Step { retractions_left: 0, ..step() }, Step { retractable: 0, ..step() }] {
            assert_eq!(judge("{}", &bound, &circling(30, 3)), Verdict::proceed());
        }
        assert_eq!(judge("{}", &Step { retractable: 7, ..step() }, &circling(30, 3)).action, Action::Retract(7));
    }

    #[test]
    fn the_sampling_is_left_alone() {
        for mean_confidence in [0.1, 0.4, 0.95] {
            let report = Assessment { mean_confidence, unique: 2, ..assessment() };
            assert_eq!(judge("{}", &step(), &report), Verdict::proceed());
        }
    }

    #[test]
    fn bursts_come_with_five_percent_of_the_seeds_and_stay_in_bounds() {
        let parameters = Parameters { temperature: 0.7, ..step().parameters };
        let mut bursts = 0;
        for seed in 0..10_000 {
            let verdict = judge(r#"{"aggressive":true}"#, &Step { seed, parameters, ..step() }, &assessment());
            if verdict != Verdict::proceed() {
                bursts += 1;
                assert_eq!(verdict.reason, "exploration burst");
                assert!((verdict.adjustment.temperature.unwrap() - 0.7).abs() <= 0.15);
            }
        }
        assert!((400..600).contains(&bursts), "{bursts} of 10000");
        let greedy = Parameters { temperature: 0.0, ..parameters };
        assert!((0..200).all(|seed| {
            judge(r#"{"aggressive":true}"#, &Step { seed, parameters: greedy, ..step() }, &assessment())
                == Verdict::proceed()
        }));
    }
}
