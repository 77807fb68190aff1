//! What a member's tokens are: their bytes, which of them can be emitted, which end the text. The ensemble speaks token
//! ids only after it has made sure that they mean the same bytes in every member.

use super::Unit;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token_type::LlamaTokenAttr;
use std::collections::{BTreeSet, HashSet};

/// A member's tokens.
#[derive(Debug, Clone, PartialEq)]
pub struct Vocabulary {
    /// All tokens' bytes, one after the other.
    bytes: Vec<u8>,
    /// Where each token's bytes end.
    ends: Vec<u32>,
    /// Tokens that are never emitted by themselves, in rising order: control tokens, padding, unknown.
    masked: Vec<Unit>,
    /// Tokens that end the text; all masked, their probability goes to `end`.
    ends_of_text: Vec<Unit>,
    /// Tokens that stand for one byte where no piece fits, in rising order. A piece may have the same byte.
    fallback: Vec<Unit>,
    /// The units are bytes, and not tokens of a model.
    in_bytes: bool,
    /// The one unit that stands for the end of the text; [`NO_END`] when there is none.
    end: Unit,
    /// What tokens look like that text is searched for when control tokens are allowed in it.
    control_texts: Vec<String>,
    /// Characters a tokenizer without byte fallback knows; `None` when every text can be expressed.
    characters: Option<HashSet<char>>,
}

/// What a token is for a text that is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// It has bytes.
    Text,
    /// It is one byte, for want of a piece.
    Fallback,
    /// It ends the text.
    End,
    /// It is never emitted, or nothing would be seen of it.
    Masked,
}

/// Stands for the end of a text in a vocabulary where nothing does.
const NO_END: Unit = Unit::MAX;

impl Vocabulary {
    /// Reads a model's vocabulary.
    pub(super) fn of(model: &LlamaModel) -> Self {
        let vocabulary = model.vocab();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let (mut masked, mut ends_of_text, mut control_texts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut fallback, mut padding) = (Vec::new(), Vec::new());
        for token in vocabulary.tokens() {
            let unit = token.0 as Unit;
            let attributes = vocabulary.attr(token);
            let control = attributes.contains(LlamaTokenAttr::Control);
            let unknown = attributes.contains(LlamaTokenAttr::Unknown);
            // A model that begins another document has ended this one: llama2.c's models know no other end. A file that
            // does not name its beginning gets a default from llama.cpp, which in another vocabulary is a comma.
            let is_end = vocabulary.is_eog(token) || control && token == vocabulary.bos();
            let unused = !control && !unknown && (attributes.contains(LlamaTokenAttr::Unused) || attributes.is_empty());
            let hidden = control || unknown || unused;
            if is_end {
                ends_of_text.push(unit);
            } else if unused {
                padding.push(unit);
            }
            if is_end || hidden {
                masked.push(unit);
            } else {
                bytes.extend(vocabulary.token_to_piece(token, false, None));
            }
            if attributes.contains(LlamaTokenAttr::Byte) {
                fallback.push(unit);
            }
            if control || unknown {
                control_texts.push(super::reader::tokens::text_of(model, token));
            }
            ends.push(bytes.len() as u32);
        }
        // Padding at the end needs no room in a row. A control token there is none: templates write it, so it stands in
        // prompts.
        while padding.last().is_some_and(|last| *last as usize + 1 == ends.len()) {
            padding.pop();
            masked.pop();
            ends.pop();
        }
        control_texts.retain(|text| !text.is_empty());
        let end = ends_of_text.first().copied().unwrap_or(NO_END);
        let characters = characters_without_fallback(model);
        Self { bytes, ends, masked, ends_of_text, fallback, in_bytes: false, end, control_texts, characters }
    }

