//! A member that speaks other units than its own tokens: what members of different vocabularies have in common.
//!
//! It stands before a member that speaks tokens, and is one itself: prompts, contexts, rewinding and kept rows stay the
//! inner one's affair. What it adds are the heads ([`heads`]) and the way from rows of tokens to rows of units. Units inside
//! a token cost no forward pass.

mod heads;

use super::units::TokenMap;
use super::{Member, MemberError, MemberRow, Primed, Unit, Vocabulary};
use crate::fuse;
use crate::settings::Prompt;
use heads::{Head, TokenRow, advance, common_tokens, drop_stragglers, masses};
use std::sync::Arc;

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

pub(crate) struct Aligned {
    inner: Box<dyn Member>,
    map: Arc<TokenMap>,
    units: Arc<Vocabulary>,
    /// Heads at most.
    most: usize,
    /// After 0, 1, 2, … units of the reply.
    standings: Vec<Standing>,
    prompt_evidence: f32,
    row: MemberRow,
    scratch: Vec<f32>,
}

impl Aligned {
    /// `inner` in `units`, of which `map` says what its tokens are; with up to `most` heads, from 1.
    pub fn new(inner: Box<dyn Member>, map: Arc<TokenMap>, units: Arc<Vocabulary>, most: usize) -> Self {
        let row = MemberRow {
            logits: vec![f32::NEG_INFINITY; units.len()],
            probabilities: vec![0.0; units.len()],
            ..MemberRow::default()
        };
        Self { inner, map, units, most, standings: Vec::new(), prompt_evidence: 0.0, row, scratch: Vec::new() }
    }

    fn standing(&self) -> Result<&Standing, MemberError> {
        self.standings.last().ok_or_else(|| self.failed("it has read no prompt"))
    }

    fn failed(&self, why: &str) -> MemberError {
        MemberError::Decode { member: self.inner.name().to_string(), why: why.into() }
    }

    /// The standing after one unit more. The inner member may have moved, also on an error.
    fn step(&mut self, unit: Unit) -> Result<Standing, MemberError> {
        let before = self.standing()?.clone();
        let open = open_after(before.open, self.units.bytes(unit));
        if before.abstains {
            return Ok(Standing { open, abstains: open > 0, evidence: 0.0, ..before });
        }
        let evidence = self.row.probabilities.get(unit as usize).map_or(LEAST_EVIDENCE, |p| p.ln().max(LEAST_EVIDENCE));
        let heads = advance(&before.heads, unit, &self.map, self.most, &self.inner.row().probabilities);
        let after = Standing { heads, open, evidence, ..before.clone() };
        if !after.heads.is_empty() {
            return self.settle(after);
        }
        // No reading that was kept goes on with this unit: the one that ends a token here was dropped, or there is none.
        self.read_anew(before, unit, open, evidence)
    }

    /// Whole tokens for these units; `None` where one has no token.
    fn encode(&self, units: &[Unit]) -> Option<Vec<Unit>> {
        let tokens = self.map.encode(units)?;
        Some(tokens.into_iter().map(|token| token as Unit).collect())
    }

    /// Whatever was pending becomes whole tokens, and the unit begins the next one.
    fn read_anew(&mut self, before: Standing, unit: Unit, open: u8, evidence: f32) -> Result<Standing, MemberError> {
        let heaviest = &before.heads[0];
        let lost = |head: Head| Standing {
            heads: vec![head],
            abstains: open > 0,
            open,
            evidence: 0.0,
            skipped: true,
            ..before.clone()
        };
        let Some(tokens) = self.encode(self.map.path(heaviest.node)) else {
            let head = heaviest.with_tokens(&[]);
            let after = lost(head);
            return self.settle(after);
        };
        let head = heaviest.with_tokens(&tokens);
        let whole = self.settle(Standing { heads: vec![head], ..before.clone() })?;
        let heads = advance(&whole.heads, unit, &self.map, self.most, &self.inner.row().probabilities);
        if !heads.is_empty() {
            return self.settle(Standing { heads, open, evidence, ..whole });
        }
        // A token that it thinks impossible is one all the same.
        match self.encode(&[unit]) {
            Some(tokens) => {
                let head = whole.heads[0].with_tokens(&tokens);
                self.settle(Standing { heads: vec![head], open, evidence, ..whole })
            }
            None => {
                let head = whole.heads[0].clone();
                let skipped = Standing { trunk: whole.trunk, ..lost(head) };
                self.settle(skipped)
            }
        }
    }

