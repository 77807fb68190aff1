//! Members of different vocabularies, on real models: the checks that decide whether fusing in bytes is right.

use crate::support::story;

use llama_selfmod::Engine;
use llama_selfmod::decode::{Limits, Request};
use llama_selfmod::events::{EndReason, Event};
use llama_selfmod::member::MemberRow;
use llama_selfmod::reply::Reply;
use llama_selfmod::settings::{Align, Heads, ModelSource, PolicySource, Prompt, Settings};
use plugin_api::{Parameters, Step};
use std::path::Path;
use std::sync::Arc;

const GREEDY: Parameters = Parameters { temperature: 0.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 };

fn settings(models: &[&str]) -> Settings {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models");
    let models = models.iter().map(|name| ModelSource::new(folder.join(format!("stories-{name}.gguf")))).collect();
    Settings { models, policies: Vec::new(), threads: Some(1), parameters: GREEDY, ..Settings::default() }
}

fn load(settings: Settings) -> Engine {
    Engine::load(settings, &|_, _| {}).unwrap()
}

/// A greedy continuation of this many units at most.
fn text(engine: &mut Engine, prompt: &str, units: u32) -> String {
    let request = Request {
        prompt: Prompt::Text(prompt.into()),
        parameters: GREEDY,
        limits: Limits { n_predict: units, horizon: 32, max_retractions: 0 },
        seed: 1,
        stop: Vec::new(),
        context_shift: false,
        draft: Default::default(),
        shape: Default::default(),
    };
    engine.decoder().reply(&request, &Arc::default(), &mut |_| {}).unwrap().reply.text
}

fn step(members: u32) -> Step {
    Step { members, ..plugin_api::testing::step() }
}

/// Probabilities by the bytes that they stand for, the end of the text as nothing.
fn by_bytes(engine: &mut Engine, row: &MemberRow) -> std::collections::BTreeMap<Vec<u8>, f64> {
    let vocabulary = engine.decoder().scheduler.ensemble.shared_vocabulary();
    let mut sums = std::collections::BTreeMap::new();
    for (unit, &probability) in (0..).zip(&row.probabilities) {
        *sums.entry(vocabulary.bytes(unit).to_vec()).or_insert(0.0) += f64::from(probability);
    }
    sums
}

#[test]
fn one_member_alone_gives_its_own_greedy_text_on_fifty_prompts() {
    for model in ["260k", "280k", "970k-bytes"] {
        let mut direct = load(settings(&[model]));
        let mut units = load(Settings { align: Align::Always, ..settings(&[model]) });
        for prompt in story::prompts(50) {
            assert_eq!(text(&mut units, &prompt, 60), text(&mut direct, &prompt, 60), "{model} after {prompt:?}");
        }
    }
}

#[test]
fn with_the_same_vocabulary_bytes_and_tokens_have_the_same_distribution() {
    let mut direct = load(settings(&["260k", "280k"]));
    let all = Settings { align: Align::Always, heads: Heads::All, ..settings(&["260k", "280k"]) };
    let mut bytes = load(all);
    for prompt in story::prompts(10) {
        let prompt = Prompt::Text(prompt);
        for engine in [&mut direct, &mut bytes] {
            engine.decoder().reading().unwrap().prime(&prompt).unwrap();
        }
        let rows = |engine: &mut Engine| -> Vec<MemberRow> {
            engine.decoder().reading().unwrap().rows().into_iter().cloned().collect()
        };
        let (tokens, first) = (rows(&mut direct), rows(&mut bytes));
        for (tokens, first) in tokens.iter().zip(&first) {
            let mut expected = vec![0.0; 257];
            for (string, probability) in by_bytes(&mut direct, tokens) {
                expected[string.first().map_or(256, |&byte| usize::from(byte))] += probability;
            }
            for (found, expected) in first.probabilities.iter().zip(expected) {
                assert!((f64::from(*found) - expected).abs() < 1e-4, "{found} for {expected}");
            }
        }
    }
}

#[test]
fn all_weight_on_one_member_reproduces_that_member() {
    let models = ["260k", "280k", "970k-bytes"];
    for heads in [Heads::Few, Heads::Usual] {
        for index in 0..models.len() {
            let mut weighted = settings(&models);
            for (other, model) in weighted.models.iter_mut().enumerate() {
                model.weight = f32::from(u8::from(other == index));
            }
            let mut engine = load(Settings { fusion_mode: "average".into(), heads, ..weighted });
            engine.decoder().reading().unwrap().prime(&Prompt::Text("Once upon a time".into())).unwrap();
            for _ in 0..60 {
                let mut reading = engine.decoder().reading().unwrap();
                let len = reading.len();
                let fused: Vec<f32> = reading.fuse(len, &step(3)).row.iter().map(|score| score.exp()).collect();
                let row = reading.rows()[index];
                assert!(!row.abstains);
                for (fused, own) in fused.iter().zip(&row.probabilities) {
                    assert!((fused - own).abs() < 1e-5, "{fused} for {own}");
                }
                let top = row.statistics.top_unit;
                if top == reading.vocabulary().end() {
                    break;
                }
                reading.extend(top).unwrap();
            }
        }
    }
}

