//! From a machine with nothing but Rust to a running program, its tests, and what is made from it: `cargo xtask help`.
//! Depends on nothing, so that it is built in a second and before anything is installed.

mod install;
mod libclang;
mod probe;

use std::path::{Path, PathBuf};
use std::process::{Command, exit};
use std::time::Instant;

use probe::Need;

const HELP: &str = "\
Usage: cargo xtask COMMAND

  demo   install what is missing, build, and let two small models write a story together
  test   install what is missing, then check formatting, lints, tests and documentation
  setup  install what is missing: cmake, make, a C++ compiler, libclang; for the tests tmux, bubblewrap, python3,
         node, chromium, rustfmt and clippy

  completions   write completions for bash, fish and zsh into target/completions
  man           write man pages into target/man
  picture       record docs/retraction.svg, the picture of the README, anew";

/// What llama.cpp's build needs.
const TO_BUILD: [Need; 4] = [Need::Cmake, Need::Make, Need::Compiler, Need::Libclang];

/// What the tests need beyond it.
const TO_TEST: [Need; 7] =
    [Need::Tmux, Need::Bubblewrap, Need::Python, Need::Node, Need::Browser, Need::Rustfmt, Need::Clippy];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["demo"] => demo(),
        ["test"] => test(),
        ["setup"] => set_up(&[&TO_BUILD[..], &TO_TEST[..]].concat()),
        ["completions"] => pages("completions"),
        ["man"] => pages("man"),
        ["picture"] => picture(),
        ["help" | "--help" | "-h"] => println!("{HELP}"),
        _ => {
            eprintln!("{HELP}");
            exit(2);
        }
    }
}

fn demo() {
    set_up(&TO_BUILD);
    step("build", cargo(&["build", "--release"]));
    let mut program = Command::new(release_folder().join("llama_selfmod"));
    // A whole sentence, so that what is shown begins with one.
    let prompt = "Once upon a time, a girl found a small door in an old oak tree.";
    // Without the default policy, which suits models that are usually sure: these write worse with it.
    let words = ["--demo", "--policy", "none", "--n-predict", "200", "--prompt", prompt];
    program.args(words).current_dir(root());
    step("demo", program);
}

/// Every step runs in the release profile and in one target directory: each further profile would compile llama.cpp
/// again, which takes minutes. Lints and documentation share what its build script made.
fn test() {
    set_up(&[&TO_BUILD[..], &TO_TEST[..]].concat());
    step("formatting", cargo(&["fmt", "--all", "--check"]));
    step("lints", cargo(&["clippy", "--release", "--workspace", "--all-targets", "--", "-D", "warnings"]));
    // The contract without its optional dependencies, as authors may use it.
    step(
        "plugin-api alone",
        cargo(&["check", "--release", "--package", "llama_selfmod-plugin-api", "--no-default-features"]),
    );
    // The library without the command line, as other programs may use it.
    step(
        "library alone",
        cargo(&[
            "clippy",
            "--release",
            "--package",
            "llama_selfmod",
            "--no-default-features",
            "--lib",
            "--",
            "-D",
            "warnings",
        ]),
    );
    // The plugins as shared libraries, which tests load: `cargo test` makes programs of tests out of examples.
    step("shared libraries", cargo(&["build", "--release", "--workspace", "--examples"]));
    step("tests, those in the documentation too", cargo(&["test", "--release", "--workspace"]));
    // What the server is for: clients and a browser that others have made. Their packages are kept below `target/`.
    let scripts = [
        ("the page in a browser", "tests/page/run.sh"),
        ("the server's clients", "tests/clients/run.sh"),
        ("2 GB pruned and quantised in 700 MB", "tests/forge/memory.sh"),
    ];
    for (what, script) in scripts {
        let mut tests = Command::new("bash");
        tests.arg(script).current_dir(root()).env("LLAMA_SELFMOD", release_folder().join("llama_selfmod"));
        tests.env("CHROMIUM", probe::browser().unwrap_or("chromium"));
        tests.env("RANDOM_MODEL", release_folder().join("examples/random"));
        step(what, tests);
    }
    let mut documentation = cargo(&["doc", "--release", "--workspace", "--no-deps"]);
    documentation.env("RUSTDOCFLAGS", "-D warnings");
    step("documentation", documentation);
}

/// Completions or man pages, into a folder of this name in the target directory.
fn pages(what: &str) {
    set_up(&TO_BUILD);
    let folder = release_folder().with_file_name(what);
    let mut example = cargo(&["run", "--release", "--example", "pages", "--", what]);
    example.arg(folder);
    step(what, example);
}

fn picture() {
    set_up(&TO_BUILD);
    step("build", cargo(&["build", "--release"]));
    let mut example = cargo(&["run", "--release", "--example", "picture", "--"]);
    example.arg(release_folder().join("llama_selfmod")).arg("docs/retraction.svg");
    step("picture", example);
}

/// Installs what is missing of `needs`, or ends the program with a sentence that says what to install.
fn set_up(needs: &[Need]) {
    if let Err(sentence) = install::install_missing(needs) {
        eprintln!("{sentence}");
        exit(1);
    }
}

/// Runs a command under a headline and says how long it took; a failure ends the program with the command's exit code.
fn step(name: &str, mut command: Command) {
    println!("== {name}: {}", shown(&command));
    let start = Instant::now();
    let code = match command.status() {
        Ok(status) => status.code().unwrap_or(1),
        Err(error) => {
            eprintln!("`{}` cannot be run: {error}", command.get_program().to_string_lossy());
            1
        }
    };
    let seconds = start.elapsed().as_secs_f64();
    if code != 0 {
        eprintln!("== {name} failed after {seconds:.1} s");
        exit(code);
    }
    println!("== {name} done in {seconds:.1} s");
}

/// A command line as a person would type it.
fn shown(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    let quoted = words.map(|word| match word.to_string_lossy() {
        word if word.contains(' ') => format!("\"{word}\""),
        word => word.into_owned(),
    });
    quoted.collect::<Vec<_>>().join(" ")
}

/// The cargo that runs this program, at work on the workspace.
fn cargo(arguments: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("")
}

/// Beside the folder that this program was built into, wherever cargo's target directory is.
fn release_folder() -> PathBuf {
    let own = std::env::current_exe().ok();
    let target = own.as_deref().and_then(|path| path.ancestors().nth(2)).map(Path::to_path_buf);
    target.unwrap_or_else(|| root().join("target")).join("release")
}
