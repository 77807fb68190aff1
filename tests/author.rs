//! What authors get: beginnings that work as they stand, and a check that names what is wrong.

use crate::support::{program, timing};

use program::{PAIR, Place, error_of, library};
use std::path::Path;
use std::process::Command;

const STORY: [&str; 7] = [PAIR, "--quiet", "--seed", "1", "-n", "60", "--prompt=Once upon a time"];

fn reply(place: &Place, words: &[&str]) -> String {
    place.text(&[&STORY, words].concat())
}

/// Runs a command in a folder; it must work.
fn run(folder: &Path, program: &str, words: &[&str]) {
    let mut command = Command::new(program);
    command.args(words).current_dir(folder).env("CARGO_TARGET_DIR", folder.join("target"));
    let output = command.output().unwrap();
    assert!(output.status.success(), "{program} {words:?}: {}", error_of(&output));
}

/// The library that Cargo makes of a new crate of this name.
fn built(place: &Place, name: &str) -> String {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let folder = place.path().join(name);
    run(&folder, "cargo", &["build", "--release", "--quiet"]);
    let file = format!("{DLL_PREFIX}{}{DLL_SUFFIX}", name.replace('-', "_"));
    folder.join("target/release").join(file).to_str().unwrap().to_owned()
}

/// What `check` says, and its exit code.
fn checked(place: &Place, file: &str) -> (String, Option<i32>) {
    let output = place.run(&["check", file]);
    (String::from_utf8(output.stdout.clone()).unwrap() + error_of(&output).as_str(), output.status.code())
}

/// Passes all checks. On a busy machine a call may take long, of which `check` warns.
fn assert_sound(place: &Place, file: &str) {
    let (report, code) = checked(place, file);
    assert_eq!(code, Some(0), "{report}");
    let is_excused = |line: &str| !timing::is_judged() && line.starts_with("warning  time of ");
    assert!(report.lines().all(|line| !line.starts_with("warning") || is_excused(line)), "{report}");
    assert!(report.ends_with(" all passed\n") || report.contains("none failed"), "{report}");
}

#[test]
fn a_new_fusion_builds_passes_its_checks_and_changes_the_reply() {
    let place = Place::new();
    let told = place.text(&["new", "plugin", "surest-first"]);
    assert!(told.contains("cd surest-first\n") && told.contains("--fusion-mode surest-first"), "{told}");
    run(&place.path().join("surest-first"), "cargo", &["test", "--release", "--quiet"]);
    let plugin = built(&place, "surest-first");
    assert_sound(&place, &plugin);
    let chosen = ["--plugin", &plugin, "--fusion-mode", "surest-first"];
    assert_ne!(reply(&place, &chosen), reply(&place, &["--fusion-mode", "average"]));
}

#[test]
fn a_new_compiled_policy_builds_passes_its_checks_and_changes_the_reply() {
    let place = Place::new();
    let told = place.text(&["new", "plugin", "--policy", "careful"]);
    assert!(told.contains("check target/release/"), "{told}");
    let plugin = built(&place, "careful");
    assert_sound(&place, &plugin);
    let none = ["--policy", "none"];
    assert_ne!(reply(&place, &[&none[..], &["--plugin", &plugin]].concat()), reply(&place, &none));
}

#[test]
fn a_new_plugin_in_c_compiles_as_it_says_passes_its_checks_and_changes_the_reply() {
    let place = Place::new();
    let told = place.text(&["new", "plugin", "--c", "sharp"]);
    let command = told.lines().find(|line| line.contains("cc -")).expect("the compile command").trim();
    assert!(place.read("sharp.c").lines().take(5).any(|line| line.contains(command)), "not in the first comment");
    run(place.path(), "sh", &["-c", &format!("{command} -Wall -Wextra -Werror")]);
    assert_sound(&place, "sharp.so");
    let chosen = ["--plugin", "./sharp.so", "--fusion-mode", "sharp"];
    assert_ne!(reply(&place, &chosen), reply(&place, &["--fusion-mode", "average"]));
}

