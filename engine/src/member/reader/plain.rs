//! A member whose tokens are the units.

use super::rows::KeptRows;
use super::{MemberRow, Primed, Reader, Tokenizer, Wanted};
use crate::fuse::{self, InvalidRow};
use crate::member::model::{Need, Place, Sequence, Tail};
use crate::member::{MemberError, Token, Unit, Vocabulary};
use crate::settings::Prompt;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Over how many of the last prompt tokens the evidence is taken. What lies further back has decayed to 39 %, and each
/// costs an output layer. Always as many, whatever is known of more: a reply does not depend on what was asked before.
const EVIDENCE_TOKENS: usize = 31;

/// Tokens of a reply over which it is taken: what lies further back has decayed to 10⁻⁷.
const MOST_EVIDENCE_TOKENS: usize = 512;

/// Least log-probability that counts: one unit that a member thought impossible must not silence it for the whole text.
const LEAST_EVIDENCE: f32 = -20.0;

/// A text in tokens of a model, with their rows.
pub struct Plain {
    name: String,
    vocabulary: Arc<Vocabulary>,
    tokenizer: Box<dyn Tokenizer>,
    sequence: Sequence,
    interrupted: Arc<AtomicBool>,
    /// Tokens that fit, prompt and reply.
    context: usize,
    /// Prompt and reply: what stands.
    tokens: Vec<Token>,
    prompt: usize,
    /// The model has read at most so many of them as they stand.
    read: usize,
    /// What each token counts as evidence; NaN where the model was not asked.
    evidence: Vec<f32>,
    /// The next token of the prompt of which the model is asked what it counts; none are left at the prompt's end, or at
    /// [`Self::asked_to`].
    asked: usize,
    /// Where that ends: behind the prompt after the model was away, which was not asked then.
    asked_to: usize,
    /// The model was away when it was asked last.
    is_away: bool,
    /// Of the newest row that it had.
    last_evidence: f32,
    rows: KeptRows,
    /// Rows are wanted after so many tokens and more.
    wanted: usize,
    illness: Illness,
}

/// Of rows that are no distributions. What is in the context may be the reason, and not the model, so the text is read again
/// once: a number that is none stays in a KV cache, and spoils the rows of all that is decoded beside it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Illness {
    Healthy,
    /// After so many tokens.
    Seen(usize, InvalidRow),
    /// The text is to be read again, or is being read.
    Treated {
        begun: bool,
    },
    /// Also after that.
    Chronic(InvalidRow),
}

impl Plain {
    /// A text at `sequence` of a model, for prompts and replies of together `context` tokens.
    pub fn new(
        name: String,
        vocabulary: Arc<Vocabulary>,
        tokenizer: Box<dyn Tokenizer>,
        sequence: Sequence,
        context: usize,
        horizon: usize,
    ) -> Self {
        Self {
            name,
            rows: KeptRows::new(vocabulary.len(), horizon),
            vocabulary,
            tokenizer,
            sequence,
            interrupted: Arc::default(),
            context,
            tokens: Vec::new(),
            prompt: 0,
            read: 0,
            evidence: Vec::new(),
            asked: 0,
            asked_to: 0,
            is_away: false,
            last_evidence: 0.0,
            wanted: 0,
            illness: Illness::Healthy,
        }
    }

    /// Takes a prompt whose [`Prompt::Tokens`] are `units` and not its own tokens. Of these it reads the newest, so that half
    /// of its context is left: a text that is scored may have more before it than fits.
    pub(super) fn prime_in(&mut self, prompt: &Prompt, units: &Vocabulary) -> Result<Primed, MemberError> {
        let Prompt::Tokens(before) = prompt else { return self.prime(prompt) };
        let bytes: Vec<u8> = before.iter().flat_map(|&unit| units.bytes(unit)).copied().collect();
        // A part of a text may begin or end inside a character.
        let text: String = bytes.utf8_chunks().map(|chunk| chunk.valid()).collect();
        let tokens = self.tokenizer.tokens_of(&text)?;
        let most = (self.context / 2).saturating_sub(1);
        self.prime(&Prompt::Tokens(tokens[tokens.len().saturating_sub(most)..].to_vec()))
    }

    /// A text that goes on from the prompt, in tokens.
    pub(super) fn tokens_of_reply(&self, text: &str) -> Result<Vec<Token>, MemberError> {
        self.tokenizer.tokens_after(&self.tokens[..self.prompt], text)
    }

