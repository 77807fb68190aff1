//! A member's distributions over its own tokens, as masses of ranges of ranks.

use crate::member::Vocabulary;
use crate::member::reader::MemberRow;
use crate::member::spelling::Trie;
use std::ops::Range;

/// What follows some tokens.
#[derive(Debug)]
pub(super) struct TokenRow {
    /// By token, as the model gave them.
    pub logits: Vec<f32>,
    /// Of the logits.
    pub log_sum_exp: f32,
    /// Before each rank the probability of all lower ones, and at the end that of all.
    sums: Vec<f64>,
    /// Probability that the text ends.
    pub end: f64,
}

impl TokenRow {
    /// One pass over the tokens: 0.2 ms for 152,000.
    pub fn new(row: MemberRow, trie: &Trie, vocabulary: &Vocabulary) -> Self {
        let MemberRow { logits, probabilities, statistics, .. } = row;
        let mut sums = Vec::with_capacity(trie.order().len() + 1);
        let mut sum = 0.0;
        sums.push(sum);
        for &token in trie.order() {
            sum += f64::from(probabilities[token as usize]);
            sums.push(sum);
        }
        let end = probabilities.get(vocabulary.end() as usize).map_or(0.0, |&p| f64::from(p));
        Self { logits, log_sum_exp: statistics.log_sum_exp, sums, end }
    }

    /// Probability of the tokens with these ranks.
    pub fn mass(&self, ranks: Range<usize>) -> f64 {
        self.sums[ranks.end] - self.sums[ranks.start]
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        self.logits.len() * size_of::<f32>() + self.sums.len() * size_of::<f64>()
    }
}