    /// From the tokens' bytes; those in `ends_of_text` end it. For members that are no llama.cpp model.
    pub fn from_pieces(pieces: &[&[u8]], ends_of_text: &[Unit]) -> Self {
        let mut ends = Vec::with_capacity(pieces.len());
        let mut bytes = Vec::new();
        for (unit, piece) in pieces.iter().enumerate() {
            if !ends_of_text.contains(&(unit as Unit)) {
                bytes.extend_from_slice(piece);
            }
            ends.push(bytes.len() as u32);
        }
        let mut masked = ends_of_text.to_vec();
        masked.sort_unstable();
        Self {
            bytes,
            ends,
            end: masked.first().copied().unwrap_or(NO_END),
            ends_of_text: masked.clone(),
            fallback: Vec::new(),
            in_bytes: false,
            masked,
            control_texts: Vec::new(),
            characters: None,
        }
    }

    /// The same with some of its tokens as byte fallback and others never emitted, for tests.
    #[cfg(test)]
    pub(super) fn with_kinds(mut self, fallback: &[Unit], masked: &[Unit]) -> Self {
        self.fallback.extend(fallback);
        self.fallback.sort_unstable();
        self.masked.extend(masked);
        self.masked.sort_unstable();
        self
    }

    /// The same as the bytes that members of different vocabularies meet in.
    pub(super) fn in_bytes(self) -> Self {
        Self { in_bytes: true, ..self }
    }

    /// Whether a unit writes a number: digits, and perhaps a space before them. A number that was written is no reason to write
    /// another one, so the repeat penalty leaves these alone.
    pub fn is_number(&self, unit: Unit) -> bool {
        let bytes = self.bytes(unit);
        let digits = bytes.strip_prefix(b" ").unwrap_or(bytes);
        !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
    }

    /// Whether the units are the 256 bytes and the end of the text, in this order, and not tokens of a model.
    pub fn is_bytes(&self) -> bool {
        self.in_bytes
    }

    /// Length of a row: all tokens but the padding at the end.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True for a vocabulary without tokens; none loads.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// A unit's bytes; empty for the end of the text and for units that are never emitted.
    pub fn bytes(&self, unit: Unit) -> &[u8] {
        let unit = unit as usize;
        let Some(&end) = self.ends.get(unit) else { return &[] };
        let start = if unit == 0 { 0 } else { self.ends[unit - 1] };
        &self.bytes[start as usize..end as usize]
    }

    /// The unit that ends the text; its row entry is the sum over all tokens that do. Not in the rows of members none of
    /// which knows an end.
    pub fn end(&self) -> Unit {
        self.end
    }

    /// Whether a row can give this unit a finite logit.
    pub fn can_emit(&self, unit: Unit) -> bool {
        (unit as usize) < self.len() && (unit == self.end || self.masked.binary_search(&unit).is_err())
    }

    /// What a token is for a text that is written.
    pub(super) fn kind(&self, token: Unit) -> TokenKind {
        if self.ends_of_text.contains(&token) {
            TokenKind::End
        } else if self.bytes(token).is_empty() || self.masked.binary_search(&token).is_ok() {
            TokenKind::Masked
        } else if self.fallback.binary_search(&token).is_ok() {
            TokenKind::Fallback
        } else {
            TokenKind::Text
        }
    }

    /// Its tokens that end the text.
    pub(super) fn ends_of_text(&self) -> &[Unit] {
        &self.ends_of_text
    }

    /// Whether any token writes text.
    pub(super) fn writes(&self) -> bool {
        (0..self.len() as Unit).any(|token| matches!(self.kind(token), TokenKind::Text | TokenKind::Fallback))
    }

    /// Texts that would be read as control tokens.
    pub(super) fn control_texts(&self) -> &[String] {
        &self.control_texts
    }

    /// The first character of `text` that the tokenizer cannot express. llama.cpp ends the process over one.
    pub fn inexpressible(&self, text: &str) -> Option<char> {
        let known = self.characters.as_ref()?;
        // SentencePiece's space.
        let spelled = |character| if character == ' ' { '▁' } else { character };
        text.chars().find(|&character| !known.contains(&spelled(character)))
    }

