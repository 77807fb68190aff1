//! A member in bytes: what members of different vocabularies meet in.
//!
//! It stands before a reader of tokens, and is one itself: prompts, the sequence and its rows stay the inner one's affair.
//! What it adds are the heads ([`heads`]), the rows that they need ([`paths`]), and the way from rows of tokens to rows of
//! bytes. Most bytes are inside a token and cost no forward pass.

mod advance;
mod draw;
mod heads;
mod paths;
mod row;

pub use draw::Draw;

use super::rows::KeptRows;
use super::{MemberRow, Plain, Primed, Reader, Wanted};
use crate::member::model::{Need, Place, Tail};
use crate::member::spelling::{ROOT, Trie};
use crate::member::{MemberError, Token, Unit, Vocabulary};
use crate::settings::{Heads, Prompt};
use draw::Likely;
use heads::{Effort, StandIn, Standing};
use paths::{Path, Paths, START};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Least log-probability that counts as evidence.
const LEAST_EVIDENCE: f32 = -20.0;

/// Rows of bytes that are kept: as far as the largest horizon goes back, and more.
const KEPT: usize = 512;

pub(crate) struct Bytewise {
    inner: Plain,
    trie: Arc<Trie>,
    /// Its own tokens.
    own: Arc<Vocabulary>,
    units: Arc<Vocabulary>,
    effort: Effort,
    /// Tails that the model decodes side by side; where it has room for none, the text itself goes there and back.
    branches: usize,
    /// The reply.
    text: Vec<u8>,
    /// After 0, 1, 2, … bytes of it; those at the end may be missing.
    standings: Vec<Standing>,
    paths: Paths,
    /// The inner reader's reply.
    trunk: Path,
    /// In the place of the newest standing: what was pending in it is whole tokens, behind which the next byte begins another.
    whole: Option<Standing>,
    /// So far the inner reader was told what is likely to come, in bytes.
    ahead: usize,
    /// Whose rows are needed next, the heaviest last; and those of them that are decoded beside the text.
    missing: Vec<Path>,
    beside: Vec<Path>,
    tails: Vec<Tail>,
    /// Only its own tokens are decoded, until the next prompt.
    own_tokens: bool,
    rows: KeptRows,
    /// What it says while its model is away, as it has no row then.
    silence: Option<Box<MemberRow>>,
    masses: Box<[f64; heads::UNITS]>,
    likely: Likely,
}

impl Bytewise {
    /// `inner` in the bytes `units`; `trie` has its tokens `own`. Its model decodes `branches` tails side by side.
    pub fn new(
        inner: Plain,
        trie: Arc<Trie>,
        own: Arc<Vocabulary>,
        units: Arc<Vocabulary>,
        heads: Heads,
        branches: usize,
    ) -> Self {
        Self {
            inner,
            trie,
            own,
            units,
            effort: effort(heads),
            branches,
            text: Vec::new(),
            standings: Vec::new(),
            paths: Paths::new(),
            trunk: START,
            whole: None,
            ahead: 0,
            missing: Vec::new(),
            beside: Vec::new(),
            tails: Vec::new(),
            own_tokens: false,
            rows: KeptRows::new(heads::UNITS, KEPT),
            silence: None,
            masses: Box::new([0.0; heads::UNITS]),
            likely: Likely::default(),
        }
    }

    fn keep(&mut self, path: Path, row: &MemberRow) {
        let Self { paths, trie, own, .. } = self;
        paths.set_row(path, |kept| kept.fill(row, trie, own));
    }

    /// Says what is decoded for what is missing: one of it becomes the text of the inner reader, or is on its way there; where there
    /// is room others are tails beside it, and what will be needed soon is as well.
    fn ask(&mut self) {
        self.tails.clear();
        self.beside.clear();
        let Some((&lightest, &heaviest)) = self.missing.first().zip(self.missing.last()) else { return };
        // Without tails the text goes there and back; from the heaviest it goes on.
        let first = if self.branches == 0 { lightest } else { heaviest };
        let is_on_the_way = self.paths.common(self.trunk, first) == first;
        let is_coming = is_on_the_way && self.inner.is_coming(self.paths.tokens(first));
        let goes_ahead = self.branches > 0 && !is_on_the_way && self.ahead >= self.standings.len();
        if !is_coming && !goes_ahead {
            self.follow(first);
        }
        if self.branches == 0 {
            return;
        }
        let coming = self.scout();
        for path in self.missing.iter().rev().copied().chain(coming) {
            let common = self.paths.tokens(self.paths.common(self.trunk, path));
            let tokens = self.paths.newest(path, self.paths.tokens(path) - common);
            // The beginning of the text comes with it.
            if !tokens.is_empty() && self.tails.len() < self.branches && !self.beside.contains(&path) {
                self.tails.push(self.inner.tail(common, tokens));
                self.beside.push(path);
            }
        }
    }
}

/// With `late` at 0.05 maths-b needed 1.0 % more than alone for 4 kB of stories, which it knows nothing of, at 0.003 it is 0.4 %.
fn effort(heads: Heads) -> Effort {
    match heads {
        Heads::Few => Effort { ahead: 1e-1, late: 0.05, all: false },
        Heads::Usual => Effort { ahead: 1e-3, late: 0.003, all: false },
        Heads::All => Effort { ahead: 0.0, late: 0.0, all: true },
    }
}

/// How many bytes are missing of the character at the end of a text that was followed by `bytes`.
fn open_after(mut open: u8, bytes: &[u8]) -> u8 {
    for &byte in bytes {
        open = match byte {
            0xc2..=0xdf => 1,
            0xe0..=0xef => 2,
            0xf0..=0xf4 => 3,
            0x80..=0xbf => open.saturating_sub(1),
            _ => 0,
        };
    }
    open
}

