//! Several GGUF language models decode one text together, and take back what goes wrong.

pub mod events;
pub mod hooks;
pub mod settings;