#[test]
fn text_of_three_vocabularies_is_whole_and_the_same_again() {
    let models = ["260k", "280k", "970k-bytes"];
    for heads in [Heads::Few, Heads::Usual] {
        let run = || {
            let mut engine = load(Settings { heads, ..settings(&models) });
            let prompts = ["Once upon a time", "Zoë said: “¡Olé!” and", "日本"];
            prompts.map(|prompt| text(&mut engine, prompt, 80))
        };
        let first = run();
        assert!(first.iter().all(|text| !text.is_empty()), "{first:?}");
        assert_eq!(first, run());
    }
}

/// Bits per byte of 100 kB of stories, members first and the fusion last.
fn score(models: &[&str]) -> Vec<f64> {
    let parameters = Settings::default().parameters;
    let mut engine = load(Settings { parameters, beside: 24, ..settings(models) });
    let score = engine.score(&story::text(), &mut |_| {}).unwrap();
    score.members.iter().map(|member| member.bits_per_byte).chain([score.fused]).collect()
}

#[test]
fn two_vocabularies_predict_better_than_one_and_three_members_better_than_any_two() {
    let ensembles: [&[&str]; 4] =
        [&["260k", "280k", "970k-bytes"], &["260k", "970k-bytes"], &["280k", "970k-bytes"], &["260k", "280k"]];
    let scores: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let running: Vec<_> = ensembles.iter().map(|models| scope.spawn(|| score(models))).collect();
        running.into_iter().map(|score| score.join().unwrap()).collect()
    });
    println!("{scores:?}");
    let fused = |scores: &[f64]| scores[scores.len() - 1];
    let best = |scores: &[f64]| scores[..scores.len() - 1].iter().copied().fold(f64::INFINITY, f64::min);
    assert!(fused(&scores[1]) < best(&scores[1]), "the pair of two vocabularies: {:?}", scores[1]);
    for pair in &scores[1..] {
        assert!(fused(&scores[0]) < fused(pair), "all three {:?}, two {pair:?}", scores[0]);
    }
}

/// Draws of one seed.
fn draws(mut state: u32) -> impl FnMut(u32) -> u32 {
    move |end| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) % end
    }
}

/// On models, as `bytewise/tests.rs` on toys: any bytes, any members.
#[test]
fn extending_and_rewinding_in_any_order_leaves_the_rows_of_a_fresh_start() {
    let ensembles: [&[&str]; 3] = [&["260k", "970k-bytes"], &["970k-bytes", "280k"], &["260k", "280k", "970k-bytes"]];
    let text = story::text().into_bytes();
    for seed in 0..24 {
        let mut draw = draws(seed);
        let heads = [Heads::Few, Heads::Usual][draw(2) as usize];
        let loaded = || load(Settings { heads, ..settings(ensembles[seed as usize % ensembles.len()]) });
        let prompt = Prompt::Text("One day".into());
        let mut engine = loaded();
        let ensemble = &mut engine.decoder().reading().unwrap();
        ensemble.prime(&prompt).unwrap();
        let mut units: Vec<u32> = Vec::new();
        for _ in 0..40 {
            // Of a story, or any byte at all.
            let byte = if draw(8) > 0 { text[draw(60_000) as usize] } else { draw(256) as u8 };
            ensemble.extend(byte.into()).unwrap();
            units.push(byte.into());
            if draw(3) == 0 {
                units.truncate(units.len().saturating_sub(draw(12) as usize));
                ensemble.rewind(units.len()).unwrap();
            }
        }
        let found: Vec<MemberRow> = ensemble.rows().into_iter().cloned().collect();
        let mut fresh = loaded();
        let ensemble = &mut fresh.decoder().reading().unwrap();
        ensemble.prime(&prompt).unwrap();
        units.iter().for_each(|&unit| ensemble.extend(unit).unwrap());
        for (found, expected) in found.iter().zip(ensemble.rows()) {
            assert_eq!(found.abstains, expected.abstains, "seed {seed}");
            if !expected.abstains {
                let differences = found.probabilities.iter().zip(&expected.probabilities).map(|(a, b)| (a - b).abs());
                let most = differences.fold(0.0, f32::max);
                assert!(most < 1e-3, "seed {seed}, {heads:?}: {most}");
            }
        }
    }
}

