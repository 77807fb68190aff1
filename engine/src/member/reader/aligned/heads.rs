//! How a member may have read the text that stands: its heads, and what they say of the next unit.
//!
//! A text in units is a text in a member's tokens in many ways. A head is one of them: whole tokens, and perhaps some units
//! inside the next one. The mass of a unit v at a head is the probability of its tokens times that of all next tokens that
//! go on with its pending units and v; P(v) is the sum over the heads, divided by what they have together. With all heads
//! this is exact (lossless vocabulary reduction, arXiv 2510.08102); here the heaviest few are kept.

use crate::member::units::{Node, ROOT, TokenMap};
use crate::member::{Token, Unit};
use std::sync::Arc;

/// Heads lighter than this share of the heaviest are dropped.
const LEAST_SHARE: f64 = 1e-3;

/// Tokens by which the heaviest head may be ahead of what all heads share.
const LONGEST_TAIL: usize = 4;

/// A member's distribution over its own tokens.
#[derive(Debug, Default)]
pub(super) struct TokenRow {
    /// Of all tokens that can be emitted; they sum to 1.
    pub probabilities: Vec<f32>,
    /// Of the logits.
    pub log_sum_exp: f32,
}

/// One way to read the text.
#[derive(Debug, Clone)]
pub(super) struct Head {
    /// Whole tokens after those that all heads share.
    pub tail: Vec<Token>,
    /// Where the units inside the next token lead in the trie; the root at the end of a token.
    pub node: Node,
    /// Probability of its tokens, in relation to the other heads.
    pub weight: f64,
    /// What follows its tokens; `None` while nobody asked, and where that is the row of the tokens all heads share.
    pub row: Option<Arc<TokenRow>>,
}

impl Head {
    /// At the start of a reply.
    pub fn start() -> Self {
        Self { tail: Vec::new(), node: ROOT, weight: 1.0, row: None }
    }

    /// What follows its tokens; `trunk` is what follows the tokens that all heads share.
    pub fn probabilities<'a>(&'a self, trunk: &'a [f32]) -> &'a [f32] {
        self.row.as_ref().map_or(trunk, |row| &row.probabilities)
    }

    /// The same reading with further whole tokens and nothing pending.
    pub fn with_tokens(&self, tokens: &[Token]) -> Self {
        let mut tail = self.tail.clone();
        tail.extend_from_slice(tokens);
        Self { tail, node: ROOT, weight: self.weight, row: None }
    }
}

/// All readings after `unit`, heaviest first, at most `most` (`usize::MAX` for all, however light). Empty where no reading
/// has the unit. `trunk` is what follows the tokens that all heads share.
pub(super) fn advance(heads: &[Head], unit: Unit, map: &TokenMap, most: usize, trunk: &[f32]) -> Vec<Head> {
    let mut next: Vec<(f64, Head)> = Vec::new();
    for head in heads {
        let Some(child) = map.child(head.node, unit) else { continue };
        let probabilities = head.probabilities(trunk);
        // The token may end here: a reading with one token more.
        for &token in map.own_tokens(child) {
            let mass = head.weight * f64::from(probabilities[token as usize]);
            if mass > 0.0 {
                next.push((mass, Head { weight: mass, ..head.with_tokens(&[token]) }));
            }
        }
        // Or go on.
        let mass = head.weight * (map.mass(child, probabilities) - map.own_mass(child, probabilities));
        if mass > 0.0 {
            next.push((mass, Head { node: child, ..head.clone() }));
        }
    }
    next.sort_by(|a, b| b.0.total_cmp(&a.0));
    // All heads means all.
    let share = if most == usize::MAX { 0.0 } else { LEAST_SHARE };
    let least = next.first().map_or(0.0, |(heaviest, _)| heaviest * share);
    next.truncate(most.max(1));
    next.retain(|(mass, _)| *mass >= least);
    // Weights only count in relation; a text's probability would soon be no number any more.
    let scale = next.iter().map(|(_, head)| head.weight).fold(f64::MIN_POSITIVE, f64::max);
    next.into_iter().map(|(_, head)| Head { weight: head.weight / scale, ..head }).collect()
}

/// Masses of all units under the heads, not normalised: `masses` is as long as there are units. Their sum.
pub(super) fn masses(heads: &[Head], map: &TokenMap, trunk: &[f32], masses: &mut [f32], scratch: &mut Vec<f32>) -> f64 {
    let mut is_first = true;
    for head in heads {
        let weight = head.weight as f32;
        let probabilities = head.probabilities(trunk);
        if head.node == ROOT {
            if is_first {
                map.root_masses(probabilities, masses);
                if weight != 1.0 {
                    masses.iter_mut().for_each(|mass| *mass *= weight);
                }
            } else {
                scratch.resize(masses.len(), 0.0);
                map.root_masses(probabilities, scratch);
                masses.iter_mut().zip(scratch.iter()).for_each(|(sum, mass)| *sum += weight * mass);
            }
        } else {
            if is_first {
                masses.fill(0.0);
            }
            map.child_masses(head.node, probabilities, |unit, mass| masses[unit as usize] += weight * mass);
        }
        is_first = false;
    }
    masses.iter().map(|&mass| f64::from(mass)).sum()
}

/// Two readings of one word go on side by side for ever, each as likely as before. What the heaviest says of tokens further
/// back than [`LONGEST_TAIL`] is settled: the others go.
pub(super) fn drop_stragglers(heads: &mut Vec<Head>) {
    while let Some(heaviest) = heads.first().filter(|head| head.tail.len() - common_tokens(heads) > LONGEST_TAIL) {
        let place = common_tokens(heads);
        let token = heaviest.tail[place];
        heads.retain(|head| head.tail.get(place) == Some(&token));
    }
}

/// How many tokens the tails of all heads begin with alike.
pub(super) fn common_tokens(heads: &[Head]) -> usize {
    let Some((first, others)) = heads.split_first() else { return 0 };
    let common = |other: &Head| first.tail.iter().zip(&other.tail).take_while(|(a, b)| a == b).count();
    others.iter().map(common).fold(first.tail.len(), usize::min)
}
