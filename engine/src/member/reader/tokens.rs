//! From a rendered prompt to tokens, such that text of a person never becomes a control token.

use crate::member::Vocabulary;
use crate::member::template::Piece;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;

/// Longest run of letters and signs without white space, or of white space alone, that is tokenised at once, in characters.
/// Many of llama.cpp's byte-level tokenizers split a text with `std::regex`, which calls itself for every character of a
/// match: from 6,000 to 8,000 on, a thread's 2 MB of stack are used up and the process ends. One match can take two runs.
const LONGEST_RUN: usize = 2000;

/// The token that this model begins every text with.
pub(in crate::member) fn beginning(model: &LlamaModel) -> Option<i32> {
    let vocabulary = model.vocab();
    Some(vocabulary.bos().0).filter(|&token| token >= 0 && vocabulary.should_add_bos())
}

/// Whether this model begins every text with a token of its own.
pub(in crate::member) fn begins_texts(model: &LlamaModel) -> bool {
    beginning(model).is_some()
}

/// What a special token looks like as text; empty for a model that has no such token, where llama.cpp ends the process.
pub(in crate::member) fn text_of(model: &LlamaModel, token: LlamaToken) -> String {
    let vocabulary = model.vocab();
    let text = if token.0 < 0 { None } else { vocabulary.text(token) };
    text.map(|text| text.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Tokens of the pieces' text; `known` are those of its first `from` bytes. Where nothing is known the model's own
/// beginning-of-text token is put in front, unless the template has written one. An end-of-text token never follows,
/// whatever the model file asks for: the text goes on.
pub(super) fn tokenise(
    model: &LlamaModel,
    vocabulary: &Vocabulary,
    pieces: &[Piece],
    from: usize,
    known: &[i32],
) -> Vec<i32> {
    let mut rest = Vec::new();
    let mut at = 0;
    for piece in pieces {
        let text = &piece.text[from.saturating_sub(at).min(piece.text.len())..];
        if !text.is_empty() {
            rest.push((text, piece.trusted));
        }
        at += piece.text.len();
    }
    let mut all = known.to_vec();
    let Some((first, trusted)) = rest.first() else { return all };
    if from == 0 {
        let written = text_of(model, model.vocab().bos());
        let is_written = *trusted && !written.is_empty() && first.starts_with(&written);
        all.extend(beginning(model).filter(|_| !is_written));
    }
    let text: String = rest.iter().map(|(text, _)| *text).collect();
    if control_in_untrusted(vocabulary, &rest, &text) || short_runs(&text).len() > 1 {
        for (text, trusted) in rest {
            append_piece(model, vocabulary, &mut all, text, trusted);
        }
    } else {
        // Mostly nobody writes control tokens, and then the text is tokenised as one, as the model knows it.
        append(model, vocabulary, &mut all, &text, rest.iter().any(|(_, trusted)| *trusted));
    }
    all
}

/// Tokens of a text of a person alone, without a beginning-of-text token.
pub(in crate::member) fn tokenise_text(model: &LlamaModel, vocabulary: &Vocabulary, text: &str) -> Vec<i32> {
    let mut all = Vec::new();
    append_piece(model, vocabulary, &mut all, text, false);
    all
}

/// Tokens of a text in which control tokens are control tokens, without a beginning-of-text token.
pub(in crate::member) fn tokenise_control(model: &LlamaModel, vocabulary: &Vocabulary, text: &str) -> Vec<i32> {
    let mut all = Vec::new();
    append_piece(model, vocabulary, &mut all, text, true);
    all
}

/// Tokens of a text that goes on after the tokens `before`.
pub(super) fn tokenise_after(model: &LlamaModel, vocabulary: &Vocabulary, before: &[i32], text: &str) -> Vec<i32> {
    let mut all = before.to_vec();
    append_piece(model, vocabulary, &mut all, text, false);
    all.split_off(before.len())
}

/// What one token of a model can stand for at most, so that a text which cannot fit into a context is told without
/// tokenising it.
pub(super) struct LongestToken {
    bytes: usize,
    /// Some tokens take the white space beside them with them, however much it is.
    takes_space: bool,
}

impl LongestToken {
    /// `None` for the tokenizers that change a text or leave out some of it.
    pub fn of(model: &LlamaModel, vocabulary: &Vocabulary) -> Option<Self> {
        let kind = model.meta_val_str("tokenizer.ggml.model").ok()?;
        // A character without a token of its own has at most four bytes.
        let mut longest = Self { bytes: 4, takes_space: false };
        let mut single_bytes = [false; 256];
        for token in model.vocab().tokens() {
            let attributes = model.vocab().attr(token);
            longest.takes_space |= attributes.intersects(LlamaTokenAttr::LStrip | LlamaTokenAttr::RStrip);
            let bytes = vocabulary.bytes(token.0 as u32);
            if let [byte] = bytes {
                single_bytes[usize::from(*byte)] = true;
            }
            longest.bytes = longest.bytes.max(if bytes.is_empty() { text_of(model, token).len() } else { bytes.len() });
        }
        (kind == "llama" || kind == "gpt2" && single_bytes.iter().all(|&is_there| is_there)).then_some(longest)
    }

    /// As many tokens as `text` has at least.
    pub fn least_tokens(&self, text: &str) -> usize {
        let is_counted = |byte: &u8| !self.takes_space || !byte.is_ascii_whitespace();
        text.as_bytes().iter().filter(|byte| is_counted(byte)).count().div_ceil(self.bytes)
    }
}

fn append_piece(model: &LlamaModel, vocabulary: &Vocabulary, all: &mut Vec<i32>, text: &str, trusted: bool) {
    for part in if trusted { around_control(text, vocabulary.control_texts()) } else { vec![text] } {
        for part in short_runs(part) {
            append(model, vocabulary, all, part, trusted);
        }
    }
}

/// A template's text, cut so that no cut for the sake of [`LONGEST_RUN`] goes through a control token; mostly one part.
fn around_control<'a>(text: &'a str, controls: &[String]) -> Vec<&'a str> {
    if short_runs(text).len() == 1 {
        return vec![text];
    }
    let places = controls.iter().flat_map(|control| text.match_indices(control.as_str()));
    let mut cuts: Vec<usize> = places.flat_map(|(at, control)| [at, at + control.len()]).collect();
    cuts.push(text.len());
    cuts.sort_unstable();
    cuts.dedup();
    let mut start = 0;
    cuts.into_iter().map(|cut| &text[std::mem::replace(&mut start, cut)..cut]).filter(|part| !part.is_empty()).collect()
}

