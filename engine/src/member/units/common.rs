//! The reduction: from vocabularies to common units and each member's map.

use super::TokenMap;
use crate::member::vocabulary::TokenKind;
use crate::member::{Unit, Vocabulary};
use std::collections::HashSet;

/// The number of single bytes, which are the first units; unit 65 is `A`.
pub(super) const BYTES: usize = 256;

/// What members with different vocabularies have in common.
///
/// Units are numbered by their bytes alone, so neither the order of the members nor their ids matter: first the 256 bytes by
/// value, then the longer strings in the order of their bytes, END last.
#[derive(Debug, Clone, PartialEq)]
pub struct Common {
    /// The units, as the vocabulary in which the ensemble speaks.
    pub units: Vocabulary,
    /// How each member's tokens are made of them, in the members' order.
    pub members: Vec<TokenMap>,
}

/// Reduces vocabularies, as they were read from the models, to the units that all of them can write. Of no vocabulary at all
/// these are the bytes and END.
pub fn reduce(vocabularies: &[&Vocabulary]) -> Common {
    let strings = shared_strings(vocabularies);
    let cutter = Cutter::new(&strings);
    let members = vocabularies
        .iter()
        .map(|vocabulary| {
            let mut sequences = Sequences::default();
            for token in 0..vocabulary.len() as Unit {
                match vocabulary.kind(token) {
                    TokenKind::Text | TokenKind::Fallback => cutter.cut(vocabulary.bytes(token), &mut sequences.units),
                    TokenKind::End => sequences.units.push(cutter.end()),
                    TokenKind::Masked => {}
                }
                sequences.ends.push(sequences.units.len() as u32);
            }
            TokenMap::new(vocabulary, sequences, cutter.end())
        })
        .collect();
    Common { units: vocabulary_of(&strings), members }
}

/// What tokens come to in units, one sequence after the other, by the tokens' ids. Empty for what is never emitted.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sequences {
    pub units: Vec<Unit>,
    /// Where each token's units end.
    pub ends: Vec<u32>,
}

impl Sequences {
    /// Empty for a token beyond the end, too: a tokenizer may give one of the padding that the vocabulary leaves out.
    pub fn of(&self, token: u32) -> &[Unit] {
        let token = token as usize;
        let Some(&end) = self.ends.get(token) else { return &[] };
        let start = if token == 0 { 0 } else { self.ends[token - 1] };
        &self.units[start as usize..end as usize]
    }
}

/// The units as a vocabulary, from the strings that are longer than a byte.
pub(super) fn vocabulary_of(strings: &[&[u8]]) -> Vocabulary {
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let mut pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    pieces.extend(strings);
    let end = pieces.len() as Unit;
    pieces.push(&[]);
    Vocabulary::from_pieces(&pieces, &[end]).with_letters(bytes.len() as Unit)
}

/// The byte strings longer than a byte that every vocabulary has as one token, in the order of their bytes.
fn shared_strings<'a>(vocabularies: &[&'a Vocabulary]) -> Vec<&'a [u8]> {
    fn strings(vocabulary: &Vocabulary) -> impl Iterator<Item = &[u8]> {
        (0..vocabulary.len() as Unit)
            .filter(|&token| vocabulary.kind(token) == TokenKind::Text)
            .map(|token| vocabulary.bytes(token))
            .filter(|string| string.len() > 1)
    }
    let Some((first, others)) = vocabularies.split_first() else { return Vec::new() };
    let mut shared: HashSet<&[u8]> = strings(first).collect();
    for other in others {
        shared = strings(other).filter_map(|string| shared.get(string).copied()).collect();
    }
    let mut shared: Vec<&[u8]> = shared.into_iter().collect();
    shared.sort_unstable();
    shared
}

/// Cuts bytes into units, always the longest that fits. Strings that begin alike stand side by side in sorted order; a match
/// narrows the range of them byte by byte, from a table for the first two bytes on.
struct Cutter<'a> {
    strings: &'a [&'a [u8]],
    /// For each pair of bytes the first string that begins with it or a later one, and the number of strings.
    pairs: Vec<u32>,
}

impl<'a> Cutter<'a> {
    /// `strings` are longer than a byte, sorted and distinct.
    fn new(strings: &'a [&'a [u8]]) -> Self {
        let mut pairs = vec![0u32; BYTES * BYTES + 1];
        for string in strings {
            pairs[pair(string) + 1] += 1;
        }
        for index in 1..pairs.len() {
            pairs[index] += pairs[index - 1];
        }
        Self { strings, pairs }
    }

    fn end(&self) -> Unit {
        (BYTES + self.strings.len()) as Unit
    }

    fn cut(&self, mut bytes: &[u8], units: &mut Vec<Unit>) {
        while !bytes.is_empty() {
            let (unit, length) = self.longest(bytes);
            units.push(unit);
            bytes = &bytes[length..];
        }
    }

    /// The longest unit that `bytes` begin with, and its length.
    fn longest(&self, bytes: &[u8]) -> (Unit, usize) {
        let mut best = (Unit::from(bytes[0]), 1);
        if bytes.len() < 2 {
            return best;
        }
        let mut low = self.pairs[pair(bytes)] as usize;
        let mut high = self.pairs[pair(bytes) + 1] as usize;
        let mut length = 2;
        while low < high {
            // Of the strings that begin with these bytes, the one that is nothing more comes first.
            if self.strings[low].len() == length {
                best = ((BYTES + low) as Unit, length);
                low += 1;
            }
            let Some(&next) = bytes.get(length) else { break };
            low += self.strings[low..high].partition_point(|string| string[length] < next);
            high = low + self.strings[low..high].partition_point(|string| string[length] == next);
            length += 1;
        }
        best
    }
}

/// The first two bytes as a number.
fn pair(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) * BYTES + usize::from(bytes[1])
}
