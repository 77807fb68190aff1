//! Signals, the terminal's modes, what reaches a terminal, and what is left of a chat that was ended.
#![cfg(target_os = "linux")]

use crate::support::program::{PAIR, Place, compiled, model, slow};
use crate::support::pty::Pty;
use std::os::unix::process::ExitStatusExt;

mod ends;
mod hostile;
mod keeps;

/// A chat whose replies take long enough to be broken off.
fn chat(place: &Place, words: &[&str]) -> Pty {
    let plugin = slow(place.path());
    let words = [&[PAIR, "--seed", "4", "--policy", "none", "--plugin", &plugin], words].concat();
    let mut chat = Pty::open(place, &words);
    chat.asks(1);
    chat
}

/// Asks, and waits for some of the reply.
fn ask(chat: &mut Pty, text: &str) {
    let replies = chat.seen().matches(text).count();
    chat.keys(&format!("{text}\r"));
    chat.until("some of the reply", |seen| {
        seen.match_indices(text).nth(replies).is_some_and(|(at, _)| seen.len() > at + text.len() + 60)
    });
}
