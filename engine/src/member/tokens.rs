//! From a rendered prompt to tokens, such that text of a person never becomes a control token.

use super::template::Piece;
use super::Vocabulary;
use llama_cpp_2::model::LlamaModel;

/// Tokens of the pieces' text from byte `from` on. At 0 the model's own beginning-of-text token is put in front, unless the
/// template has written one.
pub(super) fn tokenise(model: &LlamaModel, vocabulary: &Vocabulary, pieces: &[Piece], from: usize) -> Vec<i32> {
    let mut rest = Vec::new();
    let mut at = 0;
    for piece in pieces {
        let end = at + piece.text.len();
        if end > from {
            rest.push((&piece.text[from.saturating_sub(at).min(piece.text.len())..], piece.trusted));
        }
        at = end;
    }
    let text: String = rest.iter().map(|(text, _)| *text).collect();
    if text.is_empty() {
        return Vec::new();
    }
    let begins_itself = || {
        let bos = model.vocab().text(model.vocab().bos()).map(|bos| bos.to_string_lossy().into_owned());
        bos.is_some_and(|bos| {
            !bos.is_empty() && rest.first().is_some_and(|(text, trusted)| *trusted && text.starts_with(&bos))
        })
    };
    let add_special = from == 0 && !begins_itself();
    let tokens = |text: &str, add_special: bool, parse_special: bool| -> Vec<i32> {
        model.vocab().tokenize(text.as_bytes(), add_special, parse_special).into_iter().map(|token| token.0).collect()
    };
    // SentencePiece puts a space before each text it is given; in the middle of a prompt there is none. A newline in front
    // takes the space, and both go.
    let continued = |text: &str, parse_special: bool| -> Vec<i32> {
        let newline = tokens("\n", false, false);
        let mut all = tokens(&format!("\n{text}"), false, parse_special);
        if all.starts_with(&newline) {
            all.drain(..newline.len());
            all
        } else {
            tokens(text, false, parse_special)
        }
    };
    // Mostly nobody writes control tokens, and then the text is tokenised as one, as the model knows it.
    if !control_in_untrusted(vocabulary, &rest, &text) {
        let parse_special = rest.iter().any(|(_, trusted)| *trusted);
        return if from == 0 { tokens(&text, add_special, parse_special) } else { continued(&text, parse_special) };
    }
    let mut all = Vec::new();
    for (index, (text, trusted)) in rest.iter().enumerate() {
        all.extend(if index == 0 && from == 0 {
            tokens(text, add_special, *trusted)
        } else {
            continued(text, *trusted)
        });
    }
    all
}

/// Whether a control token's text reaches into a piece that is not the template's.
fn control_in_untrusted(vocabulary: &Vocabulary, pieces: &[(&str, bool)], text: &str) -> bool {
    let mut at = 0;
    let untrusted: Vec<(usize, usize)> = pieces
        .iter()
        .filter_map(|(piece, trusted)| {
            let range = (at, at + piece.len());
            at = range.1;
            (!trusted).then_some(range)
        })
        .collect();
    vocabulary.control_texts().iter().any(|control| {
        text.match_indices(control.as_str())
            .any(|(start, found)| untrusted.iter().any(|&(from, to)| start < to && from < start + found.len()))
    })
}
