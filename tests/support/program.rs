//! The program as a person starts it, in a folder of its own.
//!
#![allow(dead_code, reason = "every test file uses a part of it")]

use assert_cmd::Command;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

/// Longer than any call takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Two small models that share a vocabulary, as one word of a command line.
pub const PAIR: &str = concat!(
    "--models=",
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/fixtures/models/stories-260k.gguf,",
    env!("CARGO_MANIFEST_DIR"),
    "/../tests/fixtures/models/stories-280k.gguf"
);

/// A policy that takes text back and adjusts all the time where models are unsure.
pub const ABSOLUTE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/absolute.rhai");

/// A folder in which the program runs, and where it believes its user's files to be.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file and gives its name back.
    pub fn file<'a>(&self, name: &'a str, content: impl AsRef<[u8]>) -> &'a str {
        std::fs::write(self.path().join(name), content).unwrap();
        name
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// A call without standard input, for tests that stay with it while it runs.
    pub fn process(&self, words: &[&str]) -> std::process::Command {
        heed_signals();
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_llama_selfmod"));
        command.args(words).current_dir(self.path()).stdin(std::process::Stdio::null());
        command.env("XDG_CACHE_HOME", self.path()).env("XDG_STATE_HOME", self.path());
        command.env_remove("NO_COLOR").env_remove("LLAMA_SELFMOD_LOG");
        // Several tests run at once; threads that spin while they wait would take each other's time.
        command.env("OMP_WAIT_POLICY", "passive");
        command
    }

    /// A call whose end is waited for.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::from_std(self.process(words));
        command.timeout(PATIENCE);
        command
    }

    pub fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    /// Standard output of a call that must work.
    pub fn text(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}: {}", error_of(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What a call that must fail says, after the checks that hold for every refusal.
    pub fn refusal(&self, words: &[&str]) -> String {
        refused(self.run(words), words)
    }

    /// The lines of the log.
    pub fn log(&self) -> Vec<Value> {
        self.read("selfmod_memory.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// Programs inherit which signals are ignored, and in the background of a shell or under `nohup` some are. The tests start
/// them as at a prompt, where none is.
fn heed_signals() {
    #[cfg(unix)]
    for signal in [libc::SIGINT, libc::SIGQUIT, libc::SIGHUP, libc::SIGTERM] {
        // SAFETY: sets the default, which needs no handler.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// What was said by a call that must have been refused for what the user gave: exit code 2, nothing on standard output, and
/// on standard error one sentence for a person.
pub fn refused(output: Output, words: &[&str]) -> String {
    let error = error_of(&output);
    assert_eq!(output.status.code(), Some(2), "{words:?}: {error}");
    assert!(output.stdout.is_empty(), "{words:?}");
    assert!(error.starts_with("error: "), "{words:?}: {error}");
    assert_eq!(error.matches("error:").count(), 1, "{words:?}: {error}");
    assert!(!error.contains("panicked") && !error.contains('\x1b'), "{words:?}: {error}");
    error
}

/// Standard error.
pub fn error_of(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// The small model of this name, a fixture.
pub fn model(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models").join(name)
}

/// A library that `cargo` built from an example target of this workspace.
pub fn library(name: &str) -> String {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    example(&format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"))
}

/// A file that `cargo` built from an example target of this workspace.
pub fn example(file: &str) -> String {
    let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf();
    let path = profile.join("examples").join(file);
    assert!(path.exists(), "{} is missing: cargo build --release --workspace --examples", path.display());
    path.to_str().unwrap().to_owned()
}

/// `tests/fixtures/plugin.c` with these definitions as a library in `folder`.
pub fn compiled(folder: &Path, definitions: &[&str]) -> String {
    let path = folder.join("plugin.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/plugin.c");
    let mut compiler = std::process::Command::new("cc");
    let header = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugin-api/include");
    compiler.args(["-shared", "-fPIC", "-I", header, "-o"]).arg(&path).arg(source);
    compiler.args(definitions.iter().map(|definition| format!("-D{definition}")));
    assert!(compiler.status().unwrap().success());
    path.to_str().unwrap().to_owned()
}

/// `tests/fixtures/faulty.c` with these definitions as a library in `folder`.
pub fn faulty(folder: &Path, definitions: &[&str]) -> String {
    let path = folder.join("faulty.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/faulty.c");
    let mut compiler = std::process::Command::new("cc");
    compiler.args(["-O1", "-shared", "-fPIC", "-o"]).arg(&path).arg(source);
    compiler.args(definitions.iter().map(|definition| format!("-D{definition}")));
    assert!(compiler.status().unwrap().success());
    path.to_str().unwrap().to_owned()
}

/// A policy that does nothing, slowly: what a person does while text is written needs time.
pub fn slow(folder: &Path) -> String {
    compiled(folder, &["ACTION=0", "PAUSE_MS=20", "NAME=\"slow\""])
}
