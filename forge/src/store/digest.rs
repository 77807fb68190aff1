//! Digests of files, kept between runs.

use super::json::write_whole;
use crate::bench::{Failure, Watch};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs::{File, Metadata};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The cache's file in the store.
const FILE: &str = "digests.json";

/// Bytes that are read at a time.
const BUFFER: usize = 1 << 20;

/// Bytes after which progress is told.
const TOLD: u64 = 32 << 20;

/// A file that changed this shortly before it was hashed may change again within the same tick of the file system's clock,
/// unseen; its digest is not kept.
const SETTLED: Duration = Duration::from_secs(2);

/// What a file looks like from outside. Another file has another inode, and a changed one other times.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Look {
    size: u64,
    modified: u128,
    changed: i128,
    inode: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    look: Look,
    sha256: String,
}

/// Digests of files with what the files looked like.
#[derive(Debug, Default)]
pub(super) struct Digests {
    file: PathBuf,
    kept: BTreeMap<PathBuf, Kept>,
    is_new: bool,
}

impl Digests {
    /// Reads the cache of a store. One that cannot be read is as none.
    pub(super) fn open(root: &Path) -> Self {
        let file = root.join(FILE);
        let kept = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        Self { file, kept, is_new: false }
    }

    /// The digest of a file.
    pub(super) fn file(&mut self, path: &Path, watch: &dyn Watch) -> Result<String, Failure> {
        let read = |error| Failure::read(path, &error);
        let metadata = std::fs::metadata(path).map_err(read)?;
        if !metadata.is_file() {
            return Err(Failure::new(format!("`{}` is no file", path.display())));
        }
        let look = look(&metadata);
        if let Some(kept) = self.kept.get(path).filter(|kept| kept.look == look) {
            return Ok(kept.sha256.clone());
        }
        let sha256 = hash_file(path, metadata.len(), watch)?;
        let is_settled = metadata.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
        if is_settled.is_some_and(|age| age > SETTLED) || metadata.permissions().readonly() {
            self.kept.insert(path.into(), Kept { look, sha256: sha256.clone() });
            self.is_new = true;
        }
        Ok(sha256)
    }

    /// A folder has a new name, and its files are what they were.
    pub(super) fn moved(&mut self, from: &Path, to: &Path) {
        let old: Vec<PathBuf> = self.kept.keys().filter(|path| path.starts_with(from)).cloned().collect();
        for path in old {
            if let (Some(kept), Ok(rest)) = (self.kept.remove(&path), path.strip_prefix(from)) {
                self.kept.insert(to.join(rest), kept);
            }
        }
    }

    /// Writes the cache, without files that are gone.
    pub(super) fn save(&mut self) {
        if !self.is_new || self.file.as_os_str().is_empty() {
            return;
        }
        self.kept.retain(|path, _| path.exists());
        let written = serde_json::to_vec(&self.kept).ok().map(|bytes| write_whole(&self.file, &bytes));
        self.is_new = !matches!(written, Some(Ok(())));
    }
}

#[cfg(unix)]
fn look(metadata: &Metadata) -> Look {
    use std::os::unix::fs::MetadataExt;
    Look {
        changed: i128::from(metadata.ctime()) * 1_000_000_000 + i128::from(metadata.ctime_nsec()),
        inode: metadata.ino(),
        ..plain_look(metadata)
    }
}

#[cfg(not(unix))]
fn look(metadata: &Metadata) -> Look {
    plain_look(metadata)
}

fn plain_look(metadata: &Metadata) -> Look {
    let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
    Look { size: metadata.len(), modified: modified.unwrap_or_default().as_nanos(), changed: 0, inode: 0 }
}

/// Reads a file and gives its SHA-256 in hexadecimal. Large files take minutes, so they tell how far they are and can be ended.
fn hash_file(path: &Path, size: u64, watch: &dyn Watch) -> Result<String, Failure> {
    let read = |error| Failure::read(path, &error);
    let mut file = File::open(path).map_err(read)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; BUFFER];
    let (mut done, mut told) = (0, 0);
    loop {
        let length = match file.read(&mut buffer) {
            Ok(0) => return Ok(hex(&hash.finalize())),
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(read(error)),
        };
        hash.update(buffer.get(..length).unwrap_or_default());
        done += length as u64;
        if done - told >= TOLD {
            told = done;
            watch.progress(done, size, "bytes hashed");
            if watch.cancelled() {
                return Err(Failure::Cancelled);
            }
        }
    }
}

/// SHA-256 of bytes, in hexadecimal.
pub(super) fn hash(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// The digest of a folder by its files' names and digests: that of the text that `sha256sum` writes of them.
pub(super) fn hash_list(files: &[(String, String)]) -> String {
    let mut text = String::new();
    for (name, sha256) in files {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{sha256}  {name}");
    }
    hash(text.as_bytes())
}

/// Folders that other programs keep beside and whose files change nothing.
pub(super) fn is_left_out(name: &str) -> bool {
    matches!(name, ".git" | ".cache" | "__pycache__")
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
