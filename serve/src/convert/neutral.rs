//! What the converters of Anthropic's and OpenAI's newer interface share: a chat, and what becomes of its reply.

use crate::backend::{Constraint, Finish, Message, Role, Sampling};
use crate::convert::calls::Splitter;
use crate::convert::tools::Tools;
use serde_json::Value;

/// A request for a reply to a chat, whichever interface it came by.
#[derive(Debug, Clone, PartialEq)]
pub struct ChatRequest {
    /// The model that was asked for.
    pub model: Option<String>,
    /// The chat. The tools are described in the system message, and earlier calls and their results stand as text.
    pub messages: Vec<Message>,
    /// The functions that the reply may call.
    pub tools: Option<Tools>,
    /// What the reply has to look like, its calls included.
    pub constraint: Option<Constraint>,
    /// Longest reply in units.
    pub max_tokens: Option<u32>,
    /// How units are drawn.
    pub sampling: Sampling,
    /// Texts that end the reply and do not belong to it.
    pub stop: Vec<String>,
    /// Seed of the random draws.
    pub seed: Option<u64>,
    /// Whether the reply is sent in pieces.
    pub stream: bool,
}

impl ChatRequest {
    /// What takes the reply's text apart. `unique` makes the identifiers of its calls: give each request its own.
    pub fn splitter(&self, unique: &str) -> Splitter {
        match &self.tools {
            Some(tools) => Splitter::new(tools.names(), unique),
            None => Splitter::of_plain_text(),
        }
    }
}

/// A piece of a reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delta {
    /// More of the text.
    Text(String),
    /// A call begins.
    Call {
        /// Its number among the reply's calls.
        index: usize,
        /// Its identifier.
        id: String,
        /// The function.
        name: String,
    },
    /// More of a call's arguments, which are JSON when put together.
    Arguments {
        /// The call's number.
        index: usize,
        /// What follows.
        fragment: String,
    },
}

/// How a reply ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    /// Why.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
}

/// Tokens that a request took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens of the prompt, those from the cache included.
    pub prompt: u32,
    /// Units of the reply that stand.
    pub completion: u32,
    /// Tokens of the prompt that were known from a request before.
    pub cached: u32,
    /// Units that were taken back.
    pub retracted: u32,
}

/// A function call of a finished reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its identifier.
    pub id: String,
    /// The function.
    pub name: String,
    /// Its arguments as JSON; half of it where the reply was cut.
    pub arguments: String,
}

/// A finished reply: its text, and the calls in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its text, without calls.
    pub text: String,
    /// Its calls in order.
    pub calls: Vec<Call>,
}

impl Reply {
    /// Puts a reply together from its pieces.
    pub fn collect(deltas: impl IntoIterator<Item = Delta>) -> Self {
        let mut reply = Self::default();
        for delta in deltas {
            match delta {
                Delta::Text(text) => reply.text.push_str(&text),
                Delta::Call { id, name, .. } => reply.calls.push(Call { id, name, arguments: String::new() }),
                Delta::Arguments { index, fragment } => {
                    if let Some(call) = reply.calls.get_mut(index) {
                        call.arguments.push_str(&fragment);
                    }
                }
            }
        }
        reply
    }
}

/// An event of a stream of server-sent events.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// Its name, which its data has as `type`.
    pub name: &'static str,
    /// Its data.
    pub data: Value,
}

/// Whether a chat ends as one must that is to be answered.
pub(crate) fn awaits_reply(messages: &[Message]) -> bool {
    messages.last().is_some_and(|last| last.role == Role::User)
}

/// Appends a message to a chat, to the last one where that is of the same role: many templates insist on turns.
pub fn append(messages: &mut Vec<Message>, role: Role, content: &str) {
    match messages.last_mut() {
        Some(last) if last.role == role => {
            if !last.content.is_empty() && !content.is_empty() {
                last.content.push('\n');
            }
            last.content.push_str(content);
        }
        _ => messages.push(Message { role, content: content.to_owned() }),
    }
}
