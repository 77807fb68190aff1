//! The stock scripts on real models: what they are for, they do, and ordinary text they leave alone.

use crate::support::story;

use llama_selfmod::decode::window::{UnitRecord, Window};
use llama_selfmod::decode::{Limits, Outcome, Request};
use llama_selfmod::events::{EndReason, Event};
use llama_selfmod::hooks::script::ScriptHook;
use llama_selfmod::hooks::{Hook, Watching};
use llama_selfmod::replay::replay;
use llama_selfmod::settings::{ModelSource, PolicySource, Prompt, Settings};
use llama_selfmod::{Engine, trace};
use plugin_api::testing::step;
use plugin_api::{Action, Parameters, Step};
use std::path::{Path, PathBuf};
use std::sync::Arc;

const GREEDY: Parameters = Parameters { temperature: 0.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 };

fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies").join(name)
}

fn engine(model: &str, policies: Vec<PolicySource>) -> Engine {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models").join(model);
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
        draft: Default::default(),
        shape: Default::default(),
    };
    for _ in 0..5 {
        let mut is_delayed = false;
        let mut observer = |event: &Event| {
            // A call that fails lets something through. One that took too long did so because another program had the
            // processor; the same seed gives the same reply again.
            if let Event::Notice { text } = event {
                assert!(text.contains("the limit is 250 ms") || text.contains("longer than 10 ms"), "{text}");
                is_delayed = true;
            }
        };
        let outcome = engine.decoder().reply(&request, &Arc::default(), &mut observer).unwrap();
        if !is_delayed {
            return outcome;
        }
    }
    panic!("in each of five replies a call took too long");
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

/// A test for each model, so that they run side by side.
fn loop_escape_gets_nine_of_ten_out_of_their_loops(model: &str) {
    let without = greedy(model, Vec::new());
    let with = greedy(model, vec![loop_escape()]);
    println!("{model}: without {without:?}, with {with:?}");
    assert!(without.loops > 0 && with.loops * 10 <= without.loops, "{model}: {without:?}, {with:?}");
}

#[test]
fn loop_escape_gets_nine_of_ten_greedy_replies_of_the_first_model_out_of_their_loops() {
    loop_escape_gets_nine_of_ten_out_of_their_loops("stories-260k.gguf");
}

#[test]
fn loop_escape_gets_nine_of_ten_greedy_replies_of_the_second_model_out_of_their_loops() {
    loop_escape_gets_nine_of_ten_out_of_their_loops("stories-280k.gguf");
}

#[test]
fn loop_escape_gets_nine_of_ten_greedy_replies_of_the_model_of_bytes_out_of_their_loops() {
    loop_escape_gets_nine_of_ten_out_of_their_loops("stories-970k-bytes.gguf");
}

/// The stock guard with other phrases: those that these models use most.
fn guard(folder: &Path) -> PathBuf {
    let text = std::fs::read_to_string(script("phrase-guard.rhai")).unwrap();
    let (before, rest) = text.split_once("const PHRASES = phrases([").unwrap();
    let (_, rest) = rest.split_once("]);").unwrap();
    let (middle, rest) = rest.split_once("const PATTERNS = regexes([").unwrap();
    let (_, after) = rest.split_once("]);").unwrap();
    let listed: Vec<String> = FORBIDDEN.iter().map(|phrase| format!("{phrase:?}")).collect();
    let text = format!(
        "{before}const PHRASES = phrases([{}]);{middle}const PATTERNS = regexes([`{PATTERN}`]);{after}",
        listed.join(", ")
    );
    let path = folder.join("phrase-guard.rhai");
    std::fs::write(&path, text).unwrap();
    path
}

const FORBIDDEN: [&str; 10] = [
    "very happy",
    "they were",
    "her mom",
    "wanted to",
    "once upon a time",
    "little girl",
    "said",
    "the park",
    "happily ever after",
    "a big",
];
const PATTERN: &str = r"\bplay\w*";

