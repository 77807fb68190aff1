//! Texts that are written at once have nothing to do with each other: each is what it is alone, whatever becomes of the
//! others.

mod shared;
mod weights;

use crate::support::gguf::{Architecture, RandomModel, Vocabulary};
use crate::support::scripted::{self, Policy, Scripted};
use crate::support::sessions::{PROMPTS, Part, Told, alone, assert_same, at_once, quantised, random, request};
use llama_selfmod::Engine;
use llama_selfmod::decode::{Request, Scheduler};
use llama_selfmod::events::EndReason;
use llama_selfmod::hooks::chain::Chain;
use llama_selfmod::member::MemberError;
use llama_selfmod::settings::{DraftBy, Drafting, ModelSource, Prompt, Settings};
use plugin_api::Verdict;
use serde_json::Value;
use std::path::PathBuf;

/// Which of the texts fare badly.
const CANCELLED: usize = 2;
const PANICKING: usize = 4;
const UNREADABLE: usize = 6;

fn settings(models: &[PathBuf], texts: usize) -> Settings {
    Settings {
        models: models.iter().map(ModelSource::new).collect(),
        threads: Some(1),
        confidence_threshold: 0.8,
        aggressive: true,
        texts,
        ..Settings::default()
    }
}

fn load(settings: &Settings) -> Engine {
    Engine::load(settings.clone(), &|_, _| {}).unwrap()
}

/// The engine's hooks, and one that takes back, draws anew and forces now and then.
fn hooks(engine: &mut Engine, number: usize) -> Chain {
    let mut chain = engine.decoder().chain.another();
    let meddles = Policy::new("meddles")
        .assess(move |step, _| {
            let goes_back = step.position as usize % 13 == 5 + number % 5 && step.attempt == 0;
            Ok(if goes_back { Verdict::retract(1 + number as u32 % 4, "now and then") } else { Verdict::proceed() })
        })
        .token(move |step, _| {
            Ok(match (step.position as usize + number) % 17 {
                3 if step.attempt < 2 => Verdict::resample("another"),
                9 => Verdict::force(300 + number as u32, "as it is"),
                _ => Verdict::proceed(),
            })
        });
    chain.add(Box::new(meddles), true);
    chain
}

fn panics_at(position: u32) -> Policy {
    Policy::new("panics").assess(move |step, _| {
        assert!(step.position < position, "this was to be expected");
        Ok(Verdict::proceed())
    })
}

fn requests(temperature: f32) -> Vec<Request> {
    let of = |(number, prompt): (usize, &&str)| {
        let by = [DraftBy::Off, DraftBy::Auto, DraftBy::Member(1), DraftBy::Ngram][number % 4];
        let draft = Drafting { by, ..Drafting::default() };
        Request { draft, ..request(prompt, 40 + number as u64, temperature) }
    };
    PROMPTS.iter().enumerate().map(of).collect()
}

/// Lets no text end by itself.
fn goes_on() -> Policy {
    Policy::new("goes on")
        .token(|_, token| Ok(if token.is_end { Verdict::resample("on and on") } else { Verdict::proceed() }))
}

/// What each text is alone in an engine of its own, without drafts.
fn expected(settings: &Settings, requests: &[Request]) -> Vec<Told> {
    expected_with(settings, requests, hooks)
}

fn expected_with(settings: &Settings, requests: &[Request], hooks: fn(&mut Engine, usize) -> Chain) -> Vec<Told> {
    let write = |(number, request): (usize, &Request)| {
        let mut engine = load(&Settings { texts: 2, ..settings.clone() });
        let chain = hooks(&mut engine, number);
        let draft = Drafting { by: DraftBy::Off, ..Drafting::default() };
        alone(&mut engine.decoder().scheduler, chain, &Request { draft, ..request.clone() })
    };
    requests.iter().enumerate().map(write).collect()
}

/// Writes all at once; some come late, and three fare badly.
fn in_a_crowd(engine: &mut Engine, requests: &[Request], arrival: u64) -> Vec<Told> {
    let mut parts = Vec::new();
    for (number, request) in requests.iter().enumerate() {
        let text = engine.decoder().scheduler.ensemble.open().expect("there is a place for each");
        let (mut chain, mut request) = (hooks(engine, number), request.clone());
        match number {
            PANICKING => chain.add(Box::new(panics_at(20)), true),
            UNREADABLE => request.prompt = Prompt::Text("and on ".repeat(2000)),
            _ => {}
        }
        let cancelled = (number == CANCELLED).then_some(30);
        parts.push(Part { text, chain, request, starts: random(arrival, number) % 40, cancelled });
    }
    at_once(&mut engine.decoder().scheduler, parts)
}

