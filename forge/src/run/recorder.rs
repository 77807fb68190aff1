//! What a running stage says, in its files and to the observer.

use super::observer::{Event, Observer};
use crate::bench::{Failure, Watch};
use crate::store::Scratch;
use std::cell::RefCell;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

/// The log and the history of a stage.
pub(super) struct Recorder<'a> {
    log: Lines,
    history: Lines,
    stage: &'a str,
    observer: &'a dyn Observer,
}

impl<'a> Recorder<'a> {
    pub(super) fn new(scratch: &Scratch, stage: &'a str, observer: &'a dyn Observer) -> Result<Self, Failure> {
        Ok(Self { log: Lines::new(scratch.log())?, history: Lines::new(scratch.history())?, stage, observer })
    }

    /// Has all of it on the disk. The error is the first one of any line.
    pub(super) fn close(self) -> Result<(), Failure> {
        self.log.close().and(self.history.close())
    }
}

impl Watch for Recorder<'_> {
    fn progress(&self, done: u64, total: u64, unit: &str) {
        self.observer.event(self.stage, Event::Progress { done, total, unit });
    }

    fn history(&self, line: serde_json::Value) {
        self.history.write(&line.to_string());
    }

    fn log(&self, line: &str) {
        self.log.write(line);
        self.observer.event(self.stage, Event::Line(line));
    }

    fn cancelled(&self) -> bool {
        self.observer.cancelled()
    }
}

/// A file that grows by lines. Child processes write to the log too, so each line is one write at the end.
struct Lines {
    path: PathBuf,
    file: File,
    error: RefCell<Option<Failure>>,
}

impl Lines {
    fn new(path: PathBuf) -> Result<Self, Failure> {
        let file = File::options().create(true).append(true).open(&path);
        let file = file.map_err(|error| Failure::write(&path, &error))?;
        Ok(Self { path, file, error: RefCell::new(None) })
    }

    fn write(&self, line: &str) {
        if let Err(error) = (&self.file).write_all(format!("{line}\n").as_bytes()) {
            self.error.borrow_mut().get_or_insert_with(|| Failure::write(&self.path, &error));
        }
    }

    fn close(self) -> Result<(), Failure> {
        let path: &Path = &self.path;
        self.error.into_inner().map_or(Ok(()), Err)?;
        self.file.sync_all().map_err(|error| Failure::write(path, &error))
    }
}
