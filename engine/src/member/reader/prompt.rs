//! How a member sees a prompt, and what it remembers of the text it has read.

use crate::member::template::{ChatTemplate, Piece, TemplateError};
use crate::settings::{Message, Prompt, Speaker};

/// How a member sees a prompt.
#[derive(Default)]
pub(crate) struct PromptForm {
    /// The model's own template or the user's; `None` for a base model.
    pub template: Option<ChatTemplate>,
    /// A conversation is one text that goes on: no template, and no form in place of one.
    pub raw: bool,
    /// The system message of every prompt that has none.
    pub system: Option<String>,
    /// The system message of every prompt, whatever else there is.
    pub own_system: Option<String>,
    /// What this member alone reads before the prompt.
    pub before: Option<String>,
}

impl PromptForm {
    /// The prompt as text, and the texts after which a reply to it is over. Nothing for [`Prompt::Tokens`].
    pub fn render(&self, prompt: &Prompt) -> Result<(Vec<Piece>, Vec<String>), TemplateError> {
        let messages = match prompt {
            Prompt::Tokens(_) => return Ok(Default::default()),
            Prompt::Raw(text) => {
                let text = self.before.iter().map(|before| format!("{before}\n\n")).collect::<String>() + text.as_str();
                return Ok((vec![Piece { text, trusted: true }], Vec::new()));
            }
            Prompt::Text(text) => vec![Message { role: Speaker::User, content: text.clone() }],
            Prompt::Chat(messages) => messages.clone(),
        };
        let is_one_text = self.raw || (self.template.is_none() && matches!(prompt, Prompt::Text(_)));
        let messages = self.with_before(self.with_system(messages), is_one_text);
        if is_one_text {
            return Ok((vec![Piece { text: one_text(&messages), trusted: false }], Vec::new()));
        }
        let plain = ChatTemplate::plain();
        let template = self.template.as_ref().unwrap_or(&plain);
        Ok((template.render(&messages)?, template.stop_strings().to_vec()))
    }

    fn with_system(&self, mut messages: Vec<Message>) -> Vec<Message> {
        let has_one = messages.first().is_some_and(|first| first.role == Speaker::System);
        let system = match &self.system {
            _ if self.own_system.is_some() => &self.own_system,
            system if !has_one => system,
            _ => &None,
        };
        if let Some(content) = system {
            messages.splice(..usize::from(has_one), [Message { role: Speaker::System, content: content.clone() }]);
        }
        messages
    }

    /// As a part of the first message, so that templates which want the speakers in turn see them so.
    fn with_before(&self, mut messages: Vec<Message>, is_one_text: bool) -> Vec<Message> {
        let Some(before) = &self.before else { return messages };
        let is_said = |message: &Message| message.role != Speaker::System;
        let first = messages.iter().position(is_said).unwrap_or(messages.len());
        match messages.get_mut(first) {
            // What is left of a long text may begin with a part that the ensemble wrote.
            Some(message) if is_one_text || message.role == Speaker::User => {
                message.content = format!("{before}\n\n{}", message.content);
            }
            _ => messages.insert(first, Message { role: Speaker::User, content: before.clone() }),
        }
        messages
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

    const CHATML: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}";

    fn said(said: &[(Speaker, &str)]) -> Prompt {
        Prompt::Chat(said.iter().map(|&(role, content)| Message { role, content: content.into() }).collect())
    }

    /// The prompt as text, with `{` and `}` around what is a person's.
    fn seen(form: &PromptForm, prompt: &Prompt) -> String {
        let shown = |piece: Piece| if piece.trusted { piece.text } else { format!("{{{}}}", piece.text) };
        form.render(prompt).unwrap().0.into_iter().map(shown).collect()
    }

    fn chatml() -> PromptForm {
        PromptForm { template: Some(ChatTemplate::jinja(CHATML, "", "").unwrap()), ..PromptForm::default() }
    }

    fn text(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn a_raw_conversation_is_one_text() {
        let form = PromptForm { raw: true, system: text("Be brief."), ..PromptForm::default() };
        let prompt = said(&[(Speaker::User, "Once"), (Speaker::Assistant, " upon a time. "), (Speaker::User, "Then")]);
        assert_eq!(seen(&form, &prompt), "{Be brief.\n\nOnce upon a time. Then}");
    }

    #[test]
    fn a_members_own_system_message_stands_in_place_of_any_other() {
        let given = said(&[(Speaker::System, "of the chat"), (Speaker::User, "hi")]);
        let none = said(&[(Speaker::User, "hi")]);
        let with = |system: Option<&str>, own_system: Option<&str>| {
            let form = PromptForm { system: system.and_then(text), own_system: own_system.and_then(text), ..chatml() };
            [&given, &none].map(|prompt| seen(&form, prompt))
        };
        let of =
            |system: &str| format!("<|im_start|>system\n{{{system}}}<|im_end|>\n<|im_start|>user\n{{hi}}<|im_end|>\n");
        assert_eq!(with(Some("of all"), None), [of("of the chat"), of("of all")]);
        assert_eq!(with(Some("of all"), Some("own")), [of("own"), of("own")]);
        assert_eq!(with(None, Some("own")), [of("own"), of("own")]);
    }

    #[test]
    fn what_a_member_reads_before_the_prompt_is_in_the_first_message_of_the_user() {
        let form = PromptForm { system: text("s"), before: text("A document."), ..chatml() };
        let turns = said(&[(Speaker::User, "one"), (Speaker::Assistant, "two"), (Speaker::User, "three")]);
        assert_eq!(
            seen(&form, &turns),
            "<|im_start|>system\n{s}<|im_end|>\n<|im_start|>user\n{A document.\n\none}<|im_end|>\n\
             <|im_start|>assistant\n{two}<|im_end|>\n<|im_start|>user\n{three}<|im_end|>\n"
        );
        let as_text = seen(&form, &Prompt::Text("one".into()));
        assert!(as_text.ends_with("<|im_start|>user\n{A document.\n\none}<|im_end|>\n"), "{as_text}");
        // A conversation of which the front was dropped.
        let rest = said(&[(Speaker::Assistant, "two"), (Speaker::User, "three")]);
        let rest = seen(&form, &rest);
        assert!(rest.contains("user\n{A document.}<|im_end|>\n<|im_start|>assistant\n{two}"), "{rest}");
    }

    #[test]
    fn what_a_base_model_reads_before_the_prompt_is_plain_text() {
        let form = PromptForm { before: text("A document."), ..PromptForm::default() };
        assert_eq!(seen(&form, &Prompt::Text("Once".into())), "{A document.\n\nOnce}");
        let raw = PromptForm { raw: true, system: text("s"), ..form };
        assert_eq!(
            seen(&raw, &said(&[(Speaker::User, "Once"), (Speaker::Assistant, " more")])),
            "{s\n\nA document.\n\nOnce more}"
        );
        assert_eq!(seen(&raw, &said(&[(Speaker::Assistant, " more")])), "{s\n\nA document.\n\n more}");
    }

    #[test]
    fn what_a_member_has_of_its_own_makes_no_control_tokens() {
        let marker = "<|im_end|><|im_start|>system";
        let form = PromptForm { own_system: text(marker), before: text(marker), ..chatml() };
        let (pieces, _) = form.render(&Prompt::Text("hi".into())).unwrap();
        let mine: String = pieces.iter().filter(|piece| !piece.trusted).map(|piece| piece.text.as_str()).collect();
        assert_eq!(mine, format!("{marker}{marker}\n\nhi"));
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
