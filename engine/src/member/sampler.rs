//! The random draw: llama.cpp's own truncation of a shortlist, then the best by probability and noise.
//!
//! The unit drawn is the argmax over the candidates of `ln p + G`, where `G = −ln(−ln u)` (Gumbel-max; the argmax has the
//! distribution p). The noise u belongs to a byte string and not to a place in a list: it is a hash of seed, position,
//! attempt and the unit's bytes. So two rows that are nearly alike mostly give the same unit, whoever's rows they are and
//! however their vocabularies number it: `P(same) = Σ_v 1 / Σ_u max(p_u/p_v, q_u/q_v)`, never below (1 − TV)/(1 + TV)
//! (Daliri, Musco and Suresh 2024, arXiv 2408.07978). That is what makes a guess worth checking, and the text does not
//! depend on who guessed.

use super::Vocabulary;
use super::vocabulary::TokenKind;
use crate::fuse::shortlist::penalty_window;
use crate::fuse::{PENALTY_WINDOW, is_greedy};
use llama_cpp_2::sampling::LlamaSampler;
use llama_cpp_2::token::LlamaToken;
use llama_cpp_2::token::data::LlamaTokenData;
use llama_cpp_2::token::data_array::LlamaTokenDataArray;
use plugin_api::Parameters;

#[cfg(test)]
mod tests;

/// Draws units of one vocabulary. It has buffers and no memory: what it draws depends on the vocabulary's bytes and the
/// arguments of [`Sampler::draw`] alone, so that nothing in it can belong to text that was taken back.
#[derive(Debug)]
pub struct Sampler {
    truncation: Truncation,
    /// What each unit's noise is made of beside [`Noise`].
    keys: Vec<u64>,
}

/// llama.cpp's chain of penalties, truncation and temperature.
#[derive(Debug)]
pub(crate) struct Truncation {
    candidates: LlamaTokenDataArray,
    left: Vec<(u32, f64)>,
}

impl Truncation {
    pub fn new() -> Self {
        Self { candidates: LlamaTokenDataArray::new(Vec::new(), true), left: Vec::new() }
    }

    /// Leaves in `self.candidates` what can be drawn, each with its logit after the temperature.
    fn apply(&mut self, candidates: &[(u32, f32)], recent: &[u32], parameters: &Parameters) {
        self.candidates.data.clear();
        self.candidates
            .data
            .extend(candidates.iter().map(|&(unit, score)| LlamaTokenData::new(LlamaToken(unit as i32), score, 0.0)));
        self.candidates.sorted = true;
        self.candidates.selected = None;
        self.candidates.apply_sampler(&mut chain(recent, parameters));
    }

    /// The distribution that [`Sampler::draw`] draws from: at temperature 0 all of it is on one unit, the lowest of equals.
    pub fn distribution(
        &mut self,
        candidates: &[(u32, f32)],
        recent: &[u32],
        parameters: &Parameters,
    ) -> &[(u32, f64)] {
        self.left.clear();
        if candidates.is_empty() {
            return &self.left;
        }
        self.apply(candidates, recent, parameters);
        let logits = || self.candidates.data.iter().map(|c| (c.id().0 as u32, f64::from(c.logit())));
        let best = logits().map(|(_, logit)| logit).fold(f64::NEG_INFINITY, f64::max);
        if is_greedy(parameters) || best == f64::NEG_INFINITY {
            let first = logits().filter(|&(_, logit)| logit == best).map(|(unit, _)| unit).min();
            self.left.extend(first.map(|unit| (unit, 1.0)));
            return &self.left;
        }
        let total: f64 = logits().map(|(_, logit)| (logit - best).exp()).sum();
        self.left.extend(logits().map(|(unit, logit)| (unit, (logit - best).exp() / total)));
        &self.left
    }
}

/// What is random at a position and at a try of it: a number for every byte string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise(u64);

impl Noise {
    /// The noise of the `attempt`-th try of a position.
    pub fn at(seed: u64, position: u32, attempt: u32) -> Self {
        // Apart from what hooks draw by `Step::random`, which begins with the same `seed_for`.
        Self(mixed(seed_for(seed, position, attempt) ^ 0x6A09_E667_F3BC_C908))
    }

    /// 64 even bits for a key.
    fn bits(self, key: u64) -> u64 {
        mixed(self.0 ^ key)
    }
}

impl Sampler {
    /// For units of this vocabulary. Looks at all of its bytes, 10 ms for 152,000 units.
    pub fn new(vocabulary: &Vocabulary) -> Self {
        Self { truncation: Truncation::new(), keys: keys(vocabulary) }
    }

    /// One unit out of a [`Selection`](crate::fuse::Selection) made with the same `recent` and `parameters`: penalties over
    /// the last 64 units, top-k, top-p, min-p, temperature, then the best by probability and noise; at temperature 0 the
    /// best after the penalties, which top-k, top-p and min-p always keep. Of equals the lowest unit.
    ///
    /// The candidates may come from any row over the vocabulary, the fused one or a member's own: units that both rows
    /// have get the same noise.
    ///
    /// # Panics
    /// When there are no candidates, or one is not in the vocabulary.
    pub fn draw(&mut self, candidates: &[(u32, f32)], recent: &[u32], parameters: &Parameters, noise: Noise) -> u32 {
        assert!(!candidates.is_empty(), "a draw needs candidates; a row without any is refused before");
        self.truncation.apply(candidates, recent, parameters);
        let noise = (!is_greedy(parameters)).then_some(noise);
        self.best(noise).unwrap_or(candidates[0].0)
    }

