//! Perplexity as llama.cpp's `llama-perplexity` counts it, so that the figures agree.

use crate::engine::Engine;
use crate::error::Error;
use crate::member::{MemberError, Unit};
use crate::score::Predicted;
use crate::settings::Prompt;

/// A part of a text that is scored.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Chunk {
    /// −ln P of what was scored of it, in nats.
    pub nats: f64,
    /// Bytes that were scored.
    pub bytes: u64,
    /// Tokens that were scored; 0 where units are bytes.
    pub tokens: u64,
}

/// Tokens of a chunk, the default of `llama-perplexity`.
const CHUNK: usize = 512;

/// Bytes of an item, where units are bytes.
const PART: u64 = 2048;

impl Engine {
    /// The chunks of a text. With tokens as units a chunk has 512 of them (or a context), the first of which the beginning-of-text
    /// token takes the place of, and those of the second half are scored; tokens at the end that fill no chunk are not. That is
    /// `llama-perplexity` with its defaults. In bytes all of the text is scored, as `score` does.
    /// Chunks are numbered from 1; those that are not `wanted` are not told, nor scored where they can be left out.
    pub fn chunks(
        &mut self,
        text: &str,
        wanted: &dyn Fn(usize) -> bool,
        done: &mut dyn FnMut(usize, Chunk) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let failed = |error: MemberError| Error::Failure(error.to_string());
        if self.is_in_bytes()? {
            return self.parts(text, wanted, done);
        }
        // `llama-perplexity -f` does so, too.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let size = CHUNK.min(self.context() as usize);
        let mut units = self.units_of(text)?;
        let begins = match self.decoder().reading().map_err(failed)?.prime(&Prompt::Tokens(Vec::new())) {
            Ok(_) => true,
            Err(MemberError::EmptyPrompt(_)) => false,
            Err(error) => return Err(failed(error)),
        };
        if begins {
            // Stands for the beginning-of-text token, and is not read.
            units.insert(0, 0);
        }
        if units.len() < 2 * size {
            return Err(Error::Input(format!(
                "the text has {} tokens; perplexity needs twice {size} at least, as for `llama-perplexity`",
                units.len()
            )));
        }
        for (number, chunk) in (1..).zip(units.chunks_exact(size)).filter(|(number, _)| wanted(*number)) {
            done(number, self.chunk(&chunk[usize::from(begins)..], size / 2 + usize::from(!begins))?)?;
        }
        Ok(())
    }

    /// Scores what comes after the first `given` units.
    fn chunk(&mut self, units: &[Unit], given: usize) -> Result<Chunk, Error> {
        let (before, scored) = units.split_at(given);
        let costs = self.costs(&Prompt::Tokens(before.to_vec()), scored)?;
        let reading = self.decoder().reading().map_err(|error| Error::Failure(error.to_string()))?;
        let bytes = scored.iter().map(|&unit| reading.vocabulary().bytes(unit).len() as u64).sum();
        Ok(Chunk { nats: costs.iter().sum(), bytes, tokens: scored.len() as u64 })
    }

    fn parts(
        &mut self,
        text: &str,
        wanted: &dyn Fn(usize) -> bool,
        done: &mut dyn FnMut(usize, Chunk) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut parts = vec![Chunk::default()];
        let mut count = |unit: &Predicted| {
            if let Some(part) = parts.last_mut() {
                part.nats += unit.fused;
                part.bytes += unit.bytes.len() as u64;
            }
            if unit.is_place && parts.last().is_some_and(|part| part.bytes >= PART) {
                parts.push(Chunk::default());
            }
        };
        self.walk(text, &mut count, &mut |_| {})?;
        parts.retain(|part| part.bytes > 0);
        (1..).zip(parts).filter(|(number, _)| wanted(*number)).try_for_each(|(number, part)| done(number, part))
    }
}
