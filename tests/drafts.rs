//! Reading ahead changes how fast a text comes and nothing else.

use crate::support::gguf::TensorType;
use crate::support::rules::{Notes, rule};
use crate::support::scripted::{self, PIECES, Policy, Scripted};
use crate::support::sessions::{Part, Told, alone, assert_same, at_once, quantised, requantised, request};
use llama_selfmod::Engine;
use llama_selfmod::decode::{Limits, Request};
use llama_selfmod::hooks::chain::Chain;
use llama_selfmod::settings::{DraftBy, Drafting, ModelSource, PolicySource, Settings};
use plugin_api::Verdict;
use proptest::prelude::*;
use std::path::Path;

const REPLIES: usize = 200;

const FUSIONS: [&str; 5] = ["confidence", "average", "voting", "blend", "contrast"];
const TEMPERATURES: [f32; 3] = [0.0, 0.7, 1.0];
const PROMPTS: [&str; 4] = ["Once upon a time there was a cat", "Lily and Tom", "One day, a little dog", "The sun"];
const STOPS: [&str; 4] = ["the end", " and", "He said", "\n\n"];
const DRAFTERS: [DraftBy; 5] = [DraftBy::Member(0), DraftBy::Member(1), DraftBy::Ngram, DraftBy::Auto, DraftBy::Model];
const LENGTHS: [Option<usize>; 8] = [None, Some(1), Some(2), Some(3), Some(4), Some(5), Some(6), Some(7)];

/// A script that does all that a hook can ask for, by the position alone.
const SCRIPT: &str = r#"
fn on_token(step, token) {
    if step.position % 19 == 4 && step.attempt < 2 { return resample("another one"); }
    if step.position % 23 == 11 { return force(300 + step.position % 100, "as it is"); }
}
fn on_assessment(step, assessment) {
    if step.position % 17 == 13 && step.attempt == 0 { return retract(1 + step.position % 5, "now and then"); }
}
"#;

/// Engines over the same members, of which some read ahead.
struct Engines {
    /// With a long context and a short one: without drafts, then on one thread and on two with a model that may draft.
    by_context: Vec<[Engine; 3]>,
}

const SHORT: u32 = 96;

impl Engines {
    fn load(folder: &Path) -> Self {
        let script = folder.join("script.rhai");
        std::fs::write(&script, SCRIPT).unwrap();
        let models: Vec<_> = quantised(folder).into_iter().map(ModelSource::new).collect();
        let third = ModelSource::new(requantised(folder, "260k", TensorType::Q4_0));
        let engine = |ctx_size, threads, draft_model: Option<&ModelSource>| {
            let settings = Settings {
                models: models.clone(),
                ctx_size,
                threads: Some(threads),
                confidence_threshold: 0.8,
                aggressive: true,
                policies: vec![
                    PolicySource::Named("retraction".into()),
                    PolicySource::Script { path: script.clone(), knobs: Vec::new() },
                ],
                draft_model: draft_model.cloned(),
                texts: 4,
                ..Settings::default()
            };
            Engine::load(settings, &|_, _| {}).unwrap()
        };
        let all =
            |context| [engine(context, 1, None), engine(context, 1, Some(&third)), engine(context, 2, Some(&third))];
        Self { by_context: [512, SHORT].map(all).into() }
    }
}

/// One of the replies; numbers that have no common divisor bring all combinations.
fn planned(number: usize) -> (usize, Request) {
    let is_short = number % 7 == 3;
    let prompt = PROMPTS[number % PROMPTS.len()];
    let request = request(prompt, number as u64, TEMPERATURES[number % TEMPERATURES.len()]);
    let stop = if number % 6 == 1 { vec![STOPS[number / 6 % STOPS.len()].to_string()] } else { Vec::new() };
    let limits = Limits { n_predict: if is_short { 160 } else { 64 }, ..request.limits };
    (usize::from(is_short), Request { stop, limits, context_shift: is_short, ..request })
}

fn hooks(engine: &mut Engine, number: usize) -> Chain {
    let mut chain = engine.decoder().chain.another();
    assert!(chain.set_fusion(FUSIONS[number % FUSIONS.len()]));
    chain.set_running("retraction", number % 4 >= 2);
    chain.set_running("script", number % 2 == 1);
    chain
}

