//! Reading a trace.

use super::{Line, Reply};
use crate::files::{self, FileError};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The version of the format that is written and read.
const FORMAT: u32 = 1;

/// The longest row that is taken for one: sixteen times the largest vocabulary there is.
const MOST_UNITS: u32 = 1 << 22;

/// No line has so many bytes: the longest ones name ten units a member.
const LONGEST_LINE: u64 = (16 << 20) + 1;

/// Why a file cannot be replayed.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences name the fields")]
pub enum TraceError {
    /// It is no file that can be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The system refuses.
    #[error("the trace `{}` cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    /// Something else.
    #[error("`{}` is no trace: line {line} is not a line of one ({why}); record one with `--trace FILE`", path.display())]
    NoTrace { path: PathBuf, line: usize, why: String },
    /// Of another version.
    #[error("`{}` is a trace of format {found}, this program reads format {FORMAT}; record it again", path.display())]
    Format { path: PathBuf, found: u32 },
    /// Nothing in it.
    #[error("`{}` holds no reply; record one with `--trace FILE`", .0.display())]
    Empty(PathBuf),
}

/// A recorded run.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Its lines, without the names.
    pub lines: Vec<Line>,
    /// Texts of units.
    pub names: HashMap<u32, String>,
}

/// Reads a file. A last line that was cut off, by a crash or because the run goes on, is left out.
pub fn read(path: &Path) -> Result<Trace, TraceError> {
    let unreadable = |error| TraceError::Unreadable { path: path.into(), error };
    let mut file = BufReader::new(files::open(path)?);
    let mut trace = Trace { lines: Vec::new(), names: HashMap::new() };
    let mut bytes = Vec::new();
    // Of the reply that the lines belong to.
    let mut members = 0;
    for number in 1.. {
        bytes.clear();
        if file.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes).map_err(unreadable)? == 0 {
            break;
        }
        let no_trace = |why| Err(TraceError::NoTrace { path: path.into(), line: number, why });
        if bytes.len() as u64 == LONGEST_LINE {
            return no_trace(format!("it has more than {}", files::size(LONGEST_LINE - 1)));
        }
        let line = match serde_json::from_slice(&bytes) {
            Ok(line) => line,
            Err(_) if !bytes.ends_with(b"\n") && !trace.lines.is_empty() => break,
            Err(error) => {
                return match format(&bytes) {
                    Some(found) if found != FORMAT => Err(TraceError::Format { path: path.into(), found }),
                    _ => no_trace(error.to_string()),
                };
            }
        };
        match line {
            Line::Names(names) => trace.names.extend(names),
            Line::Reply(reply) if reply.trace != FORMAT => {
                return Err(TraceError::Format { path: path.into(), found: reply.trace });
            }
            line if trace.lines.is_empty() && !matches!(line, Line::Reply(_)) => {
                return no_trace("a trace begins with a reply".into());
            }
            line => {
                if let Line::Reply(reply) = &line {
                    members = reply.members.len();
                }
                if !fits(&line, members) {
                    return no_trace("it does not fit the members of its reply".into());
                }
                trace.lines.push(line);
            }
        }
    }
    if trace.lines.is_empty() {
        return Err(TraceError::Empty(path.into()));
    }
    Ok(trace)
}

/// Hooks are given as many rows and probabilities as there are members, and believe it.
fn fits(line: &Line, members: usize) -> bool {
    match line {
        Line::Reply(Reply { members, units, .. }) => !members.is_empty() && (1..=MOST_UNITS).contains(units),
        Line::Logits(logits) => logits.rows.len() == members,
        Line::Token(candidate) => candidate.members.len() == members,
        Line::Names(_) | Line::Assessment(_) | Line::Retract(_) => true,
    }
}

/// The format of a first line that has other fields than those of today.
fn format(line: &[u8]) -> Option<u32> {
    let line: serde_json::Value = serde_json::from_slice(line).ok()?;
    line["reply"]["trace"].as_u64()?.try_into().ok()
}
