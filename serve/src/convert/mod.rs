//! Converters without state between the interfaces that clients speak and what a [`Backend`](crate::Backend) takes and tells.
//!
//! None of them knows HTTP: JSON goes in and comes out. [`shape`] and [`gbnf`] make constraints, [`tools`] and [`calls`] let a
//! model that knows only text call functions, [`messages`] is Anthropic's interface and [`responses`] is OpenAI's newer one;
//! [`neutral`] is what these two have in common.

pub mod calls;
pub mod gbnf;
pub mod messages;
pub mod neutral;
pub mod responses;
pub mod shape;
pub mod tools;

mod closed;
mod fields;
