//! The loop: from the members' rows to text, and back when it goes wrong. It speaks units and knows members, hooks and
//! their scripts only as traits.

mod attempts;
mod candidates;
mod decoder;
mod draft;
mod fusion;
mod parameters;
mod pieces;
mod record;
mod scheduler;
mod session;
mod shape;
mod shift;
pub mod text;
mod transcript;
pub mod window;

pub use decoder::{Decoder, Reading};
pub use fusion::{Fusion, Members};
pub use scheduler::Scheduler;
pub use session::{Limits, Outcome, Parts, Progress, Request, Session, Workspace};
pub use shape::Shape;