    /// A text without the characters that the tokenizer cannot express.
    pub(super) fn expressible(&self, text: &str) -> String {
        let is_known = |character: &char| self.inexpressible(character.encode_utf8(&mut [0; 4])).is_none();
        text.chars().filter(is_known).collect()
    }

    /// Makes the row of units `row` from a model's `logits`: all ends of text in one, −∞ where nothing can be emitted.
    /// There may be more logits than units, for padding at the end, or fewer, where other members have longer padding.
    pub fn row_of_units(&self, logits: &[f32], row: &mut Vec<f32>) {
        row.clear();
        row.extend_from_slice(&logits[..logits.len().min(self.len())]);
        row.resize(self.len(), f32::NEG_INFINITY);
        let ends = || self.ends_of_text.iter().map(|&unit| row[unit as usize]);
        let highest = ends().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = ends().map(|logit| (logit - highest).exp()).sum();
        let joined = if highest == f32::NEG_INFINITY { highest } else { highest + sum.ln() };
        for &unit in &self.masked {
            row[unit as usize] = f32::NEG_INFINITY;
        }
        if let Some(end) = row.get_mut(self.end as usize) {
            *end = joined;
        }
    }

    /// Makes one vocabulary of all members', or says that two of them differ and changes nothing. Tokens that end the text may
    /// differ: each member keeps its own, under one common unit.
    pub fn unify(members: &mut [Self]) -> bool {
        let Some((first, others)) = members.split_first() else { return true };
        if others.iter().any(|other| !first.is_like(other)) {
            return false;
        }
        let end = members.iter().map(|vocabulary| vocabulary.end).find(|&end| end != NO_END).unwrap_or(NO_END);
        let units = members.iter().map(Self::len).max().unwrap_or(0);
        let mut masked: BTreeSet<Unit> =
            members.iter().flat_map(|vocabulary| vocabulary.masked.iter().copied()).collect();
        // Where one has padding and the other has nothing, both have a masked unit.
        masked.extend(members.iter().map(|vocabulary| vocabulary.len() as Unit).min().unwrap_or(0)..units as Unit);
        for vocabulary in members.iter_mut() {
            vocabulary.end = end;
            vocabulary.masked = masked.iter().copied().collect();
            vocabulary.ends.resize(units, vocabulary.bytes.len() as u32);
        }
        true
    }

    /// Every token is the same in both; those that are never emitted in either do not count.
    fn is_like(&self, other: &Self) -> bool {
        let shown = |vocabulary: &Self, unit: Unit| vocabulary.can_emit(unit) && unit != vocabulary.end;
        (0..self.len().max(other.len()) as Unit).all(|unit| {
            let (here, there) = (shown(self, unit), shown(other, unit));
            let ends = |vocabulary: &Self| vocabulary.ends_of_text.contains(&unit);
            // A token that only one of the two takes for an end of text is masked in both; its text does not matter.
            let same_kind = here == there || ends(self) || ends(other);
            same_kind && !(here && there && self.bytes(unit) != other.bytes(unit))
        })
    }
}

