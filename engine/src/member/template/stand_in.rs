//! Telling a person's text from the template's.
//!
//! The template is rendered with *stand-ins* in place of the contents: one private-use character for each stretch of
//! text. Whatever the template makes of it, a stand-in that comes out is that stretch, and everything else is the
//! template's own: a person who types `<|im_end|>` or a private-use character changes nothing.
//!
//! Templates look into contents, so a stand-in keeps the shape of what it stands for:
//!
//! * white space at both ends stays, for `content | trim`; an empty content stays empty, for `if content`;
//! * [`LOOKED_FOR`] stay, for `content.split('</think>')`. A flag before each says that it is the person's.
//!
//! Rendering the real contents shows whether that was enough: with all templates in this file's tests it is. If not,
//! the template does something else with a content (`content | upper`, `content[0]`, its length). Then, when all
//! contents can be found in the real prompt, that prompt is taken and every place where a content stands is
//! distrusted ([`distrust`]), the template's own included if it looks the same; and when they cannot be found, the
//! prompt with the stand-ins is taken: safe, and without what the template wanted to change. A template that does not
//! work with stand-ins at all is not trusted with anything.

use super::{Piece, push};
use crate::settings::Message;
use std::ops::Range;

/// What known templates look for in a content: DeepSeek R1 and Qwen 3 cut earlier thoughts, SmolLM 3 and GLM 4.5 look
/// for a switch.
const LOOKED_FOR: &[&str] = &["</think>", "<think>", "/no_think", "/nothink", "/think"];
/// Stands before a text of [`LOOKED_FOR`] that is a person's.
const FLAG: char = '\u{100000}';
/// The stand-in of the first stretch. Up to the end of Unicode there is room for 65,000.
const FIRST: u32 = FLAG as u32 + 1;

/// Whether a template's own text could be taken for a stand-in.
pub fn could_be_mistaken(source: &str) -> bool {
    source.contains(|c| c >= FLAG)
}

/// Messages in which stand-ins take the place of the text.
pub struct StandIns<'a> {
    messages: Vec<Message>,
    /// The stretches of text, with the message each belongs to.
    stretches: Vec<(usize, &'a str)>,
}

impl<'a> StandIns<'a> {
    /// Hides the contents of `messages`. `None` when there are more stretches than stand-ins.
    pub fn new(messages: &'a [Message]) -> Option<Self> {
        let mut stand_ins = Self { messages: Vec::with_capacity(messages.len()), stretches: Vec::new() };
        for (index, message) in messages.iter().enumerate() {
            let content = stand_ins.hide(index, &message.content)?;
            stand_ins.messages.push(Message { role: message.role, content });
        }
        Some(stand_ins)
    }

    /// What to render in place of the messages.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    fn hide(&mut self, message: usize, content: &'a str) -> Option<String> {
        let mut hidden = String::new();
        let mut rest = content;
        loop {
            let next =
                LOOKED_FOR.iter().filter_map(|looked_for| Some((rest.find(looked_for)?, looked_for.len()))).min();
            let (start, len) = next.unwrap_or((rest.len(), 0));
            let text = &rest[..start];
            let trimmed = text.trim();
            let (before, after) = match trimmed {
                "" => (text, ""),
                _ => text.split_once(trimmed).unwrap_or_default(),
            };
            hidden.push_str(before);
            if !trimmed.is_empty() {
                hidden.push(char::from_u32(FIRST + self.stretches.len() as u32)?);
                self.stretches.push((message, trimmed));
            }
            hidden.push_str(after);
            if len == 0 {
                return Some(hidden);
            }
            hidden.push(FLAG);
            hidden.push_str(&rest[start..start + len]);
            rest = &rest[start + len..];
        }
    }

    /// Puts the text back into the rendered prompt. Also says of each message whether all of it came out.
    pub fn resolve(&self, rendered: &str) -> (Vec<Piece>, Vec<bool>) {
        let mut pieces = Vec::new();
        let mut came_out = vec![false; self.stretches.len()];
        let mut rest = rendered;
        while let Some(start) = rest.find(|c| c >= FLAG) {
            push(&mut pieces, &rest[..start], true);
            let mut characters = rest[start..].chars();
            let stand_in = characters.next().unwrap_or(FLAG);
            rest = characters.as_str();
            if stand_in == FLAG {
                // The template may have cut off what the flag stood before.
                let persons = LOOKED_FOR.iter().find(|looked_for| rest.starts_with(**looked_for));
                let (text, after) = rest.split_at(persons.map_or(0, |text| text.len()));
                push(&mut pieces, text, false);
                rest = after;
            } else if let Some(index) = (stand_in as u32).checked_sub(FIRST).map(|index| index as usize)
                && let Some((_, text)) = self.stretches.get(index)
            {
                push(&mut pieces, text, false);
                came_out[index] = true;
            }
        }
        push(&mut pieces, rest, true);
        join_over_white_space(&mut pieces);
        let mut seen = vec![true; self.messages.len()];
        for ((message, _), out) in self.stretches.iter().zip(came_out) {
            seen[*message] &= out;
        }
        (pieces, seen)
    }
}

/// White space between two stretches goes with them: tokens may reach over it.
fn join_over_white_space(pieces: &mut Vec<Piece>) {
    for index in 1..pieces.len().saturating_sub(1) {
        let blank = pieces[index].text.chars().all(char::is_whitespace);
        pieces[index].trusted &= !blank;
    }
    pieces.dedup_by(|later, earlier| {
        let same = later.trusted == earlier.trusted;
        if same {
            earlier.text.push_str(&later.text);
        }
        same
    });
}

/// Whether every content stands in the prompt, but for white space around it. `hidden` is the prompt with stand-ins: what
/// stands there is the template's own and does not count.
pub fn all_found(prompt: &str, hidden: &str, messages: &[Message]) -> bool {
    let contents = messages.iter().map(|message| message.content.trim()).filter(|content| !content.is_empty());
    contents.into_iter().all(|content| prompt.matches(content).count() > hidden.matches(content).count())
}

/// The prompt with every place distrusted where the text of a message stands.
pub fn distrust(prompt: &str, messages: &[Message]) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let contents = messages.iter().map(|message| message.content.trim()).filter(|content| !content.is_empty());
    let mut places: Vec<Range<usize>> = contents.flat_map(|content| places_of(content, prompt)).collect();
    places.sort_by_key(|place| place.start);
    let mut end = 0;
    for place in places {
        if place.end > end {
            push(&mut pieces, &prompt[end..place.start.max(end)], true);
            push(&mut pieces, &prompt[place.start.max(end)..place.end], false);
            end = place.end;
        }
    }
    push(&mut pieces, &prompt[end..], true);
    pieces
}

/// All places of `content`, those that overlap too.
fn places_of<'a>(content: &'a str, prompt: &'a str) -> impl Iterator<Item = Range<usize>> + 'a {
    let mut from = 0;
    std::iter::from_fn(move || {
        let start = from + prompt[from..].find(content)?;
        from = start + prompt[start..].chars().next().map_or(1, char::len_utf8);
        Some(start..start + content.len())
    })
}
