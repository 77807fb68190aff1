//! The program as its users run it: the binary from outside, on small models.

#[path = "support/gguf.rs"]
mod gguf;
#[path = "support/program.rs"]
mod program;
#[path = "support/replay.rs"]
mod replay;

#[path = "cli/bad_input.rs"]
mod bad_input;
#[path = "cli/bad_models.rs"]
mod bad_models;
#[path = "cli/hooks.rs"]
mod hooks;
#[path = "cli/interrupted.rs"]
mod interrupted;
#[path = "cli/live.rs"]
mod live;
#[path = "cli/log.rs"]
mod log;
#[path = "cli/measure.rs"]
mod measure;
#[path = "cli/replay.rs"]
mod replayed;
#[path = "cli/stream.rs"]
mod stream;
#[path = "cli/text.rs"]
mod text;
#[path = "cli/vocab.rs"]
mod vocab;
