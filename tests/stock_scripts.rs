//! The stock scripts on real models: what they are for, they do, and ordinary text they leave alone.

#[path = "support/story.rs"]
mod story;

use llama_selfmod::decode::{Limits, Outcome, Request};
use llama_selfmod::events::EndReason;
use llama_selfmod::settings::{ModelSource, PolicySource, Prompt, Settings};
use llama_selfmod::Engine;
use plugin_api::Parameters;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

const GREEDY: Parameters = Parameters { temperature: 0.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 };

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies").join(name)
}

fn engine(model: &str, policies: Vec<PolicySource>) -> Engine {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(model);
    let settings = Settings { models: vec![ModelSource::new(path)], policies, threads: Some(1), ..Settings::default() };
    Engine::load(settings, &|_, _| {}).unwrap()
}

fn reply(engine: &mut Engine, prompt: &str, parameters: Parameters, seed: u64) -> Outcome {
    let request = Request {
        prompt: Prompt::Text(prompt.into()),
        parameters,
        limits: Limits { n_predict: 200, horizon: 32, max_retractions: 3 },
        seed,
        stop: Vec::new(),
        context_shift: true,
    };
    engine.decoder().reply(&request, &AtomicBool::new(false), &mut |_| {}).unwrap()
}

/// Whether the text ends in a period of 1 to 64 units that stands three times and covers 32 units.
fn ends_in_a_loop(units: &[u32]) -> bool {
    (1..=64).any(|period| {
        let length = 32.max(3 * period);
        let Some(start) = units.len().checked_sub(length) else { return false };
        (start + period..units.len()).all(|place| units[place] == units[place - period])
    })
}

#[derive(Debug, Default)]
struct Tally {
    loops: usize,
    ended_early: usize,
    retractions: usize,
    units: usize,
}

fn greedy(model: &str, policies: Vec<PolicySource>) -> Tally {
    let mut engine = engine(model, policies);
    let mut tally = Tally::default();
    for prompt in story::prompts(200) {
        let outcome = reply(&mut engine, &prompt, GREEDY, 1);
        tally.loops += usize::from(ends_in_a_loop(&outcome.units));
        tally.ended_early += usize::from(outcome.reply.reason == EndReason::Policy("repetition".into()));
        tally.retractions += outcome.reply.retractions.len();
        tally.units += outcome.units.len();
    }
    tally
}

#[test]
fn loop_escape_gets_nine_of_ten_greedy_replies_out_of_their_loops() {
    for model in ["stories-260k.gguf", "stories-280k.gguf", "stories-970k-bytes.gguf"] {
        let without = greedy(model, Vec::new());
        let with = greedy(model, vec![PolicySource::Script(script("loop-escape.rhai"))]);
        println!("{model}: without {without:?}, with {with:?}");
        assert!(without.loops > 0 && with.loops * 10 <= without.loops, "{model}: {without:?}, {with:?}");
    }
}