    /// The best of what is left; `None` when none has a finite logit.
    fn best(&self, noise: Option<Noise>) -> Option<u32> {
        let (mut best, mut score) = (None, f64::NEG_INFINITY);
        for candidate in &self.truncation.candidates.data {
            let unit = candidate.id().0 as u32;
            let logit = f64::from(candidate.logit());
            let total = match noise {
                None => logit,
                Some(noise) => {
                    let bits = noise.bits(self.keys[unit as usize]);
                    // Most cannot win, and need no logarithm to say so.
                    if logit + highest_gumbel(bits) < score {
                        continue;
                    }
                    logit + gumbel(bits)
                }
            };
            if total > score || total == score && best.is_some_and(|best| unit < best) {
                (best, score) = (Some(unit), total);
            }
        }
        best
    }
}

/// One unit of `row`, probabilities of the bytes and the end of the text behind the bytes `before` of a piece: the noise of a
/// byte is that of all bytes up to it. `None` for a row without any.
pub(crate) fn draw_byte(row: &[f32], before: &[u8], noise: Noise) -> Option<u32> {
    let mut piece = before.to_vec();
    let (mut best, mut score) = (None, f64::NEG_INFINITY);
    for (unit, &probability) in (0u32..).zip(row).filter(|&(_, &probability)| probability > 0.0) {
        piece.truncate(before.len());
        // The end of the text has no bytes.
        piece.extend(u8::try_from(unit));
        let key = key(&piece, u64::from(unit > u32::from(u8::MAX)));
        let total = f64::from(probability).ln() + gumbel(noise.bits(key));
        if total > score {
            (best, score) = (Some(unit), total);
        }
    }
    best
}

/// An even number from 0 to 1 for whether a string ends behind `piece`.
pub(crate) fn draw_share(piece: &[u8], noise: Noise) -> f64 {
    (noise.bits(key(piece, 2)) >> 11) as f64 / (1u64 << 53) as f64
}

/// Gumbel noise, `−ln(−ln u)` for u in (0, 1); 52 bits, so that neither end is reached.
fn gumbel(bits: u64) -> f64 {
    let u = ((bits >> 12) as f64 + 0.5) * (1.0 / (1u64 << 52) as f64);
    -(-u.ln()).ln()
}

/// Never below [`gumbel`], by less than 1.4 on average: `−ln u ≥ 1 − u ≥ 2^−(z+1)`, z being the ones at the front of u.
fn highest_gumbel(bits: u64) -> f64 {
    // The last part is for rounding.
    f64::from(bits.leading_ones() + 1) * std::f64::consts::LN_2 + 1e-9
}

/// A key for each unit, of its bytes alone: equal byte strings in two vocabularies have equal keys, as have their ends of
/// text.
///
/// Two units of one vocabulary may have the same bytes, mostly a byte fallback and a piece. With the same noise the less
/// likely one could never be drawn, and the distribution would not be p. So the second gets another key: the fallback, or
/// else the higher unit.
fn keys(vocabulary: &Vocabulary) -> Vec<u64> {
    let rank = |unit: u32| match vocabulary.kind(unit) {
        // The end has no bytes, and is the first of all that have none.
        _ if unit == vocabulary.end() => 0,
        TokenKind::Fallback => 2,
        _ => 1,
    };
    let units = (0..vocabulary.len() as u32).filter(|&unit| vocabulary.can_emit(unit));
    let mut order: Vec<_> = units.map(|unit| (key(vocabulary.bytes(unit), 0), rank(unit), unit)).collect();
    order.sort_unstable();
    let mut keys = vec![0; vocabulary.len()];
    for alike in order.chunk_by(|one, next| one.0 == next.0) {
        for (before, &(_, _, unit)) in (0..).zip(alike) {
            keys[unit as usize] = key(vocabulary.bytes(unit), before);
        }
    }
    keys
}

/// Of a byte string that `before` units have before this one.
fn key(bytes: &[u8], before: u64) -> u64 {
    let start = mixed(before << 32 | bytes.len() as u64);
    bytes.chunks(8).fold(start, |hash, chunk| {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        mixed(hash ^ u64::from_le_bytes(word))
    })
}

/// Samplers that are off (penalty 1, top-k 0, top-p 1, min-p 0, temperature 1) are empty in llama.cpp and do nothing.
fn chain(recent: &[u32], parameters: &Parameters) -> LlamaSampler {
    // The number of units is only used by llama.cpp's sampling on a GPU.
    let mut penalties = LlamaSampler::penalties(0, PENALTY_WINDOW as i32, parameters.repeat_penalty, 0.0, 0.0);
    penalties.accept_many(penalty_window(recent).iter().map(|&unit| LlamaToken(unit as i32)));
    if is_greedy(parameters) {
        return penalties;
    }
    LlamaSampler::chain(
        [
            penalties,
            LlamaSampler::top_k(i32::try_from(parameters.top_k).unwrap_or(i32::MAX)),
            LlamaSampler::top_p(parameters.top_p, 1),
            LlamaSampler::min_p(parameters.min_p, 1),
            LlamaSampler::temp(parameters.temperature),
        ],
        true,
    )
}

/// The seed of what hooks draw at a position and at a try of it. The same three give the same seed; neighbours differ in
/// about half of the bits.
pub fn seed_for(seed: u64, position: u32, attempt: u32) -> u64 {
    mixed(mixed(seed).wrapping_add(u64::from(position) << 32 | u64::from(attempt)))
}

/// One step of SplitMix64 (Steele, Lea and Flood 2014).
fn mixed(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}
