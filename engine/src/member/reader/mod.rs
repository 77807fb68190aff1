//! One member and one text: the units that stand, in the member's own tokens, and the rows that follow from them. A reader
//! decodes nothing. It says what it needs, and takes what comes of it.

mod bytewise;
mod follower;
mod plain;
mod prompt;
mod rows;
mod tokenizer;
pub(super) mod tokens;

pub(crate) use bytewise::Bytewise;
pub use bytewise::Draw;
pub(crate) use follower::Follower;
pub use plain::Plain;
pub(crate) use prompt::PromptForm;
pub use rows::MemberRow;
pub(crate) use tokenizer::{LlamaTokenizer, Tongue};

use super::model::{Need, Place};
use super::{MemberError, Token, Unit};
use crate::settings::{Heads, Prompt};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Rows that a reader keeps at least: of a draft, of what comes before it and of what follows.
pub(crate) const LEAST_ROWS: usize = 18;

/// What reading a prompt came to, in tokens of the member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Primed {
    /// Length of the whole prompt.
    pub tokens: usize,
    /// How many of them have to be decoded; the others are known from the turn before.
    pub decoded: usize,
    /// Texts after which the reply is over, by the form of the prompt.
    pub stop: Vec<String>,
    /// The first character that was left out of it, the first time that one is: see [`Reader::leave_out`].
    pub left_out: Option<char>,
}

/// After which of the units that are added a row is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// After each; for 12 units at most.
    All,
    /// After the last.
    Last,
}

/// From a prompt to tokens, and from text to tokens.
pub trait Tokenizer: Send {
    /// A prompt in tokens, and texts after which the reply is over. `standing` are the tokens of the text before, whose
    /// beginning is kept as it is where the prompt goes on from it; `room` is the most that fits.
    fn read(
        &mut self,
        prompt: &Prompt,
        standing: &[Token],
        room: usize,
    ) -> Result<(Vec<Token>, Vec<String>), MemberError>;

    /// A text by itself, without a beginning-of-text token.
    fn tokens_of(&self, text: &str) -> Result<Vec<Token>, MemberError>;

    /// A text that goes on after the tokens `before`.
    fn tokens_after(&self, before: &[Token], text: &str) -> Result<Vec<Token>, MemberError>;

    /// From now on characters that there is no token for are left out of what is read.
    fn leave_out(&mut self) {}

    /// The first character that was left out, if none was asked for before.
    fn take_left_out(&mut self) -> Option<char> {
        None
    }

    /// The reply is over and is exactly this text, up to `tokens` tokens in all: a prompt that goes on from it keeps them.
    fn ended(&mut self, _text: &str, _tokens: usize) {}

    /// What it knows of tokens behind the first `tokens` is over.
    fn forget_after(&mut self, _tokens: usize) {}
}

/// A member's view of one text. Lengths are counted in units from the start of the reply.
pub trait Reader: Send {
    /// The member's.
    fn name(&self) -> &str;

    /// Takes a prompt, reusing the longest beginning that is known already. Its row is there once nothing is needed.
    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError>;

    /// From now on characters that it has no token for are left out of prompts, because another member can read them.
    fn leave_out(&mut self) {}

    /// Adds units to what stands.
    fn extend(&mut self, units: &[Unit], rows: Wanted);

    /// Goes back to the first `len` units, as if the later ones had never been.
    fn rewind(&mut self, len: usize);

    /// Units of the reply that stand.
    fn len(&self) -> usize;

    /// True at the start of a reply.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What has to be decoded next; `None` when all rows that are wanted are there. An error is one of this text: it stands
    /// where it stood.
    fn need(&mut self) -> Result<Option<Need<'_>>, MemberError>;

    /// True where it is known without any work that nothing has to be decoded.
    fn is_read(&self) -> bool {
        false
    }

    /// Takes a row of the model, for something that was needed.
    fn absorb(&mut self, place: Place, logits: &[f32]);

    /// The model has read so many of the tokens by now.
    fn progress(&mut self, read: usize);

    /// The model is away: where rows are wanted and not there the member has no say. What is needed later is asked for again.
    fn abstain(&mut self);

    /// Whether it has no say behind what stands because its model is away.
    fn is_away(&self) -> bool {
        false
    }

    /// The row after `len` units, while it is kept.
    fn row(&self, len: usize) -> Option<&MemberRow>;

    /// How many more units fit.
    fn room(&self) -> usize;

    /// The reply is over and is exactly these units with this text: a next prompt that continues it is read from here on.
    fn adopt(&mut self, units: &[Unit], text: &str);

    /// What is needed is not decoded while this is true.
    fn heed(&mut self, interrupted: Arc<AtomicBool>);

    /// Asks a member that decodes only when it is asked, about the leader's best units; the others have their rows.
    fn consult(&mut self, _leader: &Arc<MemberRow>, _candidates: &[Unit]) {}

    /// In how many ways it may read the text, if its units are bytes; from the next prompt on.
    fn set_heads(&mut self, _heads: Heads) {}

    /// Tells what it may write behind `len` units up to the end of its token, if its units are bytes, and how likely that is;
    /// nothing is the end of the text. False where it has no say.
    fn continuations(&mut self, _len: usize, _how: &Draw, _into: &mut dyn FnMut(&[u8], f64)) -> bool {
        false
    }

    /// Whether it most likely reads the first `len` units as whole tokens.
    fn ends_token(&self, _len: usize) -> bool {
        true
    }

    /// The prompt in units, as far as it has any.
    fn prompt(&self) -> Vec<Unit> {
        Vec::new()
    }

    /// A text as this member's own tokenizer reads it, without a beginning-of-text token.
    fn tokens_of(&self, text: &str) -> Result<Vec<Token>, MemberError>;

    /// Adds one of its own tokens, after which no row is wanted: what the engine's own work is measured against. Afterwards
    /// only [`Reader::prime`] makes sense.
    fn push_own(&mut self, token: Token);
}
