//! Who computes: a model with all its sequences, in tokens. It knows neither units nor prompts.

pub(crate) mod context;
pub(crate) mod llama;
pub(crate) mod tap;

use super::Token;
use super::remote::Link;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// A text's place in a model's KV cache. Dropping it gives the place up.
#[derive(Debug)]
pub struct Sequence {
    id: usize,
    given_up: Places,
}

/// Places that nobody has any more, to be emptied before the next batch.
pub type Places = Arc<Mutex<Vec<usize>>>;

impl Sequence {
    /// A text's place with this number; dropping it adds the number to `given_up`.
    pub fn new(id: usize, given_up: Places) -> Self {
        Self { id, given_up }
    }

    /// Which of the model's places it is, from 0.
    pub fn id(&self) -> usize {
        self.id
    }
}

impl Drop for Sequence {
    fn drop(&mut self) {
        self.given_up.lock().unwrap_or_else(PoisonError::into_inner).push(self.id);
    }
}

/// Why nothing, or not all, was decoded for a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecodeError {
    /// It is longer than the context.
    Full,
    /// llama.cpp's status.
    Fatal(i32),
    /// It was asked to stop.
    Interrupted,
    /// The model's file has lost weights; its rows are nonsense.
    Lost,
    /// It is on another machine and away: its readers abstain, and the text goes on.
    Away,
    /// The batch failed and had other texts in it: who is to blame shows when each is decoded by itself.
    Together,
}

/// What a text wants of a model: rows, and all that has to be decoded for them.
#[derive(Debug)]
pub struct Need<'a> {
    /// The text's place in the model.
    pub sequence: &'a Sequence,
    /// The whole text, from its beginning.
    pub tokens: &'a [Token],
    /// The model has read at most so many of the tokens as they stand here.
    pub agreed: usize,
    /// Rows are wanted after the first n tokens, for every n from here to the end of the text; more than the text has where
    /// it is only to be read.
    pub rows: usize,
    /// Of the tokens so many are the prompt, to whose end others may come back.
    pub prompt: usize,
    /// Rows are wanted after these, too; they do not become part of the text.
    pub tails: &'a [Tail],
    /// The place is emptied and all is read again.
    pub anew: bool,
    /// Nothing is decoded while it is true.
    pub interrupted: &'a Arc<AtomicBool>,
}

/// Tokens beside a text that begins like it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tail {
    /// They follow the first `at` tokens of the text. It is decoded once these were read in an earlier batch.
    pub at: usize,
    /// One at least.
    pub tokens: Vec<Token>,
}

/// How far a batch has brought a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// So many of its tokens are read.
    pub read: usize,
    /// An error concerns this text alone, unless it says otherwise.
    pub outcome: Result<(), DecodeError>,
}

/// Where a row belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// After so many of the text's tokens.
    After(usize),
    /// After the tail of this number.
    Tail(usize),
}

/// A row of the batch before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Output {
    /// The number of the need that it was made for.
    pub need: usize,
    /// What it comes after.
    pub place: Place,
    /// The row's number in [`Model::logits`].
    pub index: usize,
}

/// A model with the texts that it reads.
pub trait Model: Send {
    /// A place for a text. `None` when all are taken.
    fn open(&mut self) -> Option<Sequence>;

    /// Decodes one batch: of each need as much as fits, of short ones first. Rows come in the order of their places. Nothing
    /// is left to do for a need whose text is read and whose rows and tails have come.
    fn decode(&mut self, needs: &[Need]) -> (Vec<Progress>, Vec<Output>);

    /// A row of the last batch: a logit for each token of the model. `None` when llama.cpp has none.
    fn logits(&mut self, index: usize) -> Option<&[f32]>;

    /// Waits for the last batch: a GPU may still be at it when [`Model::decode`] returns. Reading a row waits as well.
    fn finish(&mut self) {}

    /// Tails that are decoded side by side; 0 where there is no room for any beside the text.
    fn branches(&self) -> usize;

    /// Whether the model's state cannot be cut: going back means reading again from a checkpoint.
    fn is_recurrent(&self) -> bool {
        false
    }

    /// CPU threads for the batches to come.
    fn set_threads(&mut self, threads: usize);

    /// What one token costs in relation to other models; only the ratio counts. Bytes of weights, say.
    fn cost(&self) -> u64;

    /// What its batches since the last call should have cost by their sizes, one token being 1; `None` where one was too large
    /// to say.
    fn take_spent(&mut self) -> Option<f32> {
        None
    }

    /// The server that computes, of a model on another machine: nobody here waits for it longer than for the others, and it needs
    /// none of this machine's threads.
    fn link(&self) -> Option<&Arc<Link>> {
        None
    }

    /// What it has done so far.
    fn work(&self) -> Work;
}

/// What a model has done since it was loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Work {
    /// Batches that were decoded.
    pub batches: u64,
    /// Rows that it was asked for.
    pub rows: u64,
    /// In llama.cpp, rows that were waited for included.
    pub time: Duration,
}