#[test]
fn a_new_script_passes_its_check_and_changes_the_reply() {
    let place = Place::new();
    let told = place.text(&["new", "policy", "calm"]);
    assert!(told.contains("--policy calm.rhai"), "{told}");
    let (report, code) = checked(&place, "calm.rhai");
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("knob     unlikely = 0.02, from 0 to 1") && !report.contains("warning"), "{report}");
    assert!(report.lines().any(|line| line.starts_with("on_assessment ") && line.ends_with("s")), "{report}");
    assert_ne!(reply(&place, &["--policy", "calm.rhai"]), reply(&place, &["--policy", "none"]));
}

/// The blocks of shell commands below a heading of README.md, one after the other.
fn transcript(heading: &str) -> String {
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let (_, section) = readme.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no `{heading}`"));
    let section = section.split("\n## ").next().unwrap();
    let blocks = section.split("```sh\n").skip(1).map(|block| block.split("```").next().unwrap());
    blocks.collect()
}

/// Runs a transcript in an empty folder as a new user would, with the program on the path, and gives the replies: what
/// was called and what it wrote. Every command must work.
fn replies(transcript: &str) -> Vec<(String, String)> {
    let place = Place::new();
    let (programs, told) = (place.path().join("programs"), place.path().join("told"));
    let empty = place.path().join("empty");
    for folder in [&programs, &told, &empty] {
        std::fs::create_dir(folder).unwrap();
    }
    let wrapper = programs.join("llama_selfmod");
    let program = env!("CARGO_BIN_EXE_llama_selfmod");
    let told = told.display().to_string();
    let script = format!(
        "#!/bin/sh\nfile={told}/$(ls {told} | wc -l | tr -d ' ')\necho \"$*\" > $file\n\
         case \"$*\" in *--demo*) exec {program} \"$@\" --quiet -n 220 >> $file;; *) exec {program} \"$@\";; esac\n"
    );
    std::fs::write(&wrapper, script).unwrap();
    run(&programs, "chmod", &["+x", "llama_selfmod"]);
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", transcript]).current_dir(&empty);
    shell.env("PATH", path).env("XDG_CACHE_HOME", place.path());
    shell.env_remove("CARGO_TARGET_DIR").env("OMP_WAIT_POLICY", "passive");
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{transcript}: {}", error_of(&output));
    let count = std::fs::read_dir(place.path().join("told")).unwrap().count();
    let calls = (0..count).map(|call| place.read(&format!("told/{call}")));
    let calls = calls.map(|call| call.split_once('\n').map(|(words, reply)| (words.into(), reply.into())).unwrap());
    calls.filter(|(words, _): &(String, String)| words.contains("--demo")).collect()
}

#[test]
fn the_first_policy_of_the_readme_changes_the_reply_and_so_does_its_edit() {
    let replies = replies(&transcript("A first policy"));
    let [(plain, without), (_, with), (_, edited)] = &replies[..] else { panic!("{replies:?}") };
    assert!(!plain.contains("--policy") && without.len() > 20, "{replies:?}");
    assert!(without != with && with != edited, "{replies:?}");
}

#[test]
fn the_first_plugins_of_the_readme_change_the_reply() {
    let replies = replies(&transcript("A first plugin"));
    let [(plain, without), (_, rust), (_, set), (_, c)] = &replies[..] else { panic!("{replies:?}") };
    assert!(plain.contains("--fusion-mode average") && without.len() > 20, "{replies:?}");
    assert!(without != rust && rust != set && without != c, "{replies:?}");
    // The two beginnings compute the same.
    assert_eq!(rust, c);
}

