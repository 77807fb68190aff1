//! Chat templates: from messages to the prompt of one member.
//!
//! Model files carry Jinja templates written for Hugging Face's `apply_chat_template`; this renders them as that does.
//! What a person typed, and what the ensemble wrote earlier, must never be read as control tokens, so the prompt comes
//! as pieces that say whose text they are. How that is found out is told in `template/stand_in.rs`.

mod jinja;
mod stand_in;

use crate::settings::{Message, Speaker};
use jinja::Jinja;
use stand_in::StandIns;

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
        Ok(Self { jinja: Some(Jinja::new(source, bos, eos)?), stop: Vec::new() })
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
        let joined = join_neighbours(messages);
        let without_system = join_neighbours(&system_into_user(messages));
        let first = render_safely(jinja, messages);
        if first.as_ref().is_ok_and(|rendered| rendered.all_system) {
            return first.map(|rendered| rendered.pieces);
        }
        let mut fallback = None;
        for attempt in [joined, without_system] {
            if attempt == messages {
                continue;
            }
            match render_safely(jinja, &attempt) {
                Ok(rendered) if rendered.all_system => return Ok(rendered.pieces),
                Ok(rendered) => fallback = fallback.or(Some(rendered)),
                Err(_) => {}
            }
        }
        match (first, fallback) {
            (Ok(rendered), _) | (Err(_), Some(rendered)) => Ok(rendered.pieces),
            (Err(error), None) => Err(error),
        }
    }

    /// Texts that end an answer, because the form of the prompt has no token for it.
    pub fn stop_strings(&self) -> &[String] {
        &self.stop
    }
}

struct Rendered {
    pieces: Vec<Piece>,
    /// Whether the text of all system messages is in it.
    all_system: bool,
}

/// Renders the messages with stand-ins, and once as they are to see whether that made a difference.
fn render_safely(jinja: &Jinja, messages: &[Message]) -> Result<Rendered, TemplateError> {
    let real = jinja.render(messages)?;
    let stand_ins = StandIns::new(messages);
    let hidden = stand_ins.as_ref().and_then(|stand_ins| jinja.render(stand_ins.messages()).ok());
    let (Some(stand_ins), Some(hidden)) = (stand_ins, hidden) else {
        let mut pieces = Vec::new();
        push(&mut pieces, &real, false);
        return Ok(Rendered { pieces, all_system: true });
    };
    let (mut pieces, seen) = stand_ins.resolve(&hidden);
    let all_system = messages.iter().zip(seen).all(|(message, seen)| message.role != Speaker::System || seen);
    let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
    if text != real && stand_in::all_found(&real, &hidden, messages) {
        pieces = stand_in::distrust(&real, messages);
    }
    Ok(Rendered { pieces, all_system })
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
