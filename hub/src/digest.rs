//! Hashes of files: the hub knows large files by their SHA-256 and small ones by the SHA-1 of a Git blob.

use ring::digest::{Context, SHA1_FOR_LEGACY_USE_ONLY};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Bytes read at a time.
pub(crate) const PIECE: usize = 256 << 10;

/// What the hub says that a file's content is. It is also the name of the file's blob in the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Digest {
    Sha256(String),
    GitBlob(String),
    /// A name that says nothing about the content: a server that is no hub of its own made it.
    Opaque(String),
}

impl Digest {
    /// The digest in an `ETag`. None for one that cannot be a file's name.
    pub fn from_etag(etag: &str) -> Option<Self> {
        let name = etag.trim().trim_start_matches("W/").trim_matches('"');
        let is_name = !name.is_empty()
            && name.len() <= 128
            && !name.starts_with('.')
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        is_name.then(|| Self::from_name(name))
    }

    /// The digest that names a blob.
    pub fn from_name(name: &str) -> Self {
        let is_hex = name.bytes().all(|byte| byte.is_ascii_hexdigit());
        match name.len() {
            64 if is_hex => Self::Sha256(name.to_ascii_lowercase()),
            40 if is_hex => Self::GitBlob(name.to_ascii_lowercase()),
            _ => Self::Opaque(name.into()),
        }
    }

    pub fn name(&self) -> &str {
        match self {
            Self::Sha256(name) | Self::GitBlob(name) | Self::Opaque(name) => name,
        }
    }
}

/// A SHA-256 that grows with the file.
#[derive(Clone, Default)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> String {
        hex(&self.0.finalize())
    }
}

/// SHA-256 of a whole file.
pub(crate) fn sha256(path: &Path) -> io::Result<String> {
    let mut hasher = Hasher::default();
    read(path, |bytes| hasher.update(bytes))?;
    Ok(hasher.finish())
}

/// SHA-1 of a file as Git names a blob.
pub(crate) fn git_blob(path: &Path) -> io::Result<String> {
    let mut context = Context::new(&SHA1_FOR_LEGACY_USE_ONLY);
    context.update(format!("blob {}\0", std::fs::metadata(path)?.len()).as_bytes());
    read(path, |bytes| context.update(bytes))?;
    Ok(hex(context.finish().as_ref()))
}

fn read(path: &Path, mut each: impl FnMut(&[u8])) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut piece = vec![0; PIECE];
    loop {
        match file.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => each(&piece[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_sha256sum_and_git() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hello");
        std::fs::write(&path, "hello\n").unwrap();
        // `git hash-object`, `sha256sum`.
        assert_eq!(git_blob(&path).unwrap(), "ce013625030ba8dba906f756967f9e9ca394464a");
        assert_eq!(sha256(&path).unwrap(), "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03");
    }

    #[test]
    fn an_etag_becomes_the_name_of_a_blob() {
        let sha256 = "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03";
        assert_eq!(Digest::from_etag(&format!("\"{sha256}\"")), Some(Digest::Sha256(sha256.into())));
        let sha1 = "ce013625030ba8dba906f756967f9e9ca394464a";
        assert_eq!(Digest::from_etag(&format!("W/\"{sha1}\"")), Some(Digest::GitBlob(sha1.into())));
        assert_eq!(Digest::from_etag("\"a-5\""), Some(Digest::Opaque("a-5".into())));
        for bad in ["", "\"\"", "\"../x\"", "\"a/b\"", "\"..\""] {
            assert_eq!(Digest::from_etag(bad), None, "{bad}");
        }
    }
}