/// Of a reply, the ways of reading ahead that it is tried with.
fn ways(number: usize) -> [Drafting; 2] {
    [0, 1].map(|way| Drafting {
        by: DRAFTERS[(number + 2 * way) % DRAFTERS.len()],
        length: LENGTHS[(number / DRAFTERS.len() + 3 * way) % LENGTHS.len()],
        pretend: None,
    })
}

#[test]
fn two_hundred_replies_are_the_same_whoever_drafts_and_however_far() {
    let folder = tempfile::tempdir().unwrap();
    let mut engines = Engines::load(folder.path());
    let mut expected: Vec<Told> = Vec::new();
    for number in 0..REPLIES {
        let (context, request) = planned(number);
        let engine = &mut engines.by_context[context][0];
        let chain = hooks(engine, number);
        expected.push(alone(&mut engine.decoder().scheduler, chain, &request));
    }
    let retractions: usize = expected.iter().map(|told| told.reply().retractions.len()).sum();
    let shifted = expected.iter().filter(|told| told.reply().tokens > SHORT).count();
    assert!(retractions > 100 && shifted > 10, "the test can fail: {retractions} retractions, {shifted} shifts");

    let (mut proposed, mut kept) = (0, 0);
    for (number, expected) in expected.iter().enumerate() {
        let (context, request) = planned(number);
        for (way, draft) in ways(number).into_iter().enumerate() {
            // Few on two threads, which wait for each other wherever the machine has other work.
            let threads = if (number + 12 * way) % 25 == 0 { 2 } else { 1 };
            let engine = &mut engines.by_context[context][threads];
            let chain = hooks(engine, number);
            let told = alone(&mut engine.decoder().scheduler, chain, &Request { draft, ..request.clone() });
            let what = format!("reply {number}, context {context}, {threads} threads, {draft:?}");
            assert_same(&told, expected, &what);
            proposed += told.reply().drafts.proposed;
            kept += told.reply().drafts.kept;
        }
    }
    println!("{retractions} retractions, {shifted} shifts; {kept} of {proposed} proposed units were kept");
    assert!(proposed > 5000 && kept > 1000, "{kept} of {proposed}");

    // Three at a time, each read ahead for in a way of its own.
    for number in (0..REPLIES - 3).step_by(11) {
        let (context, _) = planned(number);
        let engine = &mut engines.by_context[context][1];
        let mut parts = Vec::new();
        let of_context = (number..REPLIES).filter(|&other| planned(other).0 == context).take(3);
        let numbers: Vec<usize> = of_context.collect();
        for (place, &number) in numbers.iter().enumerate() {
            let text = engine.decoder().scheduler.ensemble.open().unwrap();
            let request = Request { draft: ways(number)[place % 2], ..planned(number).1 };
            parts.push(Part { text, chain: hooks(engine, number), request, starts: place * 5, cancelled: None });
        }
        let told = at_once(&mut engine.decoder().scheduler, parts);
        for (told, &number) in told.iter().zip(&numbers) {
            assert_same(told, &expected[number], &format!("reply {number} among {numbers:?}"));
        }
    }
}

#[test]
fn what_was_read_ahead_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut engines = Engines::load(folder.path());
    let [without, with, _] = &mut engines.by_context[0];
    let of = |engine: &mut Engine, draft: Drafting| {
        let mut chain = engine.decoder().chain.another();
        chain.set_running("retraction", false);
        chain.set_running("script", false);
        let request = Request { draft, ..request(PROMPTS[0], 1, 0.0) };
        let before = engine.decoder().scheduler.ensemble.batches();
        let drafts = alone(&mut engine.decoder().scheduler, chain, &request).reply().drafts;
        let after = engine.decoder().scheduler.ensemble.batches();
        let batches: Vec<u64> = before.iter().zip(after).map(|(before, after)| after - before).collect();
        (drafts, batches)
    };
    let fixed = |by| Drafting { by, length: Some(4), pretend: None };
    let (off, each) = of(without, fixed(DraftBy::Off));
    assert_eq!((off.proposed, off.kept), (0, 0));
    assert!(each[0] >= 80, "one batch a unit: {each:?}");
    for by in [DraftBy::Member(0), DraftBy::Member(1), DraftBy::Model] {
        let (drafts, batches) = of(with, fixed(by));
        assert!(drafts.proposed >= drafts.kept && drafts.kept > 10, "{by:?}: {drafts:?}");
        // Whoever proposes decodes unit by unit, and the others in batches.
        let fewest = *batches.iter().min().unwrap();
        assert!(fewest + 10 < each[0], "{by:?}: {batches:?} batches, {each:?} without");
    }
}

