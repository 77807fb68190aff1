//! Members go together when their tokens are the same bytes; what is never emitted may differ.

use super::*;
use crate::support::gguf::{PieceType, Value};
use llama_selfmod::events::{EndReason, Event};
use llama_selfmod::settings::{Align, Heads, Prompt};
use std::sync::Arc;

fn pieces(vocabulary: &Vocabulary) -> Vec<String> {
    vocabulary.pieces().to_vec()
}

fn with_pieces(texts: Vec<String>) -> Vocabulary {
    stories_vocabulary().with("tokenizer.ggml.tokens", Value::Texts(texts))
}

#[test]
fn padding_goes_with_none_and_is_never_written() {
    let models = Models::new();
    let padded = models.with_vocabulary("padded", stories_vocabulary().padded_to(544));
    for members in [[padded.clone(), stories("260k")], [stories("260k"), padded]] {
        let hot = plugin_api::Parameters { temperature: 5.0, top_p: 1.0, min_p: 0.0, repeat_penalty: 1.0, top_k: 0 };
        let mut engine =
            Engine::load(Settings { parameters: hot, n_predict: 400, ..settings(&members) }, &|_, _| {}).unwrap();
        assert_eq!(engine.decoder().scheduler.ensemble.vocabulary().len(), 512);
        engine.decoder().reading().unwrap().prime(&Prompt::Text("One day".into())).unwrap();
        assert!(rows(&mut engine).iter().all(|row| row.logits.len() == 512));
        let reply = engine.reply(&Prompt::Text("One day".into()), &Arc::default(), &mut |_| {}).unwrap();
        assert!(!reply.text.contains("PAD"), "{}", reply.text);
    }
}

#[test]
fn each_members_end_counts_under_the_one_end() {
    let models = Models::new();
    // In the padding, as some models have it: the other member has no such row. And a byte that is text elsewhere.
    for own in [540, 5] {
        let vocabulary = stories_vocabulary().padded_to(544).ending_with(own);
        let other = models.with_vocabulary(&format!("ends with {own}"), vocabulary);
        let prompt = Prompt::Text("One day".into());
        let mut alone = engine(std::slice::from_ref(&other));
        alone.decoder().reading().unwrap().prime(&prompt).unwrap();
        let end = alone.decoder().scheduler.ensemble.vocabulary().end();
        let expected = rows(&mut alone)[0].probabilities[end as usize];
        for members in [[other.clone(), stories("260k")], [stories("260k"), other]] {
            let theirs = usize::from(members[0] == stories("260k"));
            let mut both = engine(&members);
            both.decoder().reading().unwrap().prime(&prompt).unwrap();
            let vocabulary = both.decoder().scheduler.ensemble.vocabulary();
            let end = vocabulary.end();
            assert!(vocabulary.can_emit(end) && vocabulary.bytes(end).is_empty());
            assert!(!vocabulary.can_emit(own));
            let rows = rows(&mut both);
            let found = rows[theirs].probabilities[end as usize];
            assert!((found / expected - 1.0).abs() < 0.05, "{found} for {expected}");
            let written = |row: &MemberRow| row.probabilities.get(own as usize).copied().unwrap_or(0.0);
            assert!(rows.iter().all(|row| written(row) == 0.0));
            assert!(rows.iter().all(|row| row.logits.len() == rows[0].logits.len()));
        }
    }
}

/// Members of different vocabularies load, write, go back and give valid bytes, at both temperatures and with few
/// readings or more.
fn decode_together(members: &[PathBuf]) {
    for (heads, temperature) in [(Heads::Few, 0.0), (Heads::Usual, 0.0), (Heads::Usual, 0.8)] {
        let parameters = plugin_api::Parameters { temperature, ..Settings::default().parameters };
        let together = Settings { heads, parameters, n_predict: 64, ..settings(members) };
        let mut engine = Engine::load(together, &|_, _| {}).unwrap();
        let reply = engine.reply(&Prompt::Text("One day".into()), &Arc::default(), &mut |_| {}).unwrap();
        assert!(reply.tokens > 0 || reply.reason == EndReason::End, "{reply:?}");
        let ensemble = &mut engine.decoder().reading().unwrap();
        assert!(ensemble.vocabulary().is_bytes());
        // Some text, back over a part of it, and once more: as if it had never been.
        let text: Vec<u32> = "a nice day, é".bytes().map(u32::from).collect();
        ensemble.prime(&Prompt::Text("One day".into())).unwrap();
        text.iter().for_each(|&unit| ensemble.extend(unit).unwrap());
        let expected: Vec<MemberRow> = ensemble.rows().into_iter().cloned().collect();
        ensemble.rewind(3).unwrap();
        ensemble.extend(u32::from(b'x')).unwrap();
        ensemble.rewind(3).unwrap();
        text[3..].iter().for_each(|&unit| ensemble.extend(unit).unwrap());
        for (found, expected) in ensemble.rows().into_iter().zip(&expected) {
            assert_eq!(found.abstains, expected.abstains);
            let differences = found.probabilities.iter().zip(&expected.probabilities).map(|(a, b)| (a - b).abs());
            assert!(expected.abstains || differences.fold(0.0, f32::max) < 1e-3);
        }
    }
}