    /// A text that goes on from what stands, in tokens.
    pub(super) fn tokens_behind(&self, text: &str) -> Result<Vec<Token>, MemberError> {
        self.tokenizer.tokens_after(&self.tokens, text)
    }

    /// The reply.
    pub(super) fn reply(&self) -> &[Token] {
        &self.tokens[self.prompt..]
    }

    /// Its token for the end of the text.
    pub(super) fn end(&self) -> Option<Token> {
        Some(self.vocabulary.end()).filter(|&end| self.vocabulary.can_emit(end))
    }

    /// The last text tokens of the prompt with the log-probabilities it gave them, as far as it was asked; oldest first.
    pub(super) fn prompt_evidence(&self) -> impl DoubleEndedIterator<Item = (Token, f32)> + '_ {
        let first = self.prompt.saturating_sub(EVIDENCE_TOKENS);
        let known = self.tokens[first..self.prompt].iter().zip(&self.evidence[first..self.prompt]);
        known.filter(|(_, evidence)| !evidence.is_nan()).map(|(&token, &evidence)| (token, evidence))
    }

    /// The row that stands.
    pub(super) fn newest_row(&self) -> Option<&MemberRow> {
        self.rows.get(self.tokens.len())
    }

    /// How many rows it keeps at most.
    pub(super) fn rows(&self) -> usize {
        self.rows.capacity()
    }

    /// Rows after tails alone.
    pub(super) fn need_tails<'a>(&'a self, tails: &'a [Tail]) -> Need<'a> {
        Need { rows: self.tokens.len() + 1, tails, ..self.whole() }
    }

    /// Tokens behind the first `len` of the reply.
    pub(super) fn tail(&self, len: usize, tokens: Vec<Token>) -> Tail {
        Tail { at: self.prompt + len, tokens }
    }

    /// A row of the model as one of units; `None` for one that is no distribution.
    pub(super) fn row_of(&self, logits: &[f32]) -> Option<MemberRow> {
        let mut row = MemberRow::default();
        self.vocabulary.row_of_units(logits, &mut row.logits);
        row.complete().ok().map(|()| row)
    }

    /// Whether the row after `len` tokens of the reply is wanted and not there yet.
    pub(super) fn is_coming(&self, len: usize) -> bool {
        self.prompt + len >= self.wanted && len <= self.len() && self.rows.get(self.prompt + len).is_none()
    }

    fn whole(&self) -> Need<'_> {
        Need {
            sequence: &self.sequence,
            tokens: &self.tokens,
            agreed: self.read,
            rows: self.wanted,
            prompt: self.prompt,
            tails: &[],
            anew: self.illness == Illness::Treated { begun: false },
            interrupted: &self.interrupted,
        }
    }

    /// The first of the prompt's last tokens of which is not known what it counts as evidence; the prompt's length where all
    /// are known.
    fn first_unknown(&self) -> usize {
        let unknown = |&token: &usize| self.evidence[token].is_nan();
        (self.prompt.saturating_sub(EVIDENCE_TOKENS).max(1)..self.prompt).find(unknown).unwrap_or(self.prompt)
    }

    /// Of the first `len` tokens.
    fn evidence(&self, len: usize) -> f32 {
        let first = self.prompt.saturating_sub(EVIDENCE_TOKENS).max(len.saturating_sub(MOST_EVIDENCE_TOKENS));
        let known = self.evidence[first.min(len)..len].iter().map(|own| if own.is_nan() { 0.0 } else { *own });
        known.fold(0.0, |sum, own| plugin_api::abi::EVIDENCE_DECAY * sum + own)
    }

    /// What `token` counts after the first `len` tokens, by the kept row; NaN when none is kept there.
    fn kept_evidence(&self, len: usize, token: Token) -> f32 {
        let Some(row) = self.rows.get(len).filter(|row| !row.abstains) else { return f32::NAN };
        self.counted(token, || row.probabilities.get(token as usize).map_or(f32::NEG_INFINITY, |p| p.ln()))
    }

    /// What a token counts as evidence; NaN by a row that is no distribution. One that is never emitted counts nothing: it is
    /// the prompt's form.
    fn counted(&self, token: Token, log_probability: impl FnOnce() -> f32) -> f32 {
        let is_text = self.vocabulary.can_emit(token) && token != self.vocabulary.end();
        let own = if is_text { log_probability() } else { 0.0 };
        if own < LEAST_EVIDENCE { LEAST_EVIDENCE } else { own }
    }

    /// Adds a token; what it counts may be known by a row that is kept.
    fn push(&mut self, token: Token) {
        self.evidence.push(self.kept_evidence(self.tokens.len(), token));
        self.tokens.push(token);
    }

    /// Keeps the first `len` tokens.
    fn forget_after(&mut self, len: usize) {
        self.tokens.truncate(len);
        self.evidence.truncate(len);
        self.rows.drop_after(len);
        self.read = self.read.min(len);
        self.wanted = len;
        self.illness = Illness::Healthy;
        // A model that was away may be back.
        if self.rows.get(len).is_some_and(|row| row.abstains) {
            self.rows.drop_after(len.saturating_sub(1));
        }
        self.asked_to = self.asked_to.min(len).max(self.prompt.min(len));
        self.asked = self.asked.min(self.asked_to);
    }

    /// The first of the newest tokens of which the model was not asked because it was away; the text's length where there is
    /// none.
    fn first_missed(&self) -> usize {
        let len = self.tokens.len();
        let first = len.saturating_sub(EVIDENCE_TOKENS).max(1);
        (first..len).find(|&token| self.evidence[token].is_nan()).unwrap_or(len)
    }

    /// Keeps the row after the first `at` tokens, if it is wanted.
    fn take_row(&mut self, at: usize, logits: &[f32]) {
        if at < self.wanted || self.rows.get(at).is_some() {
            return;
        }
        let vocabulary = &self.vocabulary;
        let kept = self.rows.keep(at, |row| {
            vocabulary.row_of_units(logits, &mut row.logits);
            row.complete()
        });
        if let Err(error) = kept {
            self.illness = match self.illness {
                Illness::Healthy => Illness::Seen(at, error),
                Illness::Treated { .. } => Illness::Chronic(error),
                other => other,
            };
        }
    }

    fn failed(&self, why: String) -> MemberError {
        MemberError::Decode { member: self.name.clone(), why }
    }
}

