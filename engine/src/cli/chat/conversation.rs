//! What was said in a chat.

use crate::settings::{Message, Speaker};

/// Messages in turn: the system's if there is one, then the person's and the ensemble's. Between two turns it ends with
/// a message of the ensemble.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Conversation {
    messages: Vec<Message>,
    /// How often the last reply was asked for again.
    attempt: u64,
    /// Bytes at the beginning of [`Self::text`] that are out of the members' sight.
    hidden: usize,
}

impl Conversation {
    /// Nothing was said yet.
    pub fn new(system: Option<&str>) -> Self {
        let system = system.map(|content| Message { role: Speaker::System, content: content.to_owned() });
        Self { messages: system.into_iter().collect(), ..Self::default() }
    }

    /// Takes over messages that were saved; `None` when they do not come in turn.
    pub fn restore(messages: Vec<Message>) -> Option<Self> {
        let turns = match messages.first() {
            Some(message) if message.role == Speaker::System => &messages[1..],
            _ => &messages[..],
        };
        let in_turn = turns.chunks(2).all(|turn| {
            matches!(turn, [person, ensemble] if person.role == Speaker::User && ensemble.role == Speaker::Assistant)
        });
        in_turn.then_some(Self { messages, ..Self::default() })
    }

    /// All messages.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// How many replies stand.
    pub fn turns(&self) -> usize {
        self.messages.iter().filter(|message| message.role == Speaker::Assistant).count()
    }

    /// The person says something.
    pub fn ask(&mut self, text: String) {
        self.attempt = 0;
        self.messages.push(Message { role: Speaker::User, content: text });
    }

    /// The ensemble replies.
    pub fn answer(&mut self, text: String) {
        self.messages.push(Message { role: Speaker::Assistant, content: text });
    }

    /// Takes the last reply away, to write another one; `None` when there is none.
    pub fn reopen(&mut self) -> Option<String> {
        let last = self.take(Speaker::Assistant)?;
        self.attempt += 1;
        Some(last.content)
    }

    /// Takes the last question away, with its reply if there is one; false when there is none.
    pub fn undo(&mut self) -> bool {
        self.attempt = 0;
        self.take(Speaker::Assistant);
        self.take(Speaker::User).is_some()
    }

    /// Takes the last message away if it is this speaker's.
    fn take(&mut self, speaker: Speaker) -> Option<Message> {
        let taken = self.messages.pop_if(|last| last.role == speaker)?;
        // What comes now may be another text: it is seen from its beginning.
        if self.hidden > self.text().len() {
            self.hidden = 0;
        }
        Some(taken)
    }

    /// The text so far, for a chat that continues one text: messages of both as they stand.
    pub fn text(&self) -> String {
        self.messages.iter().filter(|message| message.role != Speaker::System).map(|it| it.content.as_str()).collect()
    }

    /// The part of [`Self::text`] that is not out of sight.
    pub fn in_sight(&self) -> String {
        self.text().split_off(self.hidden)
    }

    /// The next `bytes` of the text go out of the members' sight.
    pub fn hide(&mut self, bytes: usize) {
        self.hidden += bytes;
    }

    /// Drops the oldest messages after the system's, as the engine did to make room.
    pub fn forget(&mut self, count: usize) {
        let first = usize::from(self.messages.first().is_some_and(|message| message.role == Speaker::System));
        let end = (first + count).min(self.messages.len());
        self.messages.drain(first..end);
    }

    /// The seed of the next reply: the chat's own, and for a reply that is asked for again one that follows from it.
    pub fn seed(&self, base: u64) -> u64 {
        if self.attempt == 0 {
            return base;
        }
        // SplitMix64's finaliser: near attempts get far seeds.
        let mut mixed = base ^ self.attempt.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two_turns() -> Conversation {
        let mut conversation = Conversation::new(Some("Be brief."));
        for text in ["one", "two"] {
            conversation.ask(text.into());
            conversation.answer(format!("reply {text}"));
        }
        conversation
    }

    #[test]
    fn undo_takes_one_exchange_at_a_time_and_leaves_the_system_message() {
        let mut conversation = two_turns();
        assert!(conversation.undo());
        assert_eq!(conversation.messages().last().unwrap().content, "reply one");
        assert!(conversation.undo());
        assert!(!conversation.undo());
        assert_eq!(conversation.messages().len(), 1);
    }

    #[test]
    fn every_attempt_draws_from_another_seed_and_the_next_turn_from_the_first() {
        let mut conversation = two_turns();
        let first = conversation.seed(7);
        assert_eq!(first, 7);
        assert_eq!(conversation.reopen().as_deref(), Some("reply two"));
        let second = conversation.seed(7);
        conversation.answer("other".into());
        conversation.reopen();
        let third = conversation.seed(7);
        assert!(first != second && second != third && third != first);
        conversation.answer("third".into());
        conversation.ask("next".into());
        assert_eq!(conversation.seed(7), 7);
        assert_eq!(conversation.reopen(), None);
    }

    #[test]
    fn forgetting_keeps_the_system_message() {
        let mut conversation = two_turns();
        conversation.forget(2);
        let said: Vec<_> = conversation.messages().iter().map(|message| message.content.as_str()).collect();
        assert_eq!(said, ["Be brief.", "two", "reply two"]);
    }

    #[test]
    fn only_messages_in_turn_are_restored() {
        let messages = two_turns().messages().to_vec();
        assert_eq!(Conversation::restore(messages.clone()), Some(two_turns()));
        assert_eq!(Conversation::restore(messages[..4].to_vec()), None);
        assert_eq!(Conversation::restore(messages[2..].to_vec()), None);
        assert!(Conversation::restore(Vec::new()).is_some());
    }
}