#[test]
fn other_pieces_of_the_same_number_decode_together() {
    let models = Models::new();
    let mut texts = pieces(&stories_vocabulary());
    texts[300] = "zebra".into();
    texts[400] = "giraffe".into();
    decode_together(&[
        models.with_vocabulary("one", stories_vocabulary()),
        models.with_vocabulary("two", with_pieces(texts.clone())),
    ]);
}

#[test]
fn the_same_pieces_in_another_order_decode_together() {
    let models = Models::new();
    let mut texts = pieces(&stories_vocabulary());
    texts.swap(310, 320);
    decode_together(&[stories("260k"), models.with_vocabulary("swapped", with_pieces(texts))]);
}

#[test]
fn a_control_token_is_not_the_same_as_text() {
    let models = Models::new();
    let mut types = vec![PieceType::Normal as i32; 512];
    types[..3].copy_from_slice(&[PieceType::Unknown as i32, PieceType::Control as i32, PieceType::Control as i32]);
    types[3..259].fill(PieceType::Byte as i32);
    types[299] = PieceType::Control as i32;
    let vocabulary = stories_vocabulary().with("tokenizer.ggml.token_type", Value::Integers(types));
    let control = models.with_vocabulary("control", vocabulary);
    let bytes = pieces(&stories_vocabulary())[299].replace('▁', " ").into_bytes();
    let mut engine = engine(&[stories("260k"), control.clone()]);
    let vocabulary = engine.decoder().scheduler.ensemble.shared_vocabulary();
    assert!((0..vocabulary.len() as u32).all(|unit| vocabulary.bytes(unit) != bytes), "both have to have it as text");
    decode_together(&[stories("260k"), control]);
}

#[test]
fn a_shorter_vocabulary_and_a_longer_one_decode_together() {
    let models = Models::new();
    let mut more: Vec<(String, f32, PieceType)> = Vocabulary::bytes();
    more.push(("▁a".into(), -1.0, PieceType::Normal));
    let shorter = models.with_vocabulary("shorter", Vocabulary::of_pieces(&more));
    more.push(("▁b".into(), -2.0, PieceType::Normal));
    let longer = models.with_vocabulary("longer", Vocabulary::of_pieces(&more));
    decode_together(&[shorter, longer]);
}

#[test]
fn other_ends_of_text_and_another_kind_of_tokenizer_decode_together() {
    let models = Models::new();
    let ending = models.with_vocabulary("ending", Vocabulary::of_bytes("gpt-2"));
    decode_together(&[stories("260k"), ending.clone()]);
    decode_together(&[ending, stories("970k-bytes"), stories("280k")]);
}

#[test]
fn members_that_cannot_be_cut_decode_together_with_others() {
    let models = Models::new();
    for architecture in [Architecture::Mamba, Architecture::Jamba] {
        decode_together(&[models.random(architecture, 3), stories("970k-bytes")]);
    }
}

/// The demo's vocabulary with other tokens in its last places, and a template that writes `<|im_start|>` and `<|im_end|>`.
fn with_last(last: &[(&str, PieceType)]) -> Vocabulary {
    let vocabulary = stories_vocabulary();
    let mut texts = pieces(&vocabulary);
    let mut types = vec![PieceType::Normal as i32; texts.len()];
    types[..3].copy_from_slice(&[PieceType::Unknown as i32, PieceType::Control as i32, PieceType::Control as i32]);
    types[3..259].fill(PieceType::Byte as i32);
    let start = texts.len() - last.len();
    for (index, (text, kind)) in last.iter().enumerate() {
        texts[start + index] = (*text).into();
        types[start + index] = *kind as i32;
    }
    let chat = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}\
                {% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
    with_pieces(texts).with("tokenizer.ggml.token_type", Value::Integers(types)).with_template(chat)
}

