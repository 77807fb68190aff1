//! The program as its users run it: the binary from outside, on small models.

mod bad_input;
mod bad_models;
mod draft;
mod hooks;
mod interrupted;
mod live;
mod log;
mod measure;
mod members;
#[cfg(unix)]
mod odd_files;
#[path = "cli/replay.rs"]
mod replayed;
mod stream;
mod text;
mod vocab;
