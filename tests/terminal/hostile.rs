//! No text of a file, a name, a plugin or an argument drives the terminal.

use super::*;
use serde_json::json;
use std::os::unix::fs::symlink;

/// Fills the clipboard, asks for an answer, changes colours, turns the line round: as bytes in a name.
const EVIL: &str = "e\x1b]52;c;aGk=\x07\x1b[6n\x1b[35m\u{9b}35m\u{202e}\u{2066}\u{200f}\u{7f}\x08vil";

/// What the program wrote has nothing of [`EVIL`] but its letters.
fn assert_clean(what: &str, seen: &str) {
    let own = ["\x1b[0m", "\x1b[1m", "\x1b[2m", "\x1b[4m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b7", "\x1b8"];
    let moves = |rest: &str| {
        let end = rest.trim_start_matches("\x1b[").find(|letter: char| !letter.is_ascii_digit() && letter != ';');
        end.is_some_and(|end| "AJKC".contains(&rest.trim_start_matches("\x1b[")[end..=end]))
            && !rest.starts_with("\x1b]")
    };
    for (at, _) in seen.match_indices('\x1b') {
        let rest = &seen[at..];
        // The line editor's bracketed paste and synchronised output.
        let editor =
            ["\x1b[?2004h", "\x1b[?2004l", "\x1b[?2026h", "\x1b[?2026l"].iter().any(|own| rest.starts_with(own));
        assert!(
            editor || own.iter().any(|own| rest.starts_with(own)) || moves(rest),
            "{what}: {:?} in {seen:?}",
            rest.chars().take(12).collect::<String>()
        );
    }
    let unseen = |letter: char| letter.is_control() && !"\r\n\t\x1b".contains(letter);
    let turns = |letter: char| matches!(letter, '\u{200f}' | '\u{202e}' | '\u{2066}');
    let found = seen.chars().find(|&letter| unseen(letter) || turns(letter));
    assert!(found.is_none(), "{what}: {found:?} in {seen:?}");
}

fn clean(place: &Place, what: &str, words: &[&str]) -> String {
    let (_, seen) = Pty::open(place, words).ends();
    assert_clean(what, &seen);
    assert!(seen.contains("]52;c;aGk"), "{what} shows nothing of it: {seen:?}");
    seen
}

#[test]
fn names_texts_and_arguments_do_not_drive_the_terminal() {
    let place = Place::new();
    let file = |ending: &str| format!("{EVIL}.{ending}");
    let (gguf, rhai, text) = (file("gguf"), file("rhai"), file("txt"));
    symlink(model("stories-260k.gguf"), place.path().join(&gguf)).unwrap();
    symlink(model("stories-970k-bytes.gguf"), place.path().join("other.gguf")).unwrap();
    place.file("story.txt", "Once upon a time there was a cat. ".repeat(3));
    place.file(&text, b"caf\xe9");
    let script = format!(
        "// {EVIL} describes\nconst K = knob(\"{EVIL}\", 1, 0, 5);\nfn on_assessment(step, a) {{ \
        log(\"{EVIL}\"); if step.position == 6 && step.attempt == 0 {{ retract(2, \"{EVIL}\") }} }}\n"
    );
    place.file(&rhai, &script);
    place.file("broken.rhai", format!("fn on_token(step, token) {{ nosuch(\"{EVIL}\") }}"));
    place.file("raise.jinja", format!("{{{{ raise_exception(\"{EVIL}\") }}}}"));
    place.file("settings.json", json!({ EVIL: {} }).to_string());
    let plugin = compiled(place.path(), &["ACTION=0", "NAME=\"e\\033]52;c;aGk=\\007vil\""]);
    let reply = ["-n", "12", "--seed", "1", "--threads", "1", "-p", "Once"];
    let with = |words: &[&'static str]| {
        [&["-m"], &[gguf.as_str()][..], words].concat().iter().map(|word| (*word).to_owned()).collect::<Vec<String>>()
    };
    let run = |what: &str, words: &[&str]| clean(&place, what, words);
    run("vocab", &["vocab", &gguf, "other.gguf"]);
    run("vocab --json", &["vocab", &gguf, "other.gguf", "--json"]);
    for words in [&["score", "story.txt"][..], &["bench", "-n", "2"]] {
        let mut all = vec![words[0]];
        all.extend(["-m", &gguf]);
        all.extend(&words[1..]);
        run(words[0], &all);
        all.push("--json");
        run(words[0], &all);
    }
    run("score of no text", &["score", PAIR, &text]);
    run("list of hooks", &[PAIR, "--policy", &rhai, "--list-hooks"]);
    run("list of plugins", &[PAIR, "--plugin", &plugin, "--list-hooks"]);
    run("check of a script", &["check", &rhai]);
    run("check of a broken script", &["check", "broken.rhai"]);
    run("check of a plugin", &["check", &plugin]);
    run("a broken script", &[&[PAIR, "--policy", "broken.rhai"], &reply[..]].concat());
    run("a template", &[&[PAIR, "--chat-template", "raise.jinja"], &reply[..]].concat());
    run("settings of plugins", &[&[PAIR, "--plugin-config", "settings.json"], &reply[..]].concat());
    for detail in ["--verbose", "--json-stream", "--no-color"] {
        let words: Vec<String> = with(&["--policy"])
            .into_iter()
            .chain([rhai.clone(), detail.into(), "--memory-file".into(), "none".into()])
            .chain(reply.map(str::to_owned))
            .collect();
        run(detail, &words.iter().map(String::as_str).collect::<Vec<_>>());
    }
    run("a trace", &[&[PAIR, "--policy", &rhai, "--trace", "run.jsonl"], &reply[..]].concat());
    run("a replay", &["replay", "run.jsonl", "--policy", &rhai]);
    run("a replay for programs", &["replay", "run.jsonl", "--policy", &rhai, "--json"]);
    run("an unknown flag", &[&format!("--{EVIL}")]);
    run("an unknown command", &[EVIL]);
    run("a bad number", &[PAIR, "-t", EVIL]);
    run("an unknown fusion", &[&[PAIR, "--fusion-mode", EVIL], &reply[..]].concat());
    run("a missing file", &["-m", &format!("absent-{EVIL}.gguf"), "-p", "x"]);
    run("a name", &["new", "policy", EVIL]);
}

