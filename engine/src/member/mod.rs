//! Members: what decodes. Everything outside this folder speaks units and lengths in units.
//!
//! The only code that names llama-cpp-2. A [`model::Model`] computes, in tokens, for as many texts as it has places; a
//! [`reader::Reader`] is one member's view of one text, and says what it needs computed. [`ensemble`] brings the two
//! together.

pub mod alone;
pub mod ensemble;
pub mod inspect;
pub(crate) mod load;
mod mapped;
pub mod model;
pub mod quantize;
pub mod reader;
pub mod remote;
pub mod sampler;
pub mod schedule;
pub mod spelling;
pub mod template;
mod text;
pub mod vocabulary;
pub mod weights;
mod worker;

pub use ensemble::Ensemble;
pub use load::backend;
pub use reader::{MemberRow, Primed};
pub use text::Text;
pub use vocabulary::Vocabulary;

/// What the members decode in one step: a token id where all vocabularies are identical byte for byte, otherwise a byte.
pub type Unit = u32;

/// A token of one model's vocabulary.
pub type Token = u32;

/// Why a member could not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MemberError {
    /// The prompt does not fit.
    #[error(
        "the prompt is {}{tokens} tokens long for `{member}`, the context has room for {room}; shorten the prompt or raise --ctx-size",
        if *.or_more { "at least " } else { "" }
    )]
    PromptTooLong {
        /// Who.
        member: String,
        /// Of the prompt.
        tokens: usize,
        /// Whether there may be more: a prompt that is far too long is not tokenised.
        or_more: bool,
        /// For prompt and at least one token of the reply.
        room: usize,
    },
    /// The context is full.
    #[error("the context of `{0}` is full")]
    Full(String),
    /// The chat template refused the conversation.
    #[error("the chat template of `{member}` failed: {why}; give another with --chat-template, or --raw for none")]
    Template {
        /// Who.
        member: String,
        /// What the template engine said.
        why: String,
    },
    /// Nothing to continue.
    #[error("the prompt is empty for `{0}`; write something to continue")]
    EmptyPrompt(String),
    /// The tokenizer knows no bytes and not this character.
    #[error("`{member}` has no token for `{character}`; leave it out of the prompt")]
    Inexpressible {
        /// Who.
        member: String,
        /// The first one.
        character: char,
    },
    /// It was asked to stop.
    #[error("`{0}` was interrupted")]
    Interrupted(String),
    /// All members are on other machines and away.
    #[error("nobody is left to decode: `{0}` and all others are away")]
    AllAway(String),
    /// Decoding failed.
    #[error("`{member}` failed to decode: {why}")]
    Decode {
        /// Who.
        member: String,
        /// What llama.cpp said.
        why: String,
    },
}
