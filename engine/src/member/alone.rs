//! One model that reads a text in windows: what the text costs it, and what its tensors are while it does.
//!
//! A window is read from nothing, as `llama-perplexity` does: the model's beginning-of-text token takes the place of its first
//! token, and the tokens of its second half count.

mod experts;
mod importance;

pub use experts::{ExpertLayer, Experts};
pub use importance::{Importance, Matrix};

use super::load::load_alone;
use super::model::DecodeError;
use super::model::context::{Batch, Context};
use super::model::tap::{See, Tap};
use super::reader::tokens::tokenise_text;
use super::{Token, Vocabulary};
use crate::error::Error;
use crate::settings::ModelSource;
use llama_cpp_2::model::LlamaModel;
use std::sync::{Arc, Mutex, PoisonError};

/// Rows of a batch at most: with a vocabulary of 152,000 they are 78 MB.
pub(crate) const ROWS: usize = 128;

/// A model with nobody beside it.
pub struct Alone {
    name: String,
    model: Arc<LlamaModel>,
    vocabulary: Vocabulary,
    context: Context,
    beginning: Option<Token>,
    tap: Option<Arc<Tap>>,
    batch: Batch,
}

/// What a window costs.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cost {
    /// −ln P of the tokens that count, in nats.
    pub nats: f64,
    /// How many these are.
    pub tokens: u32,
    /// Bytes of these tokens.
    pub bytes: u32,
}

impl Alone {
    pub(crate) fn new(
        name: String,
        model: Arc<LlamaModel>,
        vocabulary: Vocabulary,
        context: Context,
        beginning: Option<Token>,
        tap: Option<Arc<Tap>>,
    ) -> Self {
        Self { name, model, vocabulary, context, beginning, tap, batch: Batch::default() }
    }

    /// Loads a model for windows of `context` tokens.
    ///
    /// # Errors
    /// For a file that cannot be loaded, and a context that is longer than the model was trained for.
    pub fn load(source: &ModelSource, context: u32, threads: Option<usize>) -> Result<Self, Error> {
        load_alone(source, context, threads, None)
    }

    /// The windows of a text, all that are full. What a text ends with beyond them is left out.
    ///
    /// # Errors
    /// For a text that is shorter than a window.
    pub fn windows(&self, text: &str) -> Result<Vec<Vec<Token>>, Error> {
        // `llama-perplexity -f` does so, too.
        let text = text.strip_suffix('\n').unwrap_or(text);
        let tokens = tokenise_text(&self.model, &self.vocabulary, text);
        let tokens = tokens.into_iter().filter_map(|token| Token::try_from(token).ok());
        let tokens: Vec<Token> = self.beginning.into_iter().chain(tokens).collect();
        let size = self.context.shape().size as usize;
        if tokens.len() < size {
            return Err(Error::Input(format!(
                "the text has {} tokens for `{}`, which is less than one window of {size}; give a longer text, or a smaller \
                 `context`",
                tokens.len(),
                self.name
            )));
        }
        let mut windows: Vec<Vec<Token>> = tokens.chunks_exact(size).map(<[Token]>::to_vec).collect();
        if let Some(beginning) = self.beginning {
            windows.iter_mut().for_each(|window| window[0] = beginning);
        }
        Ok(windows)
    }

    /// What one window costs.
    ///
    /// # Errors
    /// When it cannot be decoded, or a logit is no number.
    pub fn cost(&mut self, window: &[Token]) -> Result<Cost, Error> {
        let half = window.len() / 2;
        let counted = window.get(half + 1..).unwrap_or_default();
        let (mut sum, mut is_number) = (0.0, true);
        self.read(window, half, &mut |position, row| {
            match window.get(position + 1).map(|&next| nats(row, next as usize)) {
                Some(Some(nats)) => sum += nats,
                Some(None) => is_number = false,
                // Nothing follows the last token.
                None => {}
            }
        })?;
        if !is_number {
            return Err(Error::Failure(format!(
                "`{}` gave logits that are no numbers; its weights are damaged, or were quantised with too few bits",
                self.name
            )));
        }
        let bytes = counted.iter().map(|&token| self.vocabulary.bytes(token).len() as u32).sum();
        Ok(Cost { nats: sum, tokens: counted.len() as u32, bytes })
    }