#[test]
fn a_chat_does_not_drive_the_terminal() {
    let place = Place::new();
    let gguf = format!("{EVIL}.gguf");
    symlink(model("stories-260k.gguf"), place.path().join(&gguf)).unwrap();
    place.file(
        "evil.rhai",
        format!("// {EVIL}\nconst K = knob(\"{EVIL}\", 1, 0, 5);\nfn on_token(step, token) {{ }}\n"),
    );
    let message = |role: &str| json!({ "role": role, "content": EVIL });
    let chat = json!({
        "models": [EVIL], "fusion_mode": EVIL, "seed": 1,
        "parameters": { "temperature": 0.7, "top_k": 40, "top_p": 0.9, "min_p": 0.05, "repeat_penalty": 1.1 },
        "messages": [message("user"), message("assistant")],
    });
    place.file("chat.json", chat.to_string());
    // A history from elsewhere.
    std::fs::create_dir_all(place.path().join("llama_selfmod")).unwrap();
    place.file("llama_selfmod/history", format!("#V2\n{EVIL}\n"));
    let mut chat = Pty::open(&place, &["-m", &gguf, "-n", "8", "--policy", "evil.rhai", "--threads", "1"]);
    chat.asks(1);
    let lines =
        ["hello", "/stats", "/policy", "/fusion", "/load chat.json", "/save chat.json", "/undo", "\x1b[A\x1b[A"];
    for (index, line) in lines.into_iter().enumerate() {
        chat.keys(&format!("{line}\r"));
        chat.asks(index + 2);
    }
    chat.keys("/quit\r");
    let (status, seen) = chat.ends();
    assert_eq!(status.code(), Some(0), "{seen:?}");
    assert_clean("a chat", &seen);
}

#[test]
fn a_pipe_gets_names_as_they_are() {
    let place = Place::new();
    let gguf = format!("{EVIL}.gguf");
    symlink(model("stories-260k.gguf"), place.path().join(&gguf)).unwrap();
    place.file("story.txt", "Once upon a time there was a cat.");
    assert!(place.text(&["score", "-m", &gguf, "story.txt"]).contains(EVIL));
    let json = place.text(&["score", "-m", &gguf, "story.txt", "--json"]);
    assert_eq!(serde_json::from_str::<serde_json::Value>(&json).unwrap()["members"][0]["name"], EVIL);
    assert!(json.contains('\u{202e}'));
}
