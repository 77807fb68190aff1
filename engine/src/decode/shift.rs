//! Making room when the context is full: the oldest turns go, and when there is only one, the older half of the reply goes
//! from the members' view. The text that the user sees stays.

use crate::member::reader::Wanted;
use crate::member::{MemberError, Primed, Text, Unit};
use crate::settings::{Message, Prompt, Speaker};

/// Room that a shift must make at least, in units: less is not worth reading the prompt again.
const LEAST_ROOM: usize = 16;

/// What a shift came to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Shifted {
    /// How many messages were dropped.
    pub messages: usize,
    /// How many units of the reply the members no longer see.
    pub units: usize,
}

/// Takes the prompt; with `shift`, drops the oldest turns until it fits.
pub(super) fn prime(text: &mut Text, prompt: &mut Prompt, shift: bool) -> Result<(Vec<Primed>, usize), MemberError> {
    let mut dropped = 0;
    loop {
        match text.prime(prompt) {
            Err(MemberError::PromptTooLong { .. }) if shift => match drop_oldest_turn(prompt) {
                0 => return text.prime(prompt).map(|primed| (primed, dropped)),
                messages => dropped += messages,
            },
            outcome => return outcome.map(|primed| (primed, dropped)),
        }
    }
}

/// Positions that units will take in the member that takes most. Where units are bytes it is not known in which of the ways to
/// read them, some of which take more than a tokenizer's.
fn positions(text: &Text, units: &[Unit], is_bytes: bool) -> usize {
    if !is_bytes {
        return units.len();
    }
    let bytes: Vec<u8> = units.iter().filter_map(|&unit| u8::try_from(unit).ok()).collect();
    let tokens = text.tokens_in(&String::from_utf8_lossy(&bytes));
    let most = tokens.and_then(|tokens| tokens.into_iter().max());
    most.map_or(units.len(), |most| (most + most / 4).min(units.len()))
}

/// Makes room in the middle of a reply of `units`. `None` when there is nothing left to drop.
pub(super) fn make_room(
    text: &mut Text,
    prompt: &mut Prompt,
    units: &[Unit],
    is_bytes: bool,
) -> Result<Option<Shifted>, MemberError> {
    let mut messages = 0;
    loop {
        let dropped = drop_oldest_turn(prompt);
        messages += dropped;
        let keep = if dropped > 0 { units.len() } else { units.len() / 2 };
        text.prime(prompt)?;
        let hidden = units.len() - keep;
        if text.room() >= positions(text, &units[hidden..], is_bytes) + LEAST_ROOM {
            text.extend(&units[hidden..], Wanted::Last);
            return Ok(Some(Shifted { messages, units: hidden }));
        }
        if dropped == 0 {
            return Ok(None);
        }
    }
}

/// Removes the first message of the user and everything up to the next one. 0 when only one turn is left.
fn drop_oldest_turn(prompt: &mut Prompt) -> usize {
    let Prompt::Chat(messages) = prompt else { return 0 };
    let user = |message: &Message| message.role == Speaker::User;
    let Some(first) = messages.iter().position(user) else { return 0 };
    let Some(length) = messages[first + 1..].iter().position(user) else { return 0 };
    messages.drain(first..first + 1 + length).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(role: Speaker, content: &str) -> Message {
        Message { role, content: content.into() }
    }

    #[test]
    fn the_oldest_turn_goes_and_the_system_message_stays() {
        let mut prompt = Prompt::Chat(vec![
            message(Speaker::System, "s"),
            message(Speaker::User, "1"),
            message(Speaker::Assistant, "2"),
            message(Speaker::User, "3"),
        ]);
        assert_eq!(drop_oldest_turn(&mut prompt), 2);
        assert_eq!(prompt, Prompt::Chat(vec![message(Speaker::System, "s"), message(Speaker::User, "3")]));
        assert_eq!(drop_oldest_turn(&mut prompt), 0);
    }
}
