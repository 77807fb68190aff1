//! Several GGUF language models decode one text together, and take back what goes wrong.
//!
//! ```
//! use llama_selfmod::settings::{ModelSource, Prompt, Settings};
//! use llama_selfmod::{events::Event, Engine, Error};
//! use std::sync::Arc;
//!
//! fn main() -> Result<(), Error> {
//!     let models = ["models/tale.gguf", "models/fable.gguf"].map(ModelSource::new).to_vec();
//!     let settings = Settings { models, n_predict: 40, ..Settings::default() };
//!     let mut engine = Engine::load(settings, &|_member, _part| {})?;
//!     let mut text = String::new();
//!     let prompt = Prompt::Text("Once upon a time".into());
//!     let reply = engine.reply(&prompt, &Arc::default(), &mut |event| match event {
//!         Event::Token { text: new, .. } => text.push_str(new),
//!         Event::Retract { bytes, .. } => text.truncate(text.len() - bytes),
//!         _ => {}
//!     })?;
//!     assert_eq!(text, reply.text);
//!     Ok(())
//! }
//! ```
//!
//! [`Engine`] is the way in. [`events`] tell what happens while a reply is written, [`reply`] is what is left of it;
//! [`settings`] say what an engine is made of. [`hooks`] and [`member`] have the traits to implement for a fusion, a policy
//! or a member of your own, and [`decode`] the loop over them. `engine/ARCHITECTURE.md` explains how the parts fit.

#[cfg(feature = "cli")]
mod author;
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod decode;
pub mod engine;
pub mod error;
pub mod evaluate;
pub mod events;
mod files;
pub mod fuse;
pub mod hooks;
pub mod member;
pub mod memory;
mod near;
mod panics;
pub mod passes;
pub mod registry;
pub mod replay;
pub mod reply;
mod resident;
pub mod score;
#[cfg(feature = "serve")]
pub mod serve;
mod session;
pub mod settings;
pub mod team;
pub mod trace;

#[cfg(test)]
#[path = "../../tests/support/timing.rs"]
mod timing;

#[cfg(test)]
#[path = "../../tests/support/double.rs"]
mod double;

#[cfg(test)]
extern crate self as llama_selfmod;

pub use engine::Engine;
pub use error::Error;
/// What hooks are told and what they answer, for a [`Hook`](hooks::Hook) of your own.
pub use plugin_api;
pub use session::Session;
