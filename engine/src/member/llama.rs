//! A member that llama.cpp runs.

use super::context::{Checkpoint, Context, DecodeError, MOST_OUTPUTS};
use super::prompt::{KnownText, PromptForm};
use super::rows::{KeptRows, NOWHERE};
use super::tokens::LongestToken;
use super::{Member, MemberError, MemberRow, Primed, Unit, Vocabulary, tokens};
use crate::fuse::{self, InvalidRow};
use crate::settings::Prompt;
use std::sync::Arc;

/// Over how many of the last prompt tokens the evidence is taken. What lies further back has decayed to 39 %, and each
/// costs an output layer. Always as many, whatever is known of more: a reply does not depend on what was asked before.
const EVIDENCE_TOKENS: usize = 31;

/// Tokens of a reply over which it is taken: what lies further back has decayed to 10⁻⁷.
const MOST_EVIDENCE_TOKENS: usize = 512;

/// Least log-probability that counts: one unit that a member thought impossible must not silence it for the whole text.
const LEAST_EVIDENCE: f32 = -20.0;

/// Least number of units between two checkpoints of a recurrent state. A rewind decodes as many again, in one batch.
const LEAST_DISTANCE: usize = 8;

/// Checkpoints that share the horizon between them; one is some 20 MB for a model of 3 billion parameters.
const CHECKPOINTS: usize = 4;

/// From how many bytes on a prompt is only tokenised if it may fit. Up to there it is cheap to tell the exact length.
const LONG_PROMPT: usize = 64 << 10;

pub(crate) struct LlamaMember {
    name: String,
    context: Context,
    vocabulary: Arc<Vocabulary>,
    /// Tells a prompt that cannot fit.
    longest_token: Option<LongestToken>,
    form: PromptForm,
    horizon: usize,
    /// Prompt and reply in tokens: what stands.
    sequence: Vec<i32>,
    /// How many of them the context holds. Fewer than all only after an error, or when nothing needed the last one's row.
    decoded: usize,
    prompt_len: usize,
    known: KnownText,
    /// What each token of `sequence` counts as evidence; NaN where the member was not asked.
    evidence: Vec<f32>,
    row: MemberRow,
    /// The length that `row` belongs to, or [`NOWHERE`].
    shown: usize,
    kept: KeptRows,
    /// Of a recurrent state: at the end of the prompt and every few units. Empty for attention models.
    checkpoints: Vec<(usize, Checkpoint)>,
    recurrent: bool,
}

impl LlamaMember {
    pub fn new(name: String, context: Context, vocabulary: Arc<Vocabulary>, form: PromptForm, horizon: usize) -> Self {
        let units = vocabulary.len();
        // Hybrids too: their recurrent half cannot be cut.
        let recurrent = context.model().is_recurrent() || context.model().is_hybrid();
        Self {
            name,
            longest_token: LongestToken::of(context.model(), &vocabulary),
            context,
            form,
            horizon,
            sequence: Vec::new(),
            decoded: 0,
            prompt_len: 0,
            known: KnownText::default(),
            evidence: Vec::new(),
            row: MemberRow { probabilities: vec![0.0; units], ..MemberRow::default() },
            shown: NOWHERE,
            kept: KeptRows::new(units, horizon),
            checkpoints: Vec::new(),
            recurrent,
            vocabulary,
        }
    }

    /// A prompt as tokens, as text, and with texts after which the reply is over.
    fn read(&mut self, prompt: &Prompt) -> Result<(Vec<i32>, String, Vec<String>), MemberError> {
        let model = self.context.model();
        if let Prompt::Tokens(units) = prompt {
            let tokens = tokens::beginning(model).into_iter().chain(units.iter().map(|&unit| unit as i32));
            return Ok((tokens.collect(), String::new(), Vec::new()));
        }
        let (pieces, stop) = self
            .form
            .render(prompt)
            .map_err(|error| MemberError::Template { member: self.name.clone(), why: error.to_string() })?;
        let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        if let Some(character) = self.vocabulary.inexpressible(&text) {
            return Err(MemberError::Inexpressible { member: self.name.clone(), character });
        }
        let (bytes, count) = self.known.beginning_of(&text);
        // A long text takes a tokenizer seconds, and can be refused at once.
        if let Some(longest) = self.longest_token.as_ref().filter(|_| text.len() > LONG_PROMPT) {
            self.check_room(count + longest.least_tokens(&text[bytes..]), true)?;
        }
        // A prefix that is known keeps its tokens.
        let tokens = tokens::tokenise(model, &self.vocabulary, &pieces, bytes, &self.sequence[..count]);
        Ok((tokens, text, stop))
    }

