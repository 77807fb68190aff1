//! Several GGUF language models decode one text together, and take back what goes wrong.

pub mod cli;
pub mod engine;
pub mod error;
pub mod events;
pub mod hooks;
pub mod reply;
pub mod settings;

pub use error::Error;
