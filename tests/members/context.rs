//! Reading prompts of any length, and the end of the context.

use super::*;
use llama_selfmod::member::schedule::Schedule;
use llama_selfmod::settings::{Message, Prompt, Speaker};
use plugin_api::abi::EVIDENCE_DECAY;
use std::sync::Arc;

#[test]
fn a_prompt_of_any_length_is_read_as_if_token_by_token() {
    let models = Models::new();
    let paths = [Architecture::Llama, Architecture::Mamba, Architecture::Jamba].map(|kind| models.random(kind, 1));
    let all = units(0..200);
    let mut by_unit = engine(&paths);
    let mut by_prompt = engine(&paths);
    // One token is the beginning of the text, which all have in front.
    by_unit.decoder().reading().unwrap().prime(&Prompt::Tokens(Vec::new())).unwrap();
    let mut log_probabilities = vec![Vec::new(); paths.len()];
    for len in 1..=200 {
        if [1, 2, 7, 8, 9, 10, 63, 64, 65, 66, 72, 73, 127, 128, 129, 192, 200].contains(&len) {
            let other = Prompt::Tokens(units(500..503));
            by_prompt.decoder().reading().unwrap().prime(&other).unwrap();
            let primed =
                by_prompt.decoder().reading().unwrap().prime(&Prompt::Tokens(all[..len - 1].to_vec())).unwrap();
            assert!(primed.iter().all(|primed| primed.tokens == len && primed.decoded <= len));
            let (found, expected) = (rows(&mut by_prompt), rows(&mut by_unit));
            for member in 0..paths.len() {
                let deviation = deviation(&found[member], &expected[member]);
                assert!(deviation < 0.02, "{len} tokens, member {member}: {deviation}");
                // Of the last 64 tokens each but the first was predicted by the row before it.
                let predicted = &log_probabilities[member];
                let counted: &[f32] = &predicted[predicted.len().saturating_sub(31)..];
                let evidence = counted.iter().fold(0.0, |sum, log_probability| EVIDENCE_DECAY * sum + log_probability);
                // A row of the prompt counts tokens that are never emitted, which takes a hundredth of each probability.
                let difference = (found[member].evidence - evidence).abs();
                assert!(difference < 0.5, "{len} tokens, member {member}: {} for {evidence}", found[member].evidence);
            }
        }
        for (log_probabilities, row) in log_probabilities.iter_mut().zip(by_unit.decoder().reading().unwrap().rows()) {
            log_probabilities.push(row.probabilities[all[len - 1] as usize].ln());
        }
        by_unit.decoder().reading().unwrap().extend(all[len - 1]).unwrap();
    }
}

#[test]
fn the_context_is_used_to_its_last_position_and_being_full_loses_nothing() {
    let models = Models::new();
    // llama.cpp would give 256 positions.
    let small = |architecture, seed| {
        let model = RandomModel { context: 48, ..RandomModel::tiny(architecture, stories_vocabulary(), seed) };
        models.write(&format!("{architecture:?}"), &model)
    };
    let mut engine = engine(&[small(Architecture::Llama, 1), small(Architecture::Mamba, 2)]);
    assert_eq!(engine.context(), 48);
    let ensemble = &mut engine.decoder().reading().unwrap();
    let message = ensemble.prime(&Prompt::Tokens(units(0..47))).unwrap_err().to_string();
    assert!(message.contains("48 tokens") && message.contains("room for 47"), "{message}");
    ensemble.prime(&Prompt::Tokens(units(0..46))).unwrap();
    assert_eq!(ensemble.room(), 1);
    ensemble.prime(&Prompt::Tokens(units(0..9))).unwrap();
    for (written, unit) in units(9..47).into_iter().enumerate() {
        assert_eq!(ensemble.room(), 38 - written);
        ensemble.extend(unit).unwrap();
    }
    let full = rows(&mut engine);
    let ensemble = &mut engine.decoder().reading().unwrap();
    assert!(ensemble.extend(300).unwrap_err().to_string().contains("is full"));
    assert_eq!((ensemble.len(), ensemble.room()), (38, 0));
    assert_same(&rows(&mut engine), &full, "after the error");
    let ensemble = &mut engine.decoder().reading().unwrap();
    ensemble.rewind(30).unwrap();
    for unit in units(39..47) {
        ensemble.extend(unit).unwrap();
    }
    assert_same(&rows(&mut engine), &full, "written once more");
}

