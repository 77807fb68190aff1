//! Whatever ends the program, the terminal is given back; and a Ctrl-C ends no chat.

use super::*;
use std::process::Command;
use std::time::Duration;

/// A reply that goes on for long, with the first of its text.
fn replying(place: &Place) -> Pty {
    let plugin = slow(place.path());
    let words = [PAIR, "-n", "2000", "--context-shift", "--policy", "none", "--plugin", &plugin, "-p", "Once"];
    let mut reply = Pty::open(place, &words);
    reply.until("some text", |seen| seen.len() > 20);
    assert!(!reply.has_echo());
    reply
}

#[test]
fn a_signal_at_the_prompt() {
    for (name, code) in [("TERM", 143), ("HUP", 129)] {
        let place = Place::new();
        let mut chat = chat(&place, &["-n", "10"]);
        assert!(!chat.has_echo());
        chat.keys("some wor");
        chat.shows("wor", 1);
        chat.signal(name);
        let (status, seen) = chat.ends();
        assert_eq!(status.code(), Some(code), "{seen:?}");
        chat.assert_given_back(name);
    }
}

#[test]
fn a_deadly_signal_in_a_reply_and_at_the_prompt() {
    for name in ["QUIT", "ABRT", "SEGV", "BUS", "FPE", "USR1", "ALRM"] {
        let place = Place::new();
        let mut reply = replying(&place);
        reply.signal(name);
        let (status, seen) = reply.ends();
        assert!(status.signal().is_some(), "{name} ends as it would: {status:?}, {seen:?}");
        reply.assert_given_back(name);
    }
    let place = Place::new();
    let mut chat = chat(&place, &["-n", "10"]);
    chat.signal("ABRT");
    assert_eq!(chat.ends().0.signal(), Some(6));
    chat.assert_given_back("ABRT at the prompt");
}

#[test]
fn an_abort_of_the_program_itself() {
    let place = Place::new();
    let plugin = compiled(place.path(), &["ACTION=0", "STATUS=(step->position>3?(__builtin_abort(),0):0)"]);
    let mut reply = Pty::open(&place, &[PAIR, "--policy", "none", "--plugin", &plugin, "-p", "Once"]);
    assert_eq!(reply.ends().0.signal(), Some(6));
    reply.assert_given_back("an abort in a hook");
}

#[test]
fn a_reply_that_is_ended_from_outside_is_whole() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let place = Place::new();
        let mut reply = replying(&place);
        reply.signal(name);
        let (status, seen) = reply.ends();
        assert_eq!(status.code(), Some(code), "{seen:?}");
        reply.assert_given_back(name);
        assert_eq!(place.log()[0]["reason"], "interrupted");
    }
}

#[test]
fn a_chat_that_is_ended_in_a_reply_ends_after_it() {
    for (name, code) in [("TERM", 143), ("HUP", 129)] {
        let place = Place::new();
        let mut chat = chat(&place, &["-n", "2000", "--context-shift"]);
        ask(&mut chat, "Once upon a time");
        chat.signal(name);
        let (status, seen) = chat.ends();
        assert_eq!(status.code(), Some(code), "{seen:?}");
        chat.assert_given_back(name);
        assert_eq!(place.log()[0]["reason"], "interrupted");
        let kept = place.read("llama_selfmod/last-chat.json");
        assert!(kept.contains("Once upon a time"), "{kept}");
    }
}

#[test]
fn one_ctrl_c_at_any_moment_keeps_the_chat() {
    let place = Place::new();
    // Replies of a few milliseconds: the key is pressed before, in and after them.
    let mut chat = Pty::open(&place, &[PAIR, "--seed", "1", "-n", "8", "--context-shift", "--policy", "none"]);
    chat.asks(1);
    let keys = chat.keyboard();
    for round in 0..30 {
        let count = |chat: &Pty, text: &str| chat.seen().matches(text).count();
        let (replies, answers) = (count(&chat, "tokens/s"), count(&chat, "repeat-penalty "));
        chat.keys("hello\r");
        match round % 3 {
            0 => _ = chat.shows("tokens/s", replies + 1),
            1 => std::thread::sleep(Duration::from_millis(round)),
            _ => {}
        }
        chat.keys("\x03");
        // With a Ctrl-C the terminal forgets keys that were typed ahead, so they are pressed until one has arrived.
        let mut presses = 0;
        chat.until("an answer", |seen| {
            presses += 1;
            if presses % 100 == 0 {
                keys.press("\x15/params\r");
            }
            seen.matches("repeat-penalty ").count() > answers
        });
    }
    chat.keys("\x15/quit\r");
    let (status, seen) = chat.ends();
    assert_eq!(status.code(), Some(0), "{seen:?}");
    chat.assert_given_back("leaving");
}

#[test]
fn ctrl_z_stops_with_the_terminal_as_it_was_and_the_reply_goes_on() {
    let place = Place::new();
    let plugin = slow(place.path());
    let words = [PAIR, "-n", "60", "--policy", "none", "--plugin", &plugin, "--quiet", "-p", "Once"];
    let program = place.process(&words);
    let mut shell = Command::new("sh");
    // A shell that does nothing for the modes of its jobs.
    shell.arg("-mc").arg("\"$0\" \"$@\"; stty -a | grep -o '.echo '; fg; echo left with $?");
    shell.arg(program.get_program()).args(program.get_args()).current_dir(place.path());
    program.get_envs().for_each(|(name, value)| _ = value.map(|value| shell.env(name, value)));
    let mut shell = Pty::of(&shell);
    shell.until("some text", |seen| seen.len() > 20);
    shell.keys("\x1a");
    let (status, seen) = shell.ends();
    assert!(seen.contains(" echo ") && !seen.contains("-echo "), "{seen:?}");
    assert!(status.success() && seen.contains("left with 0"), "{seen:?}");
    shell.assert_given_back("the shell");
    assert_eq!(place.log()[0]["tokens"], 60);
}
