//! A member that speaks other units than its own tokens: what members of different vocabularies have in common.
//!
//! It stands before a reader of tokens, and is one itself: prompts, the sequence and its rows stay the inner one's affair.
//! What it adds are the heads ([`heads`]) and the way from rows of tokens to rows of units. Units inside
//! a token cost no forward pass.

mod advance;
mod heads;

use super::rows::KeptRows;
use super::{MemberRow, Plain, Primed, Reader, Wanted};
use crate::fuse;
use crate::member::model::{Need, Place};
use crate::member::units::TokenMap;
use crate::member::{MemberError, Token, Unit, Vocabulary};
use crate::settings::Prompt;
use heads::{Head, TokenRow, masses};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// By how much older text counts less in the evidence, for each unit of age: units are shorter than tokens. Measured on
/// 100 kB of stories with units that are mostly single bytes: with the 0.97 of tokens a third, bad member costs 0.1 %, with
/// this it gains 0.2 %.
const DECAY: f32 = 0.985;

/// How many of the last units of a prompt its evidence is taken over. As many are known of every member: its inner one is
/// asked about as many of its tokens.
const EVIDENCE_UNITS: usize = 31;

/// Least log-probability that counts as evidence.
const LEAST_EVIDENCE: f32 = -20.0;

/// Memory for the rows of heads of earlier positions, in bytes. Where one is missing after a rewind it is decoded again.
const KEPT_BYTES: usize = 16 << 20;

/// Where the member stands after a number of units.
#[derive(Debug, Clone)]
struct Standing {
    /// Tokens of the reply that all heads share: how long the inner member is.
    trunk: usize,
    /// How the text may be read from there on; never empty.
    heads: Vec<Head>,
    /// The text cannot be expressed here, and the member has no say until the character is over.
    abstains: bool,
    /// Bytes that are missing of the character at the end of the text.
    open: u8,
    /// What the newest unit counts as evidence.
    evidence: f32,
    /// Units of the reply that the member has never seen: it has no tokens for them.
    skipped: bool,
}

/// A standing that waits for rows.
#[derive(Debug)]
struct Settling {
    standing: Standing,
    then: Then,
    /// Heads whose rows are no distribution, and those of the batch that is coming in, in rising order.
    lost: Vec<Head>,
    ill: Vec<usize>,
    /// The text was read again, and the heads are decoded one by one: what was wrong with them may have come from a
    /// neighbour in the batch.
    alone: bool,
    /// Which heads the tails that are needed belong to, and the tails.
    missing: Vec<usize>,
    tails: Vec<Vec<Token>>,
}

/// What becomes of a standing when its rows are there.
#[derive(Debug, Clone, Copy)]
enum Then {
    /// It is where the text stands.
    Stand,
    /// All that was pending in it was made whole tokens, and this unit begins the next one.
    Begin { unit: Unit, open: u8, evidence: f32 },
}

pub(crate) struct Aligned {
    inner: Plain,
    map: Arc<TokenMap>,
    units: Arc<Vocabulary>,
    /// Heads at most, and how many the model has room for beside the text.
    most: usize,
    branches: usize,
    /// The reply.
    text: Vec<Unit>,
    /// After 0, 1, 2, … units of it; those at the end may be missing.
    standings: Vec<Standing>,
    settling: Option<Settling>,
    /// Tokens behind the trunk that the inner reader has already, because the text is likely to be read that way.
    ahead: VecDeque<Token>,
    /// Only its own tokens are decoded, until the next prompt.
    own_tokens: bool,
    prompt_evidence: f32,
    rows: KeptRows,
    scratch: Vec<f32>,
}

impl Aligned {
    /// `inner` in `units`, of which `map` says what its tokens are; with up to `most` heads, from 1, of which `branches` can
    /// be decoded side by side.
    pub fn new(
        inner: Plain,
        map: Arc<TokenMap>,
        units: Arc<Vocabulary>,
        most: usize,
        branches: usize,
        horizon: usize,
    ) -> Self {
        Self {
            rows: KeptRows::new(units.len(), horizon),
            inner,
            map,
            units,
            most,
            branches,
            text: Vec::new(),
            standings: Vec::new(),
            settling: None,
            ahead: VecDeque::new(),
            own_tokens: false,
            prompt_evidence: 0.0,
            scratch: Vec::new(),
        }
    }

