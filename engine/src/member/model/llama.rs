//! A model that llama.cpp runs: which texts it has read how far, and what goes into a batch.

use super::context::{Batch, Checkpoint, Context};
use super::{DecodeError, Model, Need, Output, Place, Places, Progress, Sequence, Tail, Work};
use crate::member::schedule::batch_cost;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

/// Least number of tokens between two checkpoints of a recurrent state. A rewind decodes as many again, in one batch.
const LEAST_DISTANCE: usize = 8;

/// Checkpoints that share the horizon between them; one is some 20 MB for a model of 3 billion parameters.
const CHECKPOINTS: usize = 4;

/// Tokens of a batch where several texts want something, so that nobody waits long for another's prompt.
const SHARED_BATCH: usize = 128;

/// Tokens of the largest batch whose cost is known by its size.
const LARGEST: usize = 16;

pub(crate) struct Llama {
    context: Context,
    lines: Vec<Line>,
    free: BTreeSet<usize>,
    given_up: Places,
    batch: Batch,
    /// Recurrent and hybrid models cannot be cut.
    recurrent: bool,
    /// Between checkpoints.
    distance: usize,
    /// By the sizes of the batches; `None` since one that was too large to say.
    spent: Option<f32>,
    /// Never set: a batch of several texts does not end for one of them.
    never: Arc<AtomicBool>,
}

/// One text.
#[derive(Default)]
struct Line {
    /// How many of its tokens are in the context.
    read: usize,
    /// Of a recurrent state: at the end of the prompt and every few tokens.
    checkpoints: Vec<(usize, Checkpoint)>,
}

/// What one need has in a batch.
struct Part {
    need: usize,
    line: usize,
    tokens: usize,
    tails: Range<usize>,
}

impl Llama {
    /// `horizon`: how many of the newest tokens may be taken back.
    pub fn new(context: Context, horizon: usize) -> Self {
        let recurrent = context.model().is_recurrent() || context.model().is_hybrid();
        let texts = context.shape().texts;
        Self {
            lines: (0..texts).map(|_| Line::default()).collect(),
            free: (0..texts).collect(),
            given_up: Places::default(),
            batch: Batch::default(),
            recurrent,
            distance: horizon.div_ceil(CHECKPOINTS).max(LEAST_DISTANCE),
            spent: Some(0.0),
            never: Arc::default(),
            context,
        }
    }

    fn take_back_places(&mut self) {
        let given_up = std::mem::take(&mut *self.given_up.lock().unwrap_or_else(PoisonError::into_inner));
        for line in given_up {
            self.forget(line);
            self.free.insert(line);
        }
    }

    /// Empties a text's place; where it is the only one, what was there is overwritten.
    fn forget(&mut self, line: usize) {
        self.lines[line] = Line::default();
        if self.lines.iter().all(|line| line.read == 0) {
            self.context.clear();
        } else {
            self.context.forget(line);
        }
    }

    /// Shortens a text to at most `len` tokens; what is missing then is decoded again.
    fn cut(&mut self, line: usize, len: usize) {
        if len >= self.lines[line].read {
            return;
        }
        if !self.recurrent && self.context.cut(line, len) {
            self.lines[line].read = len;
        } else {
            self.go_back_without_cutting(line, len);
        }
    }

    /// To a checkpoint, or by forgetting everything, which costs time and no text.
    fn go_back_without_cutting(&mut self, line: usize, len: usize) {
        let Line { read, checkpoints } = &mut self.lines[line];
        while let Some((at, checkpoint)) = checkpoints.last() {
            if *at <= len && self.context.restore(line, checkpoint, *at) {
                *read = *at;
                return;
            }
            checkpoints.pop();
        }
        self.forget(line);
    }

    /// Keeps the state of a model that cannot be cut: at the end of the prompt, and now and then behind it.
    fn keep_checkpoint(&mut self, line: usize, prompt: usize) {
        let Line { read, checkpoints } = &mut self.lines[line];
        let last = checkpoints.last().map_or(0, |(at, _)| *at);
        let distance = if *read == prompt { 1 } else { self.distance };
        if !self.recurrent || *read < last + distance {
            return;
        }
        if let Some(checkpoint) = self.context.checkpoint(line) {
            checkpoints.push((*read, checkpoint));
        }
        // One from before the end of the prompt, for the case that it is taken back.
        let earlier = checkpoints.partition_point(|(at, _)| *at < prompt);
        checkpoints.drain(..earlier.saturating_sub(1));
        // That at the end serves regenerates, the others the horizon.
        let of_reply = checkpoints.partition_point(|(at, _)| *at <= prompt);
        if checkpoints.len() - of_reply > CHECKPOINTS + 1 {
            checkpoints.remove(of_reply);
        }
    }

    /// Brings a text's place to where its need begins.
    fn prepare(&mut self, need: &Need) -> Result<(), DecodeError> {
        let (line, len) = (need.sequence.id(), need.tokens.len());
        let batch = self.context.shape().batch as usize;
        let is_wrong = |tail: &Tail| tail.at > len || tail.tokens.is_empty() || tail.tokens.len() > batch;
        if len > self.context.shape().size as usize || need.tails.iter().any(is_wrong) {
            return Err(DecodeError::Full);
        }
        if !need.tails.is_empty() && self.context.shape().branches == 0 {
            return Err(DecodeError::Full);
        }
        if need.interrupted.load(Ordering::Relaxed) {
            return Err(DecodeError::Interrupted);
        }
        if need.anew {
            self.forget(line);
        }
        // A row comes with the token before it.
        self.cut(line, need.agreed.min(len).min(need.rows.saturating_sub(1)));
        Ok(())
    }

