//! What is told of a job, turned into what a client may see.
//!
//! Most clients cannot take text back. They get the bytes below `committed`, cut where a character ends, and the pieces that
//! these bytes are made of; pieces that were taken back are never seen. Clients that can take text back see everything at
//! once, with the event.

use crate::backend::{Finish, Piece, Told};
use crate::failure::Failure;
use serde_json::Value;
use std::collections::VecDeque;

/// Who looks on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    /// A client that cannot take text back: it sees what is certain.
    Certain,
    /// A client that sees every event as it happens.
    All,
}

/// Something that a client sees.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// The prompt is read.
    Started {
        /// Its tokens.
        prompt_tokens: u32,
        /// Those of them that were known already.
        cached_tokens: u32,
        /// The event as JSON.
        event: Value,
    },
    /// More text. Whole characters only.
    Text {
        /// What is appended; sometimes empty.
        text: String,
        /// The pieces that end in it.
        pieces: Vec<Piece>,
        /// How many bytes of the reply's text can no longer be taken back.
        committed: usize,
        /// The event as JSON, with [`View::All`].
        event: Option<Value>,
    },
    /// Text was taken back. With [`View::All`] only.
    Retract {
        /// Units that remain.
        index: u32,
        /// Units that are gone.
        units: u32,
        /// Bytes of text that are gone.
        bytes: usize,
        /// The event as JSON.
        event: Value,
    },
    /// Anything else. With [`View::All`] only.
    Event(Value),
    /// The reply is over; nothing follows.
    Over(Reply),
}

/// How a reply came out.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Why it ended.
    pub finish: Finish,
    /// The whole text.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Those of them that were known already.
    pub cached_tokens: u32,
    /// Units that stand.
    pub tokens: u32,
    /// Units that were taken back.
    pub retracted: u32,
    /// The event as JSON; `null` where the server cut the reply.
    pub event: Value,
}

/// A reply as far as it stands, and how much of it the client has.
#[derive(Debug)]
pub struct Standing {
    view: View,
    text: String,
    sent: usize,
    committed: usize,
    /// Pieces that the client does not have, each with the place in the text where it ends.
    pieces: VecDeque<(Piece, usize)>,
    /// Where the pieces end that the client has.
    end: usize,
    prompt_tokens: u32,
    cached_tokens: u32,
    tokens: u32,
    retracted: u32,
}

impl Standing {
    /// An empty reply.
    pub fn new(view: View) -> Self {
        Self {
            view,
            text: String::new(),
            sent: 0,
            committed: 0,
            pieces: VecDeque::new(),
            end: 0,
            prompt_tokens: 0,
            cached_tokens: 0,
            tokens: 0,
            retracted: 0,
        }
    }

    /// Takes in what is told; what the client sees of it.
    pub fn take(&mut self, told: Told) -> Result<Vec<Delta>, Failure> {
        match told {
            Told::Refused(refusal) => Err(refusal.into()),
            Told::Started { prompt_tokens, cached_tokens, event } => {
                (self.prompt_tokens, self.cached_tokens) = (prompt_tokens, cached_tokens);
                Ok(vec![Delta::Started { prompt_tokens, cached_tokens, event }])
            }
            Told::Token { text, committed, piece, event } => Ok(self.token(text, committed, piece, event)),
            Told::Retract { index, units, bytes, event } => self.retract(index, units, bytes, event),
            Told::Event(event) => Ok(if self.view == View::All { vec![Delta::Event(event)] } else { Vec::new() }),
            Told::Done { finish, text, tokens, retracted, event } => {
                (self.tokens, self.retracted) = (tokens, retracted);
                self.done(finish, text, event)
            }
        }
    }

    /// Ends the reply here: what stands now is certain.
    pub fn cut(&mut self) -> Vec<Delta> {
        let text = self.text.clone();
        self.done(Finish::Cut, text, Value::Null).unwrap_or_default()
    }

    fn token(&mut self, text: String, committed: usize, piece: Option<Piece>, event: Value) -> Vec<Delta> {
        self.text.push_str(&text);
        self.committed = self.committed.max(committed);
        if let Some(piece) = &piece {
            self.tokens = piece.index + 1;
        }
        if self.view == View::All {
            self.sent = self.text.len();
            let pieces = piece.into_iter().collect();
            return vec![Delta::Text { text, pieces, committed: self.committed, event: Some(event) }];
        }
        if let Some(piece) = piece {
            // Text may lag behind the piece, in the middle of a character or before a stop string, and be longer than its
            // bytes, where these are no UTF-8. The piece ends at the later of both: it must not be seen too early.
            let begin = self.pieces.back().map_or(self.end, |(_, end)| *end);
            let end = (begin + piece.bytes.len()).max(self.text.len());
            self.pieces.push_back((piece, end));
        }
        self.certain(self.committed).into_iter().collect()
    }

    fn retract(&mut self, index: u32, units: u32, bytes: usize, event: Value) -> Result<Vec<Delta>, Failure> {
        let remains = self.text.len().saturating_sub(bytes);
        if !self.text.is_char_boundary(remains) || (self.view == View::Certain && remains < self.sent) {
            return Err(Failure::internal("Text was taken back that had been certain. Please report this."));
        }
        self.text.truncate(remains);
        self.committed = self.committed.min(remains);
        (self.tokens, self.retracted) = (index, self.retracted + units);
        if self.view == View::All {
            self.sent = remains;
            return Ok(vec![Delta::Retract { index, units, bytes, event }]);
        }
        self.pieces.retain(|(piece, _)| piece.index < index);
        Ok(Vec::new())
    }

    fn done(&mut self, finish: Finish, text: String, event: Value) -> Result<Vec<Delta>, Failure> {
        // What the client has cannot be changed; the rest is as it says here.
        if !text.starts_with(&self.text[..self.sent]) {
            return Err(Failure::internal("The text told is not the text written. Please report this."));
        }
        self.text.clone_from(&text);
        let length = text.len();
        // Pieces of a stop string are no part of the text.
        let mut begin = self.end;
        let is_stop = matches!(finish, Finish::Stop(_));
        self.pieces.retain(|(_, end)| {
            let stays = !is_stop || begin < length;
            begin = *end;
            stays
        });
        for (_, end) in &mut self.pieces {
            *end = length;
        }
        let mut deltas: Vec<Delta> = self.certain(length).into_iter().collect();
        deltas.push(Delta::Over(Reply {
            finish,
            text,
            prompt_tokens: self.prompt_tokens,
            cached_tokens: self.cached_tokens,
            tokens: self.tokens,
            retracted: self.retracted,
            event,
        }));
        Ok(deltas)
    }

    /// The text up to there that the client does not have, if there is any.
    fn certain(&mut self, committed: usize) -> Option<Delta> {
        let mut to = committed.min(self.text.len());
        while !self.text.is_char_boundary(to) {
            to -= 1;
        }
        let text = self.text[self.sent..to.max(self.sent)].to_owned();
        self.sent = to.max(self.sent);
        let mut pieces = Vec::new();
        while self.pieces.front().is_some_and(|(_, end)| *end <= self.sent) {
            if let Some((piece, end)) = self.pieces.pop_front() {
                self.end = end;
                pieces.push(piece);
            }
        }
        (!text.is_empty() || !pieces.is_empty()).then_some(Delta::Text {
            text,
            pieces,
            committed: self.sent,
            event: None,
        })
    }
}

#[cfg(test)]
mod tests;
