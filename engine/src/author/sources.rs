//! The plugin API as part of the binary, so that a plugin can be built where there is only the binary and Rust.

/// One file: its path inside the crate and its text.
pub type Source = (&'static str, &'static str);

macro_rules! plugin_api {
    ($($path:literal),+ $(,)?) => { &[$(($path, include_str!(concat!("../../../plugin-api/", $path)))),+] };
}

/// All that building the crate takes, without its manifest.
pub const PLUGIN_API: &[Source] = plugin_api![
    "src/abi.rs",
    "src/export.rs",
    "src/export/lent.rs",
    "src/lib.rs",
    "src/settings.rs",
    "src/testing.rs",
    "src/verdict.rs",
    "src/views.rs",
];

/// The contract in C.
pub const HEADER: &str = include_str!("../../../plugin-api/include/llama_selfmod_plugin.h");

/// The manifest as it stands in this workspace.
const MANIFEST: &str = include_str!("../../../plugin-api/Cargo.toml");

/// The manifest without what only this workspace has: inherited keys, lints, and targets and dependencies for its own
/// tests.
pub fn manifest() -> String {
    let mut text = String::new();
    let mut kept = true;
    // Comments go where the line after them goes.
    let mut comments = String::new();
    for line in MANIFEST.lines() {
        if line.starts_with('[') {
            kept = !["[[example]]", "[[test]]", "[dev-dependencies", "[lints]"]
                .iter()
                .any(|start| line.starts_with(start));
        }
        if line.starts_with('#') {
            comments += line;
            comments.push('\n');
            continue;
        }
        let comments = std::mem::take(&mut comments);
        let inherited = line.split_once(".workspace").map(|(key, _)| key);
        match inherited {
            _ if !kept => {}
            Some("version") => text += concat!("version = \"", env!("CARGO_PKG_VERSION"), "\"\n"),
            Some("edition") => text += "edition = \"2024\"\n",
            Some(_) => {}
            None => {
                text += &comments;
                text += line;
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::{Path, PathBuf};

    fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                rust_files(&path, found);
            } else {
                found.push(path);
            }
        }
    }

    #[test]
    fn every_source_of_the_plugin_api_is_part_of_the_binary() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugin-api");
        let mut there = Vec::new();
        rust_files(&root.join("src"), &mut there);
        let mut there: Vec<String> =
            there.iter().map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned()).collect();
        let mut listed: Vec<String> = PLUGIN_API.iter().map(|(path, _)| path.to_string()).collect();
        there.sort();
        listed.sort();
        assert_eq!(listed, there);
    }

    #[test]
    fn the_manifest_stands_by_itself() {
        let manifest = manifest();
        assert!(!manifest.contains("workspace") && !manifest.contains("tests/"), "{manifest}");
        assert!(manifest.contains("name = \"llama_selfmod-plugin-api\"\n"), "{manifest}");
        assert!(manifest.contains("\nversion = \"") && manifest.contains("\nedition = \"2024\""), "{manifest}");
    }
}
