//! What a member would write next, up to the end of its token: what is drawn from.

use super::Bytewise;
use super::heads::Head;
use super::row::TokenRow;
use crate::fuse::{PENALTY_WINDOW, Shortlist, is_greedy};
use crate::member::Token;
use crate::member::spelling::ROOT;
use plugin_api::Parameters;

/// How a piece is drawn, where units are bytes.
#[derive(Debug, Clone)]
pub struct Draw<'a> {
    /// In force.
    pub parameters: Parameters,
    /// Where the pieces that stand end, in bytes of what the members see; rising.
    pub cuts: &'a [usize],
    /// A token of those members that can end one ends here.
    pub ends: bool,
}

/// Where a draw takes the likeliest, so many of a member's tokens are looked at.
const GREEDY: u32 = 64;

/// What is less likely than this inside a token is not drawn.
const LEAST_DRAWN: f64 = 1e-7;

/// What is cut off from the members' rows together is not cut off from each before: so much more is looked at.
const MORE: u32 = 2;

/// What is likely in some rows.
#[derive(Debug, Default)]
pub(super) struct Likely {
    shortlist: Shortlist,
}

impl Likely {
    /// The tokens of a row that the sampler chain may leave, with their probabilities after the repeat penalty.
    fn of(&mut self, row: &TokenRow, recent: &[Token], parameters: &Parameters) -> Vec<(Token, f64)> {
        let wide = Parameters {
            temperature: 1.0,
            top_k: if is_greedy(parameters) { GREEDY } else { parameters.top_k.saturating_mul(MORE) },
            min_p: parameters.min_p / MORE as f32,
            ..*parameters
        };
        let penalty = parameters.repeat_penalty;
        let probability = |logit: f32| f64::from(logit - row.log_sum_exp).exp();
        // As llama.cpp has it.
        let penalised = |token: Token, logit: f32| match recent.contains(&token) {
            true if logit > 0.0 => logit / penalty,
            true => logit * penalty,
            false => logit,
        };
        let mut seen = recent.to_vec();
        seen.sort_unstable();
        seen.dedup();
        let change = |&token: &Token| {
            let logit = row.logits.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY);
            if logit.is_finite() { probability(penalised(token, logit)) - probability(logit) } else { 0.0 }
        };
        let total = 1.0 + seen.iter().map(change).sum::<f64>();
        let selection = self.shortlist.select(&row.logits, 0.0, &[], recent, &wide);
        let own = |&(token, logit): &(Token, f32)| (token, probability(penalised(token, logit)) / total);
        selection.candidates.iter().map(own).collect()
    }
}

impl Bytewise {
    /// Tells `into` what the member may write behind `len` bytes up to the end of a token, nothing for the end of the text, and
    /// how likely that is. False where it has no say.
    ///
    /// Where a piece ends, a token ends for whom it can: its other readings are left out. So a member by itself draws its own
    /// tokens, from the row that they have.
    pub(super) fn continuations(&mut self, len: usize, how: &Draw, into: &mut dyn FnMut(&[u8], f64)) -> bool {
        let Some(standing) = self.standings.get(len).filter(|standing| !standing.abstains) else { return false };
        let read: Vec<&Head> = standing.heads.iter().filter(|head| head.is_read).collect();
        let ended: Vec<&Head> = read.iter().copied().filter(|head| head.node == ROOT).collect();
        let alike = ended.iter().map(|head| self.cut_alike(head, how.cuts)).max().unwrap_or(0);
        let heads: Vec<&Head> = match how.ends && !ended.is_empty() {
            true => ended.into_iter().filter(|head| self.cut_alike(head, how.cuts) == alike).collect(),
            false => read,
        };
        let total: f64 = heads.iter().map(|head| head.mass).sum();
        let Self { paths, trie, own, likely, .. } = self;
        for &Head { path, node, weight, .. } in heads {
            let Some(row) = paths.row(path) else { continue };
            let weight = weight / total;
            if node == ROOT {
                let mut recent = paths.newest(path, PENALTY_WINDOW);
                recent.retain(|&token| !own.is_number(token));
                for (token, probability) in likely.of(row, &recent, &how.parameters) {
                    if token == own.end() || !own.bytes(token).is_empty() {
                        into(own.bytes(token), weight * probability);
                    }
                }
            } else {
                let (depth, longer) = (trie.depth(node), trie.longer(node));
                // Behind a space there are most words of a vocabulary, of which hardly any can be drawn.
                let least = LEAST_DRAWN * row.mass(longer.clone());
                for rank in longer {
                    let probability = row.mass(rank..rank + 1);
                    if probability > least {
                        into(&own.bytes(trie.order()[rank])[depth..], weight * probability);
                    }
                }
            }
        }
        true
    }

    /// How many of the last pieces are a token each in this reading.
    fn cut_alike(&self, head: &Head, cuts: &[usize]) -> usize {
        let ends = self.paths.up(head.path).map(|path| self.paths.bytes(path));
        ends.zip(cuts.iter().rev()).take_while(|(end, cut)| end == *cut).count()
    }
}
