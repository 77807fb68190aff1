//! Which files have come through a trial: a note for each in the cache folder.
//!
//! A note has what the system says of the file (device, inode, size, times of change) and of the program, so that nobody
//! waits for a hash of gigabytes, and another build or a changed file is tried again. Files that failed have no note: the
//! cause may have been a full machine.

use super::Trial;
use crate::cli::args::TryArgs;
use std::{
    hash::{DefaultHasher, Hash, Hasher},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// The note of a file: where it is, and what it has to say.
pub struct Note {
    path: PathBuf,
    content: String,
}

impl Note {
    /// `None` without a folder, and where a file is not there.
    pub fn of(trial: &Trial, cache: Option<&Path>) -> Option<Self> {
        let TryArgs { file, vocabulary, n_gpu_layers, beside, .. } = &trial.args;
        let mut content = format!("{} {vocabulary} {beside} {}\n", env!("CARGO_PKG_VERSION"), *n_gpu_layers != 0);
        for file in std::iter::once(&std::env::current_exe().ok()?).chain(&trial.files) {
            let data = std::fs::metadata(file).ok()?;
            let times = [data.mtime(), data.mtime_nsec(), data.ctime(), data.ctime_nsec()];
            content += &format!("{} {} {} {times:?}\n", data.dev(), data.ino(), data.len());
        }
        let mut hasher = DefaultHasher::new();
        (file.canonicalize().ok()?, vocabulary, beside).hash(&mut hasher);
        Some(Self { path: cache?.join("tried").join(format!("{:016x}", hasher.finish())), content })
    }

    /// Whether it is there. A damaged one is not.
    pub fn is_there(&self) -> bool {
        std::fs::read(&self.path).is_ok_and(|content| content == self.content.as_bytes())
    }

    /// Writes it, so that readers see the whole or nothing. Where that fails, the next start tries again.
    pub fn write(&self) {
        if let Err(error) = self.try_write() {
            tracing::debug!("that a model came through cannot be kept in {}: {error}", self.path.display());
        }
    }

    fn try_write(&self) -> io::Result<()> {
        let folder = self.path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(folder)?;
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(self.content.as_bytes())?;
        file.persist(&self.path).map_err(|error| error.error)?;
        Ok(())
    }
}
