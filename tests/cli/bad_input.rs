//! What cannot be used is refused before the first token, in words that say what to do.

use crate::support::program::{PAIR, Place, error_of, refused};

#[test]
fn words_on_the_command_line_that_cannot_be_used() {
    let place = Place::new();
    place.file("broken.jinja", "{{ messages }}\n{% for");
    place.file("m.gguf", "no model");
    for (words, sentence) in [
        (&["-p", "x"][..], "no model: name a GGUF file with `--model FILE`"),
        (&["-p", "x", PAIR, "--nonsense"], "'--nonsense'"),
        (&["-p", "x", PAIR, "--quiet", "--verbose"], "cannot be used with"),
        (&[PAIR, "-p", ""], "the prompt from `--prompt` is empty; give it some text"),
        (&[PAIR, "-p", " \n "], "the prompt from `--prompt` is empty; give it some text"),
        (&[PAIR, "-p", "x", "--stop", ""], "an empty `--stop` would end every reply at once"),
        (&[PAIR, "-p", "x", "--weights", "1,2,3"], "3 weights for 2 models; give one for each"),
        (&[PAIR, "-p", "x", "--fusion-mode", "nonsense"], "no fusion `nonsense`; choose one of `confidence`"),
        (&[PAIR, "-p", "x", "--policy", "nonsense"], "no policy `nonsense`; there are `retraction`"),
        (&[PAIR, "-p", "x", "--policy", "absent.rhai"], "no file `absent.rhai`; check the path"),
        (&[PAIR, "-p", "x", "--policy", "none", "--policy", "retraction"], "`--policy none` stands alone"),
        (&[PAIR, "-p", "x", "--chat-template", "absent.jinja"], "no file `absent.jinja`; check the path"),
        (&[PAIR, "-p", "x", "--chat-template", "broken.jinja"], "cannot be used: it does not work (line 2)"),
        (&[PAIR, "-p", "x", "--member", "absent.gguf:weight=2"], "no file `absent.gguf`; check the path"),
        (&[PAIR, "-p", "x", "--member", "m.gguf:wieght=2"], "a member has no setting `wieght`; did you mean `weight`?"),
        (&[PAIR, "-p", "x", "--member", "m.gguf:weight=-2"], "`weight` is -2; it takes numbers from 0 to 1000000"),
        (&[PAIR, "-p", "x", "--member", "m.gguf:gpu-layers=x"], "`gpu-layers` is x; it takes whole numbers from -1"),
        (&[PAIR, "-p", "x", "--member", "m.gguf:prompt-file=absent.txt"], "no file `absent.txt`; check the path"),
        (&[PAIR, "-p", "x", "--member", "m.gguf:prompt-file=."], "`.` is a directory"),
        (&[PAIR, "-p", "x", "--member", "m.gguf:template=absent.jinja"], "no file `absent.jinja`; check the path"),
        (&[PAIR, "-p", "x", "--member", "m.gguf:system=a,b"], "a text with a comma in it needs quotes"),
        (&[PAIR, "-p", "x", "--member", "m.gguf:name=a", "--member", "m.gguf:name=a"], "two members have the name `a`"),
        (
            &[PAIR, "-p", "x", "--member", "m.gguf:weight=1", "--weights", "1,1,1"],
            "say the same thing; leave one of them out",
        ),
        (&[PAIR, "-p", "x", "--member", "m.gguf", "--weights", "1,1"], "2 weights for 3 models; give one for each"),
        (&["-p", "x", "--member", "m.gguf:weight=0"], "the members' `weight=` are all 0"),
        (&["-p", "x", "--raw", "--member", "m.gguf:system=a"], "leave out the `system=` of `--member`"),
        (
            &["score", "--member", "m.gguf:prompt-file=broken.jinja", "m.gguf"],
            "leave out the `prompt-file=` of `--member`",
        ),
        (&["-p", "x", "--demo", "--member", "m.gguf"], "cannot be used with"),
        (&["score", PAIR, "absent.txt"], "no file `absent.txt`; check the path"),
        (&["score", PAIR, "."], "`.` is a directory"),
    ] {
        let error = place.refusal(words);
        assert!(error.contains(sentence), "{words:?} says: {error}");
    }
}

#[test]
fn numbers_out_of_range_are_refused_with_the_range() {
    let place = Place::new();
    for (flag, bad, range) in [
        ("--temperature", "NaN", "0 (always the likeliest) to 5"),
        ("--temperature", "-0.1", "0 (always the likeliest) to 5"),
        ("--top-p", "1.01", "above 0 and up to 1"),
        ("--min-p", "inf", "0 (off) to 1"),
        ("--top-k", "-1", "0 (off) to 1000000"),
        ("--repeat-penalty", "0.9", "1 (off) to 10"),
        ("--confidence-threshold", "nan", "0 to 1"),
        ("--max-retractions", "1001", "0 (none) to 1000"),
        ("--n-predict", "-1", "1 to 1000000"),
        ("--ctx-size", "-1", "16 to 4194304"),
        ("--threads", "-1", "1 to 1024"),
        ("--seed", "-1", "0 to 18446744073709551615"),
        ("--n-gpu-layers", "-2", "-1 (all) to 10000"),
        ("--weights", "1,nan", "0 to 1000000"),
    ] {
        let error = place.refusal(&[PAIR, "-p", "x", flag, bad]);
        assert!(error.contains(flag) && error.contains(range), "{flag} {bad} says: {error}");
    }
    for (flag, bad, range) in [
        ("--synthetic-accept", "1.5", "a number from 0 to 1"),
        ("--texts", "1", "from 2 to 64"),
        ("--prompt-tokens", "0", "from 1 to 4194304"),
    ] {
        let error = place.refusal(&["bench", PAIR, flag, bad]);
        assert!(error.contains(flag) && error.contains(range), "{flag} {bad} says: {error}");
    }
}

