//! Files that a recipe begins with.

use super::files::file_name;
use std::path::{Path, PathBuf};

/// A file or folder that a recipe begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name in the recipe.
    pub name: String,
    /// Where it is.
    pub source: Source,
    /// Its line, from 1.
    pub line: usize,
}

/// Where an input is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// On this machine.
    Local(PathBuf),
    /// On the hub: `hf:owner/repo/file@revision`.
    Hub(String),
}

impl Source {
    /// An input's value: an address on the hub, or a path from the recipe's folder.
    pub(super) fn of(text: &str, folder: &Path) -> Self {
        if is_address(text) { Self::Hub(text.into()) } else { Self::Local(folder.join(text)) }
    }

    /// The address, of one on the hub.
    pub fn address(&self) -> Option<&str> {
        match self {
            Self::Local(_) => None,
            Self::Hub(address) => Some(address),
        }
    }

    /// The file's or folder's name.
    pub fn file(&self) -> String {
        match self {
            Self::Local(path) => file_name(path),
            Self::Hub(address) => address_file(address).into(),
        }
    }
}

/// Whether a text is an address on the hub.
pub(super) fn is_address(text: &str) -> bool {
    text.starts_with("hf:")
}

/// The file's name in an address.
pub(crate) fn address_file(address: &str) -> &str {
    let path = address.rsplit_once('@').map_or(address, |(path, _)| path);
    path.rsplit(['/', ':']).next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::address_file;

    #[test]
    fn the_revision_of_an_address_stands_behind_its_last_at() {
        assert_eq!(address_file("hf:owner/repo/sub/a.gguf@v1"), "a.gguf");
        assert_eq!(address_file("hf:owner/repo/a@b.gguf@main"), "a@b.gguf");
        assert_eq!(address_file("hf:owner/repo/a.gguf"), "a.gguf");
    }
}
