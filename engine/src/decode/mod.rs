//! The decode loop and what it remembers of the reply that is being written.

pub mod text;
pub mod window;
