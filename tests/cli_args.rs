//! The binary from outside: what it refuses, and how it ends.

use assert_cmd::Command;

fn selfmod(words: &[&str]) -> Command {
    let mut command = Command::cargo_bin("llama_selfmod").expect("the binary is built");
    command.args(words).env_remove("NO_COLOR").timeout(std::time::Duration::from_secs(60));
    command
}

/// Standard error of a call that must end with 2, without a word on standard output.
fn refusal(words: &[&str], stdin: &[u8]) -> String {
    let output = selfmod(words).write_stdin(stdin).output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{words:?}: {error}");
    assert!(output.stdout.is_empty(), "{words:?}");
    assert!(!error.contains("panicked"), "{error}");
    error
}

#[test]
fn what_cannot_be_used_ends_with_2_and_a_sentence() {
    for (words, stdin, sentence) in [
        (&["--demo", "--temperature", "NaN"][..], "x".as_bytes(), "from 0"),
        (&["--demo", "--top-p", "1.01"], b"x", "above 0"),
        (&["--demo", "-p", "  "], b"", "empty"),
        (&["--demo"], b"", "standard input is empty"),
        (&["--demo"], b"caf\xe9", "byte 3"),
        (&["-p", "x"], b"", "no model"),
        (&["-p", "x", "-m", "absent.gguf"], b"", "no file `absent.gguf`"),
        (&["-p", "x", "-m", "."], b"", "directory"),
        (&["-p", "x", "--demo", "--weights", "1,2,3"], b"", "3 weights for 2 models"),
        (&["-p", "x", "--demo", "--quiet", "--verbose"], b"", "cannot be used with"),
        (&["-p", "x", "--demo", "--fusion-mode", "nonsense"], b"", "nonsense"),
        (&["-p", "x", "--demo", "--plugin", "absent.so"], b"", "absent.so"),
        (&["-p", "x", "--nonsense"], b"", "--nonsense"),
    ] {
        let error = refusal(words, stdin);
        assert!(error.contains(sentence), "{words:?} says: {error}");
    }
}

#[test]
fn help_comes_short_and_long() {
    let short = String::from_utf8(selfmod(&["-h"]).assert().success().get_output().stdout.clone()).unwrap();
    let long = String::from_utf8(selfmod(&["--help"]).assert().success().get_output().stdout.clone()).unwrap();
    assert!(short.lines().count() < long.lines().count());
    for heading in ["Ensemble:", "Prompt:", "Reply:", "Sampling:", "Self-correction:", "Output:"] {
        assert!(short.contains(heading) && long.contains(heading), "{heading}");
    }
    assert!(long.contains("Examples:") && long.contains("Exit codes:"));
}

#[test]
fn the_hooks_can_be_listed_without_a_model() {
    let output = selfmod(&["--list-hooks"]).assert().success().get_output().stdout.clone();
    let text = String::from_utf8(output).unwrap();
    for hook in ["confidence", "average", "voting", "blend", "retraction"] {
        assert!(text.contains(hook), "{text}");
    }
}

#[test]
fn a_pipe_gets_the_text_alone_and_quiet_says_nothing_else() {
    let words = ["--demo", "-n", "20", "--seed", "1", "--memory-file", "none", "--quiet", "-p", "Once upon a time"];
    let output = selfmod(&words).assert().success().get_output().clone();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(!output.stdout.contains(&0x1b) && output.stdout.ends_with(b"\n"));
}

#[test]
fn replaying_the_json_stream_gives_the_text_of_the_pipe() {
    let words = ["--demo", "-n", "60", "--seed", "3", "--memory-file", "none", "-p", "Once upon a time"];
    let stream = selfmod(&[&words[..], &["--json-stream"]].concat()).assert().success().get_output().stdout.clone();
    let mut text = Vec::new();
    let mut done = None;
    for line in String::from_utf8(stream).unwrap().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        match event["type"].as_str().unwrap() {
            "token" => text.extend_from_slice(event["text"].as_str().unwrap().as_bytes()),
            "retract" => text.truncate(text.len() - event["bytes"].as_u64().unwrap() as usize),
            "done" => done = Some(event["text"].as_str().unwrap().to_owned()),
            _ => {}
        }
    }
    let text = String::from_utf8(text).unwrap();
    assert_eq!(done.as_deref(), Some(text.as_str()));
    let piped = selfmod(&words).assert().success().get_output().stdout.clone();
    assert_eq!(String::from_utf8(piped).unwrap().trim_end_matches('\n'), text.trim_end_matches('\n'));
}

#[cfg(unix)]
#[test]
fn a_reader_that_goes_away_is_no_error() {
    for words in [&["--demo", "--json-stream"][..], &["--demo"], &["--list-hooks"], &["--help"]] {
        let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("llama_selfmod"))
            .args(words)
            .args(["-p", "Once upon a time", "--memory-file", "none"])
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {error}");
        assert!(!error.contains("panicked") && !error.contains("roken pipe"), "{error}");
    }
}
