//! The eleven faults of the first version of this program, each as a test that fails where the fault is.

use crate::support::scripted;

use llama_selfmod::Engine;
use llama_selfmod::events::{EndReason, Event};
use llama_selfmod::member::Vocabulary;
use llama_selfmod::settings::{Message, ModelSource, PolicySource, Prompt, Settings, Speaker};
use plugin_api::Verdict;
use scripted::*;
use std::path::PathBuf;
use std::sync::Arc;

fn models() -> Vec<ModelSource> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models");
    ["stories-260k.gguf", "stories-280k.gguf"].map(|name| ModelSource::new(folder.join(name))).to_vec()
}

fn engine() -> Engine {
    Engine::load(Settings { models: models(), policies: Vec::new(), ..Settings::default() }, &|_, _| {}).unwrap()
}

/// Every member's probabilities for the next unit.
fn rows(engine: &mut Engine) -> Vec<Vec<f32>> {
    engine.decoder().reading().unwrap().rows().into_iter().map(|row| row.probabilities.clone()).collect()
}

fn close(a: &[Vec<f32>], b: &[Vec<f32>]) -> bool {
    a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 2e-3))
}

fn take_back_once(position: u32, units: u32) -> Policy {
    let mut done = false;
    Policy::new("once").assess(move |step, _| {
        let now = step.position == position && !std::mem::replace(&mut done, true);
        Ok(if now { Verdict::retract(units, "once") } else { Verdict::proceed() })
    })
}

#[test]
fn fault_01_logits_after_a_rewind_are_those_of_the_text_that_stands() {
    let mut engine = engine();
    let prompt = Prompt::Text("Once upon a time".into());
    let units = [261, 403, 317, 293, 367, 299, 400, 310, 278, 420, 290, 411];
    // One position is kept as a row, the other is too far back for that or is the end of the prompt.
    for back_to in [11, 10, 6, 1, 0] {
        let ensemble = &mut engine.decoder().reading().unwrap();
        ensemble.prime(&prompt).unwrap();
        for unit in units {
            ensemble.extend(unit).unwrap();
        }
        ensemble.rewind(back_to).unwrap();
        let rewound = rows(&mut engine);
        engine.decoder().reading().unwrap().extend(350).unwrap();
        let after = rows(&mut engine);

        let mut fresh = self::engine();
        fresh.decoder().reading().unwrap().prime(&prompt).unwrap();
        for &unit in &units[..back_to] {
            fresh.decoder().reading().unwrap().extend(unit).unwrap();
        }
        assert!(close(&rewound, &rows(&mut fresh)), "after going back to {back_to}");
        fresh.decoder().reading().unwrap().extend(350).unwrap();
        assert!(close(&after, &rows(&mut fresh)), "one unit after going back to {back_to}");
    }
}

#[test]
fn fault_02_members_have_decoded_exactly_the_units_that_stand() {
    let member = Scripted::new("m", alphabet(0.9));
    let decoded = member.decoded.clone();
    let (outcome, seen) = run(&mut decoder(vec![member], vec![take_back_once(6, 3)]), &request());
    let decoded: Vec<u32> = decoded.lock().unwrap().iter().map(|&(_, token)| token).collect();
    // The prompt; the units up to the retraction, but for the newest, which nobody needed; those that stand now. The double
    // asserts that what it is asked about is what it holds.
    assert_eq!(retractions(&seen), [(3, 3)]);
    let kept = &outcome.units[..3];
    let gone = [4, 5];
    let expected = [&[0], kept, &gone[..], &outcome.units[3..outcome.units.len() - 1]].concat();
    assert_eq!(decoded, expected);
}

