//! Writing results, item by item.

use super::read::{self, Lines};
use super::{Header, Item, Ratio, ResultsError};
use serde::Serialize;
use serde_json::Value;
use std::collections::HashSet;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A file of results that grows by one line an item.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    /// Locked as long as it is open.
    file: File,
    /// Bytes of whole lines.
    length: u64,
    header: Header,
    items: Vec<Item>,
    done: HashSet<String>,
}

/// How long a lock is waited for.
const PATIENCE: Duration = Duration::from_millis(500);

/// Locks a file; false where another process keeps it. A process that is being started has a copy of all open files for a moment, and
/// with them the lock of one that was just closed, so that it is tried for a while.
fn lock(file: &File) -> bool {
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            Err(TryLockError::WouldBlock) => return false,
            // Some network file systems know no locks; then nothing guards against a second writer.
            Err(TryLockError::Error(_)) | Ok(()) => return true,
        }
    }
}

impl Writer {
    /// Opens a file for the run that the header describes: a new one, or one that such a run left behind, whose whole lines
    /// stay and whose torn last line is cut. A file of another run is refused with what differs, and left as it is.
    pub fn open(path: &Path, header: Header) -> Result<Self, ResultsError> {
        let unopened = |error| ResultsError::Unopened { path: path.into(), error };
        if std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(ResultsError::NoFile(path.into()));
        }
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(unopened)?;
        if !lock(&file) {
            return Err(ResultsError::InUse(path.into()));
        }
        let mut writer = Self { path: path.into(), file, length: 0, header, items: Vec::new(), done: HashSet::new() };
        let ended = writer.take_up()?;
        let prepare = |writer: &mut Self| {
            writer.file.set_len(writer.length)?;
            writer.file.seek(SeekFrom::End(0))?;
            if writer.length == 0 {
                let line = line(&writer.header)?;
                writer.put(&line)
            } else if !ended {
                writer.put(b"\n")
            } else {
                Ok(())
            }
        };
        prepare(&mut writer).map_err(unopened)?;
        Ok(writer)
    }

    /// Reads what stands there; says whether the last whole line has its end.
    fn take_up(&mut self) -> Result<bool, ResultsError> {
        let path = self.path.clone();
        let handle = self.file.try_clone().map_err(|error| ResultsError::Unopened { path: path.clone(), error })?;
        let mut lines = Lines::of(&path, handle);
        let Some(first) = lines.next()? else {
            let torn = lines.torn.take().unwrap_or_default();
            let ours = line(&self.header).is_ok_and(|line| line.starts_with(&torn));
            return if ours { Ok(true) } else { Err(lines.bad("it is no header of results")) };
        };
        let differences = differences(&first, &as_read(&self.header));
        read::header(&lines, first)?;
        if !differences.is_empty() {
            return Err(ResultsError::OtherRun { path, differences });
        }
        while let Some(value) = lines.next()? {
            let item = read::item(&lines, value, &self.header)?;
            if !self.done.insert(item.id.clone()) {
                return Err(lines.bad(format!("item `{}` stands there twice", item.id)));
            }
            self.items.push(item);
        }
        self.length = lines.whole;
        Ok(lines.ended)
    }

    /// Whether the item with this name stands there.
    pub fn is_done(&self, id: &str) -> bool {
        self.done.contains(id)
    }

    /// The items that stand there, in the order in which they were written.
    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Adds an item's line. Where that fails, on a full disk for example, the file ends after the line before.
    ///
    /// Nats that are not finite cannot stand in JSON, and a figure of nothing is none: such an item is kept as one that could not
    /// be judged.
    pub fn append(&mut self, mut item: Item) -> Result<(), ResultsError> {
        if let Some(nats) = item.nats.filter(|nats| !nats.is_finite()) {
            item.nats = None;
            item.error.get_or_insert_with(|| format!("its negative log-likelihood is {nats}"));
        }
        if let Some((name, Ratio { sum, of })) = item.figures.iter().find(|(_, ratio)| !ratio.is_sound()) {
            item.error.get_or_insert_with(|| format!("its figure `{name}` is {sum} of {of}"));
            item.figures.retain(|_, ratio| ratio.is_sound());
        }
        item.seconds = item.seconds.filter(|seconds| seconds.is_finite());
        if self.is_done(&item.id) {
            return Err(ResultsError::Twice { path: self.path.clone(), id: item.id });
        }
        let written = line(&item).and_then(|line| self.put(&line));
        if let Err(error) = written {
            return Err(ResultsError::Unwritable { path: self.path.clone(), id: item.id, error });
        }
        self.done.insert(item.id.clone());
        self.items.push(item);
        Ok(())
    }

    /// Writes whole lines or nothing. The file has no buffer, so what is written has left the process.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let written = self.file.write_all(bytes).and_then(|()| self.file.flush());
        match written {
            Ok(()) => self.length += bytes.len() as u64,
            // If this fails too, the next run cuts the torn line.
            Err(_) => {
                let _ = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::End(0)));
            }
        }
        written
    }
}

/// A value as one line of JSON, with its end.
fn line(value: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = serde_json::to_vec(value)?;
    line.push(b'\n');
    Ok(line)
}

/// A header as it is after a trip through a file, where floats may lose their last bit.
fn as_read(header: &Header) -> Value {
    line(header).ok().and_then(|line| serde_json::from_slice(&line).ok()).unwrap_or_default()
}

/// Where two headers differ, in words, with the values of those that are short.
fn differences(file: &Value, run: &Value) -> Vec<String> {
    let mut found = Vec::new();
    differ("", file, run, &mut found);
    found
}

fn differ(place: &str, file: &Value, run: &Value, found: &mut Vec<String>) {
    match (file, run) {
        (Value::Object(file), Value::Object(run)) => {
            let keys = file.keys().chain(run.keys().filter(|&key| !file.contains_key(key)));
            for key in keys {
                let place = if place.is_empty() { key.clone() } else { format!("{place}.{key}") };
                let value = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                differ(&place, &value(file), &value(run), found);
            }
        }
        (Value::Array(file), Value::Array(run)) if file.len() == run.len() => {
            for (number, (file, run)) in file.iter().zip(run).enumerate() {
                differ(&format!("{place}[{number}]"), file, run, found);
            }
        }
        _ if file == run => {}
        _ => found.push(format!("its `{place}` is {}, now it is {}", short(file), short(run))),
    }
}

/// A value in a sentence: hashes and prompts are cut.
fn short(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(40) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
