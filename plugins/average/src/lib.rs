//! The linear mixture with the weights the user set, equal ones by default: `log Σ_i w_i p_i(v)`.

use plugin_api::{NoSettings, Plugin, Role, Rows, Step};

/// Every member counts as much as its weight says, at every step.
pub struct Average {
    weights: Vec<f32>,
}

impl Plugin for Average {
    const NAME: &'static str = "average";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &'static str = "Mean of the members' probabilities, with the weights of `--weights`.";
    const ROLE: Role = Role::Fusion;
    type Settings = NoSettings;

    fn create(_: NoSettings) -> Result<Self, String> {
        Ok(Self { weights: Vec::new() })
    }

    fn on_logits(&mut self, _: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), String> {
        self.weights.clear();
        self.weights.extend(rows.iter().map(|row| row.weight));
        rows.mix(&self.weights, fused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::{Members, made};

    const ROWS: [&[f32]; 2] = [&[2.0, 0.0, -1.0], &[0.0, 3.0, 0.5]];

    #[test]
    fn equal_weights_give_the_mean_probability() {
        let members = Members::new(&ROWS);
        let fused = members.fuse(&mut made::<Average>("{}").unwrap()).unwrap();
        let rows = members.rows();
        for (unit, score) in fused.iter().enumerate() {
            let mean = (rows.get(0).probabilities[unit] + rows.get(1).probabilities[unit]) / 2.0;
            assert!((score.exp() - mean).abs() < 1e-6);
        }
    }

    #[test]
    fn a_weight_of_one_reproduces_that_member() {
        let members = Members::new(&ROWS).weights(&[0.0, 1.0]);
        let fused = members.fuse(&mut made::<Average>("{}").unwrap()).unwrap();
        for (score, probability) in fused.iter().zip(members.rows().get(1).probabilities) {
            assert!((score.exp() - probability).abs() < 1e-6);
        }
    }
}
