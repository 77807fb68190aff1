//! What a text has to look like, as masks over the units that can be written next.
//!
//! [`Units`] is built once for a vocabulary. [`Units::open`] compiles a [`Constraint`] to a [`State`], which follows one text: it
//! says what may come next, takes what came, and is rolled back with the text when that is retracted. llguidance does the
//! parsing: an Earley parser over a lexer of derivatives, walked along a trie of the vocabulary.

mod state;
mod units;

pub use state::{Mask, State};
pub use units::Units;

use serde_json::Value;

/// What a text has to look like.
#[derive(Debug, Clone, PartialEq)]
pub enum Constraint {
    /// JSON of this schema.
    Schema(Value),
    /// A grammar in llguidance's form of Lark.
    Lark(String),
}

/// White space between two tokens of JSON, as a regex: that of llama.cpp's grammars.
///
/// llguidance's own pattern has no longest match, and small models that are unsure write spaces for ever.
pub const WHITE_SPACE: &str = r"( |\n{1,2}[ \t]{0,20})";

/// The first paragraph of an error: llguidance adds its state, the whole grammar and a backtrace.
fn sentence(error: impl std::fmt::Display) -> String {
    let text = error.to_string();
    let end = ["\n<state>", "\n<non-verbose/>", "\n<backtrace>"].iter().filter_map(|mark| text.find(mark)).min();
    text[..end.unwrap_or(text.len())].trim().to_owned()
}
