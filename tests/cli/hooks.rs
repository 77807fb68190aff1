//! Plugins and scripts: what is refused at the start, and what goes wrong later and must not stop the text.

use crate::support::program::{PAIR, Place, compiled, error_of, faulty, library, refused, slow};
use crate::support::replay::{Replay, events};
use std::io::{BufRead, BufReader};
use std::process::Stdio;

const STORY: [&str; 5] = [PAIR, "--seed", "1", "-p", "Once upon a time"];

fn with<'a>(words: &[&'a str]) -> Vec<&'a str> {
    [&STORY, words].concat()
}

#[test]
fn libraries_that_are_no_plugins_are_refused() {
    let place = Place::new();
    place.file("notes.so", "fn on_token(step, token) {}\n");
    let error = place.refusal(&with(&["--plugin", "notes.so"]));
    assert!(error.contains("`notes.so` is not a shared library; it is a text file; a Rhai script goes to `--policy`"));
    let other = compiled(place.path(), &["ABI_MAJOR=2"]);
    let error = place.refusal(&with(&["--plugin", &other]));
    assert!(error.contains("is built for version 2 of the plugin ABI, this program has version 1"), "{error}");
}

#[test]
fn settings_go_to_plugins_by_flag_and_by_file_and_the_flag_wins() {
    let place = Place::new();
    let blend = library("blend");
    let text = |words: &[&str]| {
        place.text(&with(&[&["-n", "30", "--policy", "none", "--fusion-mode", "blend"], words].concat()))
    };
    let (usual, other) = (text(&[]), text(&["--plugin", &format!("{blend}:alpha=1")]));
    assert_ne!(usual, other, "the share of the specialists counts");
    place.file("plugins.json", "{\"blend\": {\"alpha\": 1.0}}");
    assert_eq!(text(&["--plugin-config", "plugins.json"]), other, "a built-in one is set by the file");
    let both = ["--plugin-config", "plugins.json", "--plugin", &format!("{blend}:alpha=0.1")];
    assert_eq!(text(&both), usual);
}

#[test]
fn a_wrong_setting_is_refused_with_what_there_is() {
    let place = Place::new();
    let blend = library("blend");
    let told = |words: &[&str]| place.refusal(&with(words));
    let line = "\n  alpha               a number, 0 to 1, default 0.1: share of the specialists\n";
    let error = told(&["--plugin", &format!("{blend}:alhpa=0.1")]);
    assert!(
        error.contains("has no setting `alhpa`; did you mean `alpha`? Its settings:\n") && error.contains(line),
        "{error}"
    );
    let error = told(&["--plugin", &format!("{blend}:alpha=much")]);
    assert!(
        error.contains("cannot take \"much\" as `alpha`, which has to be a number, 0 to 1. Its")
            && error.contains(line),
        "{error}"
    );
    let error = told(&["--plugin", &format!("{blend}:alpha")]);
    assert!(error.contains("there is no file `"), "{error}");
    for (text, sentence) in [
        (
            "{\"blend\": {\n  \"alpha\": 7}}",
            "`p.json`, line 2, column 3: the plugin `blend` of the binary cannot take 7 as `alpha`",
        ),
        (
            "{\"blend\": {\n  \"beta\": 7}}",
            "`p.json`, line 2, column 3: the plugin `blend` of the binary has no setting `beta`",
        ),
        (
            "{\"blnd\": {}}",
            "`p.json`, line 1, column 2: there is no plugin `blnd`; did you mean `blend`? There are `confidence`, ",
        ),
        ("{\"blend\": {,", "`p.json`, line 1, column 12: "),
        ("{\"blend\": 7}", "`p.json`, line 1, column 11: invalid type: integer `7`"),
    ] {
        place.file("p.json", text);
        let error = told(&["--plugin-config", "p.json"]);
        assert!(error.contains(sentence), "{error}");
    }
    assert!(told(&["--plugin-config", "absent.json"]).contains("no file `absent.json`"));
}

#[test]
fn a_knob_of_a_script_takes_a_number() {
    let place = Place::new();
    place.file("calm.rhai", "fn on_assessment(step, a) {}");
    let error = place.refusal(&with(&["--policy", "calm.rhai:unsure=much"]));
    assert!(error.contains("`calm.rhai:unsure=much`: the knob `unsure` takes a number, \"much\" is none"), "{error}");
    let error = place.refusal(&with(&["--policy", "calm.rhai:unsure=0.4"]));
    assert!(error.contains("the script `calm.rhai`: ") && error.contains("no knob `unsure`"), "{error}");
}

