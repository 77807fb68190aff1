//! A fusion: it makes one distribution of all members' distributions, at every token.

use plugin_api::{Plugin, Role, Rows, Step, export_plugin};

/// What the user can set, with `--plugin FILE:sharpness=4`. Another key or type is refused, and the
/// message shows what stands here, comments included.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    // The range is checked before a fusion is made.
    #[schemars(range(min = 0.0, max = 100.0))]
    /// How much more a member counts when it is surer: 0 is the plain mean, 5 nearly the surest alone.
    sharpness: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { sharpness: 2.0 }
    }
}

/// What lives as long as the session: settings, and buffers that need not be made at every token.
struct Fusion {
    settings: Settings,
    weights: Vec<f32>,
}

impl Plugin for Fusion {
    const NAME: &'static str = "my_plugin";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &'static str = "Weighs each member by how sure it is of the next token.";
    const ROLE: Role = Role::Fusion;
    type Settings = Settings;

    /// An error is a sentence for the user, and the program does not start.
    fn create(settings: Settings) -> Result<Self, String> {
        let weights = Vec::new();
        Ok(Self { settings, weights })
    }

    /// Writes the fused row: log-probabilities, or scores that differ from them by a constant; minus
    /// infinity masks a token. Each row has `logits` and `probabilities`, and what the program
    /// worked out already: `entropy` (0 is certain), `top_unit`, `top_probability`, `evidence` (how
    /// well the member predicted the text so far), `weight` (of `--weights`), `name`.
    fn on_logits(&mut self, _: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), String> {
        // The smallest entropy as the reference: then one weight is that of `--weights`, not 0.
        let entropies = rows.iter().map(|row| row.entropy);
        let surest = entropies.fold(f32::INFINITY, f32::min);
        self.weights.clear();
        for row in rows.iter() {
            let factor = (self.settings.sharpness * (surest - row.entropy)).exp();
            self.weights.push(row.weight * factor);
        }
        // Without a member of any weight the plain mean stands, which is in `fused` already.
        if self.weights.iter().sum::<f32>() > 0.0 {
            // The program's own vectorised arithmetic; the weights need not sum to 1.
            rows.mix(&self.weights, fused)?;
        }
        Ok(())
    }

    // Further hooks, if you want them: `on_token` judges a candidate before it is decoded,
    // `on_assessment` the text so far, `on_retract` hears that text was taken back; `save` and
    // `restore` hand state over when the library is built anew while a reply is being written.
}

export_plugin!(Fusion);

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::testing::Members;

    #[test]
    fn the_surer_member_counts_more() {
        let members = Members::new(&[&[6.0, 0.0, 0.0], &[0.0, 0.1, 0.0]]);
        let mut fusion = Fusion::create(Settings::default()).unwrap();
        let fused = members.fuse(&mut fusion).unwrap();
        assert!(fused[0] > members.mean()[0]);
    }
}
