//! How well the members and their fusion predict a text: what people choose their ensembles with.

use crate::decode::Reading;
use crate::decode::window::Window;
use crate::engine::Engine;
use crate::error::Error;
use crate::member::Unit;
use crate::member::reader::{LEAST_ROWS, Wanted};
use crate::member::sampler::seed_for;
use crate::settings::Prompt;
use plugin_api::Step;
use serde::Serialize;

/// A member's figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberScore {
    /// Its name.
    pub name: String,
    /// −Σ log2 P(unit) / bytes; lower is better.
    pub bits_per_byte: f64,
}

/// All figures of a text, in bits per byte.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Score {
    /// Each member alone.
    pub members: Vec<MemberScore>,
    /// The ensemble under its fusion.
    pub fused: f64,
    /// The better member at every token, or at every stretch between places where all members end a token: what no weighted mean
    /// of these can reach.
    pub oracle: f64,
    /// (best member − fused) / (best member − oracle): 0 is no better than the best member alone, 1 is the oracle.
    pub headroom_captured: f64,
    /// Bytes that were scored.
    pub bytes: usize,
    /// Tokens that were scored, or such stretches.
    pub tokens: usize,
}

/// Contexts of bytes that a context of tokens may be.
const HISTORY: usize = 8;

/// Tokens, or bytes, of the text that the members know ahead.
const TOKENS_AHEAD: usize = LEAST_ROWS - 2;
const BYTES_AHEAD: usize = 256;

/// The last place before `end` at which a word begins, so that no tokenizer has to read half of one; `end` where there is
/// none in the second half.
fn word_start<'a>(units: &[Unit], start: usize, end: usize, bytes: impl Fn(Unit) -> &'a [u8]) -> usize {
    if end == units.len() {
        return end;
    }
    let begins = |&place: &usize| bytes(units[place]).first().is_some_and(u8::is_ascii_whitespace);
    (start + (end - start) / 2..=end).rev().find(begins).unwrap_or(end)
}

/// As many bytes from `start` on as every member has in `room` tokens, with some left for what it reads beside them; `end` at
/// least.
fn widest(units: &[Unit], start: usize, end: usize, room: usize, reading: &Reading) -> usize {
    let wider = |times: &usize| units.len().min(start + times * (end - start));
    let fits = |&wider: &usize| {
        let bytes: Vec<u8> = units[start..wider].iter().map(|&unit| unit as u8).collect();
        let tokens = reading.tokens_in(&String::from_utf8_lossy(&bytes));
        tokens.is_some_and(|tokens| tokens.iter().all(|tokens| tokens + BESIDE <= room))
    };
    [8, 6, 5, 4, 3, 2].iter().map(wider).find(fits).unwrap_or(end)
}

/// Tokens that a member may be ahead of what is scored.
const BESIDE: usize = 40;

impl Engine {
    /// Scores a text under the fusion that is chosen. Each unit is predicted from at least half a context of text before it,
    /// where there is that much; a member whose tokens are longer than bytes sees as much more. `progress` hears which part is done.
    pub fn score(&mut self, text: &str, progress: &mut dyn FnMut(f64)) -> Result<Score, Error> {
        let units = self.units_of(text)?;
        let context = self.context() as usize - 1;
        let names: Vec<String> = self.members().iter().map(|member| member.name.clone()).collect();
        let (parameters, seed) = (self.settings().parameters, self.settings().seed);
        let failed = |error: crate::member::MemberError| Error::Failure(error.to_string());
        let mut reading = self.decoder().reading().map_err(failed)?;
        let (mut fused, mut oracle, mut members) = (0.0f64, 0.0f64, vec![0.0f64; names.len()]);
        let (mut bytes, mut tokens, mut stretch) = (0, 0, vec![0.0f64; names.len()]);
        let mut window = Window::new(names.len(), units.len());
        reading.chain.reset();
        let ahead = if reading.vocabulary().is_bytes() { BYTES_AHEAD } else { TOKENS_AHEAD };
        let mut start = 0;
        while start < units.len() {
            // Half a context is for what is scored. Each member takes as much of the text before it as fits into the other.
            let history = if reading.vocabulary().is_bytes() { HISTORY * context } else { context / 2 };
            let before = start.min(history);
            let mut end = units.len().min(start + context - start.min(context / 2));
            if reading.vocabulary().is_bytes() {
                end = widest(&units, start, end, context / 2, &reading);
            }
            let end = word_start(&units, start, end, |unit| reading.vocabulary().bytes(unit));
            match reading.prime(&Prompt::Tokens(units[start - before..start].to_vec())) {
                Ok(_) => {}
                // Without a beginning-of-text token nothing predicts the first unit: it is given.
                Err(crate::member::MemberError::EmptyPrompt(_)) => {
                    reading.prime(&Prompt::Tokens(units[..1].to_vec())).map_err(failed)?;
                    start = 1;
                }
                Err(error) => return Err(failed(error)),
            }
            for (position, &unit) in units[start..end].iter().enumerate() {
                if position > reading.len() {
                    let next = start + reading.len();
                    reading.read(&units[next..(next + ahead).min(end - 1)], Wanted::All).map_err(failed)?;
                }
                let step = Step {
                    position: window.len() as u32,
                    attempt: 0,
                    retractable: 0,
                    retractions_left: 0,
                    members: names.len() as u32,
                    seed: seed_for(seed, window.len() as u32, 0),
                    parameters,
                    base: parameters,
                };
                let bits = |probability: f32| -f64::from(probability.max(f32::MIN_POSITIVE)).log2();
                fused += bits(reading.fuse(position, &step).probability(unit));
                let rows = reading.rows_after(position).unwrap_or_default();
                for ((total, stretch), row) in members.iter_mut().zip(&mut stretch).zip(rows) {
                    let own = bits(row.probabilities[unit as usize]);
                    *total += own;
                    *stretch += own;
                }
                if position + 1 == end - start || reading.ends_tokens(position + 1) {
                    oracle += stretch.iter().copied().fold(f64::INFINITY, f64::min);
                    stretch.fill(0.0);
                    tokens += 1;
                }
                reading.witness(position, &step, unit, &mut window);
                bytes += reading.vocabulary().bytes(unit).len();
            }
            start = end;
            progress(start as f64 / units.len() as f64);
        }
        if bytes == 0 {
            return Err(Error::Input("the text is too short to score; give at least two tokens".into()));
        }
        let per_byte = |bits: f64| bits / bytes as f64;
        let best = members.iter().copied().fold(f64::INFINITY, f64::min);
        let room = best - oracle;
        Ok(Score {
            members: names
                .into_iter()
                .zip(members)
                .map(|(name, bits)| MemberScore { name, bits_per_byte: per_byte(bits) })
                .collect(),
            fused: per_byte(fused),
            oracle: per_byte(oracle),
            headroom_captured: if room > 0.0 { (best - fused) / room } else { 0.0 },
            bytes,
            tokens,
        })
    }
}
