//! Reading results.

use super::{FORMAT, Header, Item, Results, ResultsError, lm_eval};
use serde_json::Value;
use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// The most bytes of a line: prompts with examples have some hundred thousand.
const LONGEST_LINE: u64 = 64 << 20;

/// Reads a file of results, of this project or of lm-eval's `--log_samples`. A last line that was cut off, by a crash or
/// because the run goes on, is left out and told.
pub fn read(path: &Path) -> Result<Results, ResultsError> {
    let mut lines = Lines::open(path)?;
    let Some(first) = lines.next()? else {
        return Err(match lines.torn {
            Some(_) => lines.bad("it is cut off"),
            None => ResultsError::Empty(path.into()),
        });
    };
    if lm_eval::is_sample(&first) {
        return lm_eval::read(path, first, lines);
    }
    let header = header(&lines, first)?;
    let mut items: Vec<Item> = Vec::new();
    let mut ids = HashSet::new();
    while let Some(line) = lines.next()? {
        let item = item(&lines, line, &header)?;
        if !ids.insert(item.id.clone()) {
            return Err(lines.bad(format!("item `{}` stands there twice", item.id)));
        }
        items.push(item);
    }
    if items.is_empty() {
        return Err(ResultsError::Empty(path.into()));
    }
    Ok(Results { path: path.into(), header, items, notes: lines.note().into_iter().collect() })
}

/// The header, if the value is one of this format.
pub(super) fn header(lines: &Lines, value: Value) -> Result<Header, ResultsError> {
    match value.get("results").map(|version| version.as_u64().unwrap_or(0)) {
        None => return Err(lines.bad("it is neither a header of results nor a sample of lm-eval's `--log_samples`")),
        Some(found) if found != u64::from(FORMAT) => {
            return Err(ResultsError::Format { path: lines.path.into(), found, expected: FORMAT });
        }
        Some(_) => {}
    }
    serde_json::from_value(value).map_err(|error| lines.bad(error))
}

/// An item that says what the header promises.
pub(super) fn item(lines: &Lines, value: Value, header: &Header) -> Result<Item, ResultsError> {
    let item: Item = serde_json::from_value(value).map_err(|error| lines.bad(error))?;
    match item.lack(header.measured) {
        Some(lack) => Err(lines.bad(lack)),
        None => Ok(item),
    }
}

/// The JSON values of a file, line by line.
pub(super) struct Lines<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// Number of the line that was read last, from 1.
    number: usize,
    /// Bytes of all whole lines, with their ends.
    pub(super) whole: u64,
    /// Whether the last whole line has its end.
    pub(super) ended: bool,
    /// Bytes of a last line that was cut off.
    pub(super) torn: Option<Vec<u8>>,
}

impl<'a> Lines<'a> {
    /// Opens a regular file: a pipe would wait for its writer, and a device gives bytes without end.
    pub(super) fn open(path: &'a Path) -> Result<Self, ResultsError> {
        let unreadable = |error| ResultsError::Unreadable { path: path.into(), error };
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(ResultsError::NoFile(path.into()));
        }
        Ok(Self::of(path, File::open(path).map_err(unreadable)?))
    }

    /// Reads an open file from where it stands.
    pub(super) fn of(path: &'a Path, file: File) -> Self {
        Self { path, file: BufReader::new(file), number: 0, whole: 0, ended: true, torn: None }
    }

    /// The next line's value; `None` after the last whole one. Empty lines are passed over.
    pub(super) fn next(&mut self) -> Result<Option<Value>, ResultsError> {
        loop {
            let mut bytes = Vec::new();
            let unreadable = |error| ResultsError::Unreadable { path: self.path.into(), error };
            self.file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(unreadable)?;
            if bytes.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            if bytes.len() as u64 == LONGEST_LINE {
                return Err(self.bad(format!("it has more than {} MiB", LONGEST_LINE >> 20)));
            }
            let ended = bytes.ends_with(b"\n");
            let value = match bytes.trim_ascii() {
                [] => None,
                line => match serde_json::from_slice(line) {
                    Ok(value) => Some(value),
                    Err(_) if !ended => {
                        self.torn = Some(bytes);
                        return Ok(None);
                    }
                    Err(error) => return Err(self.bad(error)),
                },
            };
            self.whole += bytes.len() as u64;
            self.ended = ended;
            if value.is_some() {
                return Ok(value);
            }
        }
    }

    /// The error that the line read last is no line of results.
    pub(super) fn bad(&self, why: impl ToString) -> ResultsError {
        ResultsError::Line { path: self.path.into(), line: self.number, why: why.to_string() }
    }

    /// What is to tell of the end of the file.
    pub(super) fn note(&self) -> Option<String> {
        self.torn.as_ref().map(|_| {
            format!(
                "line {} of `{}` is cut off, by a crash or because the run goes on; it is left out",
                self.number,
                self.path.display()
            )
        })
    }
}
