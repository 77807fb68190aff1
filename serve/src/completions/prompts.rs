//! The field `prompt`: a text, several, units, or several lists of them.

use crate::backend::About;
use crate::failure::Failure;
use crate::fields::{Fields, units, wrong};
use serde_json::Value;

/// A prompt as it was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Given {
    Text(String),
    Units(Vec<u32>),
}

impl Given {
    /// Takes away the unit that begins a text: the backend puts one there itself.
    pub(crate) fn strip_beginning(&mut self, about: &About) -> bool {
        match (self, &about.beginning) {
            (Self::Units(units), Some((beginning, _))) if units.first() == Some(beginning) => {
                units.remove(0);
                true
            }
            _ => false,
        }
    }
}

const EXPECTED: &str = "a text, an array of texts, an array of units, or an array of arrays of units";

/// Takes the prompts of a request.
pub(crate) fn take(fields: &mut Fields, about: &About) -> Result<Vec<Given>, Failure> {
    let items = match fields.take("prompt") {
        None => return Err(Failure::field("prompt", format!("`prompt` must be there: {EXPECTED}."))),
        Some(Value::String(text)) => return Ok(vec![Given::Text(text)]),
        Some(Value::Array(items)) => items,
        Some(other) => return Err(wrong("prompt", EXPECTED, &other)),
    };
    match items.first() {
        None => Err(Failure::field("prompt", "`prompt` is an empty array.")),
        Some(Value::Number(_)) => Ok(vec![Given::Units(units("prompt", &items, about.units)?)]),
        Some(_) => items.into_iter().map(|item| one(item, about)).collect(),
    }
}

fn one(item: Value, about: &About) -> Result<Given, Failure> {
    match item {
        Value::String(text) => Ok(Given::Text(text)),
        Value::Array(items) if items.is_empty() => Err(Failure::field("prompt", "`prompt` has an empty array in it.")),
        Value::Array(items) => Ok(Given::Units(units("prompt", &items, about.units)?)),
        other => Err(wrong("prompt", EXPECTED, &other)),
    }
}