    /// Refuses a prompt of so many tokens, or of at least so many, that leaves no room for a reply.
    fn check_room(&self, tokens: usize, or_more: bool) -> Result<(), MemberError> {
        let room = self.context.size() - 1;
        if tokens <= room {
            return Ok(());
        }
        Err(MemberError::PromptTooLong { member: self.name.clone(), tokens, or_more, room })
    }

    /// Decodes `sequence[decoded..end]`, with rows for the last `rows` tokens of it: notes what they say of the tokens that
    /// follow, and keeps the last one.
    fn decode_up_to(&mut self, end: usize, rows: usize) -> Result<(), MemberError> {
        while self.decoded < end {
            let start = self.decoded;
            let without_rows = (end - rows).saturating_sub(start);
            let (count, wanted) = if without_rows > 0 {
                (without_rows.min(Context::batch()), 0)
            } else {
                let count = (end - start).min(MOST_OUTPUTS);
                (count, count)
            };
            if let Err(error) = self.context.decode(&self.sequence[start..start + count], start, wanted) {
                // Part of the batch may be kept; what stood before it stays. A recurrent state may be changed in some
                // of its layers.
                let is_torn = self.recurrent && error != DecodeError::Full;
                if is_torn || !self.context.cut(start) {
                    self.go_back_without_cutting(start);
                }
                return Err(self.not_decoded(error));
            }
            self.decoded += count;
            for index in count - wanted..count {
                let next = start + index + 1;
                let Some(row) = self.context.row(index) else {
                    return Err(self.failed("llama.cpp gave no logits".into()));
                };
                if next < end {
                    let token = self.sequence[next];
                    let own = counted(&self.vocabulary, token, || log_probability(row, token));
                    // A later token of the batch may have spoiled the row; what was known before holds.
                    if !own.is_nan() {
                        self.evidence[next] = own;
                    }
                } else {
                    self.vocabulary.row_of_units(row, self.kept.slot(next));
                }
            }
        }
        Ok(())
    }

    fn not_decoded(&self, error: DecodeError) -> MemberError {
        match error {
            DecodeError::Full => MemberError::Full(self.name.clone()),
            DecodeError::Interrupted => MemberError::Interrupted(self.name.clone()),
            DecodeError::Fatal(status) => self.failed(format!("llama.cpp's status is {status}")),
            DecodeError::Lost => {
                self.failed("its file became shorter while it was in use; start again when the file is whole".into())
            }
        }
    }

    fn failed(&self, why: String) -> MemberError {
        MemberError::Decode { member: self.name.clone(), why }
    }

    /// Makes `row` from the kept logits of length `len`, where the text ends. If they are no distribution, the text is read
    /// again once: what is in the context may be the reason, and not the model.
    fn show_row(&mut self, len: usize) -> Result<(), MemberError> {
        if self.take_row(len)?.is_err() {
            self.decode_anew()?;
            self.take_row(len)?.map_err(|error| self.failed(format!("its logits are no distribution: {error}")))?;
        }
        Ok(())
    }

    /// Makes `row` from the kept logits of length `len`, if they are a distribution.
    fn take_row(&mut self, len: usize) -> Result<Result<(), InvalidRow>, MemberError> {
        if self.shown != len && !self.kept.lend(len, self.shown, &mut self.row.logits) {
            return Err(self.failed(format!("no row is kept at {len}")));
        }
        self.shown = len;
        self.row.evidence = self.evidence(len);
        let statistics = fuse::softmax(&self.row.logits, &mut self.row.probabilities);
        Ok(statistics.map(|statistics| self.row.statistics = statistics))
    }