#[test]
fn what_exists_is_not_overwritten() {
    let place = Place::new();
    place.file("calm.rhai", "mine");
    place.file("calm.c", "mine");
    place.file("calm", "mine");
    for words in [&["new", "policy", "calm"][..], &["new", "plugin", "--c", "calm"], &["new", "plugin", "calm"]] {
        assert!(place.refusal(words).contains("exists already; take another name"), "{words:?}");
    }
    assert_eq!(["calm.rhai", "calm.c", "calm"].map(|file| place.read(file)), ["mine"; 3]);
    assert!(!place.path().join("llama_selfmod_plugin.h").exists());
}

#[test]
fn a_name_that_is_none_is_refused_with_one_that_is() {
    let place = Place::new();
    for name in ["../calm", "Calm Down", "-calm", "2calm", ""] {
        for words in [["new", "plugin", name], ["new", "policy", name]] {
            assert!(place.refusal(&words).contains("cannot be the name: it takes small letters"), "{name}");
        }
    }
    assert!(place.refusal(&["new", "policy", "Calm Down"]).contains("`calm-down` would do"));
    assert!(place.refusal(&["new", "plugin", "average"]).contains("means something else already"));
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
}

#[test]
fn a_mistake_in_a_script_is_shown_with_its_place_and_a_slip_is_warned_of() {
    let place = Place::new();
    // What it is, its content tells.
    place.file("wrong.txt", "fn on_token(step, token) {\n    retrcat(1)\n}");
    let (report, code) = checked(&place, "wrong.txt");
    assert_eq!(code, Some(1), "{report}");
    assert!(report.starts_with("FAILED `wrong.txt`, line 2, column 5: ") && report.contains("`retract`?"), "{report}");
    place.file("slip.rhai", "fn on_token(step, token) { }\nfn inti(cfg) { }");
    let (report, code) = checked(&place, "slip.rhai");
    assert_eq!(code, Some(0), "{report}");
    assert!(report.contains("warning  line 2: nothing calls `inti`; did you mean `init`?"), "{report}");
}

#[test]
fn the_templates_in_rust_are_formatted() {
    let templates = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let folder = tempfile::tempdir().unwrap();
    for template in ["fusion.rs", "policy.rs"] {
        // Away from this workspace's own rules: an author has none.
        let path = folder.path().join(template);
        std::fs::copy(templates.join(template), &path).unwrap();
        run(folder.path(), "rustfmt", &["--check", "--edition", "2024", path.to_str().unwrap()]);
    }
}

#[test]
fn the_stock_plugins_pass_all_checks() {
    let place = Place::new();
    for name in ["confidence", "average", "voting", "blend", "contrast", "retraction", "counts"] {
        assert_sound(&place, &library(name));
    }
}

#[test]
fn every_failing_hook_of_a_plugin_is_named() {
    let (report, code) = checked(&Place::new(), &library("panics"));
    assert_eq!(code, Some(1), "{report}");
    for title in ["on_logits: edge rows", "on_token: verdicts", "on_assessment: verdicts", "on_retract"] {
        let line = report.lines().find(|line| line.contains(title)).unwrap_or_else(|| panic!("{title} in {report}"));
        assert!(line.starts_with("FAILED") && line.contains("it panicked at "), "{line}");
    }
}

/// `tests/fixtures/faulty.c` with these definitions.
fn faulty(place: &Place, definitions: &[&str]) -> String {
    program::faulty(place.path(), definitions)
}

#[test]
fn a_plugin_by_hand_passes_where_it_is_right() {
    let place = Place::new();
    assert_sound(&place, &faulty(&place, &[]));
    assert_sound(&place, &faulty(&place, &["ON_ASSESSMENT=counts", "SAVE=saves", "RESTORE=restores"]));
    assert_sound(&place, &faulty(&place, &["SCHEMA=shares", "ROLE=2", "ON_LOGITS=NULL"]));
}

