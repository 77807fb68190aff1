//! What reading ahead brings: replies with a drafter and without one, in turn.

use super::{Scope, median};
use crate::engine::Engine;
use crate::error::Error;
use crate::events::Event;
use crate::settings::{DraftBy, Drafting, Prompt};
use serde::Serialize;
use std::sync::Arc;
use std::time::Instant;

/// Beginnings of texts, for replies that differ.
pub(super) const OPENINGS: [&str; 5] = [
    "Once upon a time there was",
    "One day, a little girl named Lily",
    "Tom and his dog went to the park.",
    "The sun was warm, and the old man",
    "Mia did not want to go to bed, so",
];

/// Replies and their units: for who asks for drafts, and in passing.
const ALL: (usize, u32) = (20, 200);
const SHORT: (usize, u32) = (4, 48);

/// Replies with a drafter against the same replies with none.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DraftsBench {
    /// Replies of each kind.
    pub replies: usize,
    /// Units of each reply at most.
    pub units: u32,
    /// `off` first: the plain loop, one token of each member after the other.
    pub ways: Vec<DraftBench>,
}

/// Replies with one drafter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DraftBench {
    /// Who proposes.
    pub who: String,
    /// Median over the replies of the time of a unit behind the first.
    pub milliseconds: f64,
    /// Median over the replies of the time of a unit, in relation to that in the same reply with `off`.
    pub ratio: f64,
    /// Median of the milliseconds until the first unit.
    pub first: f64,
    /// Units that stand after each time that all members decode.
    pub units_per_round: f64,
    /// Units that were proposed, in relation to those that were written.
    pub proposed: f64,
    /// Share of the proposed units that were written; `None` where nothing was proposed.
    pub kept: Option<f64>,
    /// Batches that each model decoded, in relation to the units.
    pub batches: Vec<f64>,
}

impl Engine {
    /// Compares `off` with another way to draft, under the schedule in force.
    pub(super) fn bench_drafts(&mut self, scope: &Scope, own: Drafting) -> Result<DraftsBench, Error> {
        let (replies, units) = if scope.drafts { ALL } else { SHORT };
        let off = Drafting { by: DraftBy::Off, ..own };
        let mut ways = vec![(off, Tally::default())];
        if own.by != DraftBy::Off {
            ways.push((own, Tally::default()));
        }
        self.set_n_predict(units);
        let mut outcome = Ok(());
        for reply in 0..replies {
            let prompt = Prompt::Text(OPENINGS[reply % OPENINGS.len()].into());
            self.set_seed(reply as u64);
            // They take turns at being first.
            ways.rotate_left(reply % 2);
            for (draft, tally) in &mut ways {
                self.set_draft(*draft);
                outcome = outcome.and_then(|()| self.write_drafted(&prompt, tally));
            }
            ways.rotate_right(reply % 2);
        }
        self.set_draft(off);
        outcome?;
        let plain = ways[0].1.times.clone();
        let ways = ways.into_iter().map(|(draft, tally)| tally.figures(self.drafter_name(draft), &plain)).collect();
        Ok(DraftsBench { replies, units, ways })
    }

    fn write_drafted(&mut self, prompt: &Prompt, tally: &mut Tally) -> Result<(), Error> {
        self.forget_prompt()?;
        let before = self.decoder().scheduler.ensemble.batches();
        let (mut first, mut last, mut count) = (None, Instant::now(), 0u32);
        let start = Instant::now();
        let reply = self.reply(prompt, &Arc::default(), &mut |event| {
            if let Event::Token { .. } = event {
                last = Instant::now();
                first.get_or_insert(last);
                count += 1;
            }
        })?;
        let after = self.decoder().scheduler.ensemble.batches();
        let first = first.unwrap_or(last);
        let milliseconds = last.duration_since(first).as_secs_f64() * 1e3;
        // A reply of one unit says nothing.
        tally.times.push((count > 1).then(|| milliseconds / f64::from(count - 1)));
        tally.first.push(first.duration_since(start).as_secs_f64() * 1e3);
        tally.units += u64::from(count);
        tally.rounds += u64::from(reply.drafts.rounds);
        tally.proposed += u64::from(reply.drafts.proposed);
        tally.kept += u64::from(reply.drafts.kept);
        tally.batches.resize(after.len(), 0);
        for (sum, (before, after)) in tally.batches.iter_mut().zip(before.iter().zip(after)) {
            *sum += after - before;
        }
        Ok(())
    }

    /// Reads something else, so that the next prompt is read whole.
    fn forget_prompt(&mut self) -> Result<(), Error> {
        let failed = |error: crate::member::MemberError| Error::Failure(error.to_string());
        let other = Prompt::Text("and then".into());
        self.decoder().reading().map_err(failed)?.prime(&other).map(drop).map_err(failed)
    }

    fn drafter_name(&self, draft: Drafting) -> String {
        let mut name = match draft.by {
            DraftBy::Off => return "off".into(),
            DraftBy::Auto => "auto".into(),
            DraftBy::Ngram => "ngram".into(),
            DraftBy::Member(member) => self.members().get(member).map(|member| member.name.clone()).unwrap_or_default(),
            DraftBy::Model => {
                let path = self.settings().draft_model.as_ref().map(|model| model.path.as_path());
                path.and_then(|path| path.file_stem()).unwrap_or_default().to_string_lossy().into_owned()
            }
        };
        if let Some(length) = draft.length {
            name += &format!(":length={length}");
        }
        if let Some(rate) = draft.pretend {
            name += &format!(", accepted at {rate}");
        }
        name
    }
}

/// What was counted of one drafter's replies.
#[derive(Debug, Default)]
struct Tally {
    /// Milliseconds of a unit, of each reply.
    times: Vec<Option<f64>>,
    first: Vec<f64>,
    units: u64,
    rounds: u64,
    proposed: u64,
    kept: u64,
    batches: Vec<u64>,
}

impl Tally {
    fn figures(self, who: String, plain: &[Option<f64>]) -> DraftBench {
        let per_unit = |count: u64| count as f64 / self.units.max(1) as f64;
        let ratios: Vec<f64> =
            self.times.iter().zip(plain).filter_map(|(own, plain)| Some((*own)? / (*plain)?)).collect();
        DraftBench {
            who,
            milliseconds: median(&self.times.iter().flatten().copied().collect::<Vec<_>>()),
            ratio: median(&ratios),
            first: median(&self.first),
            units_per_round: self.units as f64 / self.rounds.max(1) as f64,
            proposed: per_unit(self.proposed),
            kept: (self.proposed > 0).then(|| self.kept as f64 / self.proposed as f64),
            batches: self.batches.iter().map(|&batches| per_unit(batches)).collect(),
        }
    }
}