    /// Empties the context and decodes what stands, with what it counts as evidence where that is not known. A number that
    /// is none stays in a KV cache, and spoils the rows of all that is decoded beside it, even after its place was given up.
    fn decode_anew(&mut self) -> Result<(), MemberError> {
        let len = self.sequence.len();
        self.kept.drop_after(len.saturating_sub(1));
        if self.shown == len {
            self.shown = NOWHERE;
        }
        self.checkpoints.clear();
        self.context.clear();
        self.decoded = 0;
        let first = self.first_unknown();
        self.decode_up_to(len, if first < self.prompt_len { len + 1 - first } else { 1 })?;
        self.keep_checkpoint(1);
        Ok(())
    }

    /// The first of the prompt's last tokens of which is not known what it counts as evidence; the prompt's length where all
    /// are known.
    fn first_unknown(&self) -> usize {
        let len = self.prompt_len;
        let unknown = |&token: &usize| self.evidence[token].is_nan();
        (len.saturating_sub(EVIDENCE_TOKENS).max(1)..len).find(unknown).unwrap_or(len)
    }

    /// Of the first `len` tokens.
    fn evidence(&self, len: usize) -> f32 {
        let first = self.prompt_len.saturating_sub(EVIDENCE_TOKENS).max(len.saturating_sub(MOST_EVIDENCE_TOKENS));
        let known = self.evidence[first..len].iter().map(|own| if own.is_nan() { 0.0 } else { *own });
        known.fold(0.0, |sum, own| plugin_api::abi::EVIDENCE_DECAY * sum + own)
    }

    /// The row of length `len`, if it is kept.
    fn logits(&self, len: usize) -> Option<&[f32]> {
        if self.shown == len {
            return Some(&self.row.logits);
        }
        self.kept.get(len)
    }

    /// What `token` counts after the first `len` tokens, by the kept row; NaN when none is kept there.
    fn kept_evidence(&self, len: usize, token: i32) -> f32 {
        let Some(row) = self.logits(len) else { return f32::NAN };
        counted(&self.vocabulary, token, || log_probability(row, token))
    }

    /// Keeps the first `len` tokens, and of the context at most these.
    fn forget_after(&mut self, len: usize) {
        self.sequence.truncate(len);
        self.evidence.truncate(len);
        self.kept.drop_after(len);
        if self.shown > len {
            self.shown = NOWHERE;
        }
        self.cut(len);
    }

    /// Shortens the context to at most `len` tokens; what is missing then is decoded again by [`Self::decode_up_to`].
    fn cut(&mut self, len: usize) {
        if len >= self.decoded {
            return;
        }
        if !self.recurrent && self.context.cut(len) {
            self.decoded = len;
        } else {
            self.go_back_without_cutting(len);
        }
    }

    /// To a checkpoint, or by forgetting everything, which costs time and no text.
    fn go_back_without_cutting(&mut self, len: usize) {
        while let Some((at, checkpoint)) = self.checkpoints.last() {
            if *at <= len && self.context.restore(checkpoint, *at) {
                self.decoded = *at;
                return;
            }
            self.checkpoints.pop();
        }
        self.context.clear();
        self.decoded = 0;
    }

    /// Keeps the state of a model that cannot be cut, `distance` units or more after the last one.
    fn keep_checkpoint(&mut self, distance: usize) {
        let last = self.checkpoints.last().map_or(0, |(at, _)| *at);
        if !self.recurrent || self.decoded < last + distance {
            return;
        }
        if let Some(checkpoint) = self.context.checkpoint() {
            self.checkpoints.push((self.decoded, checkpoint));
        }
        // Those up to the end of the prompt serve regenerates, the others the horizon.
        let of_reply = self.checkpoints.partition_point(|(at, _)| *at <= self.prompt_len);
        if self.checkpoints.len() - of_reply > CHECKPOINTS + 1 {
            self.checkpoints.remove(of_reply);
        }
    }
}

/// Log-probability of a token; NaN under a row that is no distribution.
fn log_probability(row: &[f32], token: i32) -> f32 {
    let own = fuse::log_probability(row, token as usize);
    if own == f32::NEG_INFINITY && fuse::check(row).is_err() { f32::NAN } else { own }
}

