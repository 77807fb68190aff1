//! Odd texts and odd tokenizers: llama.cpp must never end the process.

use super::*;
use crate::support::gguf::{PieceType, Value};
use llama_selfmod::Error;
use llama_selfmod::settings::Prompt;
use std::sync::Arc;

/// Letters and the space; no bytes to fall back on.
fn letters() -> Vec<(String, f32, PieceType)> {
    let mut pieces = Vocabulary::bytes();
    pieces.truncate(3);
    pieces.extend(('a'..='z').map(|letter| (letter.to_string(), -30.0, PieceType::Normal)));
    pieces.push(("▁".into(), -31.0, PieceType::Normal));
    pieces.push(("▁the".into(), -1.0, PieceType::Normal));
    pieces.push(("▁th".into(), -2.0, PieceType::Normal));
    pieces.push(("▁t".into(), -3.0, PieceType::Normal));
    pieces
}

#[test]
fn a_character_that_no_token_says_is_a_sentence_to_the_user() {
    let models = Models::new();
    let mut engine = engine(&[models.with_vocabulary("letters", Vocabulary::of_pieces(&letters()))]);
    for (text, character) in [("über", 'ü'), ("a\nb", '\n'), ("the <unk>", '<'), ("0", '0'), ("a語", '語')] {
        let error = engine.reply(&Prompt::Text(text.into()), &Arc::default(), &mut |_| {}).unwrap_err();
        assert!(matches!(&error, Error::Input(message) if message.contains(&format!("`{character}`"))), "{error}");
        let error = engine.score(text, &mut |_| {}).unwrap_err();
        assert!(matches!(&error, Error::Input(message) if message.contains(&format!("`{character}`"))), "{error}");
    }
    let reply = engine.reply(&Prompt::Text("the  end".into()), &Arc::default(), &mut |_| {}).unwrap();
    assert_eq!(reply.timings.prompt_tokens, 7, "the beginning, `the`, two spaces and three letters");
    assert!(engine.score("the end", &mut |_| {}).unwrap().fused.is_finite());
}

#[test]
fn without_a_token_for_the_space_no_text_can_be_said() {
    let models = Models::new();
    let mut pieces = letters();
    pieces.retain(|(text, ..)| text != "▁");
    let mut engine = engine(&[models.with_vocabulary("no space", Vocabulary::of_pieces(&pieces))]);
    let error = engine.reply(&Prompt::Text("a b".into()), &Arc::default(), &mut |_| {}).unwrap_err();
    assert!(matches!(error, Error::Input(_)), "{error}");
}

#[test]
fn tokenizers_of_every_kind_load_and_take_any_text() {
    let models = Models::new();
    let mut escaped: Vec<String> = vec!["<|rwkv_tokenizer_end_of_text|>".into()];
    escaped.extend((0..=255u8).map(|byte| format!("\\x{byte:02x}")));
    let types = (0..257).map(|id| if id == 0 { PieceType::Control } else { PieceType::Normal } as i32).collect();
    let rwkv = Vocabulary::of_bytes("default")
        .with("tokenizer.ggml.model", Value::Text("rwkv".into()))
        .with("tokenizer.ggml.tokens", Value::Texts(escaped))
        .with("tokenizer.ggml.token_type", Value::Integers(types));
    let of_kind =
        |kind: &str, pieces| Vocabulary::of_pieces(pieces).with("tokenizer.ggml.model", Value::Text(kind.into()));
    let vocabularies = [
        ("rwkv", rwkv),
        ("unigram", of_kind("t5", &letters())),
        ("words", of_kind("bert", &letters()).with("tokenizer.ggml.seperator_token_id", Value::U32(2))),
        ("plamo", of_kind("plamo2", &Vocabulary::bytes())),
        ("bytes", Vocabulary::of_bytes("gpt-2")),
    ];
    for (name, vocabulary) in vocabularies {
        let with_template = vocabulary.with_template("{{ bos_token }}<{{ messages[0].content }}>");
        let path = models.with_vocabulary(name, with_template);
        for raw in [true, false] {
            let mut engine =
                Engine::load(Settings { raw, n_predict: 20, ..settings(std::slice::from_ref(&path)) }, &|_, _| {})
                    .unwrap();
            for text in ["the end", "über\u{0}\u{feff}語\u{1f600}\r\n\t", "a", " ", "\u{e000}\u{10ffff}"] {
                // An error is fine where nothing of the text can be said; the end of the process is not.
                match engine.reply(&Prompt::Text(text.into()), &Arc::default(), &mut |_| {}) {
                    Ok(_) | Err(Error::Input(_)) => {}
                    Err(error) => panic!("{name}, {text:?}: {error}"),
                }
                let _ = engine.score(text, &mut |_| {});
            }
        }
    }
}

#[test]
fn text_that_a_file_takes_for_its_beginning_is_no_end() {
    let models = Models::new();
    // What llama.cpp assumes of a file that names no beginning is such a token: 11, a comma in many vocabularies.
    let vocabulary = Vocabulary::of_bytes("gpt-2").with("tokenizer.ggml.bos_token_id", Value::U32(b','.into()));
    let mut engine = engine(&[models.with_vocabulary("comma", vocabulary)]);
    let vocabulary = engine.decoder().scheduler.ensemble.vocabulary();
    assert_eq!(vocabulary.end(), 256);
    assert!(vocabulary.can_emit(b','.into()));
    assert_eq!(vocabulary.bytes(b','.into()), b",");
}
