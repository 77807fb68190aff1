//! A member that llama.cpp runs.

use super::context::{Checkpoint, Context, DecodeError, MOST_OUTPUTS};
use super::rows::KeptRows;
use super::template::{ChatTemplate, Piece};
use super::{Member, MemberError, MemberRow, Primed, Unit, Vocabulary};
use crate::fuse;
use crate::settings::{Message, Prompt, Speaker};
use std::sync::Arc;

/// Over how many of the last prompt tokens the evidence is taken. What lies further back has decayed to 38 %, and each row
/// costs an output layer.
const EVIDENCE_TOKENS: usize = 32;

/// Least log-probability that counts: one unit that a member thought impossible must not silence it for the whole text.
const LEAST_EVIDENCE: f32 = -20.0;

/// Units between two checkpoints of a recurrent state. A rewind decodes at most this many again, in one batch.
const CHECKPOINT_EVERY: usize = 8;

/// How a member sees a prompt.
pub(crate) struct PromptForm {
    /// The model's own template or the user's; `None` for a base model.
    pub template: Option<ChatTemplate>,
    /// The system message of every prompt.
    pub system: Option<String>,
}

pub(crate) struct LlamaMember {
    name: String,
    context: Context,
    vocabulary: Arc<Vocabulary>,
    form: PromptForm,
    horizon: usize,
    /// Prompt and reply in tokens; the first `decoded` of them are in the context.
    sequence: Vec<i32>,
    decoded: usize,
    prompt_len: usize,
    /// The text that `sequence` was made from, and where in both a prompt or a reply ended: a prompt that continues this
    /// text keeps its tokens, whatever a tokenizer would make of the whole.
    known: String,
    marks: Vec<(usize, usize)>,
    /// `evidence[n]`: after n tokens.
    evidence: Vec<f32>,
    row: MemberRow,
    kept: KeptRows,
    /// The row after the prompt, so that a regenerate decodes nothing.
    prompt_row: (usize, Vec<f32>),
    /// Of a recurrent state: at the end of the prompt and every few units. Empty for attention models.
    checkpoints: Vec<(usize, Checkpoint)>,
    recurrent: bool,
}

impl LlamaMember {
    pub fn new(name: String, context: Context, vocabulary: Arc<Vocabulary>, form: PromptForm, horizon: usize) -> Self {
        let units = vocabulary.len();
        let recurrent = context.model().is_recurrent() || context.model().is_hybrid();
        Self {
            name,
            context,
            form,
            horizon,
            sequence: Vec::new(),
            decoded: 0,
            prompt_len: 0,
            known: String::new(),
            marks: Vec::new(),
            evidence: vec![0.0],
            row: MemberRow { logits: vec![0.0; units], probabilities: vec![0.0; units], ..MemberRow::default() },
            kept: KeptRows::new(units, horizon),
            prompt_row: (usize::MAX, Vec::new()),
            checkpoints: Vec::new(),
            recurrent,
            vocabulary,
        }
    }

    fn render(&self, prompt: &Prompt) -> Result<(Vec<Piece>, Vec<String>), MemberError> {
        let with_system = |messages: Vec<Message>| match &self.form.system {
            Some(system) if messages.first().is_none_or(|first| first.role != Speaker::System) => {
                let system = Message { role: Speaker::System, content: system.clone() };
                std::iter::once(system).chain(messages).collect()
            }
            _ => messages,
        };
        let failed = |error: super::template::TemplateError| MemberError::Template {
            member: self.name.clone(),
            why: error.to_string(),
        };
        match (prompt, &self.form.template) {
            (Prompt::Text(text), None) => {
                let text = match &self.form.system {
                    Some(system) => format!("{system}\n\n{text}"),
                    None => text.clone(),
                };
                Ok((vec![Piece { text, trusted: false }], Vec::new()))
            }
            (Prompt::Text(text), Some(template)) => {
                let messages = with_system(vec![Message { role: Speaker::User, content: text.clone() }]);
                Ok((template.render(&messages).map_err(failed)?, template.stop_strings().to_vec()))
            }
            (Prompt::Tokens(_), _) => Ok((Vec::new(), Vec::new())),
            (Prompt::Chat(messages), template) => {
                let plain = ChatTemplate::plain();
                let template = template.as_ref().unwrap_or(&plain);
                Ok((template.render(&with_system(messages.clone())).map_err(failed)?, template.stop_strings().to_vec()))
            }
        }
    }

