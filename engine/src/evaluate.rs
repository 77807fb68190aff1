//! What an ensemble makes of a task's items: answers that it writes, choices that it prefers, bits that a text costs; and what
//! policies did to its replies.
//!
//! What a task is and what counts as right is the crate `measure`'s affair; here models answer.

mod ask;
mod choices;
mod forks;
mod given;
mod judge;
mod perplexity;
mod signals;

pub use ask::{Answer, Asking, ask};
pub use forks::{Fork, continued, forks};
pub use judge::Judged;
pub use perplexity::Chunk;
pub use signals::{Watched, bad_tokens};

use crate::engine::Engine;
use crate::error::Error;
use crate::memory::sha256;

impl Engine {
    fn is_in_bytes(&mut self) -> Result<bool, Error> {
        let reading = self.decoder().reading().map_err(|error| Error::Failure(error.to_string()))?;
        Ok(reading.vocabulary().is_bytes())
    }
}

/// The seed of an item's draws, by the run's seed and the item's name: the same whatever other items are asked.
fn seed_of(seed: u64, id: &str, sample: u64) -> u64 {
    let digest = sha256(format!("{seed} {sample} {id}").as_bytes());
    u64::from_str_radix(&digest[..16], 16).unwrap_or_default()
}