#[test]
fn when_a_member_cannot_decode_all_stay_where_they_were() {
    let models = Models::new();
    // Token 530 is padding: the one has it, for the other llama.cpp reports an error.
    let of_length = |name: &str, length| models.with_vocabulary(name, stories_vocabulary().padded_to(length));
    let mut engine = engine(&[of_length("long", 544), of_length("short", 512)]);
    let ensemble = &mut engine.decoder().reading().unwrap();
    ensemble.prime(&Prompt::Tokens(units(0..5))).unwrap();
    for unit in units(5..9) {
        ensemble.extend(unit).unwrap();
    }
    let before = rows(&mut engine);
    let ensemble = &mut engine.decoder().reading().unwrap();
    let message = ensemble.extend(530).unwrap_err().to_string();
    assert!(message.contains("`short` failed to decode"), "{message}");
    assert_eq!(ensemble.len(), 4);
    assert_same(&rows(&mut engine), &before, "after the error");
    let ensemble = &mut engine.decoder().reading().unwrap();
    ensemble.extend(300).unwrap();
    ensemble.rewind(4).unwrap();
    assert_same(&rows(&mut engine), &before, "written and taken back");

    // In a prompt too; what comes next reads what is missing.
    let ensemble = &mut engine.decoder().reading().unwrap();
    ensemble.prime(&Prompt::Tokens([units(20..100), vec![530]].concat())).unwrap_err();
    ensemble.prime(&Prompt::Tokens(units(0..9))).unwrap();
    for (found, expected) in rows(&mut engine).iter().zip(&before) {
        assert!(deviation(found, expected) < 0.02);
    }
}

#[test]
fn a_prompt_that_is_too_long_leaves_the_conversation_as_it_was() {
    let mut engine = engine(&[stories("260k")]);
    let start = "Once upon a time";
    let ensemble = &mut engine.decoder().reading().unwrap();
    let first = ensemble.prime(&Prompt::Text(start.into())).unwrap();
    ensemble.extend(300).unwrap();
    let text = String::from_utf8(ensemble.vocabulary().bytes(300).to_vec()).unwrap();
    ensemble.adopt(&[300], &text);
    ensemble.prime(&Prompt::Text(format!("{start}{text} {}", "and on ".repeat(2000)))).unwrap_err();
    let second = ensemble.prime(&Prompt::Text(format!("{start}{text} a"))).unwrap();
    assert_eq!(second[0].decoded, second[0].tokens - first[0].tokens - 1);
}

#[test]
fn after_a_context_shift_the_next_prompt_is_read_for_what_it_is() {
    let models = Models::new();
    let paths = [Architecture::Llama, Architecture::Mamba].map(|architecture| models.random(architecture, 7));
    let mut engine = engine(&paths);
    let (prompt, reply) = (units(0..10), units(10..160));
    let ensemble = &mut engine.decoder().reading().unwrap();
    ensemble.prime(&Prompt::Tokens(prompt.clone())).unwrap();
    // The first 60 units of the reply are out of the members' sight.
    for &unit in &reply[60..] {
        ensemble.extend(unit).unwrap();
    }
    ensemble.adopt(&reply, "");
    let next = Prompt::Tokens([&prompt, &reply[..110]].concat());
    ensemble.prime(&next).unwrap();
    let mut fresh = super::engine(&paths);
    fresh.decoder().reading().unwrap().prime(&next).unwrap();
    assert_same(&rows(&mut engine), &rows(&mut fresh), "the first units of the reply");
}

#[test]
fn a_long_text_is_the_same_on_every_schedule() {
    let models = Models::new();
    let paths = [models.random(Architecture::Llama, 1), models.random(Architecture::Mamba, 2)];
    let prompt = vec![Message { role: Speaker::User, content: "the cat and the dog ".repeat(90) }];
    let schedules = [Schedule::in_turn(2, 1), Schedule::in_turn(2, 2), Schedule::side_by_side(&[1, 1], 2)];
    let texts = schedules.map(|schedule| {
        let mut engine = Engine::load(Settings { seed: 3, n_predict: 60, ..settings(&paths) }, &|_, _| {}).unwrap();
        engine.decoder().scheduler.ensemble.fix_schedule(schedule);
        let reply = engine.reply(&Prompt::Chat(prompt.clone()), &Arc::default(), &mut |_| {}).unwrap();
        assert!(reply.timings.prompt_tokens > 520, "{:?}", reply.timings);
        reply.text
    });
    assert_eq!(texts[0], texts[1]);
    assert_eq!(texts[0], texts[2]);
}