#[test]
fn each_fault_of_a_plugin_is_named_and_the_other_checks_go_on() {
    let place = Place::new();
    for (definition, title, words) in [
        ("CREATE=refuses", "start", "does not start with its default settings: it gave no reason"),
        ("DESTROY=breaks_at_the_fifth", "", "ended the process with SIGSEGV in destroy"),
        ("ON_LOGITS=NULL", "on_logits: edge rows", "is a fusion and has no on_logits"),
        ("ON_LOGITS=makes_nan", "on_logits: edge rows", "left a row that"),
        ("ON_LOGITS=masks_all", "on_logits: edge rows", "on a row of one unit left a row that"),
        ("ON_LOGITS=says_17", "on_logits: edge rows", "it returned 17, which is no status"),
        ("ON_LOGITS=breaks_on_one", "on_logits: edge rows", "with SIGSEGV in on_logits on a row of one unit"),
        ("ON_LOGITS=gives_up", "on_logits: edge rows", "SIGABRT in on_logits on ties; its last words: ties are not"),
        ("ON_LOGITS=leaves", "on_logits: edge rows", "ended the process with exit code 3 in on_logits on a number"),
        ("ON_LOGITS=goes_beyond", "on_logits: keeps to its buffer", "wrote 1 score beyond the end of the row"),
        ("ON_LOGITS=goes_before", "on_logits: keeps to its buffer", "wrote 1 score before the beginning of the row"),
        ("ON_LOGITS=edits_rows", "on_logits: keeps to its buffer", "wrote into the members' rows"),
        ("ON_LOGITS=throws_dice", "on_logits: same input, same bits", "gave two instances different rows"),
        ("ON_ASSESSMENT=acts_77", "on_assessment: verdicts", "the verdict's action 77 is none of 0 to 5"),
        ("ON_ASSESSMENT=takes_nothing_back", "on_assessment: verdicts", "it asked to retract 0 units"),
        ("ON_ASSESSMENT=draws_again", "on_assessment: verdicts", "it answered `resample` from on_assessment"),
        ("ON_ASSESSMENT=fills_too_much", "on_assessment: verdicts", "it wrote beyond the end of the verdict"),
        ("ON_ASSESSMENT=resizes", "on_assessment: verdicts", "the verdict's struct_size"),
        ("ON_RETRACT=fails", "on_retract", "failed when told that 1 unit was taken back"),
    ] {
        let (report, code) = checked(&place, &faulty(&place, &[definition]));
        assert_eq!(code, Some(1), "{definition}: {report}");
        let is_named = |line: &str| line.starts_with("FAILED") && line.contains(title) && line.contains(words);
        assert!(report.lines().any(is_named), "{definition}: {report}");
        let goes_on =
            report.lines().any(|line| line.contains("time of on_assessment") || line.contains("save and restore"));
        assert!(goes_on || title == "start", "{definition}: {report}");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_plugin_does_to_the_whole_process_is_named() {
    let place = Place::new();
    let (streams, process) = ("standard streams", "working folder, signals, limits");
    let mut cases = vec![
        ("ON_ASSESSMENT=closes_output", streams, "closed standard output"),
        ("ON_ASSESSMENT=closes_input", streams, "closed standard input"),
        ("ON_ASSESSMENT=redirects_output", streams, "redirected standard output"),
        ("ON_ASSESSMENT=redirects_error", streams, "redirected standard error"),
        ("ON_ASSESSMENT=prints", streams, "printed to standard output, into the text; print to standard error"),
        ("ON_ASSESSMENT=rounds_up", "floating-point arithmetic", "changed how the processor computes"),
        ("ON_ASSESSMENT=traps", "floating-point arithmetic", "changed how the processor computes"),
        ("ON_ASSESSMENT=moves", process, "changed the working folder"),
        ("ON_ASSESSMENT=takes_interrupts", process, "took over SIGINT"),
        ("ON_ASSESSMENT=lowers_limit", process, "changed a limit of the process"),
        ("ON_ASSESSMENT=masks", process, "changed the mask of new files"),
        ("ON_ASSESSMENT=sets_variable", process, "changed the environment"),
        ("ON_ASSESSMENT=forks", process, "started a process"),
        ("ON_ASSESSMENT=hoards", "memory and threads", "MiB more memory in"),
        ("ON_ASSESSMENT=starts_threads", "memory and threads", "more threads in"),
        ("ON_ASSESSMENT=exits", "on_assessment: verdicts", "exit code 0 in on_assessment"),
        ("AT_START=exit(0)", "open", "ended the process with exit code 0 while it was being opened"),
        ("AT_END=abort()", "end of the program", "ended the process with SIGABRT when the program ended"),
        ("ON_LOGITS=resizes_rows", "on_logits: keeps to its buffer", "wrote over the sizes or figures"),
        ("ON_LOGITS=resizes_row", "on_logits: keeps to its buffer", "wrote over the sizes or figures"),
    ];
    if cfg!(target_arch = "x86_64") {
        cases.push(("ON_ASSESSMENT=flushes", "floating-point arithmetic", "changed how the processor computes"));
    }
    for (definition, title, words) in cases {
        let (report, code) = checked(&place, &faulty(&place, &[definition]));
        assert_eq!(code, Some(1), "{definition}: {report}");
        let is_named = |line: &str| line.starts_with("FAILED") && line.contains(title) && line.contains(words);
        assert!(report.lines().any(is_named), "{definition}: {report}");
    }
}

#[test]
fn state_that_does_not_survive_a_reload_is_named() {
    let place = Place::new();
    for (definitions, mark, words) in [
        (&["ON_ASSESSMENT=counts"][..], "warning", "it has a state and no save"),
        (&["ON_ASSESSMENT=counts", "SAVE=saves", "RESTORE=forgets"], "FAILED", "answers otherwise after restore"),
        (&["SAVE=saves_nonsense", "RESTORE=restores"], "FAILED", "refuses the state that it saved itself"),
    ] {
        // 79 calls before it is saved, so that a counter that was lost shows.
        let (report, code) = checked(&place, &faulty(&place, definitions));
        assert_eq!(code, Some(i32::from(mark == "FAILED")), "{report}");
        assert!(report.lines().any(|line| line.starts_with(mark) && line.contains(words)), "{report}");
    }
}

#[test]
fn a_slow_plugin_is_warned_of_and_passes() {
    let place = Place::new();
    let (report, code) = checked(&place, &faulty(&place, &["ON_LOGITS=dawdles"]));
    assert_eq!(code, Some(0), "{report}");
    let is_named = |line: &str| line.starts_with("warning  time of on_logits") && line.contains("which is slow");
    assert!(report.lines().any(is_named), "{report}");
}

#[test]
fn a_loop_without_end_is_ended_named_and_not_run_into_again() {
    let place = Place::new();
    let (report, code) = checked(&place, &faulty(&place, &["ON_LOGITS=never_ends"]));
    assert_eq!(code, Some(1), "{report}");
    assert!(report.contains("did not come back within 10 s in on_logits on a row of one unit"), "{report}");
    assert_eq!(report.matches("did not come back").count(), 1, "{report}");
    assert!(report.contains("ok       on_assessment: verdicts"), "{report}");
    assert!(report.contains("skipped  on_logits: keeps to its buffer"), "{report}");
}

#[test]
fn a_file_that_is_neither_plugin_nor_script_is_refused() {
    let place = Place::new();
    place.file("empty.so", "");
    place.file("noise.rhai", [0x89, 0, 1, 2, 3]);
    assert!(
        place.refusal(&["check", "empty.so"]).contains("is neither a compiled plugin nor a script; it is an empty")
    );
    assert!(place.refusal(&["check", "noise.rhai"]).contains("it is a file of another kind"));
    assert!(place.refusal(&["check", "absent.so"]).contains("there is no file `absent.so`"));
    let other = program::compiled(place.path(), &["ABI_MAJOR=2"]);
    assert!(place.refusal(&["check", &other]).contains("is built for version 2 of the plugin ABI"));
    let other = faulty(&place, &["SCHEMA=no_schema"]);
    assert!(place.refusal(&["check", &other]).contains("has a settings schema that is no JSON"));
}
