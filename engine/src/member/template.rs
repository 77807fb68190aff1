//! Chat templates: from messages to the prompt of one member.
//!
//! Model files carry Jinja templates written for Hugging Face's `apply_chat_template`; this renders them as that does.
//! What a person typed, and what the ensemble wrote earlier, must never be read as control tokens, so the prompt comes
//! as pieces that say whose text they are: the interpreter knows it of every character (`template/text.rs`).

mod access;
mod arguments;
mod arithmetic;
mod checks;
mod expression;
mod filters;
mod format;
mod interpreter;
mod jinja;
mod methods;
mod show;
mod text;
mod value;
mod work;

use crate::settings::{Message, Speaker};
use jinja::{Jinja, Stretches};
use text::TEMPLATE;

/// One stretch of a rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Never empty.
    pub text: String,
    /// True for the template's own text, which may make control tokens; false for the messages' text, which is never
    /// read as control tokens.
    pub trusted: bool,
}

/// Why a template gives no prompt; said of the template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TemplateError {
    /// It is no Jinja, or uses something that is not known here.
    #[error("it does not work{}: {what}", at(.line))]
    Broken {
        /// Where, from 1.
        line: Option<usize>,
        /// What the template engine says.
        what: String,
    },
    /// It says no to the conversation with `raise_exception`.
    #[error("it refuses the conversation{}: {what}", at(.line))]
    Refused {
        /// Where, from 1.
        line: Option<usize>,
        /// The template's own words.
        what: String,
    },
    /// It was stopped.
    #[error("it takes more time or memory than any prompt can need{}", at(.line))]
    TooMuch {
        /// Where, from 1.
        line: Option<usize>,
    },
}

fn at(line: &Option<usize>) -> String {
    line.map_or(String::new(), |line| format!(" (line {line})"))
}

/// Turns a conversation into a prompt that the model continues with its answer.
pub struct ChatTemplate {
    /// `None` for the plain form.
    jinja: Option<Jinja>,
    stop: Vec<String>,
}

impl ChatTemplate {
    /// A template from a model file, or one the user gave. `bos` and `eos` are what the model calls the tokens that
    /// begin and end a text; templates that write `bos` themselves have it at the start of the first piece.
    pub fn jinja(source: &str, bos: &str, eos: &str) -> Result<Self, TemplateError> {
        // Llama 3 and others ask for the date. It is the date of the load, so that it does not change in the middle of
        // a conversation, which would make every member read all of it again.
        let now = jiff::ZonedDateTime::now();
        Ok(Self { jinja: Some(Jinja::new(source, bos, eos, now)?), stop: Vec::new() })
    }

    /// For base models: the system message as a paragraph, then `User: …` and `Assistant: …` by turns.
    pub fn plain() -> Self {
        Self { jinja: None, stop: vec!["\nUser:".into()] }
    }

    /// The prompt up to where the answer begins. Neighbouring pieces differ in whose text they are.
    ///
    /// Where a template refuses the conversation as it stands, or passes over the system message, messages of one
    /// speaker in a row are joined, and then the system message is put before the first message of the user.
    pub fn render(&self, messages: &[Message]) -> Result<Vec<Piece>, TemplateError> {
        let Some(jinja) = &self.jinja else { return Ok(plain(messages)) };
        let first = jinja.render(messages);
        match &first {
            Ok(prompt) if !passes_over_system(jinja, messages, prompt) => return Ok(pieces(prompt)),
            Err(TemplateError::TooMuch { .. }) => return first.map(|_| Vec::new()),
            _ => {}
        }
        let joined = join_neighbours(messages);
        let without_system = join_neighbours(&system_into_user(messages));
        let mut fallback = None;
        for attempt in [joined, without_system] {
            if attempt == messages {
                continue;
            }
            match jinja.render(&attempt) {
                Ok(prompt) if !passes_over_system(jinja, &attempt, &prompt) => return Ok(pieces(&prompt)),
                Ok(prompt) => fallback = fallback.or(Some(prompt)),
                Err(_) => {}
            }
        }
        match (first, fallback) {
            (Ok(prompt), _) | (Err(_), Some(prompt)) => Ok(pieces(&prompt)),
            (Err(error), None) => Err(error),
        }
    }

    /// Texts that end an answer, because the form of the prompt has no token for it.
    pub fn stop_strings(&self) -> &[String] {
        &self.stop
    }
}

/// Whether the template makes nothing of a system message: its text is not in the prompt, which is the same without it. A
/// text that is only looked at, as `/no_think` is, changes the prompt.
fn passes_over_system(jinja: &Jinja, messages: &[Message], prompt: &Stretches) -> bool {
    let is_system = |message: &Message| message.role == Speaker::System && !message.content.trim().is_empty();
    let is_seen =
        |index: usize| prompt.iter().any(|(text, owner)| *owner == TEMPLATE + 1 + index && !text.trim().is_empty());
    if !messages.iter().enumerate().any(|(index, message)| is_system(message) && !is_seen(index)) {
        return false;
    }
    let others: Vec<Message> = messages.iter().filter(|message| !is_system(message)).cloned().collect();
    let text = |prompt: &Stretches| prompt.iter().map(|(text, _)| text.as_str()).collect::<String>();
    jinja.render(&others).is_ok_and(|without| text(&without) == text(prompt))
}

/// The prompt as pieces. White space between two stretches of persons goes with them: tokens may reach over it.
fn pieces(prompt: &Stretches) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for (index, (text, owner)) in prompt.iter().enumerate() {
        let is_persons =
            |at: Option<usize>| at.and_then(|at| prompt.get(at)).is_some_and(|(_, owner)| *owner != TEMPLATE);
        let between = is_persons(index.checked_sub(1)) && is_persons(Some(index + 1)) && text.trim().is_empty();
        push(&mut pieces, text, *owner == TEMPLATE && !between);
    }
    pieces
}

/// Adds text to the end of a prompt, joining it with the last piece where it can.
fn push(pieces: &mut Vec<Piece>, text: &str, trusted: bool) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(last) if last.trusted == trusted => last.text.push_str(text),
        _ => pieces.push(Piece { text: text.into(), trusted }),
    }
}

fn plain(messages: &[Message]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    for message in messages {
        let content = message.content.trim();
        let (label, after) = match message.role {
            Speaker::System => ("", "\n\n"),
            Speaker::User => ("User:", "\n"),
            Speaker::Assistant => ("Assistant:", "\n"),
        };
        push(&mut pieces, label, true);
        // The space belongs to the content: a model writes it behind `Assistant:` too, and the next turn must find the
        // same tokens there.
        push(&mut pieces, if label.is_empty() { "" } else { " " }, false);
        push(&mut pieces, content, false);
        push(&mut pieces, after, true);
    }
    push(&mut pieces, "Assistant:", true);
    pieces
}

/// Messages of one speaker in a row as one message, for templates that want speakers to take turns.
fn join_neighbours(messages: &[Message]) -> Vec<Message> {
    let mut joined: Vec<Message> = Vec::new();
    for message in messages {
        match joined.last_mut() {
            Some(last) if last.role == message.role => {
                last.content = format!("{}\n\n{}", last.content, message.content);
            }
            _ => joined.push(message.clone()),
        }
    }
    joined
}

/// System messages as the beginning of the user's next message.
fn system_into_user(messages: &[Message]) -> Vec<Message> {
    let speak = |message: &Message| match message.role {
        Speaker::System => Message { role: Speaker::User, content: message.content.clone() },
        _ => message.clone(),
    };
    messages.iter().map(speak).collect()
}

#[cfg(test)]
mod tests;