/// Log-probability of a token; NaN under a row that is no distribution.
fn log_probability(row: &[f32], token: Token) -> f32 {
    let own = fuse::log_probability(row, token as usize);
    if own == f32::NEG_INFINITY && fuse::check(row).is_err() { f32::NAN } else { own }
}

impl Reader for Plain {
    fn name(&self) -> &str {
        &self.name
    }

    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError> {
        let room = self.context.saturating_sub(1);
        let (tokens, stop) = self.tokenizer.read(prompt, &self.tokens, room)?;
        let len = tokens.len();
        if len == 0 {
            return Err(MemberError::EmptyPrompt(self.name.clone()));
        }
        if len > room {
            return Err(MemberError::PromptTooLong { member: self.name.clone(), tokens: len, or_more: false, room });
        }
        let common = self.tokens.iter().zip(&tokens).take_while(|(a, b)| a == b).count();
        self.forget_after(common);
        for &token in &tokens[common..] {
            self.push(token);
        }
        self.prompt = len;
        self.wanted = len;
        self.asked = self.first_unknown();
        self.asked_to = len;
        self.is_away = false;
        let again = if self.asked < len || self.rows.get(len).is_none() { self.asked - 1 } else { len };
        let left_out = self.tokenizer.take_left_out();
        Ok(Primed { tokens: len, decoded: len - self.read.min(again), stop, left_out })
    }

    fn leave_out(&mut self) {
        self.tokenizer.leave_out();
    }

    fn extend(&mut self, units: &[Unit], rows: Wanted) {
        let before = self.tokens.len();
        if self.wanted > before || self.rows.get(before).is_some() {
            self.wanted = before + 1;
        }
        for &unit in units {
            self.push(unit);
        }
        let len = self.tokens.len();
        if rows == Wanted::Last {
            self.wanted = len;
        }
        // More rows than can be kept would be asked for again and again.
        self.wanted = self.wanted.max((len + 1).saturating_sub(self.rows.capacity()));
    }

    fn rewind(&mut self, len: usize) {
        let len = (self.prompt + len).min(self.tokens.len());
        self.tokenizer.forget_after(len);
        self.forget_after(len);
    }

    fn len(&self) -> usize {
        self.tokens.len() - self.prompt
    }

