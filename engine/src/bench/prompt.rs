//! How fast a long prompt is read.

use super::{drafts::OPENINGS, median};
use crate::engine::Engine;
use crate::error::Error;
use crate::settings::Prompt;
use serde::Serialize;
use std::time::Instant;

/// Prompts that are read; none goes on from another.
const ROUNDS: usize = 5;

/// Reading of a prompt by all members, under the better schedule.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PromptBench {
    /// The prompt's tokens in the first member: what was asked for, or as much as fits.
    pub tokens: usize,
    /// Median of the time until its row is there.
    pub milliseconds: f64,
    /// Tokens a second.
    pub per_second: f64,
}

impl Engine {
    pub(super) fn bench_prompt(&mut self, tokens: usize) -> Result<PromptBench, Error> {
        // A place for the beginning of the text, and one for what is written.
        let most = tokens.min(self.context() as usize - 2);
        let (mut times, mut read) = (Vec::new(), 0);
        for letter in ('A'..).take(ROUNDS) {
            let mut text = String::from(letter);
            let mut units = Vec::new();
            while units.len() < most {
                let more = OPENINGS.join(" ");
                (0..=text.len() / more.len()).for_each(|_| text += &format!(" {more}"));
                units = self.units_of(&text)?;
            }
            units.truncate(most);
            let failed = |error: crate::member::MemberError| Error::Failure(error.to_string());
            let start = Instant::now();
            let primed = self.decoder().reading().map_err(failed)?.prime(&Prompt::Tokens(units)).map_err(failed)?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
            read = primed.first().map_or(0, |primed| primed.decoded);
        }
        let milliseconds = median(&times);
        Ok(PromptBench { tokens: read, milliseconds, per_second: read as f64 / milliseconds.max(1e-9) * 1e3 })
    }
}