/// A policy in a file that lives as long as the folder.
fn with_policy(folder: &Path, script: &str) -> Settings {
    let file = folder.join("policy.rhai");
    std::fs::write(&file, script).unwrap();
    let parameters = Parameters { temperature: 0.9, ..Settings::default().parameters };
    let policies = vec![PolicySource::Script { path: file, knobs: Vec::new() }];
    Settings { policies, parameters, n_predict: 40, ..settings(&["260k", "970k-bytes"]) }
}

/// Something about a place.
type At<T> = Vec<(u32, T)>;

/// What was told: pieces that stand with their places, retractions, and the reply.
fn told(engine: &mut Engine, prompt: &str) -> (At<String>, At<u32>, Reply) {
    let (mut pieces, mut retractions, mut text) = (Vec::new(), Vec::new(), String::new());
    let prompt = Prompt::Text(prompt.into());
    let mut out = |event: &Event| match event {
        Event::Token { index, text: new, .. } => {
            pieces.push((*index, new.to_string()));
            text.push_str(new);
        }
        Event::Retract { index, tokens, bytes, .. } => {
            retractions.push((*index, *tokens));
            pieces.truncate(*index as usize);
            text.truncate(text.len() - bytes);
        }
        _ => {}
    };
    let reply = engine.reply(&prompt, &Arc::default(), &mut out).unwrap();
    assert_eq!(text, reply.text, "what was told is the text");
    (pieces, retractions, reply)
}

#[test]
fn people_and_policies_count_pieces_of_about_a_token() {
    let folder = tempfile::tempdir().unwrap();
    // Of a piece the policy sees what stands: the window has one entry for each.
    let script = r#"
        fn on_token(step, token) { if token.bytes.len > 32 { stop("too long") } }
        fn on_assessment(step, a) { if a.units.len != min(step.position, 256) { stop("other pieces") } }
    "#;
    let mut engine = load(with_policy(folder.path(), script));
    for prompt in story::prompts(10) {
        let (pieces, _, reply) = told(&mut engine, &prompt);
        assert_eq!(reply.tokens, 40, "{reply:?}");
        assert!(pieces.iter().enumerate().all(|(place, (index, _))| place == *index as usize));
        let bytes = reply.text.len() as f64 / 40.0;
        assert!((1.5..6.0).contains(&bytes), "{bytes} bytes a piece in {:?}", reply.text);
    }
}

#[test]
fn a_piece_that_is_refused_or_banned_does_not_stand_and_one_that_is_forced_does() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        fn on_token(step, token) {
            if token.text == " the" || token.text == " a" { return resample("an article"); }
            if step.position == 7 && token.unit != 33 { return force(33, "an exclamation mark"); }
        }
    "#;
    let mut engine = load(with_policy(folder.path(), script));
    for prompt in story::prompts(10) {
        let (pieces, _, reply) = told(&mut engine, &prompt);
        assert!(reply.tokens == 40 || reply.reason == EndReason::End, "{reply:?}");
        assert!(pieces.iter().all(|(_, text)| text != " the" && text != " a"), "{pieces:?}");
        assert_eq!(pieces[7].1, "!", "{pieces:?}");
    }
}

#[test]
fn pieces_are_taken_back_and_written_otherwise() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
        fn init(cfg) { this.done = false; this.gone = -1; }
        fn reset() { this.done = false; this.gone = -1; }
        fn on_token(step, token) {
            // What was taken back first may not stand in its place again.
            if this.done && step.position == 9 && token.unit == this.gone { stop("it stands again"); }
        }
        fn on_assessment(step, a) {
            if step.position == 12 && !this.done { this.done = true; this.gone = a.units[-3]; retract(3, "once") }
        }
        fn on_retract(step, r) { this.done = r.units == 3 && r.position == 9; }
    "#;
    let mut engine = load(with_policy(folder.path(), script));
    for prompt in story::prompts(10) {
        let (pieces, retractions, reply) = told(&mut engine, &prompt);
        assert_eq!(retractions, [(9, 3)], "{reply:?}");
        assert_eq!((pieces.len(), reply.tokens), (40, 40), "{reply:?}");
    }
}

#[test]
fn a_policy_can_force_the_end_of_the_text() {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"fn on_token(step, token) { if step.position == 5 { return force(256, "enough"); } }"#;
    let (pieces, _, reply) = told(&mut load(with_policy(folder.path(), script)), "Once upon a time");
    assert_eq!((pieces.len(), reply.tokens, reply.reason), (5, 5, EndReason::End));
}
