//! How a member sees a prompt, and what it remembers of the text it has read.

use crate::member::template::{ChatTemplate, Piece, TemplateError};
use crate::settings::{Message, Prompt, Speaker};

/// How a member sees a prompt.
pub(crate) struct PromptForm {
    /// The model's own template or the user's; `None` for a base model.
    pub template: Option<ChatTemplate>,
    /// A conversation is one text that goes on: no template, and no form in place of one.
    pub raw: bool,
    /// The system message of every prompt.
    pub system: Option<String>,
}

impl PromptForm {
    /// The prompt as text, and the texts after which a reply to it is over. Nothing for [`Prompt::Tokens`].
    pub fn render(&self, prompt: &Prompt) -> Result<(Vec<Piece>, Vec<String>), TemplateError> {
        let messages = match prompt {
            Prompt::Tokens(_) => return Ok(Default::default()),
            Prompt::Text(text) => vec![Message { role: Speaker::User, content: text.clone() }],
            Prompt::Chat(messages) => messages.clone(),
        };
        let messages = self.with_system(messages);
        if self.raw || (self.template.is_none() && matches!(prompt, Prompt::Text(_))) {
            return Ok((vec![Piece { text: one_text(&messages), trusted: false }], Vec::new()));
        }
        let plain = ChatTemplate::plain();
        let template = self.template.as_ref().unwrap_or(&plain);
        Ok((template.render(&messages)?, template.stop_strings().to_vec()))
    }

    fn with_system(&self, messages: Vec<Message>) -> Vec<Message> {
        match &self.system {
            Some(system) if messages.first().is_none_or(|first| first.role != Speaker::System) => {
                let system = Message { role: Speaker::System, content: system.clone() };
                std::iter::once(system).chain(messages).collect()
            }
            _ => messages,
        }
    }
}

/// What was said as one text, as it stands; the system message is a paragraph of its own before it.
fn one_text(messages: &[Message]) -> String {
    let ends = messages.iter().map(|message| if message.role == Speaker::System { "\n\n" } else { "" });
    messages.iter().zip(ends).flat_map(|(message, end)| [message.content.as_str(), end]).collect()
}

/// The text that a member's tokens were made from, with the places where a prompt or a reply ended. A prompt that goes on
/// from such a place keeps the tokens before it, whatever a tokenizer would make of the whole.
#[derive(Default)]
pub(super) struct KnownText {
    text: String,
    /// In bytes and in tokens, rising.
    ends: Vec<(usize, usize)>,
}

impl KnownText {
    /// How much of the beginning of `text` is known, in bytes and tokens. Later ends are forgotten.
    pub fn beginning_of(&mut self, text: &str) -> (usize, usize) {
        while self.ends.last().is_some_and(|&(bytes, _)| !text.starts_with(&self.text[..bytes])) {
            self.ends.pop();
        }
        self.ends.last().copied().unwrap_or((0, 0))
    }

    /// From now on `text` is what is known, which is `tokens` tokens; its beginning is [`Self::beginning_of`] it.
    pub fn replace(&mut self, text: String, tokens: usize) {
        self.text = text;
        self.ends.push((self.text.len(), tokens));
        self.ends.dedup();
    }

    /// What is known goes on with `text`, up to `tokens` tokens in all. Nothing when it does not begin as text.
    pub fn append(&mut self, text: &str, tokens: usize) {
        if !self.ends.is_empty() {
            self.text.push_str(text);
            self.ends.push((self.text.len(), tokens));
        }
    }

    /// Keeps the ends within the first `tokens` tokens.
    pub fn forget_after(&mut self, tokens: usize) {
        self.ends.retain(|(_, end)| *end <= tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_raw_conversation_is_one_text() {
        let form = PromptForm { template: None, raw: true, system: Some("Be brief.".into()) };
        let said = [(Speaker::User, "Once"), (Speaker::Assistant, " upon a time. "), (Speaker::User, "Then")];
        let messages = said.map(|(role, content)| Message { role, content: content.into() }).to_vec();
        let text = "Be brief.\n\nOnce upon a time. Then".to_owned();
        let whole = (vec![Piece { text, trusted: false }], Vec::new());
        assert_eq!(form.render(&Prompt::Chat(messages)), Ok(whole));
    }

    #[test]
    fn a_text_is_known_up_to_the_last_end_that_it_shares() {
        let mut known = KnownText::default();
        assert_eq!(known.beginning_of("a: b"), (0, 0));
        known.replace("a: ".into(), 2);
        known.append("b", 3);
        assert_eq!(known.beginning_of("a: b c"), (4, 3));
        known.replace("a: b c".into(), 5);
        assert_eq!(known.beginning_of("a: b c"), (6, 5), "the same again");
        assert_eq!(known.beginning_of("a: b d"), (4, 3), "the last turn taken back");
        assert_eq!(known.beginning_of("a: x"), (3, 2));
        assert_eq!(known.beginning_of("x"), (0, 0));
    }

    #[test]
    fn what_does_not_begin_as_text_does_not_go_on_as_text() {
        let mut known = KnownText::default();
        known.replace("a".into(), 1);
        known.forget_after(0);
        known.append("b", 2);
        assert_eq!(known.beginning_of("ab"), (0, 0));
    }
}
