//! Signals that tell, at a token, whether a reply has just gone wrong.
//!
//! A policy that takes text back needs a sign that it should. Which sign is worth watching is measured here: replies come
//! with what was known at each of their tokens and with the tokens at which an error begins ([`first_wrong`],
//! [`first_bad`]). [`areas`] says how well each [`Signal`] separates these tokens from all others, and [`thresholds`] what a
//! rule on such a signal would refuse.
//!
//! A signal at a token is made of what was known when the token was drawn, with one exception: entropy some tokens later.

mod areas;
mod faults;
mod roc;
mod series;
mod text;
mod thresholds;

pub use areas::{Area, Areas, Table, areas};
pub use faults::{first_bad, first_wrong, worst_bits};
pub use series::Signal;
pub use thresholds::{Rule, Threshold, Thresholds, thresholds};

use serde::Serialize;

/// A token of a reply, with what was known when it was drawn.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Token {
    /// The byte of the reply at which it begins.
    pub at: usize,
    /// Its probability in the fused row, before temperature, penalty and truncation.
    pub probability: f64,
    /// The probability of the likeliest token of that row.
    pub likeliest: f64,
    /// Entropy of that row, in nats.
    pub entropy: f64,
    /// How far the members agree, from 0 to 1.
    pub agreement: f64,
    /// The probability that each member gave it.
    pub members: Vec<f64>,
}

/// A reply with what is known of its errors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reply {
    /// A name for it.
    pub id: String,
    /// Its tokens, in order.
    pub tokens: Vec<Token>,
    /// Indices of the tokens at which an error begins.
    pub faults: Vec<usize>,
    /// Whether the reply as a whole is wrong, where that is known.
    pub is_wrong: Option<bool>,
}

impl Reply {
    /// The index of the token that holds a byte of the reply: the last one that begins at it or before it, the first one
    /// if none does. `None` for a reply without tokens.
    pub fn token_at(&self, byte: usize) -> Option<usize> {
        let after = self.tokens.partition_point(|token| token.at <= byte);
        (!self.tokens.is_empty()).then(|| after.saturating_sub(1))
    }
}