/// What a token counts as evidence; NaN by a row that is no distribution. One that is never emitted counts nothing: it is the
/// prompt's form.
fn counted(vocabulary: &Vocabulary, token: i32, log_probability: impl FnOnce() -> f32) -> f32 {
    let is_text = vocabulary.can_emit(token as Unit) && token as Unit != vocabulary.end();
    let own = if is_text { log_probability() } else { 0.0 };
    if own < LEAST_EVIDENCE { LEAST_EVIDENCE } else { own }
}

impl Member for LlamaMember {
    fn name(&self) -> &str {
        &self.name
    }

    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError> {
        let (tokens, text, stop) = self.read(prompt)?;
        let len = tokens.len();
        if len == 0 {
            return Err(MemberError::EmptyPrompt(self.name.clone()));
        }
        self.check_room(len, false)?;
        let common = self.sequence.iter().zip(&tokens).take_while(|(a, b)| a == b).count();
        // The row where the new tokens begin may fall out when others are made.
        let first_new = tokens.get(common).map(|&token| self.kept_evidence(common, token));
        self.forget_after(common);
        self.sequence = tokens;
        self.prompt_len = len;
        if let Prompt::Tokens(_) = prompt {
            self.known = KnownText::default();
        } else {
            self.known.replace(text, len);
        }
        self.evidence.extend(first_new);
        self.evidence.resize(len, f32::NAN);
        // The token before makes the row that tells it.
        let first = self.first_unknown();
        let from = if first < len || self.logits(len).is_none() { first - 1 } else { len };
        self.cut(from);
        let decoded = len - self.decoded;
        self.decode_up_to(len, len - from)?;
        self.show_row(len)?;
        // A regenerate decodes nothing.
        self.kept.pin(len, &self.row.logits);
        // One from before the end of the prompt, for the case that it is taken back.
        let earlier = self.checkpoints.partition_point(|(at, _)| *at < len);
        self.checkpoints.drain(..earlier.saturating_sub(1));
        self.keep_checkpoint(1);
        Ok(Primed { tokens: len, decoded, stop })
    }

    fn extend(&mut self, units: &[Unit]) -> Result<(), MemberError> {
        for &unit in units {
            let len = self.sequence.len();
            if len >= self.context.size() {
                return Err(MemberError::Full(self.name.clone()));
            }
            let probability = self.row.probabilities.get(unit as usize).copied().unwrap_or(0.0);
            self.sequence.push(unit as i32);
            if let Err(error) = self.decode_up_to(len + 1, 1) {
                self.forget_after(len);
                return Err(error);
            }
            self.evidence.push(counted(&self.vocabulary, unit as i32, || probability.ln()));
            self.keep_checkpoint(self.horizon.div_ceil(CHECKPOINTS).max(LEAST_DISTANCE));
            self.show_row(len + 1)?;
        }
        Ok(())
    }

    fn decode_only(&mut self, unit: Unit) -> Result<(), MemberError> {
        let outcome = self.context.decode(&[unit as i32], self.decoded, 1);
        outcome.map_err(|error| self.not_decoded(error))?;
        self.context.finish();
        self.sequence.push(unit as i32);
        self.evidence.push(f32::NAN);
        self.decoded += 1;
        Ok(())
    }

    fn branch(&mut self, tails: &[&[Unit]]) -> Result<Vec<Option<MemberRow>>, MemberError> {
        let start = self.sequence.len();
        // What stands may be known by its row alone.
        self.decode_up_to(start, 0)?;
        let tokens: Vec<Vec<i32>> = tails.iter().map(|tail| tail.iter().map(|&unit| unit as i32).collect()).collect();
        let mut rows = Vec::with_capacity(tails.len());
        for part in tokens.chunks(self.context.branches()) {
            let part: Vec<&[i32]> = part.iter().map(Vec::as_slice).collect();
            let outcome = self.context.decode_branches(&part, start);
            outcome.map_err(|error| self.not_decoded(error))?;
            let mut end = 0;
            for tail in part {
                end += tail.len();
                let Some(logits) = self.context.row(end - 1) else {
                    return Err(self.failed("llama.cpp gave no logits".into()));
                };
                let mut row = MemberRow::default();
                self.vocabulary.row_of_units(logits, &mut row.logits);
                row.probabilities.resize(row.logits.len(), 0.0);
                let statistics = fuse::softmax(&row.logits, &mut row.probabilities);
                rows.push(statistics.ok().map(|statistics| MemberRow { statistics, ..row }));
            }
        }
        Ok(rows)
    }

