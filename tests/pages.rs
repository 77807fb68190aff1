//! What is made from the command line, completions and man pages, has all of it; and so has the picture of the README.

use crate::support::program::{Place, example};
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Every flag of the table of flags, by its long name.
fn flags() -> BTreeSet<String> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/flags.md");
    let table = std::fs::read_to_string(table).unwrap();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next().map(str::to_string));
    let flags: BTreeSet<String> = cells
        .flat_map(|cell| cell.split('`').map(str::to_string).collect::<Vec<_>>())
        .filter_map(|words| words.trim().strip_prefix("--").map(|name| name.split(' ').next().unwrap().to_string()))
        .chain(["model".to_string()])
        .collect();
    assert!(flags.len() > 40, "{flags:?}");
    flags
}

fn run(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn completions_know_every_flag_and_no_hidden_one() {
    let place = Place::new();
    run(Command::new(example("pages")).args(["completions", "."]).current_dir(place.path()));
    for (file, before) in [("llama_selfmod.bash", "--"), ("_llama_selfmod", "--"), ("llama_selfmod.fish", "-l ")] {
        let script = place.read(file);
        for flag in flags() {
            let flag = format!("{before}{flag}");
            let ends = |rest: &str| !rest.starts_with(|c: char| c.is_alphanumeric() || c == '-');
            assert!(script.split(&flag).skip(1).any(ends), "{file} does not know {flag}");
        }
        assert!(!script.contains(&format!("{before}work")), "{file} tells of what is hidden");
    }
    run(Command::new("bash").args(["-n", "llama_selfmod.bash"]).current_dir(place.path()));
}

#[test]
fn there_is_a_man_page_for_each_command_and_it_names_every_flag() {
    let place = Place::new();
    run(Command::new(example("pages")).args(["man", "."]).current_dir(place.path()));
    let mut pages = String::new();
    let first = ["", "-score", "-bench", "-vocab", "-replay", "-new", "-new-plugin", "-new-policy", "-check"];
    let measuring = ["-serve", "-eval", "-compare", "-team", "-team-search", "-team-pack", "-team-verify"];
    let making = ["-forge", "-publish"];
    for command in first.into_iter().chain(measuring).chain(making) {
        pages.push_str(&place.read(&format!("llama_selfmod{command}.1")));
    }
    let pages = pages.replace('\\', "");
    for flag in flags() {
        assert!(pages.contains(&format!("--{flag}")), "no man page names --{flag}");
    }
}

/// The recorder on a run of which it is known that text is taken back, and what is in the project.
#[test]
fn the_picture_shows_text_that_is_taken_back() {
    let place = Place::new();
    place.file("once.rhai", "fn on_assessment(step, a) { if step.position == 12 { retract(5, \"to show it\") } }");
    let mut recorder = Command::new(example("picture"));
    recorder.args([env!("CARGO_BIN_EXE_llama_selfmod"), "made.svg", "--demo", "-n", "40", "--policy", "once.rhai"]);
    recorder.args(["-p", "Once upon a time"]).current_dir(place.path()).env("XDG_CACHE_HOME", place.path());
    run(&mut recorder);
    let made = place.read("made.svg");
    assert!(made.contains("to show it"), "{made}");
    let there = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/retraction.svg")).unwrap();
    for picture in [made, there] {
        assert!(picture.contains("$ llama_selfmod --demo") && picture.contains("took back"), "{picture}");
        assert!(picture.matches("<animate ").count() > 10, "{picture}");
        assert_eq!(picture.matches("<g").count(), picture.matches("</g>").count());
    }
}