/// Those that fared well are what they are alone; `is_same` says whether two are.
fn assert_apart(told: &[Told], expected: &[Told], is_same: impl Fn(&Told, &Told, usize)) {
    for (number, (told, expected)) in told.iter().zip(expected).enumerate() {
        match number {
            CANCELLED => {
                assert_eq!(told.reply().reason, EndReason::Interrupted);
                // But for the end and what was held back until then.
                assert!(told.events.len() >= 30, "{:?}", told.events);
            }
            PANICKING => {
                assert_eq!(told.reply().reason, EndReason::Failed);
                let is_notice = |event: &&Value| event["type"] == "notice";
                let notices: Vec<_> = told.events.iter().filter(is_notice).collect();
                assert!(notices.iter().any(|notice| notice.to_string().contains("expected")), "{notices:?}");
            }
            UNREADABLE => assert!(matches!(told.outcome, Err(MemberError::PromptTooLong { .. }))),
            _ => is_same(told, expected, number),
        }
    }
}

#[test]
fn of_eight_texts_each_is_what_it_is_alone_though_some_fare_badly() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&quantised(folder.path()), 9);
    let requests = requests(1.0);
    let expected = expected(&settings, &requests);
    let retractions: usize = expected.iter().map(|told| told.reply().retractions.len()).sum();
    assert!(retractions > 20, "the test can fail: {retractions}");
    // The same places again and again.
    let mut engine = load(&settings);
    for arrival in 0..6 {
        let told = in_a_crowd(&mut engine, &requests, arrival);
        assert_apart(&told, &expected, |told, expected, number| {
            assert_same(told, expected, &format!("text {number}, arrival {arrival}"));
        });
        // What those told that did not come to their end is the beginning of what they are alone.
        for number in [CANCELLED, PANICKING] {
            let same = told[number].events.iter().zip(&expected[number].events).skip(1).take_while(|(a, b)| a == b);
            assert!(same.count() >= 18, "text {number}, arrival {arrival}");
        }
    }
}

#[test]
fn a_session_that_is_dropped_gives_its_place_up_and_there_are_no_more_places_than_were_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let settings = settings(&quantised(folder.path()), 8);
    let requests = requests(1.0);
    let expected = expected(&settings, &requests);
    let mut engine = load(&settings);
    let mut texts: Vec<_> = (0..8).map(|_| engine.decoder().scheduler.ensemble.open().unwrap()).collect();
    assert!(engine.decoder().scheduler.ensemble.open().is_none(), "a ninth text");
    for ticks in [0, 1, 7, 40] {
        let (text, chain) = (texts.remove(0), hooks(&mut engine, 0));
        let scheduler = &mut engine.decoder().scheduler;
        let parts = llama_selfmod::decode::Parts { text, chain };
        let mut session = scheduler.begin(parts, requests[0].clone(), Default::default()).ok().unwrap();
        (0..ticks).for_each(|_| drop(scheduler.tick(&mut [&mut session], &mut |_, _| {})));
        drop(session);
        let number = 1 + ticks % 7;
        let chain = hooks(&mut engine, number);
        let scheduler = &mut engine.decoder().scheduler;
        let text = scheduler.ensemble.open().expect("the place of the one that was dropped");
        assert!(scheduler.ensemble.open().is_none(), "there is one alone");
        let part = Part { text, chain, request: requests[number].clone(), starts: 0, cancelled: None };
        let told = at_once(scheduler, vec![part]);
        assert_same(&told[0], &expected[number], &format!("after {ticks} ticks"));
        texts.push(scheduler.ensemble.open().unwrap());
    }
}

