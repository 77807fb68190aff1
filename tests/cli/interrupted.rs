//! Replies that are broken off lose nothing.
#![cfg(unix)]

use crate::support::program::{PAIR, Place, error_of, slow};
use crate::support::replay::Replay;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};

/// Starts a reply that takes long enough to be broken off.
fn start(place: &Place, words: &[&str]) -> Child {
    let plugin = slow(place.path());
    let words =
        [&[PAIR, "--seed", "1", "-p", "Once upon a time", "--policy", "none", "--plugin", &plugin], words].concat();
    place.process(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

#[test]
fn after_ctrl_c_the_text_so_far_is_whole_and_logged() {
    let place = Place::new();
    let mut child = start(&place, &["--json-stream"]);
    let mut stream = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    while stream.lines().count() < 8 {
        assert!(lines.read_line(&mut stream).unwrap() > 0, "the reply is over too early");
    }
    interrupt(&child);
    lines.read_to_string(&mut stream).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", error_of(&output));
    let replay = Replay::of(&stream);
    assert_eq!(replay.done["reason"], "interrupted");
    let log = place.log();
    assert_eq!(log.len(), 1);
    assert_eq!((&log[0]["response"], &log[0]["reason"]), (&replay.done["text"], &"interrupted".into()));
}

#[test]
fn after_ctrl_c_a_pipe_has_all_of_the_text() {
    let place = Place::new();
    // Nothing can be taken back, so text comes at once.
    let mut child = start(&place, &["--max-retractions", "0"]);
    let mut out = child.stdout.take().unwrap();
    let mut bytes = vec![0; 20];
    out.read_exact(&mut bytes).unwrap();
    interrupt(&child);
    out.read_to_end(&mut bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    assert!(error_of(&output).contains("interrupted"));
    let text = String::from_utf8(bytes).unwrap();
    assert_eq!(text.trim_end_matches('\n'), place.log()[0]["response"].as_str().unwrap().trim_end_matches('\n'));
}

#[test]
fn a_reader_that_goes_away_is_no_error_and_the_reply_is_logged() {
    for words in [&["--max-retractions", "0"][..], &["--json-stream"]] {
        let place = Place::new();
        let mut child = start(&place, words);
        let mut first = [0];
        child.stdout.take().unwrap().read_exact(&mut first).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), error_of(&output)), (Some(0), String::new()), "{words:?}");
        let log = place.log();
        assert_eq!((log.len(), &log[0]["reason"]), (1, &"interrupted".into()));
        assert!(!log[0]["response"].as_str().unwrap().is_empty());
    }
}

#[test]
fn help_and_lists_need_no_reader() {
    let place = Place::new();
    for words in [["--help"], ["--list-hooks"]] {
        let mut child = place.process(&words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!((output.status.code(), error_of(&output)), (Some(0), String::new()), "{words:?}");
    }
}
