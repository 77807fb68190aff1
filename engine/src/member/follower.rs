//! A member that follows a leader of another vocabulary: the cheaper way to decode together, for long answers.
//!
//! The ensemble speaks the leader's tokens. A follower is told of them and decodes nothing, until it is consulted: then it
//! reads what is new in one batch, as its own tokenizer reads it, and says how likely it finds each of the leader's best
//! tokens, whatever these are in its own. Where it is not consulted it abstains. [`Ensemble`](super::Ensemble) consults at
//! the beginning of a word, where the boundaries of all tokenizers meet, and only if the leader is unsure; where it is sure,
//! nobody would overrule it.

use super::{Member, MemberError, MemberRow, Primed, Unit, Vocabulary};
use crate::fuse;
use crate::settings::Prompt;
use std::sync::Arc;

/// Least log-probability that counts as evidence.
const LEAST_EVIDENCE: f32 = -20.0;

pub(crate) struct Follower {
    inner: Box<dyn Member>,
    /// The leader's tokens.
    units: Arc<Vocabulary>,
    /// The reply in bytes, and where each of its units ends.
    text: Vec<u8>,
    ends: Vec<usize>,
    /// By how much it predicted each unit better than the leader, in nats; 0 where it was not consulted.
    better: Vec<f32>,
    /// The leader's row when it was consulted last.
    leader: Arc<MemberRow>,
    row: MemberRow,
}

/// What is left at least of a unit's probability: what was taken away is an estimate.
const LEAST_ALONE: f32 = 0.01;

/// Bytes of the newest text with which a word is tokenised.
const CONTEXT: usize = 48;

impl Follower {
    /// `inner` behind a leader with the tokens `units`.
    pub fn new(inner: Box<dyn Member>, units: Arc<Vocabulary>) -> Self {
        let row = MemberRow {
            logits: vec![f32::NEG_INFINITY; units.len()],
            probabilities: vec![0.0; units.len()],
            abstains: true,
            ..MemberRow::default()
        };
        let (text, ends, better) = (Vec::new(), Vec::new(), Vec::new());
        Self { inner, units, text, ends, better, leader: Arc::default(), row }
    }

