//! A member's distributions over its own tokens, as masses of ranges of ranks.

use crate::member::Vocabulary;
use crate::member::reader::MemberRow;
use crate::member::spelling::Trie;
use std::ops::Range;

/// Ranks whose probabilities are one sum. Sums of single ranks would take longer to make than all else, as each waits for the
/// one before.
const BLOCK: usize = 16;

/// What follows some tokens.
#[derive(Debug, Default)]
pub(super) struct TokenRow {
    /// By token, as the model gave them.
    pub logits: Vec<f32>,
    /// Of the logits.
    pub log_sum_exp: f32,
    /// By rank.
    probabilities: Vec<f32>,
    /// Before each block of ranks the probability of all lower ones, and at the end that of all.
    sums: Vec<f64>,
    /// Probability that the text ends.
    pub end: f64,
}

impl TokenRow {
    /// Becomes what `row` says, in the buffers that it has: one pass over the tokens.
    pub fn fill(&mut self, row: &MemberRow, trie: &Trie, vocabulary: &Vocabulary) {
        let MemberRow { logits, probabilities, statistics, .. } = row;
        self.logits.clone_from(logits);
        self.log_sum_exp = statistics.log_sum_exp;
        self.probabilities.clear();
        self.probabilities.extend(trie.order().iter().map(|&token| probabilities[token as usize]));
        self.sums.clear();
        let mut sum = 0.0;
        self.sums.push(sum);
        for block in self.probabilities.chunks(BLOCK) {
            sum += total(block);
            self.sums.push(sum);
        }
        self.end = probabilities.get(vocabulary.end() as usize).map_or(0.0, |&p| f64::from(p));
    }

    /// Probability of the tokens with these ranks.
    pub fn mass(&self, ranks: Range<usize>) -> f64 {
        if ranks.len() <= BLOCK {
            return total(&self.probabilities[ranks]);
        }
        let (first, last) = (ranks.start.div_ceil(BLOCK), ranks.end / BLOCK);
        let (before, behind) = (ranks.start..first * BLOCK, last * BLOCK..ranks.end);
        let inside = self.sums[last] - self.sums[first];
        total(&self.probabilities[before]) + inside + total(&self.probabilities[behind])
    }

    /// Bytes that it takes.
    pub fn size(&self) -> usize {
        (self.logits.len() + self.probabilities.len()) * size_of::<f32>() + self.sums.len() * size_of::<f64>()
    }
}

fn total(probabilities: &[f32]) -> f64 {
    probabilities.iter().map(|&probability| f64::from(probability)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masses_are_the_sums_of_all_ranges() {
        let probabilities: Vec<f32> = (0..77).map(|rank| 1.0 / (rank as f32 + 1.0)).collect();
        let mut row = TokenRow { probabilities, ..TokenRow::default() };
        row.sums.push(0.0);
        for block in row.probabilities.chunks(BLOCK) {
            row.sums.push(row.sums.last().unwrap() + total(block));
        }
        for start in 0..=77 {
            for end in start..=77 {
                let expected = total(&row.probabilities[start..end]);
                assert!((row.mass(start..end) - expected).abs() < 1e-12, "{start}..{end}");
            }
        }
    }
}