#[test]
fn a_plugin_that_is_built_again_while_text_is_written_takes_over() {
    let place = Place::new();
    let plugin = compiled(place.path(), &["ACTION=0", "PAUSE_MS=20"]);
    // The end of the text must not come before the new version.
    place.file("on.rhai", "fn on_token(step, token) { if token.is_end { resample() } }");
    let words = with(&["--plugin", &plugin, "--policy", "on.rhai", "-n", "2000", "--context-shift", "--json-stream"]);
    let mut child = place.process(&words).stdout(Stdio::piped()).spawn().unwrap();
    let mut stream = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut edited = false;
    while lines.read_line(&mut stream).unwrap() > 0 {
        if !edited && stream.lines().count() > 5 {
            compiled(place.path(), &["REASON=\"the second version\""]);
            edited = true;
        }
    }
    assert!(child.wait().unwrap().success());
    let reload = events(&stream).into_iter().find(|event| event["type"] == "reload").expect("it is taken over");
    assert_eq!((reload["hook"].as_str(), reload["version"].as_u64()), (Some("stops"), Some(2)));
    assert_eq!(Replay::of(&stream).done["reason"], "the second version");
}

#[test]
fn a_plugin_that_panics_at_its_start_is_refused_with_its_words() {
    let place = Place::new();
    let plugin = library("panics");
    let words = with(&["--plugin", &plugin]);
    let output = place.command(&words).env("PANIC_IN_CREATE", "1").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let error = error_of(&output);
    assert!(error.contains("could not start: it panicked at "), "{error}");
    assert!(error.ends_with(": panicked in create\n") && error.lines().count() == 1, "{error}");
}

