//! What tests of several kinds share.

pub mod double;
pub mod gguf;
pub mod http;
pub mod program;
#[cfg(target_os = "linux")]
pub mod pty;
pub mod replay;
pub mod rules;
pub mod screen;
pub mod scripted;
pub mod sessions;
pub mod story;
pub mod timing;
pub mod trace;
pub mod widened;
