//! The stock self-correction. It looks at the mean confidence of the last 5 tokens and at their variety:
//!
//! * low confidence: sample more freely and repeat less;
//! * critically low: also take the text back to the weakest of those tokens and try again there;
//! * very high confidence: sample less freely, because a text that is too sure of itself goes round in circles late;
//! * few different tokens among the last 10: repeat less;
//! * aggressive: act earlier and further, and now and then change the temperature at random.
//!
//! `policies/retraction.rhai` is the same policy as a script and gives the same verdicts to the bit. That is why all
//! arithmetic is done in f64, the script's only float, and rounded to f32 once, in the answer.

use plugin_api::{Adjustment, Assessment, Plugin, Role, Step, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

/// Units that have to stand in the reply before it is judged.
const FIRST_JUDGED: usize = 5;
const HIGH_CONFIDENCE: f64 = 0.85;

/// How soon and how far to act.
struct Strength {
    critical: f64,
    temperature_factor: f64,
    temperature_cap: f64,
}

const NORMAL: Strength = Strength { critical: 0.35, temperature_factor: 1.2, temperature_cap: 1.3 };
const AGGRESSIVE: Strength = Strength { critical: 0.45, temperature_factor: 1.4, temperature_cap: 1.5 };

/// Adjusts, retracts and retries.
pub struct Retraction(Settings);

/// What can be set.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// mean confidence below which sampling is adjusted
    #[schemars(range(min = 0.0, max = 1.0))]
    confidence_threshold: f64,
    /// act earlier and further
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
    const DESCRIPTION: &'static str = "Takes text back where confidence collapses, and adjusts the sampling around it.";
    const ROLE: Role = Role::Policy;
    type Settings = Settings;

    fn create(settings: Settings) -> Result<Self, String> {
        Ok(Self(settings))
    }

    fn on_assessment(&mut self, step: &Step, a: &Assessment) -> Result<Verdict, String> {
        if a.units.len() < FIRST_JUDGED {
            return Ok(Verdict::proceed());
        }
        let Settings { confidence_threshold, aggressive } = self.0;
        let strength = if aggressive { AGGRESSIVE } else { NORMAL };
        let mean = f64::from(a.mean_confidence);
        let temperature = f64::from(step.parameters.temperature);
        let penalty = f64::from(step.parameters.repeat_penalty);
        let (mut new_temperature, mut new_penalty) = (temperature, penalty);
        let mut retract = None;
        let mut reasons = Vec::new();

        if mean < strength.critical || mean < confidence_threshold {
            let raised = (temperature * strength.temperature_factor).min(strength.temperature_cap);
            new_temperature = temperature.max(raised);
            new_penalty = penalty.max((penalty * 1.1).min(1.5));
            let critical = mean < strength.critical;
            let limit = if critical { strength.critical } else { confidence_threshold };
            reasons.push(format!("mean confidence {mean:.2} is below {limit:.2}"));
            let possible = step.retractions_left > 0 && (1..=step.retractable).contains(&a.minimum_back);
            retract = (critical && possible).then_some(a.minimum_back);
        } else if mean > HIGH_CONFIDENCE {
            new_temperature = temperature.min((temperature * 0.88).max(0.3));
            reasons.push(format!("mean confidence {mean:.2} is above {HIGH_CONFIDENCE:.2}"));
        }
        if a.unique_of == 10 && a.unique < 5 {
            new_penalty = new_penalty.max((new_penalty * 1.15).min(2.0));
            reasons.push(format!("{} different tokens in the last 10", a.unique));
        }
        if aggressive && temperature > 0.0 && f64::from(step.random(0)) < 0.05 {
            let burst = (f64::from(step.random(1)) * 2.0 - 1.0) * 0.15;
            new_temperature = (new_temperature + burst).clamp(0.05, 2.0);
            reasons.push("exploration burst".into());
        }

        let adjustment = Adjustment {
            temperature: changed(step.parameters.temperature, new_temperature),
            repeat_penalty: changed(step.parameters.repeat_penalty, new_penalty),
            ..Adjustment::default()
        };
        let reason = reasons.join("; ");
        Ok(match retract {
            Some(units) => Verdict::retract(units, reason).with(adjustment),
            None if adjustment.is_empty() => Verdict::proceed(),
            None => Verdict::adjust(adjustment, reason),
        })
    }
}