    /// Reads a window from nothing, and shows the row after each token from `first` on.
    fn read(&mut self, window: &[Token], first: usize, show: &mut dyn FnMut(usize, &[f32])) -> Result<(), Error> {
        self.context.forget(0);
        let largest = self.context.shape().batch as usize;
        let mut at = 0;
        while at < window.len() {
            let end = if at < first { first.min(at + largest) } else { window.len().min(at + ROWS) };
            self.batch.clear();
            for (position, &token) in window.iter().enumerate().take(end).skip(at) {
                self.batch.add(token, position, 0, position >= first);
            }
            self.context.decode(&mut self.batch).map_err(|error| failed(&self.name, error))?;
            if let Some(why) = self.tap.as_ref().and_then(|tap| tap.failure()) {
                return Err(Error::Failure(format!("the tensors of `{}` could not be seen: {why}", self.name)));
            }
            for position in at.max(first)..end {
                let row = self.context.row(position - at).ok_or_else(|| no_row(&self.name, position))?;
                show(position, row);
            }
            at = end;
        }
        self.context.finish();
        Ok(())
    }
}

fn failed(name: &str, error: DecodeError) -> Error {
    let why = match error {
        DecodeError::Lost => "its file has become shorter while it was read; fetch it again".into(),
        DecodeError::Fatal(status) => {
            format!("llama.cpp gives status {status}; LLAMA_SELFMOD_LOG=info shows what it says")
        }
        error => format!("{error:?}"),
    };
    Error::Failure(format!("`{name}` failed to decode a window: {why}"))
}

fn no_row(name: &str, position: usize) -> Error {
    Error::Failure(format!("llama.cpp gave no row of `{name}` after token {position} of a window"))
}

/// −ln of the softmax of a row at `token`: the log-sum-exp less its logit. `None` where these are no numbers.
fn nats(row: &[f32], token: usize) -> Option<f64> {
    let most = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&logit| f64::from(logit - most).exp()).sum();
    let nats = f64::from(most) + sum.ln() - f64::from(*row.get(token)?);
    nats.is_finite().then_some(nats)
}

/// Reads windows of a text with a model whose tensors somebody sees, and says before each how many were read, of how many.
///
/// # Errors
/// Those of [`Alone::load`], [`Alone::windows`] and of decoding.
fn see<S: See + Default + 'static>(
    source: &ModelSource,
    reading: &Reading,
    done: &mut dyn FnMut(usize, usize) -> Result<(), Error>,
) -> Result<(S, usize), Error> {
    let seer = Arc::new(Mutex::new(S::default()));
    let mut alone = load_alone(source, reading.context, reading.threads, Some(Tap::new(seer.clone())))?;
    let windows = alone.windows(reading.text)?;
    let windows: Vec<&Vec<Token>> = windows.iter().skip(reading.skip).take(reading.most).collect();
    for (number, window) in windows.iter().enumerate() {
        done(number, windows.len())?;
        // A row after each token, so that no layer leaves any out.
        alone.read(window, 0, &mut |_, _| {})?;
    }
    done(windows.len(), windows.len())?;
    drop(alone);
    let mut seer = seer.lock().unwrap_or_else(PoisonError::into_inner);
    Ok((std::mem::take(&mut *seer), windows.len()))
}

/// What is read, and how.
#[derive(Debug, Clone, Copy)]
pub struct Reading<'a> {
    /// The text.
    pub text: &'a str,
    /// Tokens of a window.
    pub context: u32,
    /// Windows that are left out at the beginning.
    pub skip: usize,
    /// Windows that are read at most.
    pub most: usize,
    /// CPU threads; `None`: one per physical core.
    pub threads: Option<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cost_of_a_token_is_that_of_the_softmax() {
        let row = [1.0, 2.0, 4.0];
        let sum: f64 = row.iter().map(|&logit: &f32| f64::from(logit).exp()).sum();
        for (token, &logit) in row.iter().enumerate() {
            let expected = -(f64::from(logit).exp() / sum).ln();
            assert!((nats(&row, token).unwrap() - expected).abs() < 1e-12);
        }
        assert_eq!(nats(&row, 3), None);
        assert_eq!(nats(&[f32::NAN, 1.0], 0), None);
        assert_eq!(nats(&[f32::NEG_INFINITY, 1.0], 0), None);
        assert!((nats(&[1e5, -1e5], 0).unwrap()).abs() < 1e-9);
    }
}