#[test]
fn standard_input_that_is_no_text() {
    let place = Place::new();
    for (stdin, sentence) in [
        (&b"caf\xe9"[..], "standard input is not valid UTF-8 at byte 3 (counted from 0); convert it first"),
        (b"", "the prompt from standard input is empty; give it some text"),
        (b"\n", "the prompt from standard input is empty; give it some text"),
    ] {
        let output = place.command(&[PAIR]).write_stdin(stdin).output().unwrap();
        let error = refused(output, &[PAIR]);
        assert!(error.contains(sentence), "{stdin:?} gives: {error}");
    }
}

#[test]
fn a_prompt_longer_than_the_context_is_told_with_both_lengths_and_a_cure() {
    let place = Place::new();
    let prompt = "word ".repeat(300);
    let error = place.refusal(&[PAIR, "-p", &prompt, "-c", "64"]);
    assert!(error.contains("tokens long and the context has room for"), "{error}");
    assert!(error.contains("shorten it, or raise --ctx-size"), "{error}");
    let error = place.refusal(&[PAIR, "-p", &prompt]);
    assert!(error.contains("shorten it (`stories-280k` was trained for 256 tokens and no more)"), "{error}");
    assert!(!error.contains("--ctx-size"), "{error}");
}

#[test]
fn a_prompt_that_is_far_too_long_is_refused_without_counting_it() {
    let place = Place::new();
    for prompt in ["a".repeat(3_000_000), "word ".repeat(600_000), " ".repeat(3_000_000) + "x"] {
        let output = place.command(&[PAIR, "-n", "2"]).write_stdin(prompt).output().unwrap();
        let error = refused(output, &[PAIR]);
        assert!(error.contains("the prompt is at least ") && error.contains("has room for 255; shorten it"), "{error}");
    }
}

#[test]
fn a_chat_template_without_measure_is_refused() {
    let place = Place::new();
    for source in [
        "{{ [1] * 2000000000 }}",
        "{{ '%2000000000d' | format(1) }}",
        "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns ~ '' }}",
        &format!("{{{{ {}1 }}}}", "-".repeat(50_000)),
        &"{% if 1 %}".repeat(20_000),
        // A text that can be made, and cannot be a prompt.
        "{{ 'a' * 4000000 }}",
        "{{ 'a ' * 2000000 }}",
    ] {
        place.file("greedy.jinja", source);
        let error = place.refusal(&[PAIR, "-p", "x", "--chat-template", "greedy.jinja"]);
        assert!(error.contains("chat template of") || error.contains("the prompt is at least"), "{error}");
    }
}

#[test]
fn a_log_that_cannot_be_written_is_told_before_the_first_token() {
    let place = Place::new();
    place.file("a-file", "");
    for (path, sentence) in [
        ("absent/log.jsonl", "its folder does not exist; create it, give `--memory-file` another file, or `none`"),
        (".", "is a folder; give `--memory-file` a file, or `none` for no log"),
        ("a-file/log.jsonl", "cannot be written ("),
    ] {
        let error = place.refusal(&[PAIR, "-p", "x", "--memory-file", path]);
        assert!(error.contains(path) && error.contains(sentence), "{error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_log_that_is_read_only_is_told_before_the_first_token() {
    // A file that even the superuser cannot open for writing.
    let path = "/sys/kernel/uevent_seqnum";
    if std::fs::OpenOptions::new().append(true).open(path).is_ok() || !std::path::Path::new(path).exists() {
        return println!("skipped: there is no read-only file here");
    }
    let error = Place::new().refusal(&[PAIR, "-p", "x", "--memory-file", path]);
    assert!(error.contains("cannot be written (Permission denied"), "{error}");
}

#[test]
fn a_refusal_leaves_no_empty_log() {
    let place = Place::new();
    place.refusal(&[PAIR, "-p", "x", "--fusion-mode", "nonsense"]);
    assert!(!place.path().join("selfmod_memory.jsonl").exists());
}

#[test]
fn help_comes_short_and_long() {
    let place = Place::new();
    let (short, long) = (place.text(&["-h"]), place.text(&["--help"]));
    assert!(short.lines().count() < long.lines().count());
    for heading in ["Ensemble:", "Prompt:", "Reply:", "Sampling:", "Self-correction:", "Output:"] {
        assert!(short.contains(heading) && long.contains(heading), "{heading}");
    }
    assert!(long.contains("Examples:") && long.contains("Exit codes:"));
}

#[test]
fn a_failing_standard_output_is_told_and_is_not_the_users_fault() {
    #[cfg(target_os = "linux")]
    {
        let place = Place::new();
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let words = [PAIR, "-p", "Once upon a time", "-n", "40"];
        let output = place.process(&words).stdout(full).output().unwrap();
        let error = error_of(&output);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("error: standard output cannot be written"), "{error}");
        assert_eq!(place.log().len(), 1, "the reply is not lost");
    }
}
