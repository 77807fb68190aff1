//! What a text has to look like, as masks over the units that can be written next.
//!
//! [`Units`] is built once for a vocabulary. [`Units::open`] compiles a [`Constraint`] to a [`State`], which follows one text: it
//! says what may come next, takes what came, and is rolled back with the text when that is retracted. llguidance does the
//! parsing: an Earley parser over a lexer of derivatives, walked along a trie of the vocabulary.

mod state;
mod units;

pub use state::{Mask, State};
pub use units::Units;

use serde_json::{Value, json};

/// What a text has to look like.
#[derive(Debug, Clone, PartialEq)]
pub enum Constraint {
    /// JSON of this schema.
    Schema(Value),
    /// A grammar in llguidance's form of Lark.
    Lark(String),
}

/// How JSON is written: on one line, with a space after each comma and colon, as OpenAI's replies and Python's `json` have it.
/// llguidance reads it in a schema's `x-guidance`.
///
/// Small models that are unsure write white space wherever it is free, and runs of it can be read in many ways: with bytes as
/// units, a reply of 0.2 s took 4 s.
pub fn json_style() -> Value {
    json!({ "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": " })
}

/// The first paragraph of an error: llguidance adds its state, the whole grammar and a backtrace.
fn sentence(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let end = ["\n<state>", "\n<non-verbose/>", "\n<backtrace>"].iter().filter_map(|mark| text.find(mark)).min();
    text[..end.unwrap_or(text.len())].trim().to_owned()
}
