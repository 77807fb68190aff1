//! What a member's tokens are: their bytes, which of them can be emitted, which end the text. The ensemble speaks token
//! ids only after it has made sure that they mean the same bytes in every member.

use super::Unit;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token_type::LlamaTokenAttr;
use llama_cpp_2::vocab::VocabType;

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
    /// The one unit that stands for the end of the text; no unit at all when nothing ends it.
    end: Unit,
    /// What control tokens look like as text.
    control_texts: Vec<String>,
    /// Characters a tokenizer without byte fallback knows; empty when every text can be expressed.
    characters: std::collections::HashSet<char>,
}

/// Two members whose token ids do not mean the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{second}` has another vocabulary than `{first}`: token {token} is {second_text} there and {first_text} here; \
     members must share a vocabulary byte for byte"
)]
pub struct VocabularyMismatch {
    first: String,
    second: String,
    token: Unit,
    first_text: String,
    second_text: String,
}

impl Vocabulary {
    /// Reads a model's vocabulary.
    pub(super) fn of(model: &LlamaModel) -> Self {
        let vocabulary = model.vocab();
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        let (mut masked, mut ends_of_text, mut control_texts) = (Vec::new(), Vec::new(), Vec::new());
        for token in vocabulary.tokens() {
            let unit = token.0 as Unit;
            let attributes = vocabulary.attr(token);
            let text = vocabulary.text(token).map(|text| text.to_string_lossy().into_owned()).unwrap_or_default();
            let control = attributes.contains(LlamaTokenAttr::Control);
            // A model that begins another document has ended this one: llama2.c's models know no other end.
            let is_end = vocabulary.is_eog(token) || token == vocabulary.bos();
            let hidden = control
                || attributes.contains(LlamaTokenAttr::Unknown)
                || attributes.contains(LlamaTokenAttr::Unused)
                || attributes.is_empty();
            if is_end {
                ends_of_text.push(unit);
            }
            if is_end || hidden {
                masked.push(unit);
            } else {
                bytes.extend(vocabulary.token_to_piece(token, false, None));
            }
            if control && !text.is_empty() {
                control_texts.push(text);
            }
            ends.push(bytes.len() as u32);
        }
        // Padding at the end needs no room in a row.
        while masked.last().is_some_and(|last| *last as usize + 1 == ends.len() && !ends_of_text.contains(last)) {
            masked.pop();
            ends.pop();
        }
        let end = ends_of_text.iter().copied().min().unwrap_or(Unit::MAX);
        Self { bytes, ends, masked, ends_of_text, end, control_texts, characters: characters_without_fallback(model) }
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
            end: masked.first().copied().unwrap_or(Unit::MAX),
            ends_of_text: masked.clone(),
            masked,
            control_texts: Vec::new(),
            characters: Default::default(),
        }
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

    /// The unit that ends the text. Its row entry is the sum over all tokens that do.
    pub fn end(&self) -> Unit {
        self.end
    }

    /// Whether a row can give this unit a finite logit.
    pub fn can_emit(&self, unit: Unit) -> bool {
        (unit as usize) < self.len() && (unit == self.end || self.masked.binary_search(&unit).is_err())
    }

    /// Texts that would be read as control tokens.
    pub(super) fn control_texts(&self) -> &[String] {
        &self.control_texts
    }

    /// The first character of `text` that the tokenizer cannot express. llama.cpp ends the process over one.
    pub fn inexpressible(&self, text: &str) -> Option<char> {
        if self.characters.is_empty() {
            return None;
        }
        text.chars().find(|character| *character != ' ' && !self.characters.contains(character))
    }

    /// Makes a row of raw logits speak units: all ends of text in one, −∞ where nothing can be emitted.
    pub fn mask(&self, logits: &mut [f32]) {
        let ends = || self.ends_of_text.iter().filter_map(|&unit| logits.get(unit as usize).copied());
        let highest = ends().fold(f32::NEG_INFINITY, f32::max);
        let sum: f32 = ends().map(|logit| (logit - highest).exp()).sum();
        let joined = if highest == f32::NEG_INFINITY { highest } else { highest + sum.ln() };
        for &unit in &self.masked {
            if let Some(logit) = logits.get_mut(unit as usize) {
                *logit = f32::NEG_INFINITY;
            }
        }
        if !self.ends_of_text.is_empty() {
            logits[self.end as usize] = joined;
        }
    }

    /// Makes one vocabulary of all members', or says where two of them differ. Tokens that end the text may differ: each
    /// member keeps its own, under one common unit.
    pub fn unify(members: &mut [(String, Vocabulary)]) -> Result<(), VocabularyMismatch> {
        let Some(((first_name, first), others)) = members.split_first() else { return Ok(()) };
        for (name, other) in others.iter() {
            if let Some(token) = first.first_difference(other) {
                return Err(VocabularyMismatch {
                    first: first_name.clone(),
                    second: name.clone(),
                    token,
                    first_text: first.describe(token),
                    second_text: other.describe(token),
                });
            }
        }
        let end = first.end;
        let all: std::collections::BTreeSet<Unit> =
            members.iter().flat_map(|(_, vocabulary)| vocabulary.masked.iter().copied()).collect();
        let units = members.iter().map(|(_, vocabulary)| vocabulary.len()).max().unwrap_or(0);
        for (_, vocabulary) in members.iter_mut() {
            vocabulary.end = end;
            // Where one has padding and the other has nothing, both have a masked unit.
            let known = vocabulary.len() as Unit..units as Unit;
            vocabulary.masked =
                all.iter().copied().chain(known).collect::<std::collections::BTreeSet<_>>().into_iter().collect();
            vocabulary.ends.resize(units, vocabulary.bytes.len() as u32);
        }
        Ok(())
    }