#[test]
fn control_tokens_at_the_end_of_a_vocabulary_stand_in_prompts() {
    use PieceType::{Control, Normal, Unknown, Unused, UserDefined};
    let (start, end) = (("<|im_start|>", Control), ("<|im_end|>", Control));
    let forms: [&[(&str, PieceType)]; 8] = [
        &[end, start],
        &[start, end],
        &[start],
        &[end, start, ("zz", Normal)],
        &[end, start, ("<unused1>", Unused)],
        &[end, start, ("[PAD]", Unused), ("[PAD2]", Unused)],
        &[end, ("<|im_start|>", Unknown)],
        &[end, ("<|im_start|>", UserDefined)],
    ];
    let models = Models::new();
    for (number, last) in forms.into_iter().enumerate() {
        let chat = models.with_vocabulary(&format!("chat{number}"), with_last(last));
        for align in [Align::Exact, Align::Boundary] {
            let with = |other: &str| [[chat.clone(), stories(other)], [stories(other), chat.clone()]];
            for members in with("970k-bytes").into_iter().chain(with("280k")) {
                let together = Settings { align, n_predict: 16, ..settings(&members) };
                let mut engine = Engine::load(together, &|_, _| {}).unwrap();
                // The template is for whoever has one.
                let prompt = Prompt::Text("Once upon a time".into());
                let reply = engine.reply(&prompt, &Arc::default(), &mut |_| {}).unwrap();
                let what = format!("{last:?}, {align:?}, {members:?}: {reply:?}");
                assert!(matches!(reply.reason, EndReason::End | EndReason::Length), "{what}");
                let writes_it = last.contains(&("<|im_start|>", UserDefined));
                assert!(writes_it || !reply.text.contains("im_start"), "{what}");
            }
        }
    }
}

#[test]
fn a_vocabulary_that_can_write_nothing_is_refused() {
    let models = Models::new();
    for kind in [PieceType::Control, PieceType::Unused, PieceType::Unknown] {
        let types = Value::Integers(vec![kind as i32; 512]);
        let path = models.with_vocabulary("mute", stories_vocabulary().with("tokenizer.ggml.token_type", types));
        for members in
            [vec![path.clone()], vec![path.clone(), stories("970k-bytes")], vec![stories("970k-bytes"), path]]
        {
            let error = Engine::load(settings(&members), &|_, _| {}).err().unwrap().to_string();
            assert!(error.contains("no token that writes text"), "{kind:?}: {error}");
        }
    }
}

/// Without bytes: `é` and most else has no token there.
#[test]
fn a_vocabulary_without_bytes_has_no_say_where_it_has_no_token() {
    let models = Models::new();
    let mut pieces = Vocabulary::bytes();
    pieces.truncate(3);
    let letters = ('a'..='z').chain("▁ONED.,".chars());
    pieces.extend(letters.map(|letter| (letter.to_string(), -1.0, PieceType::Normal)));
    let poor = models.with_vocabulary("poor", Vocabulary::of_pieces(&pieces));
    decode_together(&[stories("260k"), poor.clone()]);
    let mut engine = engine(&[poor, stories("260k")]);
    let ensemble = &mut engine.decoder().reading().unwrap();
    ensemble.prime(&Prompt::Text("One day".into())).unwrap();
    let abstains = |ensemble: &llama_selfmod::decode::Reading| ensemble.rows().into_iter().next().unwrap().abstains;
    assert!(!abstains(ensemble));
    for (index, byte) in "é".bytes().enumerate() {
        ensemble.extend(byte.into()).unwrap();
        assert_eq!(abstains(ensemble), index == 0, "inside the character it has none");
    }
    ensemble.extend(b'a'.into()).unwrap();
    assert!(!abstains(ensemble));
}

