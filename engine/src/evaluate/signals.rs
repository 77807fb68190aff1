//! Replies with what the hooks saw of each token: what signals are measured on.

use super::seed_of;
use crate::engine::Engine;
use crate::error::Error;
use crate::settings::Prompt;
use crate::trace::Watch;
use measure::explain::Account;
use measure::signals::{Reply, Token};
use measure::tasks::Item;
use std::sync::Arc;

/// A reply that was watched.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its text.
    pub text: String,
    /// The tokens that stand.
    pub tokens: Vec<Token>,
    /// How it came about.
    pub account: Account,
}

impl Engine {
    /// Answers an item, as the settings say, with `watch` looking on.
    pub fn watched(&mut self, item: &Item, seed: u64, watch: &Watch) -> Result<Watched, Error> {
        self.set_seed(seed_of(seed, &item.id, 0));
        let reply = self.reply(&Prompt::Text(item.prompt.clone()), &Arc::default(), &mut |_| {})?;
        let kept = watch.kept();
        let account = kept.account(&item.id, &item.prompt, Vec::new());
        Ok(Watched { text: reply.text, tokens: kept.signals(), account })
    }
}

/// The tokens of a reply at which a judge finds an error begin, where what it finds bad costs at least `threshold` bits. Each of the
/// judge's tokens is its first byte, its bits, and the entropy of its row in bits.
pub fn bad_tokens(reply: &Reply, judged: &[(usize, f64, f64)], threshold: f64) -> Vec<usize> {
    let mut bad: Vec<usize> =
        measure::signals::first_bad(judged, threshold).into_iter().filter_map(|byte| reply.token_at(byte)).collect();
    bad.dedup();
    bad
}