    fn read_again(&mut self) -> Result<(), MemberError> {
        self.decode_anew()?;
        self.show_row(self.sequence.len())
    }

    fn branches(&self) -> usize {
        self.context.branches()
    }

    fn tokens_of(&self, text: &str) -> Result<Vec<Unit>, MemberError> {
        if let Some(character) = self.vocabulary.inexpressible(text) {
            return Err(MemberError::Inexpressible { member: self.name.clone(), character });
        }
        let tokens = tokens::tokenise_text(self.context.model(), &self.vocabulary, text);
        Ok(tokens.into_iter().filter_map(|token| Unit::try_from(token).ok()).collect())
    }

    fn tokens_of_reply(&self, text: &str) -> Result<Vec<Unit>, MemberError> {
        if let Some(character) = self.vocabulary.inexpressible(text) {
            return Err(MemberError::Inexpressible { member: self.name.clone(), character });
        }
        let before = &self.sequence[..self.prompt_len];
        let tokens = tokens::tokenise_after(self.context.model(), &self.vocabulary, before, text);
        Ok(tokens.into_iter().filter_map(|token| Unit::try_from(token).ok()).collect())
    }

    fn end(&self) -> Option<Unit> {
        Some(self.vocabulary.end()).filter(|&end| self.vocabulary.can_emit(end))
    }

    fn prompt_evidence(&self) -> Vec<(Unit, f32)> {
        let first = self.prompt_len.saturating_sub(EVIDENCE_TOKENS);
        let known = self.sequence[first..self.prompt_len].iter().zip(&self.evidence[first..self.prompt_len]);
        known.filter(|(_, evidence)| !evidence.is_nan()).map(|(&token, &evidence)| (token as Unit, evidence)).collect()
    }

    fn reply_tokens(&self) -> Option<Vec<Unit>> {
        Some(self.sequence[self.prompt_len..].iter().map(|&token| token as Unit).collect())
    }

    fn len(&self) -> usize {
        self.sequence.len() - self.prompt_len
    }

    fn context(&self) -> usize {
        self.context.size()
    }

    fn room(&self) -> usize {
        self.context.size().saturating_sub(self.sequence.len())
    }

    fn can_rewind(&self, len: usize) -> Result<(), MemberError> {
        if len > self.len() {
            return Err(MemberError::CannotRewind {
                member: self.name.clone(),
                units: 0,
                why: format!("only {} tokens are decoded", self.len()),
            });
        }
        // By cutting, from a checkpoint, or by reading the text again: llama.cpp's members always can.
        Ok(())
    }

    fn rewind(&mut self, len: usize) -> Result<(), MemberError> {
        self.can_rewind(len)?;
        let len = self.prompt_len + len;
        self.known.forget_after(len);
        self.forget_after(len);
        let rows = usize::from(self.logits(len).is_none());
        // Without its row the last token is decoded once more.
        self.cut(len.saturating_sub(rows));
        self.decode_up_to(len, rows)?;
        self.show_row(len)
    }

    fn row(&self) -> &MemberRow {
        &self.row
    }

    fn adopt(&mut self, units: &[Unit], text: &str) {
        let reply = self.sequence[self.prompt_len..].iter();
        let same = reply.zip(units).take_while(|&(&token, &unit)| token == unit as i32).count();
        // After a context shift the members have seen the end of the reply alone.
        self.forget_after(self.prompt_len + same);
        // The newest unit, which nothing needed decoded.
        for &unit in &units[same..] {
            let evidence = self.kept_evidence(self.sequence.len(), unit as i32);
            self.evidence.push(evidence);
            self.sequence.push(unit as i32);
        }
        self.known.append(text, self.sequence.len());
    }

    fn set_threads(&mut self, threads: usize) {
        self.context.set_threads(threads);
    }

    fn cost(&self) -> u64 {
        self.context.model().size()
    }
}