fn failed(member: &Plain, why: &str) -> MemberError {
    MemberError::Decode { member: member.name().to_string(), why: why.into() }
}

impl Reader for Bytewise {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError> {
        // On an error nothing stands.
        self.text.clear();
        self.standings.clear();
        self.paths.clear();
        self.missing.clear();
        self.tails.clear();
        self.whole = None;
        (self.trunk, self.ahead, self.own_tokens) = (START, 0, false);
        self.rows.clear();
        self.inner.prime_in(prompt, &self.units)
    }

    fn leave_out(&mut self) {
        self.inner.leave_out();
    }

    fn extend(&mut self, units: &[Unit], _: Wanted) {
        self.text.extend(units.iter().filter_map(|&unit| u8::try_from(unit).ok()));
    }

    fn rewind(&mut self, len: usize) {
        self.text.truncate(len);
        self.rows.drop_after(len);
        self.standings.truncate(len + 1);
        self.missing.clear();
        self.whole = None;
        self.ahead = 0;
    }

    fn len(&self) -> usize {
        self.text.len()
    }

    fn need(&mut self) -> Result<Option<Need<'_>>, MemberError> {
        self.silence = None;
        if self.own_tokens {
            return self.inner.need();
        }
        if self.standings.is_empty() {
            if self.inner.need()?.is_some() {
                return self.inner.need();
            }
            self.take_rows();
            self.standings.push(Standing::at(START, Arc::new(StandIn::new())));
        }
        loop {
            if self.advance()? {
                return Ok(None);
            }
            self.ask();
            let is_idle = matches!(self.inner.need(), Ok(None)) && self.tails.is_empty();
            if is_idle && self.take_missing() {
                continue;
            }
            let Err(error) = self.inner.need() else { break };
            // Without one of its readings, a text can be read on; without the heaviest it cannot.
            let (asked, heaviest) = (self.missing[0], self.standings.last().map(|standing| standing.heads[0].path));
            if matches!(error, MemberError::Full(_)) || Some(asked) == heaviest || self.whole.is_some() {
                return Err(error);
            }
            self.paths.set_ill(asked, true);
            self.follow(self.paths.before(asked));
        }
        // Borrowed anew: a need that is returned here would be borrowed to the end.
        if self.inner.need()?.is_none() {
            if self.tails.is_empty() {
                return Err(failed(&self.inner, "a row that was decoded is not there"));
            }
            return Ok(Some(self.inner.need_tails(&self.tails)));
        }
        let Self { inner, tails, .. } = self;
        Ok(inner.need()?.map(|need| Need { tails, ..need }))
    }

    fn is_read(&self) -> bool {
        self.standings.len() == self.text.len() + 1 && self.rows.get(self.text.len()).is_some()
    }

    fn absorb(&mut self, place: Place, logits: &[f32]) {
        let Place::Tail(number) = place else { return self.inner.absorb(place, logits) };
        let Some(&path) = self.beside.get(number) else { return };
        match self.inner.row_of(logits) {
            Some(row) => self.keep(path, &row),
            None => self.paths.set_ill(path, true),
        }
    }

    fn progress(&mut self, read: usize) {
        self.inner.progress(read);
        self.take_rows();
    }

    /// What it has not read is read when its model is back.
    fn abstain(&mut self) {
        let evidence = self.standings.last().map_or(0.0, |standing| standing.evidence);
        self.silence = Some(Box::new(MemberRow { evidence, ..MemberRow::abstaining(heads::UNITS) }));
    }

    fn is_away(&self) -> bool {
        self.silence.is_some()
    }

    fn row(&self, len: usize) -> Option<&MemberRow> {
        self.rows.get(len).or_else(|| self.silence.as_deref().filter(|_| len <= self.text.len()))
    }

    /// A token has one byte at least.
    fn room(&self) -> usize {
        self.inner.room()
    }

    fn adopt(&mut self, _: &[Unit], text: &str) {
        let Some(standing) = self.standings.last() else { return };
        // After a context shift the member has seen the end of the reply alone, and what it skipped it has not read.
        if standing.skipped || text.as_bytes() != self.text {
            return;
        }
        let path = standing.heads[0].path;
        let mut tokens = self.paths.newest(path, usize::MAX);
        let Some(rest) = self.text.get(self.paths.bytes(path)..).and_then(|rest| self.trie.encode(rest)) else {
            return;
        };
        tokens.extend(rest);
        self.inner.adopt(&tokens, text);
    }

    fn heed(&mut self, interrupted: Arc<AtomicBool>) {
        self.inner.heed(interrupted);
    }

    fn tokens_of(&self, text: &str) -> Result<Vec<Token>, MemberError> {
        self.inner.tokens_of(text)
    }

    fn set_heads(&mut self, heads: Heads) {
        self.effort = effort(heads);
    }

    fn prompt(&self) -> Vec<Unit> {
        self.inner.prompt().iter().flat_map(|&token| self.own.bytes(token)).map(|&byte| Unit::from(byte)).collect()
    }

    fn ends_token(&self, len: usize) -> bool {
        self.standings.get(len).is_none_or(|standing| standing.heads[0].node == ROOT)
    }

    fn continuations(&mut self, len: usize, how: &Draw, into: &mut dyn FnMut(&[u8], f64)) -> bool {
        Self::continuations(self, len, how, into)
    }

    /// One of its own tokens: what decoding costs does not depend on bytes.
    fn push_own(&mut self, token: Token) {
        self.own_tokens = true;
        self.inner.push_own(token);
    }
}

#[cfg(test)]
mod tests;
