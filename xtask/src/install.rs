//! Installs what is missing: a plan, made from what the machine offers, and its execution.

use std::process::{Command, Stdio};

use crate::probe::{Need, missing, runs};

/// Who installs programs here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manager {
    AptGet,
    Dnf,
    Pacman,
    Zypper,
    Apk,
    /// On macOS, beside Apple's own `xcode-select`.
    Brew,
}

/// What a plan depends on.
#[derive(Clone, Copy, Debug)]
struct Machine {
    manager: Option<Manager>,
    macos: bool,
    root: bool,
    sudo: bool,
    rustup: bool,
}

/// Installs those of `needs` that are missing, saying what it does.
///
/// # Errors
///
/// One sentence that says what to install by hand.
pub fn install_missing(needs: &[Need]) -> Result<(), String> {
    let absent = missing(needs);
    if absent.is_empty() {
        return Ok(());
    }
    println!("== setup: missing {}", names(&absent));
    for line in plan(&absent, &Machine::here())? {
        println!("+ {}", line.join(" "));
        // What counts is what is there afterwards: an index that cannot be refreshed, say, need not stop the rest.
        match Command::new(&line[0]).args(&line[1..]).status() {
            Ok(status) if status.success() => {}
            Ok(status) => println!("`{}` ended with {status}", line.join(" ")),
            Err(error) => println!("`{}` cannot be run: {error}", line[0]),
        }
    }
    match missing(needs) {
        still if still.is_empty() => Ok(()),
        still => Err(format!("Install {}, then run this command again.", names(&still))),
    }
}

/// The commands, in order, that install `absent`.
fn plan(absent: &[Need], machine: &Machine) -> Result<Vec<Vec<String>>, String> {
    let by_hand =
        |need: &[Need], reason: &str| Err(format!("Install {}, then run this command again: {reason}.", names(need)));
    let (components, programs): (Vec<Need>, Vec<Need>) =
        absent.iter().partition(|need| matches!(need, Need::Rustfmt | Need::Clippy));
    let from_apple =
        |need: &Need| machine.macos && !matches!(need, Need::Cmake | Need::Tmux | Need::Node | Need::Browser);
    let (apple, packages): (Vec<Need>, Vec<Need>) = programs.iter().partition(|need| from_apple(need));

    let mut lines = Vec::new();
    if !components.is_empty() {
        if !machine.rustup {
            return by_hand(&components, "`rustup`, which could add it to this Rust, is not here");
        }
        let names = components.iter().map(|need| if *need == Need::Clippy { "clippy" } else { "rustfmt" });
        lines.push(["rustup", "component", "add"].into_iter().chain(names).map(String::from).collect());
    }
    if !apple.is_empty() {
        lines.push(words("xcode-select --install"));
    }
    if !packages.is_empty() {
        let Some(manager) = machine.manager else {
            return by_hand(&packages, "no known package manager is here");
        };
        let needs_root = manager != Manager::Brew && !machine.root;
        if needs_root && !machine.sudo {
            return by_hand(&packages, "installing takes root, and `sudo` is not here");
        }
        for mut line in manager.commands(&packages) {
            if needs_root {
                line.insert(0, "sudo".into());
            }
            lines.push(line);
        }
    }
    Ok(lines)
}

impl Machine {
    fn here() -> Self {
        let macos = cfg!(target_os = "macos");
        let candidates = [
            ("apt-get", Manager::AptGet),
            ("dnf", Manager::Dnf),
            ("pacman", Manager::Pacman),
            ("zypper", Manager::Zypper),
            ("apk", Manager::Apk),
        ];
        let manager = match macos {
            true => runs("brew", &["--version"]).then_some(Manager::Brew),
            false => candidates.into_iter().find(|(program, _)| runs(program, &["--version"])).map(|(_, it)| it),
        };
        let user = Command::new("id").arg("-u").stderr(Stdio::null()).output();
        Self {
            manager,
            macos,
            root: user.is_ok_and(|output| output.stdout.trim_ascii() == b"0"),
            sudo: runs("sudo", &["--version"]),
            rustup: runs("rustup", &["--version"]),
        }
    }
}

impl Manager {
    /// Refreshes the index and installs `needs`, asking nothing.
    fn commands(self, needs: &[Need]) -> Vec<Vec<String>> {
        let packages: Vec<&str> = needs.iter().flat_map(|need| self.packages(*need)).copied().collect();
        let install = |command: &str| {
            let mut line = words(command);
            line.extend(packages.iter().copied().map(str::to_owned));
            line
        };
        match self {
            Manager::AptGet => vec![
                words("apt-get update"),
                install("env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends"),
            ],
            Manager::Dnf => vec![install("dnf install -y")],
            Manager::Pacman => vec![install("pacman -Sy --noconfirm --needed")],
            Manager::Zypper => vec![install("zypper --non-interactive install")],
            Manager::Apk => vec![install("apk add --no-cache")],
            Manager::Brew => vec![install("brew install")],
        }
    }

