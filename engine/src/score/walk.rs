//! A text that is given, unit by unit, as the members and their fusion predict it.

use crate::decode::Reading;
use crate::decode::window::Window;
use crate::engine::Engine;
use crate::error::Error;
use crate::member::reader::{LEAST_ROWS, Wanted};
use crate::member::sampler::seed_for;
use crate::member::{MemberError, MemberRow, Unit};
use crate::settings::Prompt;
use plugin_api::{Parameters, Step};

/// One unit of the text.
pub struct Predicted<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// −ln P under the fusion, in nats.
    pub fused: f64,
    /// −ln P under each member, in nats.
    pub members: &'a [f64],
    /// The rows that predicted it, one a member.
    pub rows: &'a [&'a MemberRow],
    /// All members most likely end a token behind it: places at which their costs can be compared.
    pub is_place: bool,
}

/// Contexts of bytes that a context of tokens may be.
const HISTORY: usize = 8;

/// Tokens, or bytes, of the text that the members know ahead.
const TOKENS_AHEAD: usize = LEAST_ROWS - 2;
const BYTES_AHEAD: usize = 256;

/// Tokens that a member may be ahead of what is scored.
const BESIDE: usize = 40;

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

/// −ln of a probability, in nats; finite.
fn nats(probability: f32) -> f64 {
    -f64::from(probability.max(f32::MIN_POSITIVE)).ln()
}

/// What hooks are told of a step in a text that is given, in which nothing is tried twice or taken back.
pub(crate) fn given_step(parameters: Parameters, seed: u64, members: usize, position: u32) -> Step {
    Step {
        position,
        attempt: 0,
        retractable: 0,
        retractions_left: 0,
        members: members as u32,
        seed: seed_for(seed, position, 0),
        parameters,
        base: parameters,
    }
}

impl Engine {
    /// Reads a text and shows each unit with what the members and the fusion that is chosen thought of it. Each is predicted from
    /// at least half a context of text before it, where there is that much; a member whose tokens are longer than bytes sees as
    /// much more. `progress` hears which part is done. Without a beginning-of-text token the first unit is given and not shown.
    pub fn walk(
        &mut self,
        text: &str,
        show: &mut dyn FnMut(&Predicted),
        progress: &mut dyn FnMut(f64),
    ) -> Result<(), Error> {
        let units = self.units_of(text)?;
        let context = self.context() as usize - 1;
        let members = self.members().len();
        let (parameters, seed) = (self.settings().parameters, self.settings().seed);
        let failed = |error: MemberError| Error::Failure(error.to_string());
        let mut reading = self.decoder().reading().map_err(failed)?;
        let (mut window, mut own) = (Window::new(members, units.len()), vec![0.0; members]);
        reading.chain.reset();
        let is_bytes = reading.vocabulary().is_bytes();
        let (ahead, history) = if is_bytes { (BYTES_AHEAD, HISTORY * context) } else { (TOKENS_AHEAD, context / 2) };
        let mut start = 0;
        while start < units.len() {
            // Half a context is for what is scored. Each member takes as much of the text before it as fits into the other.
            let before = start.min(history);
            let mut end = units.len().min(start + context - start.min(context / 2));
            if is_bytes {
                end = widest(&units, start, end, context / 2, &reading);
            }
            let end = word_start(&units, start, end, |unit| reading.vocabulary().bytes(unit));
            match reading.prime(&Prompt::Tokens(units[start - before..start].to_vec())) {
                Ok(_) => {}
                // Without a beginning-of-text token nothing predicts the first unit: it is given.
                Err(MemberError::EmptyPrompt(_)) => {
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
                let step = given_step(parameters, seed, members, window.len() as u32);
                let fused = nats(reading.fuse(position, &step).probability(unit));
                let is_place = position + 1 == end - start || reading.ends_tokens(position + 1);
                let rows = reading.rows_after(position).unwrap_or_default();
                for (own, row) in own.iter_mut().zip(&rows) {
                    *own = nats(row.probabilities[unit as usize]);
                }
                let bytes = reading.vocabulary().bytes(unit);
                show(&Predicted { bytes, fused, members: &own, rows: &rows, is_place });
                reading.witness(position, &step, unit, &mut window);
            }
            start = end;
            progress(start as f64 / units.len() as f64);
        }
        Ok(())
    }
}
