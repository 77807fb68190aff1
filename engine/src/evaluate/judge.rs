//! What another model makes of a text that an ensemble wrote: a judge, which is no member.

use super::given::Given;
use crate::engine::Engine;
use crate::error::Error;
use crate::settings::Prompt;
use std::f64::consts::LN_2;

/// A judge's token of a reply.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Judged {
    /// Its first byte in the reply.
    pub at: usize,
    /// Its bytes.
    pub bytes: usize,
    /// What it cost, in bits.
    pub bits: f64,
    /// Entropy of the judge's row, in bits.
    pub entropy: f64,
}

impl Engine {
    /// What each token of a reply costs behind its prompt. The judge reads both as one text.
    pub fn judge(&mut self, prompt: &str, reply: &str) -> Result<Vec<Judged>, Error> {
        let units = self.units_of(&format!("{prompt}{reply}"))?;
        let given = self.given(&Prompt::Tokens(Vec::new()), &units)?;
        // A tokenizer may put a space before a text.
        let all: usize = given.iter().map(|one| one.bytes).sum();
        let mut left = all.saturating_sub(reply.len());
        let mut judged = Vec::new();
        let mut at = 0;
        for Given { nats, entropy, bytes } in given {
            if left >= bytes {
                left -= bytes;
                continue;
            }
            // One token may be the end of the prompt and the beginning of the reply.
            let own = bytes - std::mem::take(&mut left);
            judged.push(Judged { at, bytes: own, bits: nats / LN_2, entropy: entropy / LN_2 });
            at += own;
        }
        Ok(judged)
    }

    /// Whether a text is likelier behind its own prompt than behind each of the others.
    pub fn belongs_to(&mut self, prompt: &str, others: &[&str], text: &str) -> Result<bool, Error> {
        let mut cost = |prompt: &str| Ok::<_, Error>(-self.log_likelihoods(prompt, &[text])?.iter().sum::<f64>());
        let own = cost(prompt)?;
        for other in others {
            if cost(other)? <= own {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
