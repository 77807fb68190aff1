//! `llama_selfmod new`: a plugin or a policy that works as it stands, to change from there.

use super::sources;
use crate::Error;
use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;

/// What can be begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// A crate with a fusion.
    Fusion,
    /// A crate with a compiled policy.
    Policy,
    /// A fusion in C: one file and the header.
    C,
    /// A Rhai script.
    Script,
}

/// Names that mean something else already: to the command line, to Cargo, or in a new crate's manifest.
const TAKEN: &str = "none confidence average voting blend contrast retraction \
                     alloc core proc_macro proc-macro std test build plugin-api plugin_api serde schemars";

/// Keywords of Rust, none of which can name a crate.
const KEYWORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern false final \
                        fn for gen if impl in let loop macro match mod move mut override priv pub ref return self static \
                        struct super trait true try type typeof unsized use virtual where while yield unsafe";

/// Longest name; a file system takes 255 bytes, and there are endings to add.
const LONGEST_NAME: usize = 64;

/// The name in the templates.
const PLACEHOLDER: &str = "my_plugin";

/// Writes a beginning into `folder` and gives the text to show: what is there now and the commands that come next.
///
/// Nothing that exists is overwritten but the C header, which belongs to the program.
pub fn write(beginning: Beginning, name: &str, folder: &Path) -> Result<String, Error> {
    check_name(beginning, name)?;
    match beginning {
        Beginning::Fusion => write_crate(name, folder, include_str!("../../templates/fusion.rs"))?,
        Beginning::Policy => write_crate(name, folder, include_str!("../../templates/policy.rs"))?,
        Beginning::C => {
            let source = include_str!("../../templates/fusion.c").replace(PLACEHOLDER, name);
            let path = folder.join(format!("{name}.c"));
            write_fresh(&path, &source)?;
            let header = folder.join("llama_selfmod_plugin.h");
            std::fs::write(&header, sources::HEADER).map_err(|error| {
                // Half of it is of no use, and the other file would be in the way of the next try.
                let _ = (std::fs::remove_file(&header), std::fs::remove_file(&path));
                unwritten(&header, &error)
            })?;
        }
        Beginning::Script => {
            let source = include_str!("../../templates/policy.rhai").replace(PLACEHOLDER, name);
            write_fresh(&folder.join(format!("{name}.rhai")), &source)?;
        }
    }
    Ok(next_commands(beginning, name))
}

/// A folder with a crate and, in it, the plugin API as this binary knows it.
fn write_crate(name: &str, folder: &Path, library: &str) -> Result<(), Error> {
    let root = folder.join(name);
    std::fs::create_dir(&root).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(&root),
        _ => unwritten(&root, &error),
    })?;
    let own = [
        ("Cargo.toml", include_str!("../../templates/Cargo.toml.txt").replace(PLACEHOLDER, name)),
        ("src/lib.rs", library.replace(PLACEHOLDER, name)),
        (".gitignore", "/target\n".into()),
        ("plugin-api/Cargo.toml", sources::manifest()),
    ];
    let written = own
        .iter()
        .map(|(path, text)| (path.to_string(), text.as_str()))
        .chain(sources::PLUGIN_API.iter().map(|(path, text)| (format!("plugin-api/{path}"), *text)))
        .try_for_each(|(path, text)| {
            let path = root.join(path);
            let write = || {
                std::fs::create_dir_all(path.parent().unwrap_or(&root))?;
                std::fs::write(&path, text)
            };
            write().map_err(|error| unwritten(&path, &error))
        });
    if written.is_err() {
        // Half a crate would only be in the way of the next try; the folder was made above.
        let _ = std::fs::remove_dir_all(&root);
    }
    written
}

/// Writes a file that is not there yet, whole or not at all.
fn write_fresh(path: &Path, text: &str) -> Result<(), Error> {
    let mut file = File::create_new(path).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => unwritten(path, &error),
    })?;
    file.write_all(text.as_bytes()).map_err(|error| {
        let _ = std::fs::remove_file(path);
        unwritten(path, &error)
    })
}

fn exists(path: &Path) -> Error {
    Error::Input(format!("`{}` exists already; take another name, or move it away", path.display()))
}

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    Error::Failure(format!("`{}` cannot be written: {error}", path.display()))
}

fn check_name(beginning: Beginning, name: &str) -> Result<(), Error> {
    let letters = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(letters) {
        let guess = guess(name);
        let advice = if guess.is_empty() { String::new() } else { format!("; `{guess}` would do") };
        return Err(Error::Input(format!(
            "`{name}` cannot be the name: it takes small letters, digits, `-` and `_`, and begins with a letter{advice}"
        )));
    }
    if name.len() > LONGEST_NAME {
        return Err(Error::Input(format!("the name has {} letters; at most {LONGEST_NAME} will do", name.len())));
    }
    let is_among = |words: &str| words.split_whitespace().any(|word| word == name);
    if is_among(TAKEN) || (beginning != Beginning::Script && is_among(KEYWORDS)) {
        return Err(Error::Input(format!("`{name}` means something else already; take another name")));
    }
    Ok(())
}

