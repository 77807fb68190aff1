//! A server for whoever writes texts: OpenAI's and Anthropic's interfaces and a page, over the trait [`Backend`].
//!
//! This crate knows no model. It turns requests into [`Job`](backend::Job)s, and what comes back into the form that a client
//! expects. It decides who gets in, who waits and what a client sees of text that can still be taken back.
//!
//! A request passes through these modules, in this order: [`server`] accepts the connection, `guard` checks who it is,
//! `body` and [`fields`] read it, [`request`] and the endpoints make [`Ask`](backend::Ask)s of it, [`mod@write`] waits for lines
//! and begins jobs, [`stream`] turns what is told into [`Delta`](stream::Delta)s of text that is certain, and the endpoint,
//! with [`events`] where it streams, gives them the client's form. Anthropic's interface and OpenAI's newer one are read and
//! rendered by [`convert`], and share the rest through [`bridge`].

pub mod backend;
pub mod bridge;
pub mod chat;
pub mod completions;
pub mod convert;
pub mod events;
pub mod failure;
pub mod fields;
pub mod logprobs;
pub mod page;
pub mod raw;
pub mod request;
pub mod server;
pub mod shape;
pub mod state;
pub mod stream;
pub mod usage;
pub mod write;

mod body;
mod connection;
mod gate;
mod guard;
mod hooks;
mod metrics;
mod models;
mod routes;
mod units;

pub use backend::Backend;
pub use failure::Failure;
pub use server::{Error, Options, Stop, run};
