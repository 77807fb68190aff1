//! What servers have in common: they are asked for rows after a text in tokens, and say what model they have.

use super::fault::{Fault, in_short};
use super::http::Client;
use super::sparse::Listed;
use crate::member::Token;
use std::time::Duration;

/// Rows that are wanted of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Where the server keeps the text, if it has places with numbers.
    pub slot: Option<usize>,
    /// The text up to the first row; one token at least.
    pub prompt: Vec<Token>,
    /// How it goes on; a row is wanted after each of these, too.
    pub forced: Vec<Token>,
    /// How many tokens of each row are listed.
    pub listed: usize,
}

impl Ask {
    /// How many rows it asks for.
    pub fn rows(&self) -> usize {
        self.forced.len() + 1
    }
}

/// A token with its bytes.
pub type Spelled = (i64, Vec<u8>);

/// What a server answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Answer {
    /// The rows in order, likeliest token first.
    pub rows: Vec<Vec<Listed>>,
    /// What the server calls its model.
    pub model: Option<String>,
    /// Tokens of the prompt that it knew from before, and those that it read.
    pub known: u64,
    pub read: u64,
    /// What reading one took, in milliseconds.
    pub per_token: Option<f64>,
}

/// What a server says of its model.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Met {
    /// What it calls it.
    pub model: String,
    /// Tokens of its vocabulary, where it says so.
    pub tokens: Option<usize>,
    /// Tokens of a text at most, prompt and reply.
    pub context: usize,
    /// What it was trained for.
    pub trained: u32,
    /// Texts that it keeps, by numbers.
    pub slots: Option<usize>,
    /// Its weights, in bytes and in number; 0 where it does not say.
    pub bytes: u64,
    pub parameters: u64,
    /// The chat template that it uses itself, to tell when it is another than the file's.
    pub template: Option<String>,
}

impl Met {
    /// What has to stay as it is; `None` where it has.
    pub fn difference(&self, now: &Self) -> Option<String> {
        let of = |met: &Self| (met.model.clone(), met.tokens, met.bytes, met.parameters);
        if of(self) == of(now) {
            return None;
        }
        Some(format!("it was `{}`, it is `{}`", in_short(&self.model), in_short(&now.model)))
            .filter(|_| self.model != now.model)
            .or_else(|| Some(format!("`{}` of another size than before", in_short(&now.model))))
    }
}

/// How one kind of server is spoken to. What it makes of a body depends on the body alone.
pub trait Protocol: Send + Sync {
    /// The path and the body that ask for rows.
    fn request(&self, ask: &Ask) -> (&'static str, serde_json::Value);

    /// The rows in an answer: as many as were asked for.
    fn answer(&self, ask: &Ask, body: &[u8]) -> Result<Answer, Fault>;

    /// Asks the server what it is.
    fn meet(&self, client: &Client, patience: Duration) -> Result<Met, Fault>;

    /// How many rows it makes in one request.
    fn most_rows(&self) -> usize;

    /// How many tokens of a row it lists unless it is told otherwise, of so many; and at most.
    fn usual(&self, tokens: usize) -> usize;

    /// The bytes of all tokens as the server has them, by their ids; `None` of a server that does not say.
    fn all_tokens(&self, _client: &Client, _first: Token, _tokens: usize) -> Result<Option<Vec<Spelled>>, Fault> {
        Ok(None)
    }

    /// By how much the model's logits are above its log-probabilities, on average over some places of a text that begins with
    /// `first`; `None` of a server that cannot be made to tell.
    fn scale(&self, _client: &Client, _first: Token, _tokens: usize) -> Result<Option<f32>, Fault> {
        Ok(None)
    }

    /// A text in tokens as the server has them, without a beginning-of-text token; `None` of a server that does not say.
    fn tokens_of(&self, client: &Client, text: &str) -> Result<Option<Vec<i64>>, Fault>;
}

/// Reads a body of JSON.
pub fn json<'a, T: serde::Deserialize<'a>>(body: &'a [u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| match error.is_eof() {
        true => Fault::BrokenOff,
        false => Fault::Unreadable(in_short(&error.to_string())),
    })
}