/// Writes down all that a hook can see, to the last bit.
fn watch(notes: &Notes<String>) -> Policy {
    let [logits, token, assessment, retraction] = [(); 4].map(|()| notes.clone());
    Policy::new("watch")
        .logits(move |step, rows, fused| {
            let rows: Vec<String> = rows.iter().map(|row| format!("{row:?}")).collect();
            logits.add(format!("logits {step:?} {rows:?} {fused:?}"));
            Ok(())
        })
        .token(move |step, candidate| {
            token.add(format!("token {step:?} {candidate:?}"));
            Ok(Verdict::proceed())
        })
        .assess(move |step, assessed| {
            assessment.add(format!("unit {} {step:?} {assessed:?}", step.position));
            Ok(Verdict::proceed())
        })
        .retracted(move |step, retracted| {
            retraction.add(format!("gone {} {step:?} {retracted:?}", retracted.position));
            Ok(())
        })
}

/// What a policy does where it is asked about this position for the first time.
#[derive(Debug, Clone, Copy)]
enum Meddling {
    Retract(u32),
    Resample,
    Force(u32),
}

fn meddles(plan: Vec<(u32, Meddling)>) -> Policy {
    let planned = move |position: u32| plan.iter().find(|(at, _)| *at == position).map(|&(_, what)| what);
    let of_token = planned.clone();
    Policy::new("meddles")
        .token(move |step, _| {
            Ok(match of_token(step.position) {
                Some(Meddling::Resample) if step.attempt == 0 => Verdict::resample("another"),
                Some(Meddling::Force(unit)) => Verdict::force(unit, "this one"),
                _ => Verdict::proceed(),
            })
        })
        .assess(move |step, _| {
            Ok(match planned(step.position) {
                Some(Meddling::Retract(units)) if step.attempt == 0 => Verdict::retract(units, "gone"),
                _ => Verdict::proceed(),
            })
        })
}

fn meddling() -> impl Strategy<Value = Meddling> {
    prop_oneof![(1u32..9).prop_map(Meddling::Retract), Just(Meddling::Resample), (1u32..12).prop_map(Meddling::Force),]
}

/// Logits that depend on the newest units, so that the members err about each other and the text repeats itself.
fn of_the_last(salt: u32) -> impl Fn(&[u32]) -> Vec<f32> + Send + Sync {
    move |units: &[u32]| {
        let newest = units.iter().rev().take(2).fold(salt, |sum, unit| sum * 7 + unit);
        let score = |unit: usize| ((newest as usize * 5 + unit * (3 + salt as usize % 2)) % 11) as f32 / 3.0;
        (0..PIECES.len()).map(|unit| if unit == 0 { f32::NEG_INFINITY } else { score(unit) }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]
    /// [`rule`] writes each reply alone and eight at once, without drafts and with them, and compares the notes.
    #[test]
    fn hooks_see_each_position_once_and_in_order_and_the_same_rows(
        seed in 0u64..1000,
        temperature in prop_oneof![Just(0.0f32), Just(1.0f32)],
        plan in proptest::collection::vec((1u32..40, meddling()), 0..6),
    ) {
        let mut request = scripted::request();
        request.seed = seed;
        request.parameters.temperature = temperature;
        request.limits = Limits { n_predict: 40, horizon: 8, max_retractions: 4 };
        let members = || vec![Scripted::new("one", of_the_last(0)), Scripted::new("other", of_the_last(1))];
        let ran = rule(members, |notes| vec![meddles(plan.clone()), watch(notes)], &request);
        let mut len = 0;
        for note in &ran.notes {
            let number = note.split(' ').nth(1).and_then(|number| number.parse::<u32>().ok());
            if note.starts_with("unit ") {
                len += 1;
                prop_assert_eq!(number, Some(len));
            } else if note.starts_with("gone ") {
                len = number.unwrap();
            }
        }
        prop_assert_eq!(len, ran.reply.tokens);
    }
}