    fn need(&mut self) -> Result<Option<Need<'_>>, MemberError> {
        let len = self.tokens.len();
        if len > self.context {
            return Err(MemberError::Full(self.name.clone()));
        }
        match self.illness {
            Illness::Seen(at, _) => {
                self.rows.drop_after(at.saturating_sub(1));
                self.illness = Illness::Treated { begun: false };
                self.asked = self.first_unknown();
            }
            Illness::Chronic(error) => return Err(self.failed(format!("its logits are no distribution: {error}"))),
            Illness::Healthy | Illness::Treated { .. } => {}
        }
        let missing = (self.wanted..=len).find(|&len| self.rows.get(len).is_none()).unwrap_or(len + 1);
        if self.is_away && missing <= len {
            // Perhaps it is back, and says what it makes of what was written since.
            self.asked = self.first_missed();
            self.asked_to = len;
        }
        let rows = if self.asked < self.asked_to { missing.min(self.asked) } else { missing };
        if rows <= len {
            return Ok(Some(Need { rows, ..self.whole() }));
        }
        // A row that nobody takes is computed all the same: it is a part of what decoding costs.
        if self.wanted > len && self.read < len {
            return Ok(Some(Need { rows: len, ..self.whole() }));
        }
        self.illness = Illness::Healthy;
        for at in self.wanted..=len {
            let evidence = self.evidence(at);
            if let Some(row) = self.rows.get_mut(at).filter(|row| !row.abstains) {
                row.evidence = evidence;
                self.last_evidence = evidence;
            }
        }
        // A regenerate decodes nothing.
        if self.wanted <= self.prompt && self.rows.get(self.prompt).is_some_and(|row| !row.abstains) {
            self.rows.pin(self.prompt);
        }
        Ok(None)
    }

    fn is_read(&self) -> bool {
        let has_rows = || (self.wanted..=self.tokens.len()).all(|len| self.rows.get(len).is_some());
        self.illness == Illness::Healthy
            && self.wanted <= self.tokens.len()
            && self.asked >= self.asked_to
            && has_rows()
    }

    fn absorb(&mut self, place: Place, logits: &[f32]) {
        let Place::After(at) = place else { return };
        if at == self.asked {
            self.asked += 1;
        }
        self.is_away = false;
        self.take_row(at, logits);
        if let Some(&token) = self.tokens.get(at)
            && self.evidence[at].is_nan()
        {
            // A later token of the batch may have spoiled the row; then it stays unknown. In a reply it counts as when it
            // comes after its row, so that reading ahead changes nothing.
            self.evidence[at] = match at < self.asked_to {
                true => self.counted(token, || log_probability(logits, token)),
                false => self.kept_evidence(at, token),
            };
        }
    }

    fn progress(&mut self, read: usize) {
        self.read = read.min(self.tokens.len());
        if let Illness::Treated { begun } = &mut self.illness {
            *begun = true;
        }
    }

    fn abstain(&mut self) {
        let (len, units) = (self.tokens.len(), self.vocabulary.len());
        for at in self.wanted..=len {
            if self.rows.get(at).is_none() {
                let _ = self.rows.keep(at, |row| {
                    // What it thought of the text when it was there last is what counts.
                    *row = MemberRow { evidence: self.last_evidence, ..MemberRow::abstaining(units) };
                    Ok::<(), InvalidRow>(())
                });
            }
        }
        (self.asked, self.asked_to) = (len, len);
        self.is_away = true;
    }

    fn is_away(&self) -> bool {
        self.is_away && self.rows.get(self.tokens.len()).is_some_and(|row| row.abstains)
    }

    fn row(&self, len: usize) -> Option<&MemberRow> {
        self.rows.get(self.prompt + len)
    }

    fn room(&self) -> usize {
        self.context.saturating_sub(self.tokens.len())
    }

    fn adopt(&mut self, units: &[Unit], text: &str) {
        let same = self.reply().iter().zip(units).take_while(|(token, unit)| token == unit).count();
        // After a context shift the members have seen the end of the reply alone.
        self.forget_after(self.prompt + same);
        for &unit in &units[same..] {
            self.push(unit);
        }
        self.tokenizer.ended(text, self.tokens.len());
    }

    fn heed(&mut self, interrupted: Arc<AtomicBool>) {
        self.interrupted = interrupted;
    }

    fn tokens_of(&self, text: &str) -> Result<Vec<Token>, MemberError> {
        self.tokenizer.tokens_of(text)
    }

    fn prompt(&self) -> Vec<Unit> {
        self.tokens[..self.prompt].to_vec()
    }

    fn push_own(&mut self, token: Token) {
        self.tokens.push(token);
        self.evidence.push(f32::NAN);
        self.wanted = self.tokens.len() + 1;
    }
}