    /// The text has got as far as this standing.
    fn stand(&mut self, standing: Standing) -> Result<(), MemberError> {
        if self.standings.is_empty() {
            self.prompt_evidence = self.evidence_of_prompt();
        }
        self.standings.push(standing);
        self.drop_old_rows();
        let len = self.standings.len() - 1;
        if self.rows.get(len).is_none() {
            self.show(len)?;
        }
        Ok(())
    }

    /// Makes the row of units of where it stands.
    fn show(&mut self, len: usize) -> Result<(), MemberError> {
        let evidence = self.evidence();
        let Self { standings, inner, map, units, rows, scratch, .. } = self;
        let standing = &standings[len];
        let shown = rows.keep(len, |row| {
            row.logits.resize(units.len(), f32::NEG_INFINITY);
            row.probabilities.resize(units.len(), 0.0);
            row.evidence = evidence;
            row.abstains = standing.abstains;
            let Some(inner_row) = inner.row(standing.trunk).filter(|_| !standing.abstains) else { return Ok(()) };
            let heads = &standing.heads;
            let total = masses(heads, map, &inner_row.probabilities, &mut row.logits, scratch);
            if total.is_nan() || total <= 0.0 {
                // Only units that nobody has a token for are left.
                row.abstains = true;
                return Ok(());
            }
            // On the scale of the member's own logits, so that penalties act on both alike.
            let weight: f64 = heads.iter().map(|head| head.weight).sum();
            let scale = |head: &Head| head.row.as_ref().map_or(inner_row.statistics.log_sum_exp, |row| row.log_sum_exp);
            let log_sum_exp: f64 = heads.iter().map(|head| head.weight / weight * f64::from(scale(head))).sum();
            fuse::log_masses(&mut row.logits, (log_sum_exp - total.ln()) as f32);
            row.complete()
        });
        shown.map_err(|error| failed(inner, &format!("its masses are no distribution: {error}")))
    }

    fn evidence(&self) -> f32 {
        let own = self.standings.iter().skip(1).map(|standing| standing.evidence);
        own.fold(self.prompt_evidence, |sum, own| DECAY * sum + own)
    }

    /// Of the last units of the prompt, as if each token's log-probability were spread over its units.
    fn evidence_of_prompt(&self) -> f32 {
        let (mut sum, mut age) = (0.0, 0usize);
        for (token, log_probability) in self.inner.prompt_evidence().rev() {
            let units = self.map.units_of(token).len().max(1);
            let each = log_probability / units as f32;
            for _ in 0..units {
                if age == EVIDENCE_UNITS {
                    return sum;
                }
                sum += each * DECAY.powi(age as i32);
                age += 1;
            }
        }
        sum
    }