#[test]
fn a_plugin_that_panics_in_its_hooks_is_parked_and_the_text_is_that_without_it() {
    let place = Place::new();
    let plugin = library("panics");
    let output = place.run(&with(&["-n", "20", "--policy", "none", "--plugin", &plugin]));
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(error.contains("`panics` failed 3 times in a row and is parked: it panicked at"), "{error}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), place.text(&with(&["-n", "20", "--policy", "none"])));
}

#[test]
fn a_mistake_in_a_script_is_shown_with_its_place() {
    let place = Place::new();
    for (script, sentence) in [
        ("fn on_token(step, token) {\n  let x = ;\n}", "`policy.rhai`, line 2, column 11: "),
        ("fn on_assessment(step, a) { retrct(3) }", "there is no function `retrct`; did you mean `retract`?"),
        ("fn on_token(step, token) { loop {} }", "look for a loop that does not end"),
        ("", "`policy.rhai` cannot be read: the file is empty"),
    ] {
        place.file("policy.rhai", script);
        let error = place.refusal(&with(&["--policy", "policy.rhai"]));
        assert!(error.contains(sentence), "{error}");
    }
}

#[test]
fn a_script_that_loops_for_ever_is_parked_and_the_text_is_that_without_it() {
    let place = Place::new();
    let hooks = ["on_token(step, token)", "on_assessment(step, a)"];
    let script = hooks
        .map(|hook| format!("fn {hook} {{ if step.position > 3 && step.position < 12 {{ loop {{}} }} }}\n"))
        .concat();
    place.file("endless.rhai", script);
    let output = place.run(&with(&["-n", "30", "--policy", "endless.rhai"]));
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(error.contains("`endless` failed 3 times in a row and is parked: "), "{error}");
    assert!(error.contains("loop that does not end"), "{error}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), place.text(&with(&["-n", "30", "--policy", "none"])));
}

#[test]
fn a_script_that_is_edited_while_text_is_written_takes_over() {
    let place = Place::new();
    place.file("policy.rhai", "fn on_assessment(step, a) {}");
    let plugin = slow(place.path());
    // The end of the text must not come before the edit.
    place.file("on.rhai", "fn on_token(step, token) { if token.is_end { resample() } }");
    let words = with(&["--plugin", &plugin, "--policy", "policy.rhai", "--policy", "on.rhai", "-n", "2000"]);
    let words = [&words[..], &["--context-shift", "--json-stream"]].concat();
    let mut child = place.process(&words).stdout(Stdio::piped()).spawn().unwrap();
    let mut stream = String::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap());
    let mut edited = false;
    while lines.read_line(&mut stream).unwrap() > 0 {
        if !edited && stream.lines().count() > 5 {
            place.file("policy.rhai", "fn on_assessment(step, a) { stop(\"the second version\") }");
            edited = true;
        }
    }
    assert!(child.wait().unwrap().success());
    let reload = events(&stream).into_iter().find(|event| event["type"] == "reload").expect("the script is taken over");
    assert_eq!((reload["hook"].as_str(), reload["version"].as_u64()), (Some("policy"), Some(2)));
    assert_eq!(Replay::of(&stream).done["reason"], "the second version");
}

#[test]
fn the_hooks_there_are_can_be_listed_without_a_model() {
    let place = Place::new();
    place.file("calm.rhai", "// Keeps calm.\nfn on_assessment(step, a) {}");
    let text = place.text(&["--list-hooks", "--policy", "calm.rhai"]);
    for hook in ["* confidence", "  average", "  voting", "  blend", "  contrast", "  retraction", "* calm"] {
        assert!(text.lines().any(|line| line.starts_with(hook)), "{hook:?} in {text}");
    }
    assert!(text.contains("Keeps calm."), "{text}");
}

#[test]
fn a_mistake_in_a_hook_costs_no_log() {
    let place = Place::new();
    place.file("policy.rhai", "fn on_token(");
    let words = with(&["--policy", "policy.rhai"]);
    refused(place.run(&words), &words);
    assert!(!place.path().join("selfmod_memory.jsonl").exists());
}

/// A plugin from outside that does this at every token, beside the text without it.
#[cfg(target_os = "linux")]
fn beside(does: &str) -> (String, std::process::Output) {
    let place = Place::new();
    let library = faulty(place.path(), &["ROLE=2", "ON_LOGITS=NULL", &format!("ON_ASSESSMENT={does}")]);
    let story = with(&["-n", "40", "--policy", "none"]);
    (place.text(&story), place.run(&[&story[..], &["--plugin", &library]].concat()))
}

#[cfg(target_os = "linux")]
#[test]
fn a_plugin_that_changes_what_belongs_to_the_process_costs_no_text_and_is_parked() {
    let mut cases = vec![
        ("closes_input", "standard input"),
        ("closes_output", "standard output"),
        ("redirects_output", "standard output"),
        ("redirects_error", "standard error"),
        ("moves", "the working folder"),
        ("rounds_up", "how the processor computes"),
        ("traps", "how the processor computes"),
    ];
    if cfg!(target_arch = "x86_64") {
        cases.push(("flushes", "how the processor computes"));
    }
    for (does, what) in cases {
        let (without, output) = beside(does);
        let error = error_of(&output);
        assert_eq!(output.status.code(), Some(0), "{does}: {error}");
        assert_eq!(String::from_utf8(output.stdout.clone()).unwrap(), without, "{does}");
        let sentence = format!("it changed {what}, which belongs to the whole program and is put back");
        assert!(error.contains(&sentence) && error.contains("is parked"), "{does}: {error}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_plugin_that_calls_exit_is_named_and_the_exit_code_is_1() {
    let (_, output) = beside("exits");
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    let sentence = "error: the plugin `faulty` ended the program: it called `exit` in `on_assessment`";
    assert!(error.contains(sentence), "{error}");
    let place = Place::new();
    for definition in ["AT_START=exit(0)", "AT_START=exit(7)"] {
        let library = faulty(place.path(), &[definition]);
        let output = place.run(&with(&["-n", "4", "--plugin", &library]));
        let error = error_of(&output);
        assert_eq!(output.status.code(), Some(1), "{error}");
        assert!(error.contains("faulty.so` ended the program: it called `exit` while it was opened"), "{error}");
    }
}

#[test]
fn a_panic_of_the_script_interpreter_is_a_sentence_and_nothing_else() {
    let place = Place::new();
    let numbers = (0..24).map(|number| (number * 7 % 24).to_string()).collect::<Vec<_>>().join(", ");
    place.file(
        "sorts.rhai",
        format!(
            "fn on_token(step, token) {{ if step.position > 2 {{ let x = [{numbers}]; let n = 0; \
             x.sort(|a, b| {{ n += 1; if n % 3 == 0 {{ -1 }} else {{ 1 }} }}); }} }}"
        ),
    );
    let output = place.run(&with(&["-n", "30", "--policy", "sorts.rhai"]));
    let error = error_of(&output);
    assert!(!error.contains("panicked at") && !error.contains("RUST_BACKTRACE"), "{error}");
    assert_eq!(output.stdout.is_empty(), output.status.code() == Some(2), "{error}");
}