    /// Adds as much of a need as fits.
    fn fill(&mut self, need: &Need, index: usize, most: usize, outputs: &mut Vec<Output>) -> Part {
        let line = need.sequence.id();
        let read = self.lines[line].read;
        let mut part = Part { need: index, line, tokens: 0, tails: 0..0 };
        for (at, &token) in need.tokens.iter().enumerate().skip(read) {
            let row = at + 1 >= need.rows;
            if self.batch.len() == most || row && outputs.len() == self.context.most_rows() {
                return part;
            }
            let number = self.batch.add(token, at, line, row);
            part.tokens += 1;
            if row {
                outputs.push(Output { need: index, place: Place::After(at + 1), index: number });
            }
        }
        let texts = self.context.shape().texts;
        let taken = outputs.iter().filter(|output| matches!(output.place, Place::Tail(_))).count();
        let branches = texts + taken..texts + self.context.shape().branches;
        // Tails go off from what is in the cache.
        let tails = need.tails.iter().enumerate().filter(|(_, tail)| tail.at <= read);
        for (branch, (number, Tail { at, tokens })) in branches.zip(tails) {
            if self.batch.len() + tokens.len() > most || outputs.len() == self.context.most_rows() {
                break;
            }
            self.context.branch(line, branch, *at);
            let mut last = 0;
            for (place, &token) in tokens.iter().enumerate() {
                last = self.batch.add(token, at + place, branch, place + 1 == tokens.len());
            }
            outputs.push(Output { need: index, place: Place::Tail(number), index: last });
            part.tails = if part.tails.is_empty() { branch..branch + 1 } else { part.tails.start..branch + 1 };
        }
        part
    }
}

impl Model for Llama {
    fn open(&mut self) -> Option<Sequence> {
        self.take_back_places();
        self.free.pop_first().map(|line| Sequence::new(line, Arc::clone(&self.given_up)))
    }

    fn decode(&mut self, needs: &[Need]) -> (Vec<Progress>, Vec<Output>) {
        self.take_back_places();
        let mut outcomes: Vec<Result<(), DecodeError>> = needs.iter().map(|need| self.prepare(need)).collect();
        let missing = |need: &Need| need.tokens.len() - self.lines[need.sequence.id()].read.min(need.tokens.len());
        let mut order: Vec<usize> = (0..needs.len()).filter(|&need| outcomes[need].is_ok()).collect();
        order.sort_by_key(|&need| missing(&needs[need]));
        let whole = self.context.shape().batch as usize;
        let most = if order.len() > 1 { whole.min(SHARED_BATCH) } else { whole };
        self.batch.clear();
        let mut outputs = Vec::new();
        let mut parts: Vec<Part> = Vec::new();
        for need in order {
            let part = self.fill(&needs[need], need, most, &mut outputs);
            if part.tokens > 0 || !part.tails.is_empty() {
                parts.push(part);
            }
        }
        if !parts.is_empty() {
            let interrupted = if let [part] = &parts[..] { needs[part.need].interrupted } else { &self.never };
            self.context.heed(interrupted);
            let size = self.batch.len();
            self.spent = self.spent.filter(|_| size <= LARGEST).map(|spent| spent + batch_cost(size));
            let outcome = self.context.decode(&mut self.batch);
            for part in &parts {
                part.tails.clone().for_each(|branch| self.context.forget(branch));
                let before = self.lines[part.line].read;
                match outcome {
                    Ok(()) => {
                        self.lines[part.line].read = before + part.tokens;
                        self.keep_checkpoint(part.line, needs[part.need].prompt);
                    }
                    Err(error) => {
                        // Part of the batch may be kept. A recurrent state may be changed in some of its layers.
                        let is_torn = self.recurrent && error != DecodeError::Full;
                        if part.tokens > 0 && (is_torn || !self.context.cut(part.line, before)) {
                            self.go_back_without_cutting(part.line, before);
                        }
                        outcomes[part.need] = Err(if parts.len() > 1 { DecodeError::Together } else { error });
                        outputs.clear();
                    }
                }
            }
        }
        let progress = |(need, outcome): (&Need, Result<_, _>)| {
            let read = self.lines[need.sequence.id()].read;
            // Where nothing was done, what is behind `agreed` is another text's.
            Progress { read: if outcome.is_ok() { read } else { read.min(need.agreed) }, outcome }
        };
        (needs.iter().zip(outcomes).map(progress).collect(), outputs)
    }

    fn logits(&mut self, index: usize) -> Option<&[f32]> {
        self.context.row(index)
    }

    fn finish(&mut self) {
        self.context.finish();
    }

    fn branches(&self) -> usize {
        self.context.shape().branches
    }

    fn is_recurrent(&self) -> bool {
        self.recurrent
    }

    fn set_threads(&mut self, threads: usize) {
        self.context.set_threads(threads);
    }

    fn cost(&self) -> u64 {
        self.context.model().size()
    }

    fn take_spent(&mut self) -> Option<f32> {
        self.spent.replace(0.0)
    }

    fn work(&self) -> Work {
        self.context.work()
    }
}
