//! The program as its users run it: the binary from outside, on small models.

use crate::support::gguf;
use crate::support::program;
use crate::support::replay;

mod bad_input;
mod bad_models;
mod hooks;
mod interrupted;
mod live;
mod log;
mod measure;
#[path = "cli/replay.rs"]
mod replayed;
mod stream;
mod text;
mod vocab;
