//! What is named as a file and is none, or has no end: nobody waits for it.

use crate::support::program::{PAIR, Place, error_of};
use std::time::Duration;

/// A pipe that nobody opens at the other end.
fn pipe(place: &Place) {
    assert!(std::process::Command::new("mkfifo").arg(place.path().join("pipe")).status().unwrap().success());
}

#[test]
fn a_pipe_and_a_device_are_refused_wherever_a_file_is_read() {
    let place = Place::new();
    pipe(&place);
    for (file, what) in [("pipe", "is a pipe"), ("/dev/zero", "is a device"), (".", "is a directory")] {
        for words in [
            &["--policy", file][..],
            &["--plugin", file],
            &["--plugin-config", file],
            &["--chat-template", file],
            &["--model", file],
        ] {
            // A name without a folder is that of a policy.
            let what = if words[0] == "--policy" && !file.contains('/') { "there is no policy `" } else { what };
            let error = place.refusal(&[&[PAIR, "-p", "x"][..], words].concat());
            assert!(error.contains(what), "{words:?}: {error}");
        }
        for words in [&["replay", file][..], &["vocab", file], &["check", file], &["score", PAIR, file]] {
            assert!(place.refusal(words).contains(what), "{words:?}");
        }
    }
    assert!(place.refusal(&[PAIR, "-p", "x", "--policy", "./pipe"]).contains("is a pipe"));
}

#[test]
fn a_trace_goes_to_a_pipe_that_somebody_reads_and_to_no_other() {
    let place = Place::new();
    pipe(&place);
    let run = [PAIR, "-p", "Once", "-n", "8", "--quiet", "--trace", "pipe"];
    assert!(place.refusal(&run).contains("`pipe` cannot be written: it is a pipe that nobody reads"));
    let path = place.path().join("pipe");
    let reader = std::thread::spawn(move || std::fs::read_to_string(path).unwrap());
    std::thread::sleep(Duration::from_millis(200));
    place.text(&run);
    assert!(reader.join().unwrap().starts_with("{\"reply\""));
}

#[test]
fn a_line_of_a_trace_without_end_is_refused() {
    let place = Place::new();
    place.text(&[PAIR, "-p", "Once", "-n", "8", "--quiet", "--trace", "run.jsonl"]);
    let mut trace = place.read("run.jsonl");
    trace += &"x".repeat(17 << 20);
    place.file("run.jsonl", trace);
    assert!(place.refusal(&["replay", "run.jsonl"]).contains("it has more than 16 MiB"));
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_cannot_be_written_in_any_way_is_told_before_the_models_are_loaded() {
    use std::os::unix::fs::symlink;
    let place = Place::new();
    pipe(&place);
    let link = |target: &str, name: &str| symlink(target, place.path().join(name)).unwrap();
    link("absent/log.jsonl", "dangling");
    link("loop", "loop");
    link("log-behind-a-link.jsonl", "link");
    let long = "x".repeat(300);
    for (name, sentence) in [
        ("pipe", "`pipe` is a pipe; give `--memory-file` a file"),
        ("dangling", "absent/log.jsonl` cannot be written because its folder does not exist"),
        ("loop", "`loop` cannot be written (Too many levels of symbolic links"),
        (&long, "cannot be written (File name too long"),
        ("absent/", "is a folder; give `--memory-file` a file"),
        ("/proc/log.jsonl", "cannot be written ("),
    ] {
        let error = place.refusal(&[PAIR, "-p", "x", "--memory-file", name]);
        assert!(error.contains(sentence), "{name}: {error}");
    }
    // What can be written is.
    place.text(&[PAIR, "-p", "Once", "-n", "4", "--quiet", "--memory-file", "link"]);
    assert_eq!(place.read("log-behind-a-link.jsonl").lines().count(), 1);
    place.text(&[PAIR, "-p", "Once", "-n", "4", "--quiet", "--memory-file", "/dev/null"]);
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_cannot_be_written_is_a_failure() {
    for words in [["--help"], ["--version"]] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = Place::new().process(&words).stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{words:?}");
        assert!(error_of(&output).contains("standard output cannot be written"), "{}", error_of(&output));
    }
}
