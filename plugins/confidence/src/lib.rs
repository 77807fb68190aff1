//! The default fusion: a member counts as much as it has predicted the text so far and as it is sure of the next unit.
//!
//! `w_i ∝ prior_i · exp(s · evidence_i) / (H_i + ε)`, then the linear mixture `log Σ_i w_i p_i(v)`.
//!
//! Evidence is what keeps the mixture from being worse than its best member: a member that predicts the text badly loses
//! its say within some ten units, however sure of itself it is. Certainty, of the row's entropy, shifts the weight at each
//! unit between members of equal standing, most where one is all but certain: it knows the next digit, say. Squared it would answer as
//! many problems, and gain less on stories (docs/measurements.md). Measured on 100 kB of stories, on which `s` and the decay
//! were chosen too: change of the bits per byte against the best member of a pair, in windows of 255 units, each from
//! nothing, with certainty to the power of ½:
//!
//! | members | best member | this fusion |
//! |---|---|---|
//! | stories-260k, stories-280k | 1.3929 | −2.4 % |
//! | stories-260k, itself with 10 % noise on its weights | 1.3929 | +0.2 % |
//! | stories-260k with 10 % noise, twice | 1.592 | −4.5 % |
//! | stories-260k, random weights | 1.3929 | −0.3 %; from the 16th unit on −0.02 % |
//!
//! `s` = 1 and no forgetting would be Bayes' rule, which soon gives one member everything; smaller values keep the
//! members' errors averaging out. Certainty without evidence makes the first pair worse than its better member, 1.4119.

use plugin_api::{Plugin, Role, Rows, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// Keeps the certainty of a row without any doubt finite; in nats.
const ENTROPY_FLOOR: f32 = 0.1;

/// Weights from evidence and certainty.
pub struct Confidence {
    settings: Settings,
    weights: Vec<f32>,
}

/// What can be set.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// how much the text so far decides; 0: not at all
    #[schemars(range(min = 0.0, max = 100.0))]
    evidence_scale: f32,
    /// how much certainty about the next unit decides; 0: not at all
    #[schemars(range(min = 0.0, max = 100.0))]
    certainty_power: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { evidence_scale: 0.2, certainty_power: 1.0 }
    }
}

impl Plugin for Confidence {
    const NAME: &'static str = "confidence";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &'static str = "Members count as much as they predicted the text so far and are sure now.";
    const ROLE: Role = Role::Fusion;
    type Settings = Settings;

    fn create(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings, weights: Vec::new() })
    }

    fn on_logits(&mut self, _: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), String> {
        // The best evidence among members that count; relative to it no exponential overflows and one of them is 1.
        let members = || rows.iter().filter(|row| row.weight > 0.0 && row.evidence.is_finite());
        let best = members().map(|row| row.evidence).fold(f32::NEG_INFINITY, f32::max);
        self.weights.clear();
        self.weights.extend(rows.iter().map(|row| {
            // Text that every member held impossible speaks against none of them.
            let behind = if best.is_finite() { row.evidence - best } else { 0.0 };
            let certainty = (row.entropy + ENTROPY_FLOOR).powf(-self.settings.certainty_power);
            row.weight * (self.settings.evidence_scale * behind).exp() * certainty
        }));
        rows.mix(&self.weights, fused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{Members, made};

    const SURE: &[f32] = &[6.0, 0.0, 0.0, 0.0];
    const UNSURE: &[f32] = &[0.0, 0.4, 0.2, 0.0];

    /// The share of the first of two members, read off the fused row.
    fn share(settings: &str, members: &Members) -> f32 {
        let fused = members.fuse(&mut made::<Confidence>(settings).unwrap()).unwrap();
        let (rows, unit) = (members.rows(), 0);
        let (p, q) = (rows.get(0).probabilities[unit], rows.get(1).probabilities[unit]);
        (fused[unit].exp() - q) / (p - q)
    }

    #[test]
    fn evidence_decides_between_equally_sure_members() {
        let members = Members::new(&[&[3.0, 0.0, 0.0], &[0.0, 3.0, 0.0]]).evidence(&[-20.0, -30.0]);
        assert!((share("{}", &members) - 1.0 / (1.0 + (-2.0f32).exp())).abs() < 1e-5);
    }

    #[test]
    fn a_sure_member_that_predicted_badly_has_no_say() {
        let members = Members::new(&[SURE, UNSURE]).evidence(&[-200.0, -40.0]);
        assert!(share("{}", &members) < 1e-6);
    }

    #[test]
    fn certainty_decides_between_members_of_equal_standing() {
        let members = Members::new(&[SURE, UNSURE]);
        assert!(share("{}", &members) > 0.6);
        assert!((share(r#"{"certainty_power":0}"#, &members) - 0.5).abs() < 1e-5);
    }

    #[test]
    fn the_weights_of_the_user_count() {
        let members = Members::new(&[&[3.0, 0.0, 0.0], &[0.0, 3.0, 0.0]]).weights(&[0.9, 0.1]);
        assert!((share("{}", &members) - 0.9).abs() < 1e-5);
    }

    #[test]
    fn two_copies_and_one_member_are_that_member() {
        for members in [Members::new(&[UNSURE, UNSURE]).evidence(&[-5.0, -5.0]), Members::new(&[UNSURE])] {
            let fused = members.fuse(&mut made::<Confidence>("{}").unwrap()).unwrap();
            for (score, probability) in fused.iter().zip(members.rows().get(0).probabilities) {
                assert!((score.exp() - probability).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn evidence_out_of_all_bounds_leaves_a_finite_row() {
        let impossible = f32::NEG_INFINITY;
        for evidence in [[-1e30, -2e30], [impossible, -3.0], [impossible, impossible]] {
            let members = Members::new(&[SURE, UNSURE]).evidence(&evidence);
            let fused = members.fuse(&mut made::<Confidence>("{}").unwrap()).unwrap();
            assert!(fused.iter().all(|score| score.is_finite()), "{evidence:?} gives {fused:?}");
        }
    }
}
