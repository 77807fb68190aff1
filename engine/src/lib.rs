//! Several GGUF language models decode one text together, and take back what goes wrong.

pub mod error;
pub mod events;
pub mod fuse;
pub mod hooks;
pub mod member;
pub mod reply;
pub mod settings;

pub use error::Error;
