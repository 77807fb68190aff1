//! A server for whoever writes texts: OpenAI's and Anthropic's interfaces and a page, over the trait [`Backend`].
//!
//! This crate knows no model. It turns requests into [`Job`]s, and what comes back into the form that a client expects. It
//! decides who gets in, who waits and what a client sees of text that can still be taken back.

pub mod backend;
pub mod page;

pub use backend::Backend;