#[test]
fn a_text_that_llama_cpp_refuses_fails_alone() {
    let folder = tempfile::tempdir().unwrap();
    let stories = quantised(folder.path()).remove(0);
    // Token 530 is padding: one of the models has it, for the other llama.cpp reports an error.
    let paths = [544, 512].map(|length| {
        let path = folder.path().join(format!("{length}.gguf"));
        let vocabulary = Vocabulary::copied_from(&stories).padded_to(length);
        let kind = crate::support::gguf::TensorType::Q8_0;
        RandomModel { kind, ..RandomModel::tiny(Architecture::Llama, vocabulary, length as u64) }.write(&path);
        path
    });
    let settings = settings(&paths, 9);
    let requests = requests(1.0);
    let expected = expected(&settings, &requests);
    let mut engine = load(&settings);
    let mut parts = Vec::new();
    for (number, request) in requests.iter().enumerate() {
        let text = engine.decoder().scheduler.ensemble.open().unwrap();
        let mut request = request.clone();
        if number == UNREADABLE {
            request.prompt = Prompt::Tokens(vec![300, 301, 530, 302]);
        }
        // It comes while others write.
        let starts = if number == UNREADABLE { 9 } else { 0 };
        parts.push(Part { text, chain: hooks(&mut engine, number), request, starts, cancelled: None });
    }
    let told = at_once(&mut engine.decoder().scheduler, parts);
    for (number, (told, expected)) in told.iter().zip(&expected).enumerate() {
        match (number, &told.outcome) {
            (UNREADABLE, Err(MemberError::Decode { member, .. })) => assert_eq!(member, "512"),
            (UNREADABLE, other) => panic!("{other:?}"),
            _ => assert_same(told, expected, &format!("text {number}")),
        }
    }
}

#[test]
fn texts_that_outgrow_their_context_while_others_write_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    // Half of it is more than one batch of several texts takes: it is read while the others write on.
    let settings = Settings { ctx_size: 400, ..settings(&quantised(folder.path()), 5) };
    let hooks = |engine: &mut Engine, number| {
        let mut chain = hooks(engine, number);
        chain.add(Box::new(goes_on()), true);
        chain
    };
    let mut all = requests(0.9)[..3].to_vec();
    for request in &mut all {
        (request.context_shift, request.limits.n_predict) = (true, 460);
    }
    let expected = expected_with(&settings, &all, hooks);
    assert!(expected.iter().all(|told| told.reply().tokens > 400), "the test can fail");
    for (by, length) in [(DraftBy::Off, None), (DraftBy::Member(1), Some(4)), (DraftBy::Ngram, Some(5))] {
        let mut engine = load(&settings);
        let mut parts = Vec::new();
        for (number, request) in all.iter().enumerate() {
            let text = engine.decoder().scheduler.ensemble.open().unwrap();
            let request = Request { draft: Drafting { by, length, pretend: None }, ..request.clone() };
            parts.push(Part { text, chain: hooks(&mut engine, number), request, starts: number * 7, cancelled: None });
        }
        let told = at_once(&mut engine.decoder().scheduler, parts);
        for (number, (told, expected)) in told.iter().zip(&expected).enumerate() {
            assert_same(told, expected, &format!("text {number} with {by:?}"));
        }
    }
}

/// Where a text waits for its turn to be read, what was proposed for it is not there yet.
#[test]
fn what_is_proposed_for_a_text_that_waits_is_not_taken_for_read() {
    // Round and round, so that what came before is what comes.
    let around = |units: &[u32]| scripted::prefer(units.last().map_or(1, |unit| unit % 8 + 1), 0.9);
    let write = |by, texts: usize| {
        let members = vec![Scripted::new("m", around)];
        let mut scheduler = Scheduler::new(scripted::ensemble_of(members, texts, 300), &[1.0]);
        let part = |number: usize| {
            let mut request = scripted::request();
            (request.context_shift, request.limits.n_predict) = (true, 500);
            request.draft = Drafting { by, length: Some(5), pretend: None };
            let (text, starts) = (scheduler.ensemble.open().unwrap(), 10 * number);
            Part { text, chain: Chain::default(), request, starts, cancelled: None }
        };
        let parts = (0..texts).map(part).collect();
        at_once(&mut scheduler, parts)
    };
    let expected = write(DraftBy::Off, 1).remove(0);
    assert_eq!(expected.reply().tokens, 500);
    for by in [DraftBy::Off, DraftBy::Ngram, DraftBy::Member(0)] {
        for (number, told) in write(by, 3).iter().enumerate() {
            assert_same(told, &expected, &format!("text {number} with {by:?}"));
        }
    }
}