    /// The prompt's tokens; those of a prefix that is known already are taken as they are.
    fn tokens_of(&mut self, pieces: &[Piece]) -> Result<Vec<i32>, MemberError> {
        let text: String = pieces.iter().map(|piece| piece.text.as_str()).collect();
        if let Some(character) = self.vocabulary.inexpressible(&text) {
            return Err(MemberError::Inexpressible { member: self.name.clone(), character });
        }
        while self.marks.last().is_some_and(|&(bytes, _)| !text.starts_with(&self.known[..bytes])) {
            self.marks.pop();
        }
        let (bytes, count) = self.marks.last().copied().unwrap_or((0, 0));
        let mut tokens = self.sequence[..count.min(self.sequence.len())].to_vec();
        tokens.extend(super::tokens::tokenise(self.context.model(), &self.vocabulary, pieces, bytes));
        self.known = text;
        self.marks.push((self.known.len(), tokens.len()));
        self.marks.dedup();
        Ok(tokens)
    }

    /// Decodes `sequence[decoded..end]`, with rows for the last `rows` tokens of it, and keeps the last row. Returns the
    /// log-probabilities those rows gave to the tokens that followed: `rows − 1` of them.
    fn decode_up_to(&mut self, end: usize, rows: usize) -> Result<Vec<f32>, MemberError> {
        let units = self.vocabulary.len();
        let mut predicted = Vec::new();
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
                // Part of the batch may be kept; what stood before it stays.
                if !self.context.cut(start) {
                    let _ = self.context.cut(0);
                    self.decoded = 0;
                }
                return Err(match error {
                    DecodeError::Full => MemberError::Full(self.name.clone()),
                    DecodeError::Fatal(status) => self.failed(format!("llama.cpp's status is {status}")),
                });
            }
            self.decoded += count;
            for index in count - wanted..count {
                let next = start + index + 1;
                let Some(row) = self.context.row(index, units) else {
                    return Err(self.failed("llama.cpp gave no logits".into()));
                };
                if next < end {
                    predicted.push(fuse::log_probability(row, self.sequence[next] as usize));
                } else {
                    let slot = self.kept.slot(next);
                    slot.clear();
                    slot.extend_from_slice(row);
                    self.vocabulary.mask(slot);
                }
            }
        }
        Ok(predicted)
    }

    fn failed(&self, why: String) -> MemberError {
        MemberError::Decode { member: self.name.clone(), why }
    }

    /// Makes `row` from the kept logits of length `len`.
    fn show_row(&mut self, len: usize) -> Result<(), MemberError> {
        let logits = match self.kept.get(len) {
            Some(row) => row,
            None if self.prompt_row.0 == len => &self.prompt_row.1,
            None => return Err(self.failed(format!("no row is kept at {len}"))),
        };
        self.row.logits.copy_from_slice(logits);
        self.row.statistics = fuse::softmax(&self.row.logits, &mut self.row.probabilities)
            .map_err(|error| self.failed(format!("its logits are no distribution: {error}")))?;
        self.row.evidence = self.evidence.get(len).copied().unwrap_or(0.0);
        Ok(())
    }

    fn has_row(&self, len: usize) -> bool {
        self.kept.get(len).is_some() || self.prompt_row.0 == len
    }

    /// Brings the context to exactly the first `len` tokens of `sequence`, with a row there.
    fn back_to(&mut self, len: usize) -> Result<(), MemberError> {
        self.evidence.truncate(len + 1);
        let have_row = self.has_row(len);
        if len < self.decoded || !have_row {
            // Without a kept row the last token is decoded once more.
            let keep = if have_row { len } else { len.saturating_sub(1).min(self.decoded) };
            self.cut(keep);
            self.decode_up_to(len, usize::from(!have_row))?;
        }
        self.show_row(len)
    }

    /// Shortens the context to at most `len` tokens: by cutting, from a checkpoint, or else by forgetting everything, which
    /// costs time and no text: what is missing is decoded again.
    fn cut(&mut self, len: usize) {
        if len >= self.decoded {
            return;
        }
        if !self.recurrent && self.context.cut(len) {
            self.decoded = len;
            return;
        }
        while self.checkpoints.last().is_some_and(|(at, _)| *at > len) {
            self.checkpoints.pop();
        }
        if let Some((at, checkpoint)) = self.checkpoints.last() {
            if self.context.restore(checkpoint, *at) {
                self.decoded = *at;
                return;
            }
        }
        self.checkpoints.clear();
        let _ = self.context.cut(0);
        self.decoded = 0;
    }

    fn save_checkpoint(&mut self) {
        if !self.recurrent {
            return;
        }
        if let Some(checkpoint) = self.context.checkpoint() {
            self.checkpoints.push((self.decoded, checkpoint));
            // The one at the end of the prompt serves regenerates; the others the horizon.
            let most = self.horizon.div_ceil(CHECKPOINT_EVERY) + 2;
            if self.checkpoints.len() > most {
                self.checkpoints.remove(1);
            }
        }
    }
}

impl Member for LlamaMember {
    fn name(&self) -> &str {
        &self.name
    }