    /// Reads what the leader has written since it was asked last.
    fn catch_up(&mut self) -> Result<bool, MemberError> {
        let Ok(text) = std::str::from_utf8(&self.text) else { return Ok(false) };
        let tokens = match self.inner.tokens_of_reply(text) {
            Ok(tokens) => tokens,
            // It has no say until text that it can read is all there is; that is for ever, but no reason to stop.
            Err(MemberError::Inexpressible { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let read = self.inner.reply_tokens().unwrap_or_default();
        let common = read.iter().zip(&tokens).take_while(|(a, b)| a == b).count();
        if common < self.inner.len() {
            // A tokenizer reads the last word otherwise now that it goes on.
            self.inner.rewind(common)?;
        }
        match self.inner.extend(&tokens[common..]) {
            Ok(()) => Ok(true),
            Err(MemberError::Full(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A token of the leader in its own, as it goes on from the text.
    fn spell(&self, unit: Unit) -> Option<Vec<Unit>> {
        if unit == self.units.end() {
            return self.inner.end().map(|end| vec![end]);
        }
        let piece = std::str::from_utf8(self.units.bytes(unit)).ok().filter(|piece| !piece.is_empty())?;
        let text = std::str::from_utf8(&self.text).ok()?;
        let start = (text.len().saturating_sub(CONTEXT)..=text.len()).find(|&at| text.is_char_boundary(at))?;
        let before = self.inner.tokens_of_reply(&text[start..]).ok()?;
        let tokens = self.inner.tokens_of_reply(&format!("{}{piece}", &text[start..])).ok()?;
        tokens.strip_prefix(before.as_slice()).filter(|own| !own.is_empty()).map(<[Unit]>::to_vec)
    }

    /// The log-probability of each spelling; `None` when one of the rows for them is no distribution. All beginnings of them
    /// are decoded side by side.
    fn scores(&mut self, spelled: &[(Unit, Vec<Unit>)]) -> Result<Option<Vec<f32>>, MemberError> {
        let mut beginnings: Vec<&[Unit]> =
            spelled.iter().flat_map(|(_, tokens)| (1..tokens.len()).map(move |end| &tokens[..end])).collect();
        beginnings.sort_unstable();
        beginnings.dedup();
        let rows = if beginnings.is_empty() { Vec::new() } else { self.inner.branch(&beginnings)? };
        let Some(rows) = rows.into_iter().collect::<Option<Vec<MemberRow>>>() else { return Ok(None) };
        let first = self.inner.row();
        let probability = |before: &[Unit], token: Unit| {
            let row = match beginnings.binary_search(&before) {
                Ok(place) => &rows[place],
                Err(_) => first,
            };
            row.probabilities.get(token as usize).copied().unwrap_or(0.0)
        };
        let score = |(_, tokens): &(Unit, Vec<Unit>)| {
            (0..tokens.len()).map(|place| probability(&tokens[..place], tokens[place]).ln()).sum()
        };
        Ok(Some(spelled.iter().map(score).collect()))
    }

    /// What is likely of a unit is likely of its beginnings, too, and the leader writes the longest that fits: from the
    /// probability of each goes that of those that it begins.
    fn alone(&self, spelled: &[(Unit, Vec<Unit>)], scores: Vec<f32>) -> Vec<f32> {
        let bytes = |place: usize| self.units.bytes(spelled[place].0);
        let mut order: Vec<usize> = (0..spelled.len()).collect();
        order.sort_by_key(|&place| std::cmp::Reverse(bytes(place).len()));
        let mut own = vec![0.0f32; spelled.len()];
        for (index, &place) in order.iter().enumerate() {
            let longer = order[..index].iter().filter(|&&other| {
                let (this, other) = (bytes(place), bytes(other));
                !this.is_empty() && other.len() > this.len() && other.starts_with(this)
            });
            let taken: f32 = longer.map(|&other| own[other]).sum();
            let all = scores[place].exp();
            own[place] = (all - taken).max(all * LEAST_ALONE);
        }
        own.into_iter().map(f32::ln).collect()
    }

    /// What all units together count, as the leader's evidence does.
    fn advantage(&self) -> f32 {
        self.better.iter().fold(0.0, |sum, own| plugin_api::abi::EVIDENCE_DECAY * sum + own)
    }

    fn start(&mut self) {
        self.text.clear();
        self.ends.clear();
        self.better.clear();
        self.row.abstains = true;
    }
}

impl Member for Follower {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError> {
        let primed = self.inner.prime_in(prompt, &self.units)?;
        self.start();
        Ok(primed)
    }

    fn extend(&mut self, units: &[Unit]) -> Result<(), MemberError> {
        for &unit in units {
            let log = |row: &MemberRow| {
                row.probabilities.get(unit as usize).map_or(LEAST_EVIDENCE, |p| p.ln().max(LEAST_EVIDENCE))
            };
            self.better.push(if self.row.abstains { 0.0 } else { log(&self.row) - log(&self.leader) });
            self.text.extend_from_slice(self.units.bytes(unit));
            self.ends.push(self.text.len());
            self.row.abstains = true;
        }
        Ok(())
    }

    fn consult(&mut self, leader: &Arc<MemberRow>, candidates: &[Unit]) -> Result<(), MemberError> {
        if !self.catch_up()? {
            return Ok(());
        }
        let spelled: Vec<(Unit, Vec<Unit>)> =
            candidates.iter().filter_map(|&unit| Some((unit, self.spell(unit)?))).collect();
        let scores = match self.scores(&spelled) {
            Err(MemberError::Full(_)) | Ok(None) => return Ok(()),
            Ok(Some(scores)) => scores,
            Err(error) => return Err(error),
        };
        let scores = self.alone(&spelled, scores);
        let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if best == f32::NEG_INFINITY {
            return Ok(());
        }
        // What the leader gives to these units together it divides otherwise; about the rest it was not asked.
        let of_leader = |unit: Unit| leader.probabilities.get(unit as usize).copied().unwrap_or(0.0);
        let together: f32 = spelled.iter().map(|(unit, _)| of_leader(*unit)).sum();
        let own: f32 = scores.iter().map(|score| (score - best).exp()).sum();
        let shift = together.ln() + leader.statistics.log_sum_exp - best - own.ln();
        self.row.logits.clone_from(&leader.logits);
        for ((unit, _), score) in spelled.iter().zip(scores) {
            self.row.logits[*unit as usize] = score + shift;
        }
        if let Ok(statistics) = fuse::softmax(&self.row.logits, &mut self.row.probabilities) {
            self.row.statistics = statistics;
            self.row.evidence = leader.evidence + self.advantage();
            self.row.abstains = false;
            self.leader = Arc::clone(leader);
        }
        Ok(())
    }

    fn decode_only(&mut self, token: Unit) -> Result<(), MemberError> {
        self.inner.decode_only(token)
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    /// Where its context ends it has no say any more; the leader writes on.
    fn room(&self) -> usize {
        usize::MAX
    }

    fn can_rewind(&self, len: usize) -> Result<(), MemberError> {
        if len > self.len() {
            let (member, why) = (self.name().to_string(), format!("only {} units are written", self.len()));
            return Err(MemberError::CannotRewind { member, units: 0, why });
        }
        Ok(())
    }

    fn rewind(&mut self, len: usize) -> Result<(), MemberError> {
        self.can_rewind(len)?;
        self.ends.truncate(len);
        self.better.truncate(len);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
        self.row.abstains = true;
        Ok(())
    }

    fn row(&self) -> &MemberRow {
        &self.row
    }

    fn adopt(&mut self, _: &[Unit], text: &str) {
        self.text = text.as_bytes().to_vec();
        if matches!(self.catch_up(), Ok(true)) {
            let tokens = self.inner.reply_tokens().unwrap_or_default();
            self.inner.adopt(&tokens, text);
        }
    }

    fn tokens_of(&self, text: &str) -> Result<Vec<Unit>, MemberError> {
        self.inner.tokens_of(text)
    }

    fn set_threads(&mut self, threads: usize) {
        self.inner.set_threads(threads);
    }

    fn cost(&self) -> u64 {
        self.inner.cost()
    }
}