    /// Old rows go: a rewind that far decodes them again.
    fn drop_old_rows(&mut self) {
        let row_bytes = self.inner.newest_row().map_or(0, |row| row.probabilities.len()) * size_of::<f32>();
        let kept = KEPT_BYTES / (row_bytes * self.most).max(1);
        let old = self.standings.len().saturating_sub(kept.max(1));
        for standing in self.standings[..old].iter_mut().rev().take_while(|s| s.heads.iter().any(|h| h.row.is_some())) {
            standing.heads.iter_mut().for_each(|head| head.row = None);
        }
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

/// A standing in which the member has no tokens for the newest unit.
fn lost(before: Standing, heads: Vec<Head>, open: u8) -> Standing {
    Standing { heads, abstains: open > 0, open, evidence: 0.0, skipped: true, ..before }
}

impl Reader for Aligned {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError> {
        // On an error nothing stands.
        self.text.clear();
        self.standings.clear();
        self.settling = None;
        self.ahead.clear();
        self.own_tokens = false;
        self.rows.clear();
        let primed = self.inner.prime_in(prompt, &self.units)?;
        let (trunk, abstains, open, evidence, skipped) = Default::default();
        let start = Standing { trunk, heads: vec![Head::start()], abstains, open, evidence, skipped };
        self.settle_later(start, Then::Stand);
        Ok(primed)
    }

    fn extend(&mut self, units: &[Unit], _: Wanted) {
        self.text.extend_from_slice(units);
    }

    fn rewind(&mut self, len: usize) {
        self.text.truncate(len);
        self.rows.drop_after(len);
        self.settling = None;
        self.ahead.clear();
        let Some(standing) = self.standings.get(len).or(self.standings.last()) else { return };
        self.inner.rewind(standing.trunk);
        // Rows of its heads may have gone.
        self.standings.truncate(len + 1);
        if let Some(standing) = self.standings.pop() {
            self.settle_later(standing, Then::Stand);
        }
    }

    fn len(&self) -> usize {
        self.text.len()
    }

    fn need(&mut self) -> Result<Option<Need<'_>>, MemberError> {
        if self.own_tokens {
            return self.inner.need();
        }
        if self.advance()? {
            return Ok(None);
        }
        // Borrowed anew: a need that is returned here would be borrowed to the end.
        if self.inner.need()?.is_some() {
            return self.inner.need();
        }
        let Some(settling) = &self.settling else { return Ok(None) };
        Ok(Some(self.inner.need_tails(settling.standing.trunk, &settling.tails)))
    }

    fn absorb(&mut self, place: Place, logits: &[f32]) {
        let Place::Tail(number) = place else { return self.inner.absorb(place, logits) };
        let Some(settling) = &mut self.settling else { return };
        let Some(&index) = settling.missing.get(number) else { return };
        let Some(head) = settling.standing.heads.get_mut(index) else { return };
        match self.inner.row_of(logits) {
            Some(MemberRow { probabilities, statistics, .. }) => {
                head.row = Some(Arc::new(TokenRow { probabilities, log_sum_exp: statistics.log_sum_exp }));
            }
            None => settling.ill.push(index),
        }
    }

    fn progress(&mut self, read: usize) {
        self.inner.progress(read);
        // All rows of the batch are here: what was no distribution goes.
        if let Some(Settling { standing, lost, ill, .. }) = &mut self.settling {
            lost.extend(ill.drain(..).rev().map(|index| standing.heads.remove(index)));
        }
    }

    fn row(&self, len: usize) -> Option<&MemberRow> {
        self.rows.get(len)
    }

    /// A token has one unit at least.
    fn room(&self) -> usize {
        self.inner.room()
    }

    fn adopt(&mut self, units: &[Unit], text: &str) {
        let Some(standing) = self.standings.last() else { return };
        // After a context shift the member has seen the end of the reply alone, and what it skipped it has not read.
        if standing.skipped || self.standings.len() - 1 > units.len() {
            return;
        }
        // Fewer where the inner member failed.
        let Some(read) = self.inner.reply().get(..standing.trunk) else { return };
        let mut tokens = read.to_vec();
        let read: usize = tokens.iter().map(|&token| self.map.units_of(token).len()).sum();
        let Some(rest) = units.get(read..).and_then(|rest| self.encode(rest)) else { return };
        tokens.extend(rest);
        self.inner.adopt(&tokens, text);
    }

    fn heed(&mut self, interrupted: Arc<AtomicBool>) {
        self.inner.heed(interrupted);
    }

    fn tokens_of(&self, text: &str) -> Result<Vec<Token>, MemberError> {
        self.inner.tokens_of(text)
    }

    /// At most as many as there is room for in its context.
    fn set_heads(&mut self, heads: usize) {
        self.most = if self.branches == 0 { 1 } else { heads.max(1) };
    }

    fn prompt(&self) -> Vec<Unit> {
        self.inner.prompt().iter().flat_map(|&token| self.map.units_of(token)).copied().collect()
    }

    /// One of its own tokens: what decoding costs does not depend on units.
    fn push_own(&mut self, token: Token) {
        self.own_tokens = true;
        self.inner.push_own(token);
    }
}

#[cfg(test)]
mod tests;