#[test]
fn fault_03_the_bytes_taken_back_are_those_of_the_units() {
    // Units of two, one and one bytes: `é` in two halves, then letters.
    let script = [10, 11, 1, 2, 9, 3];
    let member = Scripted::new("m", move |units: &[u32]| prefer(script[units.len() % 6], 0.99));
    let (outcome, seen) = run(&mut decoder(vec![member], vec![take_back_once(6, 4)]), &request());
    let retract = seen.iter().find_map(|event| match event {
        Seen::Retract { bytes, .. } => Some(*bytes),
        _ => None,
    });
    assert_eq!(retract, Some("ab\nc".len()));
    assert_eq!(replay(&seen), outcome.reply.text);
}

#[test]
fn fault_04_units_are_drawn_and_not_always_the_likeliest() {
    let mut request = request();
    request.parameters.temperature = 1.0;
    request.limits.n_predict = 1;
    let mut firsts = std::collections::BTreeMap::new();
    for seed in 0..2000 {
        request.seed = seed;
        let (outcome, _) = run(&mut decoder(vec![Scripted::new("m", alphabet(0.6))], vec![]), &request);
        *firsts.entry(outcome.reply.text).or_insert(0) += 1;
    }
    // Six in ten, within five standard deviations.
    let likeliest = f64::from(firsts["a"]) / 2000.0;
    assert!((likeliest - 0.6).abs() < 0.055, "{firsts:?}");
    assert_eq!(firsts.len(), 8, "{firsts:?}");
}

#[test]
fn fault_05_what_was_taken_back_is_not_written_again_there() {
    let (outcome, _) =
        run(&mut decoder(vec![Scripted::new("m", alphabet(0.99))], vec![take_back_once(6, 3)]), &request());
    assert_ne!(outcome.units[3], 4, "greedy decoding would write `d` again");
    assert_eq!(outcome.units[..3], [1, 2, 3]);
}

#[test]
fn fault_06_when_one_member_fails_the_text_stands_as_it_was_told() {
    for fails_from in 2..20 {
        let willing = Scripted::new("willing", alphabet(0.9));
        let mut failing = Scripted::new("failing", alphabet(0.9));
        failing.fails_from = fails_from;
        let always = Policy::new("always")
            .assess(|step, _| Ok(if step.position > 4 { Verdict::retract(3, "") } else { Verdict::proceed() }));
        let mut decoder = decoder(vec![willing, failing], vec![always]);
        let (outcome, seen) = run(&mut decoder, &request());
        assert_eq!(replay(&seen), outcome.reply.text);
        if outcome.reply.reason == EndReason::Failed {
            let notices = notices(&seen);
            assert_eq!(notices.iter().filter(|notice| notice.contains("`failing`")).count(), 1, "{notices:?}");
        }
    }
}

#[test]
fn fault_07_the_same_ids_with_other_bytes_are_not_the_same_tokens() {
    let mut members =
        vec![Vocabulary::from_pieces(&[b"", b"a", b"b"], &[0]), Vocabulary::from_pieces(&[b"", b"b", b"a"], &[0])];
    assert!(!Vocabulary::unify(&mut members), "they go together by their bytes");
    for vocabulary in &members {
        let trie = llama_selfmod::member::spelling::Trie::new(vocabulary);
        for token in [1, 2] {
            let node = trie.find(vocabulary.bytes(token)).unwrap();
            assert_eq!(trie.own_tokens(node), [token]);
        }
    }
}

#[test]
fn fault_08_confidence_is_taken_before_temperature_and_truncation() {
    let mut request = request();
    request.parameters.top_k = 1;
    request.parameters.temperature = 0.2;
    let (_, seen) = run(&mut decoder(vec![Scripted::new("m", alphabet(0.6))], vec![]), &request);
    for event in seen {
        if let Seen::Token { confidence, .. } = event {
            assert!((confidence - 0.6).abs() < 1e-5, "{confidence}");
        }
    }
}

