//! What the tests of scripts share: a moment of a reply, two small rows, and loading.

pub use crate::support::timing::assert_within;
pub use std::path::Path;
pub use std::time::{Duration, Instant};

pub use llama_selfmod::hooks::script::ScriptHook;
pub use llama_selfmod::hooks::{Hook, Reload, Watching};
pub use plugin_api::{Action, Assessment, Parameters, Retraction, Role, Row, Rows, Step, Token, Verdict};

pub fn step() -> Step {
    let parameters = Parameters { temperature: 0.7, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 };
    Step {
        position: 20,
        attempt: 0,
        retractable: 12,
        retractions_left: 3,
        members: 2,
        seed: 7,
        parameters,
        base: parameters,
    }
}

/// A full window whose mean confidence is `mean` and whose last ten units are all different.
pub fn assessment(mean: f32) -> Assessment<'static> {
    Assessment {
        unit: 11,
        confidence: mean,
        mean_confidence: mean,
        slope: 0.0,
        minimum: mean,
        minimum_back: 2,
        entropy: 1.0,
        agreement: 0.9,
        leader: 0,
        unique: 10,
        unique_of: 10,
        repeated: 0,
        period: 0,
        confidences: &[0.5; 12],
        units: &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11],
    }
}

pub fn assess(hook: &mut ScriptHook, mean: f32) -> Verdict {
    hook.on_assessment(&step(), &assessment(mean)).unwrap()
}

/// Two members, four units: the first believes in unit 0, the second in unit 1; unit 3 cannot come.
pub fn with_rows<T>(call: impl FnOnce(&Rows, &mut [f32]) -> T) -> T {
    let probabilities: [[f32; 4]; 2] = [[0.8, 0.1, 0.1, 0.0], [0.2, 0.6, 0.2, 0.0]];
    let logits = probabilities.map(|row| row.map(f32::ln));
    let rows: [Row; 2] = std::array::from_fn(|member| Row {
        name: ["one", "two"][member],
        weight: 0.5,
        logits: &logits[member],
        probabilities: &probabilities[member],
        log_sum_exp: 0.0,
        entropy: 0.5 + member as f32,
        top_unit: member as u32,
        top_probability: probabilities[member][member],
        evidence: -2.0,
    });
    let mut fused: [f32; 4] =
        std::array::from_fn(|unit| ((probabilities[0][unit] + probabilities[1][unit]) / 2.0).ln());
    call(&Rows::new(&rows), &mut fused)
}

pub fn load(source: &str) -> ScriptHook {
    ScriptHook::from_source("test", source, "{}").unwrap_or_else(|error| panic!("{error}"))
}

pub fn refusal(source: &str) -> String {
    ScriptHook::from_source("test", source, "{}").err().expect("the script should be refused").to_string()
}

/// What running the body of a helper function at every assessment is refused with.
pub fn refusal_of(body: &str) -> String {
    refusal(&format!("fn on_assessment(step, a) {{ {body} }}"))
}