/// The new value, where it is another one than before.
fn changed(before: f32, after: f64) -> Option<f32> {
    Some(after as f32).filter(|after| *after != before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{assessment, assessment_of, made, step};
    use plugin_api::{Action, Parameters};

    fn judge(settings: &str, step: &Step, assessment: &Assessment) -> Verdict {
        made::<Retraction>(settings).unwrap().on_assessment(step, assessment).unwrap()
    }

    fn mean(mean_confidence: f32) -> Assessment<'static> {
        Assessment { mean_confidence, minimum_back: 3, ..assessment() }
    }

    fn at(temperature: f32, repeat_penalty: f32) -> Step {
        let parameters = Parameters { temperature, repeat_penalty, ..step().parameters };
        Step { parameters, ..step() }
    }

    fn adjusted(temperature: Option<f32>, repeat_penalty: Option<f32>) -> Adjustment {
        Adjustment { temperature, repeat_penalty, ..Adjustment::default() }
    }

    #[test]
    fn a_usual_stretch_goes_on() {
        assert_eq!(judge("{}", &step(), &mean(0.5)), Verdict::proceed());
        assert_eq!(judge("{}", &step(), &mean(0.84)), Verdict::proceed());
    }

    #[test]
    fn fewer_than_five_units_are_not_judged() {
        let weak = |units| Assessment { mean_confidence: 0.1, ..assessment_of(units) };
        assert_eq!(judge("{}", &step(), &weak(4)), Verdict::proceed());
        assert_ne!(judge("{}", &step(), &weak(5)), Verdict::proceed());
    }

    #[test]
    fn low_confidence_raises_temperature_and_penalty() {
        let verdict = judge("{}", &at(0.5, 1.0), &mean(0.42));
        assert_eq!(verdict, Verdict::adjust(adjusted(Some(0.6), Some(1.1)), "mean confidence 0.42 is below 0.50"));
    }

    #[test]
    fn the_threshold_is_a_setting() {
        assert_eq!(judge(r#"{"confidence_threshold":0.4}"#, &step(), &mean(0.42)), Verdict::proceed());
    }

    #[test]
    fn temperature_and_penalty_stop_at_their_caps_and_never_fall_back_to_them() {
        assert_eq!(judge("{}", &at(1.25, 1.45), &mean(0.4)).adjustment, adjusted(Some(1.3), Some(1.5)));
        assert_eq!(judge("{}", &at(1.9, 1.8), &mean(0.4)), Verdict::proceed());
    }

    #[test]
    fn critical_confidence_retracts_to_the_weakest_unit_and_adjusts() {
        let verdict = judge("{}", &at(0.5, 1.0), &mean(0.31));
        let expected = Verdict::retract(3, "mean confidence 0.31 is below 0.35");
        assert_eq!(verdict, expected.with(adjusted(Some(0.6), Some(1.1))));
    }

    #[test]
    fn critical_confidence_only_adjusts_when_nothing_can_be_taken_back() {
        let spent = Step { retractions_left: 0, ..at(0.5, 1.0) };
        let too_far = Step { retractable: 2, ..at(0.5, 1.0) };
        for step in [spent, too_far] {
            let verdict = judge("{}", &step, &mean(0.31));
            assert_eq!((verdict.action, verdict.adjustment), (Action::Adjust, adjusted(Some(0.6), Some(1.1))));
        }
    }

    #[test]
    fn high_confidence_lowers_the_temperature_to_its_floor() {
        let verdict = judge("{}", &at(0.5, 1.1), &mean(0.91));
        assert_eq!(verdict, Verdict::adjust(adjusted(Some(0.44), None), "mean confidence 0.91 is above 0.85"));
        assert_eq!(judge("{}", &at(0.32, 1.1), &mean(0.91)).adjustment, adjusted(Some(0.3), None));
        assert_eq!(judge("{}", &at(0.25, 1.1), &mean(0.91)), Verdict::proceed());
    }

    #[test]
    fn greedy_stays_greedy() {
        for (settings, mean_confidence) in [("{}", 0.2), ("{}", 0.95), (r#"{"aggressive":true}"#, 0.2)] {
            assert_eq!(judge(settings, &at(0.0, 1.1), &mean(mean_confidence)).adjustment.temperature, None);
        }
    }

    #[test]
    fn repetition_raises_the_penalty_on_top() {
        let circling = Assessment { unique: 4, ..mean(0.42) };
        let verdict = judge("{}", &at(0.5, 1.0), &circling);
        assert_eq!(verdict.adjustment.repeat_penalty, Some((1.1 * 1.15) as f32));
        assert_eq!(verdict.reason, "mean confidence 0.42 is below 0.50; 4 different tokens in the last 10");
        assert_eq!(judge("{}", &at(0.5, 1.9), &circling).adjustment.repeat_penalty, Some(2.0));
        let early = Assessment { unique_of: 9, ..circling };
        assert_eq!(judge("{}", &at(0.5, 1.0), &early).adjustment.repeat_penalty, Some(1.1));
    }

    #[test]
    fn aggressive_acts_earlier_and_further() {
        let verdict = judge(r#"{"aggressive":true}"#, &at(0.5, 1.0), &mean(0.44));
        assert_eq!(verdict.action, Action::Retract(3));
        assert_eq!(verdict.adjustment.temperature, Some(0.7));
    }

    #[test]
    fn bursts_come_with_five_percent_of_the_seeds_and_stay_in_bounds() {
        let mut bursts = 0;
        for seed in 0..10_000 {
            let verdict = judge(r#"{"aggressive":true}"#, &Step { seed, ..at(0.7, 1.1) }, &mean(0.7));
            if verdict != Verdict::proceed() {
                bursts += 1;
                assert_eq!(verdict.reason, "exploration burst");
                assert!((verdict.adjustment.temperature.unwrap() - 0.7).abs() <= 0.15);
            }
        }
        assert!((400..600).contains(&bursts), "{bursts} of 10000");
    }
}
