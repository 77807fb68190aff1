//! A member on another machine: a [`Model`](super::model::Model) whose rows a server computes. It keeps no state but what was
//! asked last, so going back means asking about a shorter text; what the server has read of it is the server's affair.
//!
//! `address` says whom to ask, `http` carries bodies to and fro, a `protocol` makes requests of what is wanted and rows
//! of answers (`llama_server`, `listing` for vLLM and SGLang), `sparse` checks a row and fills in what it leaves out.
//! `link` is the state of one server: whether it is there, how long it may take, what it was asked. `model` does what the
//! ensemble wants with all that.

pub(crate) mod address;
mod fault;
mod http;
mod link;
mod listing;
mod llama_server;
mod model;
mod protocol;
mod sparse;

#[cfg(test)]
mod tests;

pub(crate) use address::Address;
pub(crate) use fault::Fault;
pub(crate) use http::Client;
pub(crate) use link::Heard;
pub use link::{Absence, Account, Link};
pub(crate) use model::{Remote, Tokens, meet};
pub(crate) use protocol::Met;

/// Says what is wrong with an address that is none.
pub fn check_address(url: &str) -> Result<(), String> {
    Address::parse(url).map(|_| ())
}