/// The characters that stand in the vocabulary, when some byte does not. Of llama.cpp's tokenizers only SentencePiece's
/// needs this: the others leave out what they do not know, or have a token for it.
fn characters_without_fallback(model: &LlamaModel) -> Option<HashSet<char>> {
    // llama-cpp-2 has a function for the kind of tokenizer, which panics on all but two.
    if model.meta_val_str("tokenizer.ggml.model").ok()? != "llama" {
        return None;
    }
    let texts: HashSet<String> =
        model.vocab().tokens().map(|token| super::reader::tokens::text_of(model, token)).collect();
    if (0..=255u8).all(|byte| texts.contains(&format!("<0x{byte:02X}>"))) {
        return None;
    }
    let only_character = |text: &String| {
        let mut characters = text.chars();
        characters.next().filter(|_| characters.next().is_none())
    };
    Some(texts.iter().filter_map(only_character).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vocabulary(pieces: &[&str], masked: &[Unit], ends_of_text: &[Unit]) -> Vocabulary {
        let pieces: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
        let mut vocabulary = Vocabulary::from_pieces(&pieces, ends_of_text);
        vocabulary.masked.extend(masked);
        vocabulary.masked.sort_unstable();
        vocabulary
    }

    fn row(vocabulary: &Vocabulary, logits: &[f32]) -> Vec<f32> {
        let mut row = vec![0.25; 3];
        vocabulary.row_of_units(logits, &mut row);
        row
    }

    #[test]
    fn numbers_are_digits_with_a_space_before_them_at_most() {
        let pieces = ["", "7", " 42", "4a", " ", "3.5", "  1", "٣"];
        let vocabulary = vocabulary(&pieces, &[], &[0]);
        let numbers: Vec<&str> =
            (0..).zip(pieces).filter(|(unit, _)| vocabulary.is_number(*unit)).map(|(_, piece)| piece).collect();
        assert_eq!(numbers, ["7", " 42"]);
    }

    #[test]
    fn all_ends_of_text_are_one_unit() {
        let vocabulary = vocabulary(&["", "", "a", "b"], &[], &[0, 1]);
        let row = row(&vocabulary, &[1.0, 2.0, 0.5, 0.5]);
        assert!((row[0] - (1f32.exp() + 2f32.exp()).ln()).abs() < 1e-6);
        assert_eq!(row[1], f32::NEG_INFINITY);
        assert_eq!(&row[2..], &[0.5, 0.5]);
    }

    #[test]
    fn another_piece_at_the_same_id_is_another_vocabulary() {
        let mut members = vec![vocabulary(&["", "a", "b"], &[], &[0]), vocabulary(&["", "a", "c"], &[], &[0])];
        let before = members.clone();
        assert!(!Vocabulary::unify(&mut members));
        assert_eq!(members, before);
    }

    #[test]
    fn padding_of_different_length_is_no_difference() {
        let mut members = vec![vocabulary(&["", "a", "b", ""], &[3], &[0]), vocabulary(&["", "a", "b"], &[], &[0])];
        assert!(Vocabulary::unify(&mut members));
        for vocabulary in &members {
            assert!(row(vocabulary, &[0.0; 3]) == [0.0, 0.0, 0.0, f32::NEG_INFINITY]);
            assert!(row(vocabulary, &[0.0; 5]) == [0.0, 0.0, 0.0, f32::NEG_INFINITY]);
        }
    }

    #[test]
    fn a_longer_vocabulary_with_real_tokens_is_another() {
        let mut members = vec![vocabulary(&["", "a"], &[], &[0]), vocabulary(&["", "a", "b"], &[], &[0])];
        assert!(!Vocabulary::unify(&mut members));
    }

    #[test]
    fn each_member_keeps_its_own_ends_of_text() {
        let mut members = vec![vocabulary(&["", "", "a"], &[1], &[0]), vocabulary(&["", "", "a"], &[], &[0, 1])];
        assert!(Vocabulary::unify(&mut members));
        assert_eq!(row(&members[0], &[0.0, 5.0, 0.0]), [0.0, f32::NEG_INFINITY, 0.0]);
        let row = row(&members[1], &[0.0, 5.0, 0.0]);
        assert!(row[0] > 5.0 && row[1] == f32::NEG_INFINITY);
    }

    #[test]
    fn an_end_that_only_a_later_member_knows_is_the_end_of_all() {
        let mut members = vec![vocabulary(&["a", "b", "</s>"], &[], &[]), vocabulary(&["a", "b", ""], &[], &[2])];
        assert!(!members[0].can_emit(members[0].end()));
        assert!(Vocabulary::unify(&mut members));
        assert_eq!((members[0].end(), members[1].end()), (2, 2));
        assert_eq!(row(&members[0], &[1.0, 2.0, 3.0]), [1.0, 2.0, f32::NEG_INFINITY]);
        assert_eq!(row(&members[1], &[1.0, 2.0, 3.0]), [1.0, 2.0, 3.0]);
    }
}
