//! Several GGUF language models decode one text together, and take back what goes wrong.

pub mod bench;
pub mod cli;
pub mod decode;
pub mod engine;
pub mod error;
pub mod events;
pub mod fuse;
pub mod hooks;
pub mod member;
pub mod memory;
pub mod reply;
pub mod score;
pub mod settings;

pub use engine::Engine;
pub use error::Error;
