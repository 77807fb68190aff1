//! Members: what decodes. Everything outside this folder speaks units and lengths in units.
//!
//! The only code that names llama-cpp-2. [`Member`] is the seam: an attention model, a recurrent one or a scripted double
//! look the same from outside. [`ensemble`] runs several of them side by side.

mod aligned;
mod context;
pub mod ensemble;
mod follower;
pub mod inspect;
pub(crate) mod llama;
pub(crate) mod load;
mod mapped;
mod prompt;
mod rows;
pub mod sampler;
pub mod schedule;
pub mod template;
mod tokens;
pub mod units;
pub mod vocabulary;
pub mod weights;

pub use ensemble::Ensemble;
pub use load::backend;
pub use rows::MemberRow;
pub use vocabulary::Vocabulary;

use crate::settings::Prompt;
use std::sync::Arc;

/// What the ensemble emits in one step: a token id where all vocabularies are identical byte for byte, otherwise the number
/// of a byte string that all members can write. Of a member by itself, one of its tokens.
pub type Unit = u32;

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
    /// The member cannot go back there.
    #[error("`{member}` cannot take back {units} tokens: {why}")]
    CannotRewind {
        /// Who.
        member: String,
        /// How many were asked for.
        units: usize,
        /// Why not.
        why: String,
    },
    /// It was asked to stop.
    #[error("`{0}` was interrupted")]
    Interrupted(String),
    /// Decoding failed.
    #[error("`{member}` failed to decode: {why}")]
    Decode {
        /// Who.
        member: String,
        /// What llama.cpp said.
        why: String,
    },
}

/// What reading a prompt came to, in tokens of the member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Primed {
    /// Length of the whole prompt.
    pub tokens: usize,
    /// How many of them had to be decoded; the others were known from the turn before.
    pub decoded: usize,
    /// Texts after which the reply is over, by the form of the prompt.
    pub stop: Vec<String>,
}

/// One model with its context. Lengths are counted from the start of the reply.
pub trait Member: Send {
    /// Unique in the ensemble.
    fn name(&self) -> &str;

    /// Takes a prompt, reusing the longest prefix that is decoded already, and makes the row for the reply's first unit.
    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError>;

    /// Decodes `units` after what stands; afterwards [`Member::row`] is the row for the unit that follows.
    fn extend(&mut self, units: &[Unit]) -> Result<(), MemberError>;

    /// Decodes a unit and makes no row: what the engine's own work is measured against. Afterwards only [`Member::prime`]
    /// and [`Member::rewind`] make sense.
    fn decode_only(&mut self, unit: Unit) -> Result<(), MemberError>;

    /// Rows after what stands and each of `tails`; what stands stays. `None` is a row that is no distribution: one of its
    /// logits is not a number. Where a member can, it decodes the tails side by side.
    fn branch(&mut self, tails: &[&[Unit]]) -> Result<Vec<Option<MemberRow>>, MemberError> {
        let len = self.len();
        let one = |tail: &&[Unit]| {
            self.extend(tail)?;
            let row = self.row().clone();
            self.rewind(len).map(|()| Some(row))
        };
        tails.iter().map(one).collect()
    }

    /// Forgets what is decoded and decodes it again: for what stands when a row was no distribution. By itself a member does
    /// so once before it fails over such a row.
    fn read_again(&mut self) -> Result<(), MemberError> {
        self.rewind(self.len())
    }

    /// How many tails [`Member::branch`] decodes side by side; 1 where they come one after the other.
    fn branches(&self) -> usize {
        1
    }

    /// A text as this member's own tokenizer reads it, without a beginning-of-text token.
    fn tokens_of(&self, _text: &str) -> Result<Vec<Unit>, MemberError> {
        Err(MemberError::Decode { member: self.name().to_string(), why: "it has no tokenizer".into() })
    }

    /// The same for a text that goes on from the prompt.
    fn tokens_of_reply(&self, text: &str) -> Result<Vec<Unit>, MemberError> {
        self.tokens_of(text)
    }

    /// Makes the row of a member that decodes only when it is asked, from the leader's and its best units; the
    /// others have theirs.
    fn consult(&mut self, _leader: &Arc<MemberRow>, _candidates: &[Unit]) -> Result<(), MemberError> {
        Ok(())
    }

    /// Its token for the end of the text.
    fn end(&self) -> Option<Unit> {
        None
    }

    /// The last text tokens of the prompt with the log-probabilities it gave them, as far as it was asked; oldest first.
    fn prompt_evidence(&self) -> Vec<(Unit, f32)> {
        Vec::new()
    }

    /// The reply in its own tokens, where these are its units.
    fn reply_tokens(&self) -> Option<Vec<Unit>> {
        None
    }

    /// How many units of the reply are decoded.
    fn len(&self) -> usize;

    /// True at the start of a reply.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many of its own tokens fit in all, prompt and reply.
    fn context(&self) -> usize {
        usize::MAX
    }

    /// Takes a prompt whose [`Prompt::Tokens`] are `units` and not its own tokens. Of these it reads the newest, so that half
    /// of its context is left: a text that is scored may have more before it than fits.
    fn prime_in(&mut self, prompt: &Prompt, units: &Vocabulary) -> Result<Primed, MemberError> {
        let Prompt::Tokens(before) = prompt else { return self.prime(prompt) };
        let bytes: Vec<u8> = before.iter().flat_map(|&unit| units.bytes(unit)).copied().collect();
        // A part of a text may begin or end inside a character.
        let text: String = bytes.utf8_chunks().map(|chunk| chunk.valid()).collect();
        let tokens = self.tokens_of(&text)?;
        let most = (self.context() / 2).saturating_sub(1);
        self.prime(&Prompt::Tokens(tokens[tokens.len().saturating_sub(most)..].to_vec()))
    }

    /// How many more units fit.
    fn room(&self) -> usize;

    /// Whether [`Member::rewind`] to `len` would work. Changes nothing.
    fn can_rewind(&self, len: usize) -> Result<(), MemberError>;

    /// Goes back to `len` decoded units, as if the later ones had never been. Afterwards [`Member::row`] is the row for
    /// the unit at `len`. All or nothing.
    fn rewind(&mut self, len: usize) -> Result<(), MemberError>;

    /// The row for the next unit.
    fn row(&self) -> &MemberRow;

    /// The reply is over and is exactly these units with this text: a next prompt that continues it is read from here on.
    fn adopt(&mut self, units: &[Unit], text: &str);

    /// In how many ways it may read the text, if it speaks other units than its tokens.
    fn set_heads(&mut self, _heads: usize) {}

    /// CPU threads for the coming steps.
    fn set_threads(&mut self, threads: usize);

    /// What one step costs in relation to other members; only the ratio counts. Bytes of weights, say.
    fn cost(&self) -> u64;
}
