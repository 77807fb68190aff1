//! Passes on disk: a file for each model, text, context and program.

use super::Pass;
use crate::memory::{file_sha256, sha256};
use serde::{Deserialize, Serialize};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

/// A folder of passes. One that is missing, damaged or of another program is simply made again.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Header {
    pass: u32,
    units: usize,
    cache: u64,
    digest: String,
}

/// Columns of a pass, in 32 bits each: ends, nats, entropy, evidence.
const COLUMNS: usize = 4;

impl Store {
    /// Below the folder for what can be made again.
    pub fn new(cache: &Path) -> Self {
        Self { folder: cache.join("passes") }
    }

    /// The pass that is kept under these words: digests of model and text, and settings that matter.
    pub fn get(&self, key: &[&str]) -> Option<Pass> {
        let bytes = std::fs::read(self.path(key)).ok()?;
        let line = bytes.iter().position(|&byte| byte == b'\n')?;
        let header: Header = serde_json::from_slice(&bytes[..line]).ok()?;
        let body = &bytes[line + 1..];
        if header.pass != 1
            || Some(body.len()) != header.units.checked_mul(4 * COLUMNS)
            || sha256(body) != header.digest
        {
            return None;
        }
        let column = |number: usize| body[4 * header.units * number..].chunks_exact(4).take(header.units);
        let four = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).unwrap_or_default();
        let floats = |number| column(number).map(|bytes| f32::from_le_bytes(four(bytes))).collect();
        let ends = column(0).map(|bytes| u32::from_le_bytes(four(bytes))).collect();
        Some(Pass { ends, nats: floats(1), entropy: floats(2), evidence: floats(3), cache: header.cache })
    }

    /// Keeps a pass, so that readers see the whole or nothing.
    pub fn put(&self, key: &[&str], pass: &Pass) -> io::Result<()> {
        let mut body: Vec<u8> = pass.ends.iter().flat_map(|end| end.to_le_bytes()).collect();
        for column in [&pass.nats, &pass.entropy, &pass.evidence] {
            body.extend(column.iter().flat_map(|value| value.to_le_bytes()));
        }
        let header = Header { pass: 1, units: pass.len(), cache: pass.cache, digest: sha256(&body) };
        std::fs::create_dir_all(&self.folder)?;
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        serde_json::to_writer(&mut file, &header)?;
        file.write_all(b"\n")?;
        file.write_all(&body)?;
        file.persist(self.path(key)).map_err(|error| error.error)?;
        Ok(())
    }

    fn path(&self, key: &[&str]) -> PathBuf {
        let key = [key, &[&program()]].concat().join("\n");
        self.folder.join(&sha256(key.as_bytes())[..32])
    }
}

/// What the system says of the program that runs: another build may compute otherwise.
fn program() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let file = std::env::current_exe().and_then(|path| path.metadata());
    let since = |time: io::Result<std::time::SystemTime>| {
        time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_nanos())
    };
    file.map_or_else(|_| version.into(), |data| format!("{version} {} {}", data.len(), since(data.modified())))
}

/// SHA-256 of a file, which is not read again as long as the system says that it is the same: path, length, time of change.
pub fn file_digest(path: &Path, cache: Option<&Path>) -> io::Result<String> {
    let data = path.metadata()?;
    let changed = data.modified()?.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let state = format!("{}\n{}\n{changed}\n", path.canonicalize()?.display(), data.len());
    let note = cache.map(|cache| cache.join("digests").join(&sha256(state.as_bytes())[..32]));
    let known = note.as_deref().and_then(|note| std::fs::read_to_string(note).ok());
    if let Some(known) = known.filter(|known| known.len() == 64 && known.bytes().all(|byte| byte.is_ascii_hexdigit())) {
        return Ok(known);
    }
    let found = file_sha256(path)?;
    if let Some(note) = &note {
        let keep = || -> io::Result<()> {
            let folder = note.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder)?;
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            file.write_all(found.as_bytes())?;
            file.persist(note).map_err(|error| error.error)?;
            Ok(())
        };
        if let Err(error) = keep() {
            tracing::debug!("the digest of {} cannot be kept: {error}", path.display());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass() -> Pass {
        Pass { ends: vec![1, 3], nats: vec![0.5, 2.0], entropy: vec![0.25, 1.0], evidence: vec![0.0, -0.5], cache: 9 }
    }

    #[test]
    fn a_pass_comes_back_under_its_key_and_under_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        store.put(&["model", "text"], &pass()).unwrap();
        assert_eq!(store.get(&["model", "text"]), Some(pass()));
        assert_eq!(store.get(&["model", "other"]), None);
    }

    #[test]
    fn a_damaged_file_is_no_pass() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        store.put(&["key"], &pass()).unwrap();
        let path = store.path(&["key"]);
        let whole = std::fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            std::fs::write(&path, &bytes).unwrap();
            // The header has no digest: its numbers may be others, the figures not.
            let is_whole = |found: Pass| Pass { cache: 9, ..found } == pass();
            assert!(store.get(&["key"]).is_none_or(is_whole), "byte {at}");
            std::fs::write(&path, &whole[..at]).unwrap();
            assert_eq!(store.get(&["key"]), None, "{at} bytes");
        }
    }

    #[test]
    fn a_digest_is_that_of_the_file_after_it_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model");
        std::fs::write(&file, "one").unwrap();
        for _ in 0..2 {
            assert_eq!(file_digest(&file, Some(folder.path())).unwrap(), sha256(b"one"));
        }
        std::fs::write(&file, "three").unwrap();
        assert_eq!(file_digest(&file, Some(folder.path())).unwrap(), sha256(b"three"));
    }
}
