//! A conversation outlives the program.

use super::*;

#[test]
fn after_a_crash_the_last_conversation_is_loaded() {
    let place = Place::new();
    let mut first = chat(&place, &["-n", "5"]);
    for (index, line) in ["Once upon a time\r", "And then?\r"].into_iter().enumerate() {
        first.keys(line);
        first.shows("tokens/s", index + 1);
    }
    first.until("the conversation on the disk", |_| kept(&place).contains("And then?"));
    first.signal("KILL");
    first.ends();

    let mut second = chat(&place, &["-n", "5"]);
    // Something else first: it takes nothing from the one before.
    second.keys("hi\r");
    second.shows("tokens/s", 1);
    second.until("the conversation on the disk", |_| kept(&place).contains("hi"));
    second.keys("/load last\r");
    let seen = second.shows("2 exchanges loaded", 1);
    assert!(!seen.contains("differ"), "{seen:?}");
    second.keys("/load last\r");
    second.shows("1 exchange loaded", 1);
    second.keys("/quit\r");
    assert_eq!(second.ends().0.code(), Some(0));
}

/// The newest conversation; nothing before the first.
fn kept(place: &Place) -> String {
    std::fs::read_to_string(place.path().join("llama_selfmod/last-chat.json")).unwrap_or_default()
}

#[test]
fn a_reply_that_was_interrupted_is_kept_and_one_without_text_is_taken_back() {
    let place = Place::new();
    let mut chat = chat(&place, &["-n", "500", "--context-shift"]);
    ask(&mut chat, "Once upon a time");
    chat.keys("\x03");
    chat.shows("interrupted", 1);
    chat.until("the conversation on the disk", |_| kept(&place).contains("Once upon a time"));
    let log = place.log();
    assert!(
        kept(&place).contains(log[0]["response"].as_str().unwrap().trim_end_matches('\n').split('\n').next().unwrap())
    );
}

#[test]
fn a_model_file_that_becomes_shorter_ends_the_reply_and_not_the_program() {
    let place = Place::new();
    std::fs::copy(model("stories-260k.gguf"), place.path().join("m.gguf")).unwrap();
    let plugin = slow(place.path());
    let words = ["-m", "m.gguf", "-n", "2000", "--context-shift", "--policy", "none", "--plugin", &plugin];
    for length in [0, 4096, 300_000] {
        let mut chat = Pty::open(&place, &words);
        chat.asks(1);
        ask(&mut chat, "Once upon a time");
        let file = std::fs::File::options().write(true).open(place.path().join("m.gguf")).unwrap();
        file.set_len(length).unwrap();
        let seen = chat.shows("became shorter while it was in use", 1);
        assert!(seen.contains("the text so far stands"), "{seen:?}");
        let log = place.log();
        let last = log.last().unwrap();
        assert_eq!(last["reason"], "failed");
        assert!(!last["response"].as_str().unwrap().is_empty());
        // The chat is still there.
        chat.keys("/stats\r");
        chat.shows("replies", 1);
        chat.keys("\x04");
        assert_eq!(chat.ends().0.code(), Some(0));
        std::fs::copy(model("stories-260k.gguf"), place.path().join("m.gguf")).unwrap();
    }
}
