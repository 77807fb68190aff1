//! Writing a trace.

use super::{Accepted, Answer, Candidate, Gone, Line, Logits, MOST_CANDIDATES, ReducedRow, Reply, UnitFigures};
use crate::files;
use crate::fuse;
use crate::hooks::chain::{Recorder, Seen};
use plugin_api::{Rows, Token};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// What a trace has to know beside the calls.
pub struct Source {
    /// Of every reply.
    pub reply: Reply,
    /// The bytes of a unit.
    pub bytes: Box<dyn Fn(u32) -> Vec<u8> + Send>,
}

/// A file that can be written.
pub struct NewTrace {
    path: PathBuf,
    file: File,
}

impl NewTrace {
    /// Opens it. What is in it stays until the recording begins: what comes in between may fail.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = files::create(path)?;
        Ok(Self { path: path.into(), file })
    }

    /// Begins. When the file cannot be written later, the recording ends with one sentence, and the text goes on.
    pub fn recorder(self, source: Source) -> io::Result<Recorder> {
        // A pipe or a device has no length.
        if self.file.metadata()?.is_file() {
            self.file.set_len(0)?;
        }
        let mut lines = Some(Lines { out: BufWriter::new(self.file), source, named: HashSet::new() });
        Ok(Box::new(move |seen| {
            let error = lines.as_mut()?.write(seen).err()?;
            lines = None;
            let shown = self.path.display();
            Some(format!("the trace `{shown}` cannot be written any more and ends here: {error}"))
        }))
    }
}

struct Lines {
    out: BufWriter<File>,
    source: Source,
    /// Units whose texts are in the file.
    named: HashSet<u32>,
}

impl Lines {
    fn write(&mut self, seen: &Seen) -> io::Result<()> {
        let Some(line) = line(seen, &self.source) else { return Ok(()) };
        // Where units are bytes, a piece is known by the candidate alone.
        let piece = if let Seen::Token(_, token, _) = seen { Some((token.unit, token.bytes)) } else { None };
        self.name_units(&line, piece)?;
        self.put(&line)?;
        // A trace is there to be read when something went wrong: after each unit it is whole.
        match line {
            Line::Assessment(_) | Line::Retract(_) => self.out.flush(),
            _ => Ok(()),
        }
    }

    /// The texts of units that no line named before.
    fn name_units(&mut self, line: &Line, piece: Option<(u32, &[u8])>) -> io::Result<()> {
        let named: Vec<u32> = match line {
            Line::Logits(logits) => logits
                .rows
                .iter()
                .chain([&logits.fused])
                .flat_map(|row| row.top.iter().map(|(unit, _)| *unit))
                .collect(),
            Line::Token(candidate) => vec![candidate.figures.unit],
            Line::Assessment(accepted) => vec![accepted.figures.unit],
            Line::Reply(_) | Line::Names(_) | Line::Retract(_) => return Ok(()),
        };
        let news: Vec<(u32, String)> = named
            .into_iter()
            .filter(|unit| self.named.insert(*unit))
            .map(|unit| match piece {
                Some((known, bytes)) if known == unit => (unit, String::from_utf8_lossy(bytes).into_owned()),
                _ => (unit, String::from_utf8_lossy(&(self.source.bytes)(unit)).into_owned()),
            })
            .collect();
        if news.is_empty() {
            return Ok(());
        }
        self.put(&Line::Names(news))
    }

    fn put(&mut self, line: &Line) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}

/// What is written of a call; of the choices for a piece nothing is.
pub(super) fn line(seen: &Seen, source: &Source) -> Option<Line> {
    Some(match seen {
        Seen::Choices(..) => return None,
        Seen::Start => Line::Reply(source.reply.clone()),
        Seen::Logits(step, rows, fused) => {
            Line::Logits(Logits { at: (*step).into(), rows: reduced_rows(rows), fused: reduced(fused) })
        }
        Seen::Token(step, token, merged) => Line::Token(Candidate {
            at: (*step).into(),
            figures: figures(token),
            bytes: if std::str::from_utf8(token.bytes).is_ok() { Vec::new() } else { token.bytes.to_vec() },
            is_end: token.is_end,
            members: token.member_probabilities.to_vec(),
            behind: token.behind,
            answer: Answer::of(merged),
        }),
        Seen::Assessment(step, assessment, merged) => Line::Assessment(Accepted {
            at: (*step).into(),
            figures: UnitFigures {
                unit: assessment.unit,
                probability: assessment.confidence,
                entropy: assessment.entropy,
                agreement: assessment.agreement,
                leader: assessment.leader,
            },
            answer: Answer::of(merged),
        }),
        Seen::Retract(step, retraction) => {
            Line::Retract(Gone { at: (*step).into(), units: retraction.units, policy: retraction.policy.to_string() })
        }
    })
}

fn figures(token: &Token) -> UnitFigures {
    UnitFigures {
        unit: token.unit,
        probability: token.probability,
        entropy: token.entropy,
        agreement: token.agreement,
        leader: token.leader,
    }
}

fn reduced_rows(rows: &Rows) -> Vec<ReducedRow> {
    rows.iter()
        .map(|row| ReducedRow {
            top: top(row.logits, row.log_sum_exp),
            entropy: row.entropy,
            log_sum_exp: row.log_sum_exp,
            evidence: row.evidence,
        })
        .collect()
}

fn reduced(scores: &[f32]) -> ReducedRow {
    let statistics = fuse::statistics(scores).unwrap_or_default();
    ReducedRow {
        top: top(scores, statistics.log_sum_exp),
        entropy: statistics.entropy,
        log_sum_exp: statistics.log_sum_exp,
        evidence: 0.0,
    }
}

/// Log-probabilities to four places: a ten-thousandth of a probability, and half the file.
fn top(scores: &[f32], log_sum_exp: f32) -> Vec<(u32, f32)> {
    let short = |score: f32| ((score - log_sum_exp) * 1e4).round() / 1e4;
    fuse::top(scores, MOST_CANDIDATES).into_iter().map(|(unit, score)| (unit, short(score))).collect()
}