#[test]
fn a_prompt_that_one_member_can_read_is_read_and_a_note_says_once_what_another_leaves_out() {
    let models = Models::new();
    let mut pieces = Vocabulary::bytes();
    pieces.truncate(3);
    let letters = ('a'..='z').chain("▁ONED.,".chars());
    pieces.extend(letters.map(|letter| (letter.to_string(), -1.0, PieceType::Normal)));
    let poor = models.with_vocabulary("poor", Vocabulary::of_pieces(&pieces));
    for members in [[poor.clone(), stories("260k")], [stories("260k"), poor.clone()]] {
        let mut engine = Engine::load(Settings { n_predict: 12, ..settings(&members) }, &|_, _| {}).unwrap();
        let mut notes = Vec::new();
        for prompt in ["the café and", "the 猫 sat", "plain"] {
            let mut note = |event: &Event| {
                if let Event::Notice { text } = event {
                    notes.push(text.to_string());
                }
            };
            let reply = engine.reply(&Prompt::Text(prompt.into()), &Arc::default(), &mut note).unwrap();
            assert!(reply.tokens > 0 && reply.reason != EndReason::Failed, "{reply:?}");
        }
        let [note] = &notes[..] else { panic!("one note: {notes:?}") };
        assert!(note.starts_with("`poor` has no token for `é`: it reads the prompt without"), "{note}");
        // A text that is scored as well.
        let score = engine.score("The café was near. The 猫 sat there. The end.", &mut |_| {}).unwrap();
        assert!(score.fused.is_finite() && score.bytes == 47, "{score:?}");
    }
    // Where nobody can read it, it is refused.
    let mut alone = Engine::load(settings(&[poor]), &|_, _| {}).unwrap();
    let refused =
        alone.reply(&Prompt::Text("the café".into()), &Arc::default(), &mut |_| {}).err().unwrap().to_string();
    assert!(refused.contains("has no token for `é`"), "{refused}");
}

#[test]
fn a_leader_and_its_followers_write_and_go_back() {
    let models = Models::new();
    let follower = models.with_vocabulary("follower", Vocabulary::of_bytes("gpt-2"));
    for members in [[stories("260k"), stories("970k-bytes")], [stories("970k-bytes"), follower]] {
        let led = Settings { align: Align::Boundary, n_predict: 60, ..settings(&members) };
        let mut engine = Engine::load(led, &|_, _| {}).unwrap();
        let mut seen = [0, 0];
        let reply = engine
            .reply(&Prompt::Text("One day".into()), &Arc::default(), &mut |event| {
                if let Event::Token { members, .. } = event {
                    // A follower that was not asked gives nothing.
                    seen[usize::from(members[1].probability > 0.0)] += 1;
                }
            })
            .unwrap();
        assert!(reply.tokens > 10, "{reply:?}");
        assert!(seen[0] > 0 && seen[1] > 0, "asked now and then: {seen:?}");
        let ensemble = &mut engine.decoder().reading().unwrap();
        let rows = |ensemble: &llama_selfmod::decode::Reading| -> Vec<MemberRow> {
            ensemble.rows().into_iter().cloned().collect()
        };
        ensemble.prime(&Prompt::Text("One day".into())).unwrap();
        let favourite =
            |ensemble: &llama_selfmod::decode::Reading| ensemble.rows().into_iter().next().unwrap().statistics.top_unit;
        let text: Vec<u32> = (0..12)
            .map(|_| {
                let unit = favourite(ensemble);
                ensemble.extend(unit).unwrap();
                unit
            })
            .collect();
        let expected = rows(ensemble);
        ensemble.rewind(4).unwrap();
        text[4..].iter().for_each(|&unit| ensemble.extend(unit).unwrap());
        for (found, expected) in rows(ensemble).iter().zip(&expected) {
            assert_eq!(found.abstains, expected.abstains);
            assert!(expected.abstains || deviation(found, expected) < 0.02);
        }
    }
}

/// Every pair of models in the folder that `MODELS` names: for models with real vocabularies, which are not part of the
/// project.
#[test]
#[ignore = "needs models: MODELS=folder cargo test --release -- --ignored every_pair"]
fn every_pair_of_models_of_a_folder_decodes_together() {
    let folder = std::env::var_os("MODELS").expect("MODELS names a folder");
    let mut models: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    models.retain(|path| path.extension().is_some_and(|extension| extension == "gguf"));
    models.sort();
    for (index, first) in models.iter().enumerate() {
        for second in &models[index + 1..] {
            let pair = [first.clone(), second.clone()];
            if llama_selfmod::engine::shared_vocabulary(&pair).unwrap().same {
                continue;
            }
            println!("{} and {}", first.display(), second.display());
            decode_together(&pair);
        }
    }
}