    fn packages(self, need: Need) -> &'static [&'static str] {
        match (need, self) {
            (Need::Cmake, _) => &["cmake"],
            (Need::Make, _) => &["make"],
            (Need::Tmux, _) => &["tmux"],
            (Need::Bubblewrap, _) => &["bubblewrap"],
            (Need::Python, Manager::Pacman) => &["python"],
            // Without the second one it makes no folder of its own for the packages of tests.
            (Need::Python, Manager::AptGet) => &["python3", "python3-venv"],
            (Need::Python, _) => &["python3"],
            (Need::Node, Manager::Brew) => &["node"],
            (Need::Node, _) => &["nodejs", "npm"],
            (Need::Browser, _) => &["chromium"],
            (Need::Compiler, Manager::Dnf | Manager::Zypper) => &["gcc-c++"],
            (Need::Compiler, Manager::Pacman) => &["gcc"],
            (Need::Compiler, _) => &["g++"],
            (Need::Libclang, Manager::AptGet) => &["clang", "libclang-dev"],
            (Need::Libclang, Manager::Dnf | Manager::Zypper) => &["clang", "clang-devel"],
            (Need::Libclang, Manager::Apk) => &["clang-dev"],
            (Need::Libclang, Manager::Pacman) => &["clang"],
            (Need::Libclang, Manager::Brew) => &["llvm"],
            (Need::Rustfmt | Need::Clippy, _) => &[],
        }
    }
}

fn words(line: &str) -> Vec<String> {
    line.split(' ').map(String::from).collect()
}

/// `a`, `a and b`, `a, b and c`.
fn names(needs: &[Need]) -> String {
    let names: Vec<&str> = needs.iter().map(|need| need.name()).collect();
    match names.split_last() {
        Some((last, [])) => last.to_string(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEBIAN: Machine =
        Machine { manager: Some(Manager::AptGet), macos: false, root: false, sudo: true, rustup: true };

    fn planned(absent: &[Need], machine: &Machine) -> Vec<String> {
        plan(absent, machine).unwrap().iter().map(|line| line.join(" ")).collect()
    }

    #[test]
    fn debian_refreshes_its_index_and_installs_all_at_once_as_root() {
        let lines = planned(&[Need::Cmake, Need::Compiler, Need::Libclang], &DEBIAN);
        let install = "env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends";
        assert_eq!(lines, ["sudo apt-get update".to_string(), format!("sudo {install} cmake g++ clang libclang-dev")]);
    }

    #[test]
    fn root_needs_no_sudo() {
        let machine = Machine { manager: Some(Manager::Dnf), root: true, sudo: false, ..DEBIAN };
        assert_eq!(planned(&[Need::Compiler, Need::Tmux], &machine), ["dnf install -y gcc-c++ tmux"]);
    }

    #[test]
    fn every_manager_has_a_package_for_every_program() {
        use Manager::*;
        for manager in [AptGet, Dnf, Pacman, Zypper, Apk, Brew] {
            let programs = [Need::Cmake, Need::Make, Need::Compiler, Need::Libclang, Need::Tmux];
            for need in programs.into_iter().chain([Need::Python, Need::Node, Need::Browser]) {
                assert!(!manager.packages(need).is_empty(), "{manager:?} {need:?}");
            }
        }
    }

    #[test]
    fn macos_takes_the_compiler_and_libclang_from_apple_and_cmake_from_brew_without_root() {
        let machine = Machine { manager: Some(Manager::Brew), macos: true, ..DEBIAN };
        let lines = planned(&[Need::Cmake, Need::Make, Need::Compiler, Need::Libclang], &machine);
        assert_eq!(lines, ["xcode-select --install", "brew install cmake"]);
    }

    #[test]
    fn components_of_rust_come_from_rustup() {
        assert_eq!(planned(&[Need::Rustfmt, Need::Clippy], &DEBIAN), ["rustup component add rustfmt clippy"]);
    }

    #[test]
    fn without_rustup_the_sentence_names_the_component() {
        let sentence = plan(&[Need::Clippy], &Machine { rustup: false, ..DEBIAN }).unwrap_err();
        assert!(sentence.starts_with("Install clippy, then run this command again"), "{sentence}");
    }

    #[test]
    fn without_a_package_manager_the_sentence_names_what_to_install() {
        let sentence =
            plan(&[Need::Cmake, Need::Compiler, Need::Libclang], &Machine { manager: None, ..DEBIAN }).unwrap_err();
        assert!(sentence.starts_with("Install cmake, a C++ compiler and libclang with its headers,"), "{sentence}");
    }

    #[test]
    fn without_root_and_sudo_the_sentence_says_so() {
        let sentence = plan(&[Need::Cmake], &Machine { sudo: false, ..DEBIAN }).unwrap_err();
        assert!(sentence.contains("`sudo` is not here"), "{sentence}");
    }
}