/// `text` in parts, none of which has a run of more than [`LONGEST_RUN`] characters; mostly one part.
fn short_runs(text: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut run, mut in_space) = (0, false);
    for (at, character) in text.char_indices() {
        let is_space = character.is_whitespace();
        run = if is_space == in_space { run + 1 } else { 1 };
        in_space = is_space;
        if run > LONGEST_RUN {
            parts.push(&text[start..at]);
            (start, run) = (at, 1);
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Appends the tokens of `text`, as they are in a text that goes on after `all`.
fn append(model: &LlamaModel, vocabulary: &Vocabulary, all: &mut Vec<i32>, text: &str, parse_special: bool) {
    let tokens = |text: &str, parse_special: bool| -> Vec<i32> {
        let tokens = model.vocab().tokenize(text.as_bytes(), false, parse_special);
        tokens.into_iter().map(|token| token.0).collect()
    };
    // SentencePiece puts a space before each text that it is given and after each special token. In the middle of a text
    // there is none: something in front takes it, and both go. What that is must not grow together with the text.
    let goes_on = all.last().is_some_and(|&token| !is_special(model, token));
    for before in "\n.0".chars().chain('a'..='z').map(String::from) {
        if !goes_on || vocabulary.inexpressible(&before).is_some() {
            continue;
        }
        let own = tokens(&before, false);
        if own.iter().flat_map(|&token| vocabulary.bytes(token as u32)).eq(before.as_bytes()) {
            break;
        }
        if let Some(rest) = tokens(&format!("{before}{text}"), parse_special).strip_prefix(own.as_slice()) {
            all.extend(rest);
            return;
        }
    }
    all.extend(tokens(text, parse_special));
}

/// Whether llama.cpp takes this token out of a text before it tokenises the rest.
fn is_special(model: &LlamaModel, token: i32) -> bool {
    // A tokenizer without a token for the unknown gives −1, and llama.cpp ends the process over its attributes.
    token >= 0
        && model
            .vocab()
            .attr(LlamaToken(token))
            .intersects(LlamaTokenAttr::Control | LlamaTokenAttr::UserDefined | LlamaTokenAttr::Unknown)
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

#[cfg(test)]
mod tests;
