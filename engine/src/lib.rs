//! Several GGUF language models decode one text together, and take back what goes wrong.

pub mod decode;
pub mod error;
pub mod events;
pub mod hooks;
pub mod member;
pub mod memory;
pub mod reply;
pub mod settings;

pub use error::Error;
