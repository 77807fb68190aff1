//! The loop: from the members' rows to text, and back when it goes wrong. It speaks units and knows members, hooks and
//! their scripts only as traits.

mod attempts;
mod fusion;
mod parameters;
mod record;
mod run;
mod shift;
pub mod text;
pub mod window;

pub use fusion::{Fusion, Members};
pub use run::{Decoder, Limits, Outcome, Request};
