//! The server over a real socket, with a double that writes.

extern crate llama_selfmod_serve as serve;

mod admission;
mod bridge;
mod chat;
mod client;
mod completions;
mod double;
mod guard;
mod malformed;
mod raw;