#[test]
fn fault_09_every_retraction_is_an_event() {
    let (outcome, seen) =
        run(&mut decoder(vec![Scripted::new("m", alphabet(0.9))], vec![take_back_once(6, 3)]), &request());
    assert_eq!(retractions(&seen), [(3, 3)]);
    let [record] = &outcome.reply.retractions[..] else { panic!("one retraction is logged") };
    assert_eq!((record.rejected.as_str(), record.policy.as_str()), ("def", "once"));
    assert_eq!(record.chosen, outcome.reply.text[3..6]);
}

#[test]
fn fault_10_a_later_turn_sees_the_earlier_ones_and_decodes_only_what_is_new() {
    let mut engine = engine();
    engine.set_n_predict(20);
    let say = |role, content: &str| Message { role, content: content.into() };
    let first = vec![say(Speaker::User, "Tell me of Lily and the red ball.")];
    let reply = engine.reply(&Prompt::Chat(first.clone()), &Arc::default(), &mut |_| {}).unwrap();
    assert!(reply.tokens > 0);
    let mut second = first;
    second.push(say(Speaker::Assistant, &reply.text));
    second.push(say(Speaker::User, "And then?"));
    engine.set_n_predict(1);
    let later = engine.reply(&Prompt::Chat(second.clone()), &Arc::default(), &mut |_| {}).unwrap();
    let known = reply.timings.prompt_tokens + reply.tokens - 1;
    assert_eq!(later.timings.prompt_tokens_decoded, later.timings.prompt_tokens - known);

    // What the members now expect is what a fresh ensemble expects that reads the whole conversation.
    engine.decoder().reading().unwrap().prime(&Prompt::Chat(second.clone())).unwrap();
    let mut fresh = self::engine();
    fresh.decoder().reading().unwrap().prime(&Prompt::Chat(second)).unwrap();
    assert!(close(&rows(&mut engine), &rows(&mut fresh)));

    // And another try of the same reply reads nothing again.
    let again = engine
        .decoder()
        .reading()
        .unwrap()
        .prime(&Prompt::Chat(vec![say(Speaker::User, "Tell me of Lily and the red ball.")]));
    assert!(again.unwrap().iter().all(|primed| primed.decoded <= 1));
}

#[test]
fn fault_11_the_end_of_the_text_is_decided_by_all_members() {
    // The first wants to end after three units; the other three do not.
    let ends = |units: &[u32]| prefer(if units.len() == 3 { 0 } else { units.len() as u32 % 8 + 1 }, 0.9);
    let members = |order: [bool; 4]| {
        order.map(|wants| if wants { Scripted::new("ends", ends) } else { Scripted::new("goes on", alphabet(0.9)) })
    };
    let (outcome, _) = run(&mut decoder(members([true, false, false, false]).into(), vec![]), &request());
    assert_eq!(outcome.reply.tokens, 16);
    let (outcome, _) = run(&mut decoder(members([false, true, true, true]).into(), vec![]), &request());
    assert_eq!((outcome.reply.tokens, outcome.reply.reason), (3, EndReason::End));
}

#[test]
fn the_same_seed_gives_the_same_bytes_on_every_schedule() {
    use llama_selfmod::member::schedule::Schedule;
    let mut texts = std::collections::BTreeSet::new();
    for schedule in [Schedule::in_turn(2, 1), Schedule::in_turn(2, 2), Schedule::side_by_side(&[1, 1], 2)] {
        let policies = vec![PolicySource::Named("retraction".into())];
        let settings = Settings { models: models(), policies, seed: 4, ..Settings::default() };
        let mut engine = Engine::load(settings, &|_, _| {}).unwrap();
        engine.decoder().scheduler.ensemble.fix_schedule(schedule);
        let mut text = String::new();
        let prompt = Prompt::Text("Once upon a time".into());
        engine
            .reply(&prompt, &Arc::default(), &mut |event| {
                if let Event::Done { text: done, .. } = event {
                    text = (*done).to_string();
                }
            })
            .unwrap();
        texts.insert(text);
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
}
