//! How much vocabularies share, in numbers.

use super::trie::writes;
use super::{BYTES, ROOT, Trie};
use crate::member::{Unit, Vocabulary};
use std::collections::HashSet;

/// How many tokens are shown that only one member has.
const EXAMPLES: usize = 12;

/// What some vocabularies are like beside each other.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Byte strings that every one has as a token.
    pub shared: usize,
    /// Each member's, in the members' order.
    pub members: Vec<MemberDescription>,
}

/// What one vocabulary is like beside the others.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberDescription {
    /// Tokens that write text: all but masked ones and ends.
    pub tokens: usize,
    /// Tokens that end the text.
    pub ends: usize,
    /// Single bytes that no token of this member is: it can write them as a part of longer tokens at most.
    pub missing_bytes: usize,
    /// Mean length in bytes of a token that writes text; 0 without any.
    pub bytes_per_token: f64,
    /// Mean number of beginnings of a token that are a token, too. Each may be another way to read a text, and cost a forward pass.
    pub beginnings: f64,
    /// Tokens whose bytes are one token in no other member.
    pub alone: usize,
    /// The bytes of a few of those, from all over the vocabulary.
    pub examples: Vec<Vec<u8>>,
}

/// How much vocabularies share.
pub fn describe(vocabularies: &[&Vocabulary]) -> Description {
    let strings: Vec<HashSet<&[u8]>> = vocabularies.iter().map(|vocabulary| strings(vocabulary).collect()).collect();
    let shared = strings.first().map_or(0, |first| {
        first.iter().filter(|string| strings[1..].iter().all(|other| other.contains(*string))).count()
    });
    let of_member = |(member, vocabulary): (usize, &&Vocabulary)| {
        let texts = || (0..vocabulary.len() as Unit).filter(|&token| writes(vocabulary, token));
        let (tokens, bytes) =
            texts().fold((0, 0), |(tokens, bytes), token| (tokens + 1, bytes + vocabulary.bytes(token).len()));
        let is_elsewhere = |token: &Unit| {
            strings.iter().enumerate().any(|(at, other)| at != member && other.contains(vocabulary.bytes(*token)))
        };
        let alone: Vec<Unit> = texts().filter(|token| !is_elsewhere(token)).collect();
        let trie = Trie::new(vocabulary);
        let has_token = |&byte: &usize| trie.find(&[byte as u8]).is_some_and(|node| !trie.own_tokens(node).is_empty());
        MemberDescription {
            tokens,
            ends: vocabulary.ends_of_text().len(),
            missing_bytes: BYTES - (0..BYTES).filter(has_token).count(),
            bytes_per_token: if tokens == 0 { 0.0 } else { bytes as f64 / tokens as f64 },
            beginnings: if tokens == 0 { 0.0 } else { beginnings(&trie) as f64 / tokens as f64 },
            alone: alone.len(),
            examples: spread(&alone).map(|token| vocabulary.bytes(token).to_vec()).collect(),
        }
    };
    Description { shared, members: vocabularies.iter().enumerate().map(of_member).collect() }
}

/// Of all tokens, beginnings that are tokens themselves.
fn beginnings(trie: &Trie) -> usize {
    let mut sum = 0;
    let mut waiting = vec![(ROOT, 0)];
    while let Some((node, before)) = waiting.pop() {
        let own = trie.own(node).len();
        sum += own * before;
        waiting.extend(trie.children(node).map(|(_, child)| (child, before + usize::from(own > 0))));
    }
    sum
}

/// What its tokens write.
fn strings(vocabulary: &Vocabulary) -> impl Iterator<Item = &[u8]> {
    (0..vocabulary.len() as Unit).filter(|&token| writes(vocabulary, token)).map(|token| vocabulary.bytes(token))
}

/// At most [`EXAMPLES`] of them, evenly from first to last.
fn spread(tokens: &[Unit]) -> impl Iterator<Item = Unit> + '_ {
    let shown = tokens.len().min(EXAMPLES);
    (0..shown).map(move |at| tokens[at * tokens.len() / shown])
}