fn forbidden_in(text: &str) -> Vec<String> {
    let pattern = format!(r"(?i)\b(?:{})\b|{PATTERN}", FORBIDDEN.join("|"));
    regex::Regex::new(&pattern).unwrap().find_iter(text).map(|found| found.as_str().to_string()).collect()
}

#[test]
fn phrase_guard_keeps_every_phrase_out_of_two_hundred_replies_and_ends_none() {
    let folder = tempfile::tempdir().unwrap();
    let guard = guard(folder.path());
    let usual = Parameters { temperature: 0.7, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 };
    for (model, replies) in [("stories-260k.gguf", 100), ("stories-280k.gguf", 50), ("stories-970k-bytes.gguf", 50)] {
        let mut free = engine(model, Vec::new());
        let mut guarded = engine(model, vec![PolicySource::Script { path: guard.clone(), knobs: Vec::new() }]);
        let (mut before, mut units) = (0, [0, 0]);
        for (seed, prompt) in (0..).zip(story::prompts(replies)) {
            let outcome = reply(&mut free, &prompt, usual, seed);
            before += forbidden_in(&outcome.reply.text).len();
            units[0] += outcome.units.len();
            let outcome = reply(&mut guarded, &prompt, usual, seed);
            let there = forbidden_in(&outcome.reply.text);
            assert!(there.is_empty(), "{model}, seed {seed}: {there:?} in {}", outcome.reply.text);
            assert!(!matches!(outcome.reply.reason, EndReason::Policy(_)), "{:?}", outcome.reply.reason);
            units[1] += outcome.units.len();
        }
        println!("{model}: {before} phrases in {} tokens without, none in {} with", units[0], units[1]);
        assert!(before > replies, "{model} hardly says what is forbidden: {before}");
    }
}

#[test]
fn ordinary_text_is_no_loop() {
    let folder = tempfile::tempdir().unwrap();
    let trace = folder.path().join("stories.jsonl");
    let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models/stories-260k.gguf");
    let settings = Settings {
        models: vec![ModelSource::new(model)],
        policies: Vec::new(),
        threads: Some(1),
        trace: Some(trace.clone()),
        ..Settings::default()
    };
    let score = Engine::load(settings, &|_, _| {}).unwrap().score(&story::text(), &mut |_| {}).unwrap();
    let policies = vec![loop_escape()];
    let replay = replay(&trace::read(&trace).unwrap(), &Settings { policies, ..Settings::default() }).unwrap();
    assert_eq!(replay.units as usize, score.tokens);
    assert!(score.tokens > 40_000);
    assert!(replay.moments.is_empty(), "{:?}", &replay.moments[..1]);
    assert_eq!(replay.policies[0].failures, 0);
}

/// Characters are the finest units there are: passages of the most of them.
#[test]
fn ordinary_text_is_no_loop_letter_by_letter_and_a_loop_is_one() {
    let mut hook = ScriptHook::load(&script("loop-escape.rhai"), "{}", Watching::Native).unwrap();
    let mut answers = |text: &str| {
        hook.reset().unwrap();
        let mut window = Window::new(1, 0);
        let mut count = 0;
        for byte in text.bytes() {
            window.push(UnitRecord {
                unit: byte.into(),
                confidence: 0.5,
                entropy: 1.0,
                agreement: 1.0,
                leader: 0,
                member_probabilities: &[0.5],
            });
            let step = Step { position: window.len() as u32, ..step() };
            let verdict = window.assess(|assessment| hook.on_assessment(&step, assessment)).unwrap().unwrap();
            count += usize::from(matches!(verdict.action, Action::Retract(_)));
        }
        count
    };
    assert_eq!(answers(&story::text()), 0);
    assert_eq!(answers("A dog ran. The cat sat. The cat sat. Then he left."), 0);
    assert!(answers("A dog ran. The cat sat. The cat sat. The cat sat. The") > 0);
}

fn loop_escape() -> PolicySource {
    PolicySource::Script { path: script("loop-escape.rhai"), knobs: Vec::new() }
}
