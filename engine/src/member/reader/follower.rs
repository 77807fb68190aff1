//! A member that follows a leader of another vocabulary: the cheaper way to decode together, for long answers.
//!
//! The ensemble speaks the leader's tokens. A follower is told of them and decodes nothing, until it is consulted: then it
//! reads what is new in one batch, as its own tokenizer reads it, and says how likely it finds each of the leader's best
//! tokens, whatever these are in its own. Where it is not consulted it abstains. [`Ensemble`](crate::member::Ensemble) consults at
//! the beginning of a word, where the boundaries of all tokenizers meet, and only if the leader is unsure; where it is sure,
//! nobody would overrule it.

use super::{MemberRow, Plain, Primed, Reader, Wanted};
use crate::member::model::{Need, Place, Tail};
use crate::member::{MemberError, Token, Unit, Vocabulary};
use crate::settings::Prompt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Least log-probability that counts as evidence.
const LEAST_EVIDENCE: f32 = -20.0;

pub(crate) struct Follower {
    inner: Plain,
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
    work: Work,
    /// Its model was away when it was consulted last.
    is_away: bool,
}

/// What it is at.
#[derive(Default)]
enum Work {
    #[default]
    Nothing,
    /// Reads the prompt, or what is measured.
    Reading,
    /// Reads what the leader has written, to say what it makes of these units.
    Asked(Vec<Unit>),
    /// Reads what these units begin with in its own tokens; rows as they come, `None` for one that is no distribution.
    Spelling { spelled: Vec<(Unit, Vec<Token>)>, beginnings: Vec<Tail>, rows: Vec<Option<MemberRow>> },
}

/// What is left at least of a unit's probability: what was taken away is an estimate.
const LEAST_ALONE: f32 = 0.01;

/// Bytes of the newest text with which a word is tokenised.
const CONTEXT: usize = 48;

impl Follower {
    /// `inner` behind a leader with the tokens `units`.
    pub fn new(inner: Plain, units: Arc<Vocabulary>) -> Self {
        let row = MemberRow::abstaining(units.len());
        let (text, ends, better, leader) = Default::default();
        Self { inner, units, text, ends, better, leader, row, work: Work::Nothing, is_away: false }
    }

    /// Takes over what the leader has written since it was asked last. False where it cannot read it.
    fn catch_up(&mut self) -> Result<bool, MemberError> {
        let Ok(text) = std::str::from_utf8(&self.text) else { return Ok(false) };
        let tokens = match self.inner.tokens_of_reply(text) {
            Ok(tokens) => tokens,
            // It has no say until text that it can read is all there is; that is for ever, but no reason to stop.
            Err(MemberError::Inexpressible { .. }) => return Ok(false),
            Err(error) => return Err(error),
        };
        let common = self.inner.reply().iter().zip(&tokens).take_while(|(a, b)| a == b).count();
        if common < self.inner.len() {
            // A tokenizer reads the last word otherwise now that it goes on.
            self.inner.rewind(common);
        }
        self.inner.extend(&tokens[common..], Wanted::Last);
        Ok(true)
    }

    /// A token of the leader in its own, as it goes on from the text.
    fn spell(&self, unit: Unit) -> Option<Vec<Token>> {
        if unit == self.units.end() {
            return self.inner.end().map(|end| vec![end]);
        }
        let piece = std::str::from_utf8(self.units.bytes(unit)).ok().filter(|piece| !piece.is_empty())?;
        let text = std::str::from_utf8(&self.text).ok()?;
        let start = (text.len().saturating_sub(CONTEXT)..=text.len()).find(|&at| text.is_char_boundary(at))?;
        let before = self.inner.tokens_of_reply(&text[start..]).ok()?;
        let tokens = self.inner.tokens_of_reply(&format!("{}{piece}", &text[start..])).ok()?;
        tokens.strip_prefix(before.as_slice()).filter(|own| !own.is_empty()).map(<[Token]>::to_vec)
    }

    /// The log-probability of each spelling, by the rows after their beginnings; `None` when one is no distribution.
    fn scores(
        &self,
        spelled: &[(Unit, Vec<Token>)],
        beginnings: &[Tail],
        rows: Vec<Option<MemberRow>>,
    ) -> Option<Vec<f32>> {
        let rows = rows.into_iter().collect::<Option<Vec<MemberRow>>>()?;
        let first = self.inner.newest_row()?;
        let probability = |before: &[Token], token: Token| {
            let row = match beginnings.binary_search_by(|known| known.tokens.as_slice().cmp(before)) {
                Ok(place) => &rows[place],
                Err(_) => first,
            };
            row.probabilities.get(token as usize).copied().unwrap_or(0.0)
        };
        let score = |(_, tokens): &(Unit, Vec<Token>)| {
            (0..tokens.len()).map(|place| probability(&tokens[..place], tokens[place]).ln()).sum()
        };
        Some(spelled.iter().map(score).collect())
    }