    fn prime(&mut self, prompt: &Prompt) -> Result<Primed, MemberError> {
        let (tokens, stop) = if let Prompt::Tokens(units) = prompt {
            self.marks.clear();
            let vocabulary = self.context.model().vocab();
            let begin = vocabulary.should_add_bos().then(|| vocabulary.bos().0);
            (begin.into_iter().chain(units.iter().map(|&unit| unit as i32)).collect(), Vec::new())
        } else {
            let (pieces, stop) = self.render(prompt)?;
            (self.tokens_of(&pieces)?, stop)
        };
        if tokens.is_empty() {
            return Err(MemberError::EmptyPrompt(self.name.clone()));
        }
        if tokens.len() >= self.context.size() {
            let (tokens, room) = (tokens.len(), self.context.size() - 1);
            self.marks.pop();
            return Err(MemberError::PromptTooLong { member: self.name.clone(), tokens, room });
        }
        let common = self.sequence[..self.decoded].iter().zip(&tokens).take_while(|(a, b)| a == b).count();
        let len = tokens.len();
        self.sequence = tokens;
        self.prompt_len = len;
        let before = self.decoded;
        if common < before {
            self.kept.drop_after(common);
        }
        if self.prompt_row.0 > common {
            self.prompt_row.0 = usize::MAX;
        }
        self.evidence.truncate(common + 1);
        if common == len && self.has_row(len) {
            self.cut(len);
            // A recurrent state goes back to a checkpoint, which may lie before the end of the prompt.
            let decoded = len - self.decoded;
            self.decode_up_to(len, 0)?;
            self.show_row(len)?;
            return Ok(Primed { tokens: len, decoded, stop });
        }
        self.cut(common.min(len - 1));
        let decoded = len - self.decoded;
        if self.decoded == 0 {
            self.checkpoints.clear();
        }
        let predicted = self.decode_up_to(len, EVIDENCE_TOKENS.min(decoded))?;
        // Of the tokens before those nothing is known: the evidence stays as it was.
        let known = self.evidence.last().copied().unwrap_or(0.0);
        self.evidence.resize(len + 1 - predicted.len(), known);
        for log_probability in predicted {
            self.evidence.push(
                plugin_api::abi::EVIDENCE_DECAY * self.evidence[self.evidence.len() - 1]
                    + log_probability.max(LEAST_EVIDENCE),
            );
        }
        self.show_row(len)?;
        self.prompt_row.0 = len;
        self.prompt_row.1.clear();
        self.prompt_row.1.extend_from_slice(&self.row.logits);
        self.checkpoints.retain(|(at, _)| *at < len);
        self.checkpoints.drain(..self.checkpoints.len().saturating_sub(1));
        self.save_checkpoint();
        Ok(Primed { tokens: len, decoded, stop })
    }

    fn extend(&mut self, units: &[Unit]) -> Result<(), MemberError> {
        for &unit in units {
            let len = self.decoded;
            if len >= self.context.size() {
                return Err(MemberError::Full(self.name.clone()));
            }
            let probability = self.row.probabilities.get(unit as usize).copied().unwrap_or(0.0);
            self.sequence.truncate(len);
            self.sequence.push(unit as i32);
            self.decode_up_to(len + 1, 1)?;
            self.evidence.truncate(len + 1);
            let log_probability = probability.ln().max(LEAST_EVIDENCE);
            self.evidence.push(plugin_api::abi::EVIDENCE_DECAY * self.evidence[len] + log_probability);
            if self.recurrent && self.decoded - self.checkpoints.last().map_or(0, |(at, _)| *at) >= CHECKPOINT_EVERY {
                self.save_checkpoint();
            }
        }
        self.show_row(self.decoded)
    }

    fn decode_only(&mut self, unit: Unit) -> Result<(), MemberError> {
        let outcome = self.context.decode(&[unit as i32], self.decoded, 1);
        outcome.map_err(|error| self.failed(format!("{error:?}")))?;
        let len = self.decoded;
        // What was decoded here never stood in the text.
        self.decoded += 1;
        self.sequence.truncate(len);
        self.sequence.push(unit as i32);
        self.evidence.resize(self.decoded + 1, 0.0);
        Ok(())
    }

    fn len(&self) -> usize {
        self.decoded - self.prompt_len
    }

    fn room(&self) -> usize {
        self.context.size() - self.decoded
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
        self.kept.drop_after(len);
        self.sequence.truncate(len);
        self.back_to(len)
    }

    fn row(&self) -> &MemberRow {
        &self.row
    }

    fn adopt(&mut self, units: &[Unit], text: &str) {
        self.sequence.truncate(self.prompt_len);
        self.sequence.extend(units.iter().map(|&unit| unit as i32));
        self.known.push_str(text);
        self.marks.push((self.known.len(), self.sequence.len()));
    }

    fn set_threads(&mut self, threads: usize) {
        self.context.set_threads(threads);
    }

    fn cost(&self) -> u64 {
        self.context.model().size()
    }
}
