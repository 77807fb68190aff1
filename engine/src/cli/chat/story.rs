//! A chat that continues one text: what the person types becomes part of it, and the ensemble goes on.
//!
//! The engine makes room in a full context turn by turn, and a turn of a story may be longer than the context. So it is given
//! the text in parts, as if these had been said by turns, and the oldest parts go out of the members' sight.

use super::conversation::Conversation;
use crate::settings::{Message, Prompt, Speaker};

/// What to ask of the ensemble: the text that is in sight, in parts of some `part` bytes.
pub fn prompt(conversation: &Conversation, part: usize) -> Prompt {
    // What was typed last is a part of its own: the log calls it the prompt.
    let typed = conversation.messages().last().filter(|message| message.role == Speaker::User);
    let typed = typed.map_or("", |message| message.content.as_str());
    let text = conversation.in_sight();
    let before = text.strip_suffix(typed).unwrap_or_default();
    let system = conversation.messages().iter().find(|message| message.role == Speaker::System).cloned();
    let seen =
        parts(before, part.max(1)).into_iter().flat_map(|part| [(Speaker::User, part), (Speaker::Assistant, "")]);
    let seen = seen.chain([(Speaker::User, typed)]);
    let seen = seen.map(|(role, content)| Message { role, content: content.into() });
    Prompt::Chat(system.into_iter().chain(seen).collect())
}

/// How many bytes of the text the first `messages` of a [`prompt`] are, after the system's.
pub fn bytes_of(prompt: &Prompt, messages: usize) -> usize {
    let Prompt::Chat(parts) = prompt else { return 0 };
    let said = parts.iter().filter(|part| part.role != Speaker::System);
    said.take(messages).map(|part| part.content.len()).sum()
}

/// Parts of some `part` bytes, which end before a space where there is one: words stay whole.
fn parts(mut text: &str, part: usize) -> Vec<&str> {
    let mut parts = Vec::new();
    while text.len() > part {
        let boundaries = text.char_indices().map(|(at, _)| at).skip(1).take_while(|at| *at <= part);
        let end = boundaries.last().or(text.chars().next().map(char::len_utf8)).unwrap_or(part);
        let end = text[..end].rfind(char::is_whitespace).filter(|&space| space > 0).unwrap_or(end);
        let (first, rest) = text.split_at(end);
        parts.push(first);
        text = rest;
    }
    parts.extend(Some(text).filter(|rest| !rest.is_empty()));
    parts
}

/// What is typed after a text: a word needs a space before it, a comma does not.
pub fn joined(before: &str, typed: &str) -> String {
    let apart = before.is_empty() || before.ends_with(char::is_whitespace);
    let closes = typed.starts_with(|first: char| ",.;:!?)]}’”'".contains(first));
    if apart || closes || typed.is_empty() { typed.to_owned() } else { format!(" {typed}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(texts: &[&str]) -> Conversation {
        let mut conversation = Conversation::new(Some("s"));
        for pair in texts.chunks(2) {
            conversation.ask(pair[0].into());
            pair.get(1).iter().for_each(|reply| conversation.answer((**reply).into()));
        }
        conversation
    }

    fn content(prompt: &Prompt) -> String {
        let Prompt::Chat(messages) = prompt else { panic!("{prompt:?}") };
        messages.iter().map(|message| message.content.as_str()).collect()
    }

    #[test]
    fn the_parts_are_the_text_and_words_stay_whole() {
        let text = "Once upon a time, 猫が好きです there was a catinthehatbook.";
        for part in 1..text.len() + 2 {
            let parts = parts(text, part);
            assert_eq!(parts.concat(), text);
            assert!(parts.iter().all(|it| !it.is_empty() && it.len() <= part.max(3)), "{part}: {parts:?}");
        }
        assert_eq!(parts("one two three", 8), ["one two", " three"]);
        assert!(parts("", 8).is_empty());
    }

    #[test]
    fn what_went_out_of_sight_is_not_asked_again() {
        let mut conversation = said(&["one two three", " four five six", " seven"]);
        let first = prompt(&conversation, 8);
        assert_eq!(content(&first), "sone two three four five six seven");
        conversation.hide(bytes_of(&first, 2));
        assert_eq!(content(&prompt(&conversation, 8)), "s three four five six seven");
    }

    #[test]
    fn another_text_is_seen_whole() {
        let mut conversation = said(&["one two three", " four five six"]);
        conversation.hide(20);
        conversation.undo();
        conversation.ask("a text that is longer than what was hidden".into());
        assert_eq!(content(&prompt(&conversation, 80)), "sa text that is longer than what was hidden");
    }

    #[test]
    fn words_are_joined_by_a_space_and_signs_are_not() {
        assert_eq!(joined("The end.", "Then"), " Then");
        assert_eq!(joined("The end. ", "Then"), "Then");
        assert_eq!(joined("a cat", ", black"), ", black");
        assert_eq!(joined("", "Once"), "Once");
        assert_eq!(joined("the dog", ""), "");
    }
}