    /// Decodes what the standing needs: first the tokens that all heads share, then the others side by side. A head whose row
    /// is no distribution goes, as long as another is left; where none is, the text is read again, and the heads are decoded
    /// one by one: what was wrong may have come from a neighbour in the batch.
    fn settle(&mut self, mut standing: Standing) -> Result<Standing, MemberError> {
        // All heads means all.
        if self.most < usize::MAX {
            drop_stragglers(&mut standing.heads);
        }
        let common = common_tokens(&standing.heads);
        if common > 0 {
            let tokens = standing.heads[0].tail[..common].to_vec();
            self.inner.extend(&tokens)?;
            standing.trunk += common;
            for head in &mut standing.heads {
                head.tail.drain(..common);
                if head.tail.is_empty() {
                    head.row = None;
                }
            }
        }
        let Some(lost) = self.decode_heads(&mut standing.heads, usize::MAX)? else { return Ok(standing) };
        tracing::warn!("`{}`: {} of its readings have rows that are no numbers", self.inner.name(), lost.len());
        if standing.heads.is_empty() {
            self.inner.read_again()?;
            standing.heads = lost;
            self.decode_heads(&mut standing.heads, 1)?;
        }
        if standing.heads.is_empty() {
            return Err(self.failed("its logits are not numbers, however it reads the text"));
        }
        Ok(standing)
    }

    /// Makes the rows that heads lack, so many side by side at most. Heads whose rows are no distribution are taken out.
    fn decode_heads(&mut self, heads: &mut Vec<Head>, side_by_side: usize) -> Result<Option<Vec<Head>>, MemberError> {
        let lacks = |head: &Head| head.row.is_none() && !head.tail.is_empty();
        let missing: Vec<usize> = (0..heads.len()).filter(|&index| lacks(&heads[index])).collect();
        for part in missing.chunks(side_by_side) {
            let tails: Vec<&[Unit]> = part.iter().map(|&index| heads[index].tail.as_slice()).collect();
            let rows = self.inner.branch(&tails)?;
            for (&index, row) in part.iter().zip(rows) {
                heads[index].row = row.map(|MemberRow { probabilities, statistics, .. }| {
                    Arc::new(TokenRow { probabilities, log_sum_exp: statistics.log_sum_exp })
                });
            }
        }
        let lost: Vec<Head> = heads.extract_if(.., |head| lacks(head)).collect();
        Ok(Some(lost).filter(|lost| !lost.is_empty()))
    }

    /// Makes the row of units of where it stands.
    fn show(&mut self) -> Result<(), MemberError> {
        self.row.evidence = self.evidence();
        self.row.abstains = self.standing()?.abstains;
        if self.row.abstains {
            return Ok(());
        }
        let Self { standings, inner, map, row, scratch, .. } = self;
        let inner_row = inner.row();
        let heads = &standings[standings.len() - 1].heads;
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
        row.statistics = fuse::softmax(&row.logits, &mut row.probabilities).map_err(|error| MemberError::Decode {
            member: self.inner.name().to_string(),
            why: format!("its masses are no distribution: {error}"),
        })?;
        Ok(())
    }

    fn evidence(&self) -> f32 {
        let own = self.standings.iter().skip(1).map(|standing| standing.evidence);
        own.fold(self.prompt_evidence, |sum, own| DECAY * sum + own)
    }

