//! Members go together when their tokens are the same bytes; what is never emitted may differ.

use super::*;
use gguf::{PieceType, Value};
use llama_selfmod::settings::Prompt;
use std::sync::atomic::AtomicBool;

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
        assert_eq!(engine.decoder().ensemble.vocabulary().len(), 512);
        engine.decoder().ensemble.prime(&Prompt::Text("One day".into())).unwrap();
        assert!(rows(&mut engine).iter().all(|row| row.logits.len() == 512));
        let reply = engine.reply(&Prompt::Text("One day".into()), &AtomicBool::new(false), &mut |_| {}).unwrap();
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
        alone.decoder().ensemble.prime(&prompt).unwrap();
        let end = alone.decoder().ensemble.vocabulary().end();
        let expected = rows(&mut alone)[0].probabilities[end as usize];
        for members in [[other.clone(), stories("260k")], [stories("260k"), other]] {
            let theirs = usize::from(members[0] == stories("260k"));
            let mut both = engine(&members);
            both.decoder().ensemble.prime(&prompt).unwrap();
            let vocabulary = both.decoder().ensemble.vocabulary();
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

#[test]
fn another_piece_of_the_same_size_is_refused_by_name() {
    let models = Models::new();
    let mut texts = pieces(&stories_vocabulary());
    texts[300] = "zebra".into();
    texts[400] = "giraffe".into();
    let members = [
        models.with_vocabulary("one", stories_vocabulary()),
        models.with_vocabulary("two", with_pieces(texts.clone())),
    ];
    let message = load_error(&members);
    let original = pieces(&stories_vocabulary())[300].replace('▁', " ");
    for part in ["`one`", "`two`", "token 300 ", "\"zebra\"", &format!("{original:?}")] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(!message.contains("giraffe"), "the first difference is enough: {message}");
}

#[test]
fn the_same_pieces_in_another_order_are_refused() {
    let models = Models::new();
    let mut texts = pieces(&stories_vocabulary());
    texts.swap(310, 320);
    let message = load_error(&[stories("260k"), models.with_vocabulary("swapped", with_pieces(texts))]);
    assert!(message.contains("token 310 ") && message.contains("`swapped`"), "{message}");
}

#[test]
fn a_control_token_is_not_the_same_as_text() {
    let models = Models::new();
    let mut types = vec![PieceType::Normal as i32; 512];
    types[..3].copy_from_slice(&[PieceType::Unknown as i32, PieceType::Control as i32, PieceType::Control as i32]);
    types[3..259].fill(PieceType::Byte as i32);
    types[299] = PieceType::Control as i32;
    let vocabulary = stories_vocabulary().with("tokenizer.ggml.token_type", Value::Integers(types));
    let message = load_error(&[stories("260k"), models.with_vocabulary("control", vocabulary)]);
    assert!(message.contains("token 299 is a control token there"), "{message}");
}

#[test]
fn real_tokens_that_the_other_lacks_are_refused() {
    let models = Models::new();
    let mut more: Vec<(String, f32, PieceType)> = Vocabulary::bytes();
    more.push(("▁a".into(), -1.0, PieceType::Normal));
    let shorter = models.with_vocabulary("shorter", Vocabulary::of_pieces(&more));
    more.push(("▁b".into(), -2.0, PieceType::Normal));
    let longer = models.with_vocabulary("longer", Vocabulary::of_pieces(&more));
    let message = load_error(&[shorter.clone(), longer.clone()]);
    assert!(message.contains("token 260 is \" b\" there and missing here"), "{message}");
    let message = load_error(&[longer, shorter]);
    assert!(message.contains("token 260 is missing there and \" b\" here"), "{message}");
}