    /// The first token that is not the same in both; tokens that are never emitted in either do not count.
    fn first_difference(&self, other: &Self) -> Option<Unit> {
        let shown = |vocabulary: &Self, unit: Unit| vocabulary.can_emit(unit) && unit != vocabulary.end;
        (0..self.len().max(other.len()) as Unit).find(|&unit| {
            let (here, there) = (shown(self, unit), shown(other, unit));
            let ends = |vocabulary: &Self| vocabulary.ends_of_text.contains(&unit);
            // A token that only one of the two takes for an end of text is masked in both; its text does not matter.
            here != there && !ends(self) && !ends(other) || here && there && self.bytes(unit) != other.bytes(unit)
        })
    }

    fn describe(&self, unit: Unit) -> String {
        if unit as usize >= self.len() {
            "missing".into()
        } else if self.ends_of_text.contains(&unit) {
            "an end of text".into()
        } else if !self.can_emit(unit) {
            "a control token".into()
        } else {
            format!("{:?}", String::from_utf8_lossy(self.bytes(unit)))
        }
    }
}

/// The characters that stand in the vocabulary, when some byte does not.
fn characters_without_fallback(model: &LlamaModel) -> std::collections::HashSet<char> {
    let vocabulary = model.vocab();
    if vocabulary.vocab_type() != VocabType::SPM {
        return Default::default();
    }
    let texts: std::collections::HashSet<String> = vocabulary
        .tokens()
        .filter_map(|token: LlamaToken| vocabulary.text(token).map(|text| text.to_string_lossy().into_owned()))
        .collect();
    if (0..=255u8).all(|byte| texts.contains(&format!("<0x{byte:02X}>"))) {
        return Default::default();
    }
    texts
        .iter()
        .filter_map(|text| {
            let mut characters = text.chars();
            characters.next().filter(|_| characters.next().is_none())
        })
        .collect()
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

    #[test]
    fn all_ends_of_text_are_one_unit() {
        let vocabulary = vocabulary(&["", "", "a", "b"], &[], &[0, 1]);
        let mut row = [1.0, 2.0, 0.5, 0.5];
        vocabulary.mask(&mut row);
        assert!((row[0] - (1f32.exp() + 2f32.exp()).ln()).abs() < 1e-6);
        assert_eq!(row[1], f32::NEG_INFINITY);
        assert_eq!(&row[2..], &[0.5, 0.5]);
    }

    #[test]
    fn another_piece_at_the_same_id_is_refused_and_named() {
        let mut members = vec![
            ("one".into(), vocabulary(&["", "a", "b"], &[], &[0])),
            ("two".into(), vocabulary(&["", "a", "c"], &[], &[0])),
        ];
        let message = Vocabulary::unify(&mut members).unwrap_err().to_string();
        assert!(message.contains("token 2") && message.contains("\"b\"") && message.contains("\"c\""), "{message}");
    }

    #[test]
    fn padding_of_different_length_is_no_difference() {
        let mut members = vec![
            ("one".into(), vocabulary(&["", "a", "b", ""], &[3], &[0])),
            ("two".into(), vocabulary(&["", "a", "b"], &[], &[0])),
        ];
        Vocabulary::unify(&mut members).unwrap();
        let mut row = [0.0; 4];
        members[1].1.mask(&mut row);
        assert_eq!(row[3], f32::NEG_INFINITY);
        assert_eq!(members[0].1.len(), members[1].1.len());
    }

    #[test]
    fn a_longer_vocabulary_with_real_tokens_is_refused() {
        let mut members = vec![
            ("one".into(), vocabulary(&["", "a"], &[], &[0])),
            ("two".into(), vocabulary(&["", "a", "b"], &[], &[0])),
        ];
        assert!(Vocabulary::unify(&mut members).unwrap_err().to_string().contains("missing"));
    }

    #[test]
    fn each_member_keeps_its_own_ends_of_text() {
        let mut members = vec![
            ("one".into(), vocabulary(&["", "", "a"], &[1], &[0])),
            ("two".into(), vocabulary(&["", "", "a"], &[], &[0, 1])),
        ];
        Vocabulary::unify(&mut members).unwrap();
        let mut row = [0.0, 5.0, 0.0];
        members[0].1.mask(&mut row);
        assert_eq!(row, [0.0, f32::NEG_INFINITY, 0.0]);
        let mut row = [0.0, 5.0, 0.0];
        members[1].1.mask(&mut row);
        assert!(row[0] > 5.0 && row[1] == f32::NEG_INFINITY);
    }
}
