//! From the tokens that a server lists to a row of all tokens.

use super::fault::Fault;

/// A token and its log-probability as a server lists them.
pub type Listed = (i64, f64);

/// Probabilities may sum to so much more than 1: each was rounded.
const ROUNDING: f64 = 1e-3;

/// Log-probability of what is as good as impossible: below the smallest number that has a probability in single precision.
const FLOOR: f32 = -104.0;

/// A row of log-probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// One for each token.
    pub logits: Vec<f32>,
    /// What the tokens that were not listed have together; 0 of a whole row. By no more than this is the row wrong, in total
    /// variation: what is listed is exact, and the rest has its mass.
    pub tail: f32,
}

impl Row {
    /// Of a model with so many tokens. What is not listed shares alike in what is left to 1, as far as none gets more than the
    /// least likely token that is.
    ///
    /// # Errors
    /// When that is no distribution.
    pub fn of(listed: &[Listed], tokens: usize) -> Result<Self, Fault> {
        let wrong = |why: String| Err(Fault::NoDistribution(why));
        let mut logits = vec![f32::NAN; tokens];
        let (mut sum, mut least) = (0.0, f64::INFINITY);
        for &(token, log_probability) in listed {
            let Some(place) = usize::try_from(token).ok().and_then(|token| logits.get_mut(token)) else {
                return wrong(format!("token {token} of {tokens}"));
            };
            if !place.is_nan() {
                return wrong(format!("token {token} is in it twice"));
            }
            if log_probability.is_nan() || log_probability == f64::INFINITY {
                return wrong(format!("token {token} has {log_probability}"));
            }
            *place = (log_probability as f32).max(FLOOR);
            let probability = log_probability.exp();
            sum += probability;
            least = least.min(probability);
        }
        if listed.is_empty() {
            return wrong("it is empty".into());
        }
        if sum.is_nan() || sum > 1.0 + ROUNDING {
            return wrong(format!("its probabilities sum to {sum:.4}"));
        }
        let missing = tokens - listed.len();
        if missing == 0 {
            if sum < 1.0 - ROUNDING {
                return wrong(format!("its probabilities sum to {sum:.4}"));
            }
            return Ok(Self { logits, tail: 0.0 });
        }
        let tail = (1.0 - sum).max(0.0);
        let each = (tail / missing as f64).min(least).ln() as f32;
        for logit in logits.iter_mut().filter(|logit| logit.is_nan()) {
            *logit = each.max(FLOOR);
        }
        Ok(Self { logits, tail: tail as f32 })
    }
}
