//! A policy: it watches the text that is being written, changes the sampling, or takes text back.

use plugin_api::{Adjustment, Assessment, Plugin, Role, Step, Verdict, export_plugin};

/// What the user can set, with `--plugin FILE:unlikely=0.05`. Another key or type is refused, and the
/// message shows what stands here, comments included.
#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Settings {
    // The range is checked before a policy is made.
    #[schemars(range(min = 0.0, max = 1.0))]
    /// A token whose probability is below this is taken back.
    unlikely: f32,
}

impl Default for Settings {
    fn default() -> Self {
        Self { unlikely: 0.02 }
    }
}

/// What lives as long as the session. A reply begins with `step.position` 0 in `on_logits` and
/// `on_token`: what belongs to the last reply has to go there, if there is anything.
struct Policy {
    settings: Settings,
}

impl Plugin for Policy {
    const NAME: &'static str = "my_plugin";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const DESCRIPTION: &'static str = "Takes very unlikely tokens back, and keeps calm.";
    const ROLE: Role = Role::Policy;
    type Settings = Settings;

    /// An error is a sentence for the user, and the program does not start.
    fn create(settings: Settings) -> Result<Self, String> {
        Ok(Self { settings })
    }

    /// Called after every token. `step` says where the reply stands and which parameters are in force,
    /// `a` how sure the members were of this token and of the last ones.
    fn on_assessment(&mut self, step: &Step, a: &Assessment) -> Result<Verdict, String> {
        if a.confidence < self.settings.unlikely && step.retractable > 0 {
            // What was taken back is banned at its place, so the next try goes another way.
            return Ok(Verdict::retract(1, "an unlikely token"));
        }
        if a.mean_confidence < 0.5 && step.parameters.temperature > 0.4 {
            // Goes back to the user's value by itself, by half in 16 tokens.
            let calm = Adjustment {
                temperature: Some(0.4),
                ..Adjustment::default()
            };
            return Ok(Verdict::adjust(calm, "unsure"));
        }
        Ok(Verdict::proceed())
    }

    // Further hooks, if you want them: `on_token` judges a candidate before it is decoded (`resample`
    // and `force` belong there), `on_retract` hears that text was taken back, `on_logits` may edit the
    // fused row; `save` and `restore` hand state over when the library is built anew while a reply is
    // being written.
}

export_plugin!(Policy);

#[cfg(test)]
mod tests {
    use super::*;
    use plugin_api::Action;
    use plugin_api::testing::{assessment, step};

    #[test]
    fn an_unlikely_token_is_taken_back() {
        let mut policy = Policy::create(Settings::default()).unwrap();
        let mut unlikely = assessment();
        unlikely.confidence = 0.01;
        let verdict = policy.on_assessment(&step(), &unlikely).unwrap();
        assert_eq!(verdict.action, Action::Retract(1));
    }
}
