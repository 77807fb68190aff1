//! The memory log: one JSON line for each reply.
//!
//! Several processes may write to one file. A line is written while the file is locked, by one write to a file opened
//! for appending, so lines never mix. A crash in the middle of a line leaves a line without its newline; whoever
//! writes next repairs that first. The file is opened anew for each line, so that it can be moved away at any time.

mod hash;
mod record;

pub use hash::{ModelHashes, file_sha256, sha256};
pub use record::{ModelRecord, Record, Session};

use crate::files;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// Why the log cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum MemoryError {
    /// The path is a folder.
    #[error("`{0}` is a folder; give `--memory-file` a file, or `none` for no log")]
    Folder(PathBuf),
    /// The folder of the file is missing.
    #[error(
        "`{0}` cannot be written because its folder does not exist; create it, give `--memory-file` another file, or `none` for no log"
    )]
    FolderMissing(PathBuf),
    /// A pipe or a socket, which keeps nothing.
    #[error("`{path}` is {what}; give `--memory-file` a file, or `none` for no log")]
    Special {
        /// The log.
        path: PathBuf,
        /// In words.
        what: &'static str,
    },
    /// Anything else, a full disk for example.
    #[error("`{path}` cannot be written ({error}); give `--memory-file` another file, or `none` for no log")]
    Failed {
        /// The log, or the file its torn line goes to.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The record is no JSON.
    #[error("the reply cannot be written to the log as JSON: {0}")]
    Record(serde_json::Error),
}

/// The log of one process.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    notice: Option<String>,
}

impl Memory {
    /// Makes sure that the log can be written, and repairs a torn last line. Meant to be called before the first token. A
    /// missing file is created with its first line.
    pub fn open(path: &Path) -> Result<Self, MemoryError> {
        let mut memory = Self { path: path.to_path_buf(), notice: None };
        match std::fs::metadata(path) {
            Ok(_) => drop(memory.lock_and_repair()?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => memory.try_folder()?,
            // A name that is too long, a loop of links.
            Err(error) => return Err(memory.failed(error)),
        }
        Ok(memory)
    }

    /// Appends a record as one line. When that fails, the file is as before and the record is lost to the log: the
    /// caller says so and goes on.
    pub fn append(&mut self, record: &Record) -> Result<(), MemoryError> {
        let mut line = serde_json::to_vec(record).map_err(MemoryError::Record)?;
        line.push(b'\n');
        let mut file = self.lock_and_repair()?;
        let before = file.metadata().map_err(|error| self.failed(error))?.len();
        file.write_all(&line).map_err(|error| {
            // Half a line on a full disk: cut it off again. Should that fail too, the next start repairs it.
            let _ = file.set_len(before);
            self.failed(error)
        })
    }

    /// One sentence on a line that was repaired since the last call.
    pub fn take_notice(&mut self) -> Option<String> {
        self.notice.take()
    }

    /// The file, locked until it is dropped, with a whole last line.
    fn lock_and_repair(&mut self) -> Result<File, MemoryError> {
        let mut file = self.open_file()?;
        match file.lock() {
            // Some network file systems know no locks; a single append is the best there is.
            Err(error) if error.kind() != io::ErrorKind::Unsupported => return Err(self.failed(error)),
            _ => {}
        }
        let tail = unfinished_line(&mut file).map_err(|error| self.failed(error))?;
        if !tail.is_empty() {
            self.repair(&mut file, &tail)?;
        }
        Ok(file)
    }

    fn open_file(&self) -> Result<File, MemoryError> {
        if let Ok(metadata) = std::fs::metadata(&self.path) {
            if metadata.is_dir() {
                return Err(MemoryError::Folder(self.path.clone()));
            }
            // Opening one would wait for the other end. A device such as `/dev/null` takes what it is given.
            if let Some(what) = files::special(&metadata).filter(|what| *what != files::DEVICE) {
                return Err(MemoryError::Special { path: self.path.clone(), what });
            }
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(&self.path);
        file.map_err(|error| self.not_opened(error, &behind_links(&self.path)))
    }

    /// What can be created in the folder of a file that is not there yet can be created as that file, and leaves no empty log
    /// when loading fails.
    fn try_folder(&self) -> Result<(), MemoryError> {
        if self.path.as_os_str().to_string_lossy().ends_with(std::path::MAIN_SEPARATOR) {
            return Err(MemoryError::Folder(self.path.clone()));
        }
        let path = behind_links(&self.path);
        tempfile::tempfile_in(folder(&path)).map_err(|error| self.not_opened(error, &path))?;
        Ok(())
    }

    fn not_opened(&self, error: io::Error, path: &Path) -> MemoryError {
        if folder(path).exists() { self.failed(error) } else { MemoryError::FolderMissing(path.into()) }
    }

    /// Gives a last line its newline when it is whole, and moves it to `<file>.torn` when it is not.
    fn repair(&mut self, file: &mut File, tail: &[u8]) -> Result<(), MemoryError> {
        let path = self.path.display();
        if serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(tail).is_ok() {
            file.write_all(b"\n").map_err(|error| self.failed(error))?;
            self.notice = Some(format!("the last line of `{path}` had no end; nothing is lost"));
            return Ok(());
        }
        let torn = PathBuf::from({
            let mut name = self.path.clone().into_os_string();
            name.push(".torn");
            name
        });
        // The order matters: a second crash in between leaves the tail in both files, never in none.
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(&torn)
            .and_then(|mut file| file.write_all(&[tail, b"\n"].concat()).and_then(|()| file.sync_all()))
            .map_err(|error| MemoryError::Failed { path: torn.clone(), error })?;
        file.metadata()
            .and_then(|metadata| file.set_len(metadata.len().saturating_sub(tail.len() as u64)))
            .map_err(|error| self.failed(error))?;
        self.notice = Some(format!(
            "the last line of `{path}` was cut off by a crash; its {} bytes are now in `{}`",
            tail.len(),
            torn.display()
        ));
        Ok(())
    }

    fn failed(&self, error: io::Error) -> MemoryError {
        MemoryError::Failed { path: self.path.clone(), error }
    }
}

/// The file that a name leads to, there or not.
fn behind_links(path: &Path) -> PathBuf {
    // As many as Linux follows.
    const MOST_LINKS: usize = 40;
    let mut end = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        let Ok(target) = std::fs::read_link(&end) else { break };
        end = folder(&end).join(target);
    }
    end
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What stands behind the last newline. Empty for a whole file, and for what is no regular file.
fn unfinished_line(file: &mut File) -> io::Result<Vec<u8>> {
    const CHUNK: u64 = 64 * 1024;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Ok(Vec::new());
    }
    let mut start = metadata.len();
    let mut tail = Vec::new();
    // From the end backwards: the log may be long, its last line is not.
    while start > 0 {
        let end = start;
        start = end.saturating_sub(if tail.is_empty() { 1 } else { CHUNK });
        let mut chunk = vec![0; (end - start) as usize];
        file.seek(SeekFrom::Start(start))?;
        file.read_exact(&mut chunk)?;
        let newline = chunk.iter().rposition(|&byte| byte == b'\n');
        let rest = chunk.split_off(newline.map_or(0, |newline| newline + 1));
        tail = [rest, tail].concat();
        if newline.is_some() {
            break;
        }
    }
    Ok(tail)
}
