//! What a build needs, and whether it is here: by running the things themselves, never by asking a package manager,
//! since they come by many ways.

use std::process::{Command, Stdio};

use crate::libclang;

/// Something that must be on the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    Cmake,
    /// cmake's default generator calls it.
    Make,
    Compiler,
    /// bindgen reads llama.cpp's headers with it.
    Libclang,
    /// A test drives the chat in it.
    Tmux,
    /// Programs that a model wrote run in it, and tests of that.
    Bubblewrap,
    /// These programs are in it.
    Python,
    /// The page's tests and a client run in it.
    Node,
    /// The page is looked at in it.
    Browser,
    Rustfmt,
    Clippy,
}

impl Need {
    /// As a sentence names it.
    pub fn name(self) -> &'static str {
        match self {
            Need::Cmake => "cmake",
            Need::Make => "make",
            Need::Compiler => "a C++ compiler",
            Need::Libclang => "libclang with its headers",
            Need::Tmux => "tmux",
            Need::Bubblewrap => "bubblewrap",
            Need::Python => "python3",
            Need::Node => "node with npm",
            Need::Browser => "chromium",
            Need::Rustfmt => "rustfmt",
            Need::Clippy => "clippy",
        }
    }

    /// Whether it works.
    pub fn is_met(self) -> bool {
        match self {
            Need::Cmake => runs("cmake", &["--version"]),
            Need::Make => std::env::var_os("CMAKE_GENERATOR").is_some() || runs("make", &["--version"]),
            Need::Compiler => has_compiler(),
            Need::Libclang => libclang::is_found(),
            Need::Tmux => runs("tmux", &["-V"]),
            // There is neither a bubblewrap nor another sandbox of ours elsewhere.
            Need::Bubblewrap => !cfg!(target_os = "linux") || runs("bwrap", &["--version"]),
            Need::Python => {
                // A real llama-server comes from PyPI, into a folder below `target/`.
                let makes_folders = runs("python3", &["-c", "import ensurepip, venv"]);
                makes_folders && (!cfg!(target_os = "linux") || runs("/usr/bin/python3", &["--version"]))
            }
            Need::Node => runs("node", &["--version"]) && runs("npm", &["--version"]),
            Need::Browser => browser().is_some(),
            Need::Rustfmt => runs("cargo", &["fmt", "--version"]),
            Need::Clippy => runs("cargo", &["clippy", "--version"]),
        }
    }
}

/// A Chromium, by what it is called.
pub fn browser() -> Option<&'static str> {
    let names = [
        "chromium",
        "chromium-browser",
        "google-chrome",
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
    ];
    names.into_iter().find(|name| runs(name, &["--version"]))
}

/// Those of `needs` that are not met.
pub fn missing(needs: &[Need]) -> Vec<Need> {
    needs.iter().copied().filter(|need| !need.is_met()).collect()
}

/// Whether a program is there and says so.
pub fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn has_compiler() -> bool {
    // Without the command-line tools macOS has stand-ins for the compilers, which open a dialogue when they are run.
    if cfg!(target_os = "macos") && !runs("xcode-select", &["-p"]) {
        return false;
    }
    // `CXX` may hold arguments after the program.
    let chosen = std::env::var("CXX").unwrap_or_default();
    runs(chosen.split_whitespace().next().unwrap_or("c++"), &["--version"])
}