/// The name that was probably meant, or nothing.
fn guess(name: &str) -> String {
    let endings = [".rhai", ".rs", ".so", ".c"];
    let stem = endings.iter().find_map(|ending| name.strip_suffix(ending)).unwrap_or(name);
    let plain = stem.to_lowercase().replace([' ', '.', '/', '\\'], "-");
    let plain: String = plain.chars().filter(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect();
    plain.trim_start_matches(|c: char| !c.is_ascii_lowercase()).trim_end_matches(['-', '_']).to_string()
}

/// The name of the library that Cargo makes of a crate.
fn library_name(name: &str) -> String {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    format!("{DLL_PREFIX}{}{DLL_SUFFIX}", name.replace('-', "_"))
}

/// How a C plugin is compiled.
pub fn compile_command(name: &str) -> String {
    format!("cc -std=c11 -O2 -shared -fPIC -o {name}.so {name}.c -lm")
}

fn next_commands(beginning: Beginning, name: &str) -> String {
    let run = |hook: &str| format!("llama_selfmod --demo {hook} --prompt \"Once upon a time\"");
    let (what, commands) = match beginning {
        Beginning::Fusion | Beginning::Policy => {
            let library = format!("target/release/{}", library_name(name));
            let (what, mode) = match beginning {
                Beginning::Fusion => ("a fusion", format!(" --fusion-mode {name}")),
                _ => ("a policy", String::new()),
            };
            let commands = vec![
                format!("cd {name}"),
                "cargo test --release".into(),
                "cargo build --release".into(),
                format!("llama_selfmod check {library}"),
                run(&format!("--plugin {library}{mode}")),
            ];
            (format!("`{name}/` is {what} in Rust; `{name}/src/lib.rs` is the file to change."), commands)
        }
        Beginning::C => {
            let commands = vec![
                compile_command(name),
                format!("llama_selfmod check {name}.so"),
                run(&format!("--plugin ./{name}.so --fusion-mode {name}")),
            ];
            (format!("`{name}.c` is a fusion in C; `llama_selfmod_plugin.h` says what it can use."), commands)
        }
        Beginning::Script => {
            let commands = vec![format!("llama_selfmod check {name}.rhai"), run(&format!("--policy {name}.rhai"))];
            (format!("`{name}.rhai` is a policy; change and save it while text is being written."), commands)
        }
    };
    let commands: String = commands.iter().map(|command| format!("  {command}\n")).collect();
    format!("{what} Next:\n\n{commands}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(beginning: Beginning, name: &str) -> String {
        check_name(beginning, name).unwrap_err().to_string()
    }

    #[test]
    fn names_are_those_of_crates() {
        for name in ["a", "calm", "very-calm_2"] {
            assert!(check_name(Beginning::Fusion, name).is_ok(), "{name}");
        }
        for name in ["", "2calm", "-calm", "../calm", "Calm", "cälm", "a b"] {
            assert!(refusal(Beginning::Fusion, name).contains("small letters"), "{name}");
        }
        assert!(refusal(Beginning::Fusion, "loop").contains("something else"));
        assert!(refusal(Beginning::C, "average").contains("something else"));
        assert!(check_name(Beginning::Script, "loop").is_ok());
        assert!(refusal(Beginning::Script, &"a".repeat(65)).contains("65 letters"));
    }

    #[test]
    fn the_names_of_the_programs_own_hooks_are_taken() {
        use crate::hooks::{Hook, native};
        for entry in native::built_in_plugins() {
            let hook = native::built_in(entry, &native::PluginSettings::default()).unwrap();
            assert!(refusal(Beginning::Script, hook.name()).contains("something else"));
        }
    }

    #[test]
    fn a_name_that_was_probably_meant_is_offered() {
        assert!(refusal(Beginning::Fusion, "My Fusion").ends_with("; `my-fusion` would do"));
        assert!(refusal(Beginning::Script, "calm.rhai").ends_with("; `calm` would do"));
        assert!(refusal(Beginning::Fusion, "42").ends_with("begins with a letter"));
    }

    #[test]
    fn a_crate_that_cannot_be_written_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("calm"), "in the way").unwrap();
        let error = write(Beginning::Fusion, "calm", folder.path()).unwrap_err();
        assert!(error.to_string().contains("exists already"), "{error}");
        assert_eq!(std::fs::read_to_string(folder.path().join("calm")).unwrap(), "in the way");
    }
}
