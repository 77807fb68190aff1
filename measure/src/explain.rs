//! Why a reply reads as it does: an account of its tokens, as data, as text for a terminal and as a section of a page.
//!
//! An [`Account`] has the steps in the order in which they happened, with the candidates that were refused and the text that
//! was taken back. That is also the order in which people read them: what is gone stands before what was written instead. So
//! nothing is sorted; what became of each token is worked out by [`Account::fates`].
//!
//! [`why`] answers for one place, in words; [`Page::account`](crate::page::Page::account) shows the whole reply.

mod history;
#[cfg(feature = "reports")]
mod why;
#[cfg(feature = "reports")]
pub(crate) mod words;
#[cfg(feature = "reports")]
mod wrap;

pub use history::Fate;
#[cfg(feature = "reports")]
pub use why::{Which, why};

use serde::Serialize;

/// Added to the deviation of the surprise, in nats: where a reply was certain so far, a small surprise is not a large one.
pub const DEVIATION_FLOOR: f64 = 0.1;

/// Deviations above the mean from which a surprise counts as unusual.
pub const UNUSUAL: f64 = 2.0;

/// One reply with all that happened on the way to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Account {
    /// Heading: what is explained.
    pub title: String,
    /// Names of the members, in order.
    pub members: Vec<String>,
    /// Names of the policies that ran.
    pub policies: Vec<String>,
    /// Text that was asked.
    pub prompt: String,
    /// What happened, in this order.
    pub steps: Vec<Step>,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum Step {
    /// A candidate that was accepted or refused.
    Token(Token),
    /// Text was taken back.
    Retraction(Retraction),
}

/// A candidate with the figures that it was judged by.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Token {
    /// Tokens that stood before it, which is its place, from 0.
    pub index: usize,
    /// Its text; may be half a character, as `U+FFFD`, or empty.
    pub text: String,
    /// Probability in the fused row, before temperature, repeat penalty and truncation.
    pub confidence: f64,
    /// Probability of the likeliest candidate in the same row.
    pub likeliest: f64,
    /// Entropy of the fused row, in nats.
    pub entropy: f64,
    /// Agreement of the members, from 0 to 1: 1 − their mean pairwise total-variation distance.
    pub agreement: f64,
    /// Place, among the members, of the one that contributed most.
    pub leader: usize,
    /// Mean surprise of the tokens before it in this reply, in nats.
    pub mean: f64,
    /// Standard deviation of that surprise, in nats.
    pub deviation: f64,
    /// Views of the members, in their order.
    pub members: Vec<MemberView>,
    /// Best candidates of the fused row with their probabilities, best first.
    pub fused: Vec<(String, f64)>,
    /// Temperature that it was drawn at.
    pub temperature: f64,
    /// Repeat penalty that it was drawn with.
    pub repeat_penalty: f64,
    /// Answers of the policies that asked for something.
    pub verdicts: Vec<Verdict>,
    /// Whether it was refused; otherwise it was accepted.
    pub is_refused: bool,
}

/// One member's row at a token.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MemberView {
    /// Probability that the member gave to the token.
    pub probability: f64,
    /// The member's best candidates with their probabilities, best first.
    pub top: Vec<(String, f64)>,
}

/// One policy's answer to a token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Name of the policy.
    pub policy: String,
    /// Its answer in words: `resample`, or `retract 3, temperature 0.84`.
    pub verdict: String,
    /// Its reason; may be empty.
    pub reason: String,
}

/// Text that was taken back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Retraction {
    /// Tokens that stay.
    pub index: usize,
    /// Units that were taken back.
    pub units: usize,
    /// Name of the policy that asked for it.
    pub policy: String,
    /// Its reason; may be empty.
    pub reason: String,
}

impl Token {
    /// Surprise at the token, −ln of its probability, in nats; infinite for a probability of 0.
    pub fn surprise(&self) -> f64 {
        // Not `-ln`, which makes −0 of certainty.
        0.0 - self.confidence.ln()
    }

    /// Surprise from which the token is unusual in its reply, in nats: mean + [`UNUSUAL`] (deviation + [`DEVIATION_FLOOR`]).
    pub fn unusual_from(&self) -> f64 {
        self.mean + UNUSUAL * (self.deviation + DEVIATION_FLOOR)
    }

    /// How many deviations, each with [`DEVIATION_FLOOR`] added, the surprise is above the mean of the reply; `None` for the
    /// first token, which has nothing before it, and where a figure is not finite.
    pub fn deviations_above(&self) -> Option<f64> {
        let above = (self.surprise() - self.mean) / (self.deviation + DEVIATION_FLOOR);
        (self.index > 0 && above.is_finite()).then_some(above)
    }
}

impl Step {
    /// Whether a policy did something here.
    pub fn is_intervention(&self) -> bool {
        match self {
            Self::Token(token) => token.is_refused || !token.verdicts.is_empty(),
            Self::Retraction(_) => true,
        }
    }
}