    /// Of the last units of the prompt, as if each token's log-probability were spread over its units.
    fn evidence_of_prompt(&self) -> f32 {
        let (mut sum, mut age) = (0.0, 0usize);
        for (token, log_probability) in self.inner.prompt_evidence().into_iter().rev() {
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
        let row_bytes = self.inner.row().probabilities.len() * size_of::<f32>();
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

impl Member for Aligned {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError> {
        // On an error nothing stands.
        self.standings.clear();
        let primed = self.inner.prime_in(prompt, &self.units)?;
        self.standings.push(Standing {
            trunk: 0,
            heads: vec![Head::start()],
            abstains: false,
            open: 0,
            evidence: 0.0,
            skipped: false,
        });
        self.prompt_evidence = self.evidence_of_prompt();
        self.show()?;
        Ok(primed)
    }

    fn extend(&mut self, units: &[Unit]) -> Result<(), MemberError> {
        for &unit in units {
            let trunk = self.standing()?.trunk;
            match self.step(unit) {
                Ok(standing) => self.standings.push(standing),
                Err(error) => {
                    if self.inner.len() > trunk {
                        self.inner.rewind(trunk)?;
                    }
                    return Err(error);
                }
            }
            self.drop_old_rows();
            self.show()?;
        }
        Ok(())
    }

    /// One of its own tokens: what decoding costs does not depend on units.
    fn decode_only(&mut self, token: Unit) -> Result<(), MemberError> {
        self.inner.decode_only(token)
    }

    fn len(&self) -> usize {
        self.standings.len().saturating_sub(1)
    }

    /// A token has one unit at least.
    fn room(&self) -> usize {
        self.inner.room()
    }

    fn can_rewind(&self, len: usize) -> Result<(), MemberError> {
        match self.standings.get(len) {
            Some(standing) => self.inner.can_rewind(standing.trunk),
            None => Err(MemberError::CannotRewind {
                member: self.inner.name().to_string(),
                units: 0,
                why: format!("only {} units are decoded", self.len()),
            }),
        }
    }

    fn rewind(&mut self, len: usize) -> Result<(), MemberError> {
        self.can_rewind(len)?;
        let standing = self.standings[len].clone();
        // First, because an inner member that fails on the way has gone back all the same.
        self.standings.truncate(len + 1);
        if standing.trunk < self.inner.len() {
            self.inner.rewind(standing.trunk)?;
        }
        self.standings[len] = self.settle(standing)?;
        self.show()
    }

    fn row(&self) -> &MemberRow {
        &self.row
    }

    fn adopt(&mut self, units: &[Unit], text: &str) {
        let Some(standing) = self.standings.last() else { return };
        // After a context shift the member has seen the end of the reply alone, and what it skipped it has not read.
        if standing.skipped || self.len() > units.len() {
            return;
        }
        // Fewer where the inner member failed.
        let Some(mut tokens) = self.inner.reply_tokens().filter(|tokens| tokens.len() >= standing.trunk) else {
            return;
        };
        tokens.truncate(standing.trunk);
        let read: usize = tokens.iter().map(|&token| self.map.units_of(token).len()).sum();
        let Some(rest) = units.get(read..).and_then(|rest| self.encode(rest)) else { return };
        tokens.extend(rest);
        self.inner.adopt(&tokens, text);
    }

    fn tokens_of(&self, text: &str) -> Result<Vec<Unit>, MemberError> {
        self.inner.tokens_of(text)
    }

    /// At most as many as there is room for in its context.
    fn set_heads(&mut self, heads: usize) {
        self.most = if self.inner.branches() == 0 { 1 } else { heads.max(1) };
    }

    fn set_threads(&mut self, threads: usize) {
        self.inner.set_threads(threads);
    }

    fn cost(&self) -> u64 {
        self.inner.cost()
    }
}

#[cfg(test)]
mod tests;
