//! What the first member knows beyond the others: `(1 + β) l_0(v) − β l_1(v)` where `p_0(v) ≥ α · max p_0`, and −∞ elsewhere.
//! `l_0` are the log-probabilities of the first member, `l_1` those of the weighted mean of all others.
//!
//! With a large and a small model it is contrastive decoding (Li et al. 2022, arXiv 2210.15097; in this form O'Brien and
//! Lewis 2023, arXiv 2309.09117). With one model under two prompts it is classifier-free guidance of strength γ = 1 + β
//! (Sanchez et al. 2023, arXiv 2306.17806), or, where the second does not see a document that the first sees,
//! context-aware decoding (Shi et al. 2023, arXiv 2305.14739).

use plugin_api::{Plugin, Role, Rows, Step};
use schemars::JsonSchema;
use serde::Deserialize;

/// The lowest log-probability that counts in `l_1`, 2·10⁻⁹. What the others find impossible would have an infinite score
/// otherwise, and what they find nearly impossible a score that nothing could match.
const FLOOR: f32 = -20.0;

/// The first member against the others.
pub struct Contrast {
    settings: Settings,
    weights: Vec<f32>,
}

/// What can be set.
#[derive(Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// a token needs this share of the probability of the first member's best one; 0: none
    #[schemars(range(min = 0.0, max = 1.0))]
    alpha: f32,
    /// how much the others are taken away; 0: the first member alone
    #[schemars(range(min = 0.0, max = 100.0))]
    beta: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { alpha: 0.1, beta: 0.5 }
    }
}

impl Plugin for Contrast {
    const NAME: &'static str = "contrast";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &'static str =
        "What the first member knows beyond the others, which are taken away with `beta`.";
    const ROLE: Role = Role::Fusion;
    type Settings = Settings;

    fn create(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings, weights: Vec::new() })
    }

    fn on_logits(&mut self, _: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), String> {
        self.weights.clear();
        self.weights.extend(rows.iter().map(|row| row.weight));
        self.weights[0] = 0.0;
        // Nobody to be told apart from.
        let alone = self.weights.iter().all(|&weight| weight == 0.0);
        if alone {
            self.weights[0] = 1.0;
        }
        rows.mix(&self.weights, fused)?;
        if alone {
            return Ok(());
        }
        let Settings { alpha, beta } = self.settings;
        let first = rows.get(0);
        let plausible = first.logits[first.top_unit as usize] + alpha.ln();
        for (score, &logit) in fused.iter_mut().zip(first.logits) {
            let contrast = (1.0 + beta) * (logit - first.log_sum_exp) - beta * score.max(FLOOR);
            *score = if logit >= plausible { contrast } else { f32::NEG_INFINITY };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{Members, made};

    const IMPOSSIBLE: f32 = f32::NEG_INFINITY;

    fn contrast(settings: &str, members: &Members) -> Vec<f32> {
        members.fuse(&mut made::<Contrast>(settings).unwrap()).unwrap()
    }

    fn assert_scores(found: &[f32], expected: &[f32]) {
        let near = |(found, expected): (&f32, &f32)| found == expected || (found - expected).abs() < 1e-4;
        assert!(found.len() == expected.len() && found.iter().zip(expected).all(near), "{found:?} is not {expected:?}");
    }

    /// Log-probabilities 0.6, 0.3, 0.1 and 0.2, 0.3, 0.5.
    fn two() -> [[f32; 3]; 2] {
        [[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]].map(|row| row.map(f32::ln))
    }

    #[test]
    fn the_score_is_that_of_the_formula() {
        let [first, second] = two();
        let fused = contrast(r#"{"alpha":0,"beta":2.0}"#, &Members::new(&[&first, &second]));
        assert_scores(&fused, &[0, 1, 2].map(|unit| 3.0 * first[unit] - 2.0 * second[unit]));
        let fused = contrast("{}", &Members::new(&[&first, &second]));
        assert_scores(&fused, &[0, 1, 2].map(|unit| 1.5 * first[unit] - 0.5 * second[unit]));
    }

    #[test]
    fn what_the_first_finds_implausible_cannot_win() {
        let [first, second] = two();
        // The second unit has half of the first one's probability, the third a sixth.
        let members = Members::new(&[&first, &second]);
        let possible = |alpha: f32| {
            let fused = contrast(&format!(r#"{{"alpha":{alpha}}}"#), &members);
            fused.iter().filter(|score| score.is_finite()).count()
        };
        assert_eq!([0.0, 0.1, 0.2, 0.49, 0.51, 1.0].map(possible), [3, 3, 2, 2, 1, 1]);
        // Logits are no log-probabilities: what is added to all of them changes nothing.
        let shifted = first.map(|score| score + 30.0);
        let fused = contrast(r#"{"alpha":0.2}"#, &Members::new(&[&shifted, &second]));
        assert_scores(&fused, &contrast(r#"{"alpha":0.2}"#, &members));
    }

    #[test]
    fn the_others_are_one_by_their_weights() {
        let [first, second] = two();
        let third: [f32; 3] = [0.7f32, 0.2, 0.1].map(f32::ln);
        let members = Members::new(&[&first, &second, &third]).weights(&[5.0, 3.0, 1.0]);
        let mean = [0, 1, 2].map(|unit| (0.75 * second[unit].exp() + 0.25 * third[unit].exp()).ln());
        let fused = contrast(r#"{"alpha":0,"beta":1}"#, &members);
        assert_scores(&fused, &[0, 1, 2].map(|unit| 2.0 * first[unit] - mean[unit]));
        let members = members.weights(&[1.0, 0.0, 1.0]);
        let fused = contrast(r#"{"alpha":0,"beta":1}"#, &members);
        assert_scores(&fused, &[0, 1, 2].map(|unit| 2.0 * first[unit] - third[unit]));
    }

    #[test]
    fn without_others_or_without_beta_the_row_is_the_firsts() {
        let [first, second] = two();
        for members in [
            Members::new(&[&first]),
            Members::new(&[&first, &second]).weights(&[1.0, 0.0]),
            Members::new(&[&first, &first]),
        ] {
            assert_scores(&contrast(r#"{"alpha":0}"#, &members), &first);
        }
        assert_scores(&contrast(r#"{"alpha":0,"beta":0}"#, &Members::new(&[&first, &second])), &first);
    }

    #[test]
    fn what_is_impossible_in_a_row_makes_no_infinite_score() {
        let [first, _] = two();
        let fused = contrast(r#"{"beta":1}"#, &Members::new(&[&first, &[0.0, IMPOSSIBLE, IMPOSSIBLE]]));
        assert_scores(&fused, &[2.0 * first[0], 2.0 * first[1] + 20.0, 2.0 * first[2] + 20.0]);
        let fused = contrast(r#"{"alpha":0}"#, &Members::new(&[&[IMPOSSIBLE, 0.0], &[0.0, IMPOSSIBLE]]));
        assert_scores(&fused, &[IMPOSSIBLE, 10.0]);
        let fused = contrast(r#"{"alpha":0}"#, &Members::new(&[&[IMPOSSIBLE, 0.0], &[IMPOSSIBLE, 0.0]]));
        assert_scores(&fused, &[IMPOSSIBLE, 0.0]);
    }
}
