//! How much members share, in numbers.

use super::{Common, ROOT, TokenMap};
use crate::member::Unit;

/// How many tokens are shown that only one member has.
const EXAMPLES: usize = 12;

/// What the common units of some members are like.
#[derive(Debug, Clone, PartialEq)]
pub struct Description {
    /// Units in all, the 256 bytes and END included.
    pub units: usize,
    /// Units of more than one byte: what every member has as one token.
    pub shared: usize,
    /// Mean length in bytes of all units but END.
    pub bytes_per_unit: f64,
    /// Each member, in the members' order.
    pub members: Vec<MemberDescription>,
}

/// How one member's vocabulary is made of the units.
#[derive(Debug, Clone, PartialEq)]
pub struct MemberDescription {
    /// Tokens that write text: all but masked ones and ends.
    pub tokens: usize,
    /// Tokens that end the text.
    pub ends: usize,
    /// Units but END that are a whole token of this member.
    pub whole_units: usize,
    /// Single bytes that no token of this member is: it can write them as a part of longer tokens at most.
    pub missing_bytes: usize,
    /// Tokens that are one unit; `single / tokens` is the share.
    pub single: usize,
    /// Mean number of units in a token that writes text; 0 without any.
    pub units_per_token: f64,
    /// Mean length in bytes of a token that writes text; 0 without any.
    pub bytes_per_token: f64,
    /// Tokens whose bytes are one token in no other member.
    pub alone: usize,
    /// The bytes of a few of those, from all over the vocabulary.
    pub examples: Vec<Vec<u8>>,
}

impl Common {
    /// How much the members share.
    pub fn describe(&self) -> Description {
        let units = self.units.len();
        let bytes: usize = (0..units as Unit).map(|unit| self.units.bytes(unit).len()).sum();
        Description {
            units,
            shared: units - super::common::BYTES - 1,
            bytes_per_unit: mean(bytes, units - 1),
            members: (0..self.members.len()).map(|member| self.describe_member(member)).collect(),
        }
    }

    fn describe_member(&self, member: usize) -> MemberDescription {
        let map = &self.members[member];
        let texts = || (0..map.tokens() as u32).filter(|&token| writes_text(map, token));
        let tokens = texts().count();
        let units: usize = texts().map(|token| map.units_of(token).len()).sum();
        let bytes: usize = texts().map(|token| self.length(map, token)).sum();
        let is_whole = |&unit: &Unit| map.child(ROOT, unit).is_some_and(|node| !map.own_tokens(node).is_empty());
        // The same bytes are the same units in every member.
        let elsewhere = |token: u32| {
            let has = |other: &TokenMap| {
                other.find(map.units_of(token)).is_some_and(|node| !other.own_tokens(node).is_empty())
            };
            self.members.iter().enumerate().any(|(at, other)| at != member && has(other))
        };
        let alone: Vec<u32> = texts().filter(|&token| !elsewhere(token)).collect();
        MemberDescription {
            tokens,
            ends: map.ends().len(),
            whole_units: (0..map.end()).filter(is_whole).count(),
            missing_bytes: (0..super::common::BYTES as Unit).filter(|unit| !is_whole(unit)).count(),
            single: texts().filter(|&token| map.units_of(token).len() == 1).count(),
            units_per_token: mean(units, tokens),
            bytes_per_token: mean(bytes, tokens),
            alone: alone.len(),
            examples: spread(&alone).map(|token| self.bytes(map, token)).collect(),
        }
    }

    fn bytes(&self, map: &TokenMap, token: u32) -> Vec<u8> {
        map.units_of(token).iter().flat_map(|&unit| self.units.bytes(unit)).copied().collect()
    }

    fn length(&self, map: &TokenMap, token: u32) -> usize {
        map.units_of(token).iter().map(|&unit| self.units.bytes(unit).len()).sum()
    }
}

/// Whether a token is neither masked nor an end.
fn writes_text(map: &TokenMap, token: u32) -> bool {
    map.units_of(token).first().is_some_and(|&unit| unit != map.end())
}

/// At most [`EXAMPLES`] of them, evenly from first to last.
fn spread(tokens: &[u32]) -> impl Iterator<Item = u32> + '_ {
    let shown = tokens.len().min(EXAMPLES);
    (0..shown).map(move |at| tokens[at * tokens.len() / shown])
}

fn mean(sum: usize, count: usize) -> f64 {
    if count == 0 { 0.0 } else { sum as f64 / count as f64 }
}
