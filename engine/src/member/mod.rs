//! One loaded model: its file, its chat template, its tokens, its context.

pub mod inspect;
pub mod template;
