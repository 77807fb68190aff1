//! SHA-256 of the model files, worked out while the reply is written.
//!
//! Hashing takes about a second for each gigabyte, so nobody waits for it: one thread in the background does one file
//! after the other, and a record that is written before it is done has no hash. A hash over a part of a file would be
//! quicker and would not say which file it was.

use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

/// SHA-256 of some bytes, in lower-case hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SHA-256 of a whole file, in lower-case hexadecimal.
pub fn file_sha256(path: &Path) -> io::Result<String> {
    hash(path, || true)
}

/// The hash, as long as `wanted` says so.
fn hash(path: &Path, wanted: impl Fn() -> bool) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 1 << 18];
    while wanted() {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            Ok(len) => hasher.update(&chunk[..len]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("nobody waits for the hash any more"))
}

/// The hashes of some files, as they become known.
#[derive(Debug)]
pub struct ModelHashes {
    known: Vec<Option<String>>,
    finished: Receiver<(usize, Option<String>)>,
    /// The thread gives up when this is gone.
    _wanted: Arc<()>,
}

impl ModelHashes {
    /// Starts hashing in the background. Dropping the answer ends it.
    pub fn start(paths: Vec<PathBuf>) -> Self {
        let (send, finished) = channel();
        let wanted = Arc::new(());
        let known = vec![None; paths.len()];
        let waiting: Weak<()> = Arc::downgrade(&wanted);
        // Without a thread the hashes stay unknown, as with a file that went away: the log says `null`.
        let _ = std::thread::Builder::new().name("hash".into()).spawn(move || {
            for (index, path) in paths.iter().enumerate() {
                let value = hash(path, || waiting.strong_count() > 0).ok();
                if send.send((index, value)).is_err() {
                    return;
                }
            }
        });
        Self { known, finished, _wanted: wanted }
    }

    /// The hashes in the order of the files, after waiting for them for at most `patience`. `None` where one is not
    /// known: not yet, or the file cannot be read.
    pub fn values(&mut self, patience: Duration) -> &[Option<String>] {
        let start = Instant::now();
        // The channel closes after the last file.
        while let Ok((index, value)) = self.finished.recv_timeout(patience.saturating_sub(start.elapsed())) {
            self.known[index] = value;
        }
        &self.known
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_that_of_the_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        let expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(file_sha256(&path).unwrap(), expected);

        let mut hashes = ModelHashes::start(vec![folder.path().join("missing"), path]);
        let values = hashes.values(Duration::from_secs(20)).to_vec();
        assert_eq!(values, [None, Some(expected.to_string())]);
        assert_eq!(hashes.values(Duration::ZERO), values);
    }

    #[test]
    fn an_unfinished_hash_is_not_waited_for() {
        let mut hashes = ModelHashes::start(vec![PathBuf::from("/dev/zero")]);
        assert_eq!(hashes.values(Duration::from_millis(5)), [None]);
    }
}