    /// What is likely of a unit is likely of its beginnings, too, and the leader writes the longest that fits: from the
    /// probability of each goes that of those that it begins.
    fn alone(&self, spelled: &[(Unit, Vec<Token>)], scores: Vec<f32>) -> Vec<f32> {
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

    /// Makes its row of what it thinks of some units.
    fn answer(&mut self, spelled: &[(Unit, Vec<Token>)], scores: Vec<f32>) {
        let scores = self.alone(spelled, scores);
        let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        if best == f32::NEG_INFINITY {
            return;
        }
        // What the leader gives to these units together it divides otherwise; about the rest it was not asked.
        let leader = &self.leader;
        let of_leader = |unit: Unit| leader.probabilities.get(unit as usize).copied().unwrap_or(0.0);
        let together: f32 = spelled.iter().map(|(unit, _)| of_leader(*unit)).sum();
        let own: f32 = scores.iter().map(|score| (score - best).exp()).sum();
        let shift = together.ln() + leader.statistics.log_sum_exp - best - own.ln();
        self.row.logits.clone_from(&leader.logits);
        for ((unit, _), score) in spelled.iter().zip(scores) {
            self.row.logits[*unit as usize] = score + shift;
        }
        if self.row.complete().is_ok() {
            self.row.evidence = leader.evidence + self.advantage();
        } else {
            self.row.abstains = true;
        }
    }
}

impl Reader for Follower {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError> {
        let primed = self.inner.prime_in(prompt, &self.units)?;
        self.text.clear();
        self.ends.clear();
        self.better.clear();
        self.row.abstains = true;
        self.work = Work::Reading;
        Ok(primed)
    }

    fn leave_out(&mut self) {
        self.inner.leave_out();
    }

    fn extend(&mut self, units: &[Unit], _: Wanted) {
        for &unit in units {
            let log = |row: &MemberRow| {
                row.probabilities.get(unit as usize).map_or(LEAST_EVIDENCE, |p| p.ln().max(LEAST_EVIDENCE))
            };
            self.better.push(if self.row.abstains { 0.0 } else { log(&self.row) - log(&self.leader) });
            self.text.extend_from_slice(self.units.bytes(unit));
            self.ends.push(self.text.len());
            self.row.abstains = true;
        }
    }

    fn rewind(&mut self, len: usize) {
        self.ends.truncate(len);
        self.better.truncate(len);
        self.text.truncate(self.ends.last().copied().unwrap_or(0));
        self.row.abstains = true;
        self.work = Work::Nothing;
    }

    fn len(&self) -> usize {
        self.ends.len()
    }

    fn need(&mut self) -> Result<Option<Need<'_>>, MemberError> {
        loop {
            match &self.work {
                Work::Nothing => return Ok(None),
                Work::Reading => {
                    if self.inner.need()?.is_some() {
                        return self.inner.need();
                    }
                    self.work = Work::Nothing;
                }
                Work::Asked(candidates) => {
                    match self.inner.need() {
                        Ok(None) => {}
                        Ok(Some(_)) => return self.inner.need(),
                        // Where its context ends it has no say any more; the leader writes on.
                        Err(MemberError::Full(_)) => {
                            self.work = Work::Nothing;
                            continue;
                        }
                        Err(error) => return Err(error),
                    }
                    let spelled: Vec<(Unit, Vec<Token>)> =
                        candidates.iter().filter_map(|&unit| Some((unit, self.spell(unit)?))).collect();
                    let ends =
                        |tokens: &Vec<Token>| (1..tokens.len()).map(|end| tokens[..end].to_vec()).collect::<Vec<_>>();
                    let mut beginnings: Vec<Vec<Token>> = spelled.iter().flat_map(|(_, tokens)| ends(tokens)).collect();
                    beginnings.sort_unstable();
                    beginnings.dedup();
                    let len = self.inner.len();
                    let beginnings = beginnings.into_iter().map(|tokens| self.inner.tail(len, tokens)).collect();
                    self.work = Work::Spelling { spelled, beginnings, rows: Vec::new() };
                }
                Work::Spelling { beginnings, rows, .. } => {
                    if rows.len() < beginnings.len() {
                        break;
                    }
                    if let Work::Spelling { spelled, beginnings, rows } = std::mem::take(&mut self.work)
                        && let Some(scores) = self.scores(&spelled, &beginnings, rows)
                    {
                        self.answer(&spelled, scores);
                    }
                }
            }
        }
        let Work::Spelling { beginnings, rows, .. } = &self.work else { return Ok(None) };
        Ok(Some(self.inner.need_tails(&beginnings[rows.len()..])))
    }

    fn absorb(&mut self, place: Place, logits: &[f32]) {
        if let Place::After(_) = place {
            return self.inner.absorb(place, logits);
        }
        let row = self.inner.row_of(logits);
        if let Work::Spelling { rows, .. } = &mut self.work {
            // Tails come in their order.
            rows.push(row);
        }
    }

    fn progress(&mut self, read: usize) {
        self.inner.progress(read);
    }

    /// What it reads is asked for again when it is consulted.
    fn abstain(&mut self) {
        self.row.abstains = true;
        self.work = Work::Nothing;
        self.is_away = true;
    }

    fn is_away(&self) -> bool {
        self.is_away
    }

    fn row(&self, len: usize) -> Option<&MemberRow> {
        (len == self.len()).then_some(&self.row)
    }

    /// Where its context ends it has no say any more; the leader writes on.
    fn room(&self) -> usize {
        usize::MAX
    }

    fn adopt(&mut self, _: &[Unit], text: &str) {
        self.work = Work::Nothing;
        if let Ok(tokens) = self.inner.tokens_of_reply(text) {
            self.inner.adopt(&tokens, text);
        }
    }

    fn heed(&mut self, interrupted: Arc<AtomicBool>) {
        self.inner.heed(interrupted);
    }

    fn consult(&mut self, leader: &Arc<MemberRow>, candidates: &[Unit]) {
        self.is_away = false;
        if matches!(self.catch_up(), Ok(true)) {
            self.leader = Arc::clone(leader);
            self.work = Work::Asked(candidates.to_vec());
        }
    }

    fn tokens_of(&self, text: &str) -> Result<Vec<Token>, MemberError> {
        self.inner.tokens_of(text)
    }

    fn push_own(&mut self, token: Token) {
        self.inner.push_own(token);
        self.work = Work::Reading;
    }
}
