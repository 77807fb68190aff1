//! Write a fusion or a self-correction policy for `llama_selfmod`.
//!
//! A fusion:
//!
//! ```
//! use plugin_api::{export_plugin, NoSettings, Plugin, Role, Rows, Step};
//!
//! struct Certain;
//!
//! impl Plugin for Certain {
//!     const NAME: &'static str = "certain";
//!     const DESCRIPTION: &'static str = "Weights by certainty about the next token alone.";
//!     const ROLE: Role = Role::Fusion;
//!     type Settings = NoSettings;
//!
//!     fn create(_: NoSettings) -> Result<Self, String> { Ok(Certain) }
//!
//!     fn on_logits(&mut self, _: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), String> {
//!         let weights: Vec<f32> = rows.iter().map(|row| 1.0 / (row.entropy + 0.1)).collect();
//!         rows.mix(&weights, fused)
//!     }
//! }
//!
//! export_plugin!(Certain);
//! # fn main() {}
//! ```
//!
//! A policy:
//!
//! ```
//! use plugin_api::{export_plugin, Assessment, NoSettings, Plugin, Role, Step, Verdict};
//!
//! /// Takes one token back where it was very unlikely.
//! struct Careful;
//!
//! impl Plugin for Careful {
//!     const NAME: &'static str = "careful";
//!     const DESCRIPTION: &'static str = "Takes very unlikely tokens back.";
//!     const ROLE: Role = Role::Policy;
//!     const MAX_RETRACT: Option<u32> = Some(1);
//!     type Settings = NoSettings;
//!
//!     fn create(_: NoSettings) -> Result<Self, String> { Ok(Careful) }
//!
//!     fn on_assessment(&mut self, step: &Step, assessment: &Assessment) -> Result<Verdict, String> {
//!         if assessment.confidence < 0.02 && step.retractable > 0 {
//!             return Ok(Verdict::retract(1, "an unlikely token"));
//!         }
//!         Ok(Verdict::proceed())
//!     }
//! }
//!
//! export_plugin!(Careful);
//! # fn main() {}
//! ```
//!
//! Build it as a `cdylib` and pass it to `llama_selfmod --plugin FILE`; `plugins/README.md` tells more. [`testing`] has
//! members with made-up rows, so that a plugin can be tried without models. What hooks are shown are views: they borrow from
//! the host for the time of a call. [`abi`] is what goes over the border, for authors in other languages.

pub mod abi;
mod export;
mod settings;
pub mod testing;
mod verdict;
mod views;

pub use abi::Parameters;
#[doc(hidden)]
pub use export::{Schema, Texts, entry};
pub use settings::{NoSettings, Settings};
pub use verdict::{Action, Adjustment, Verdict};
pub use views::{Assessment, Retraction, Row, Rows, Step, Token, surprise};

/// What a plugin is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Computes the fused row; runs only when it is the chosen `--fusion-mode`.
    Fusion,
    /// Watches, answers with verdicts, may edit the fused row; always runs.
    Policy,
}

/// A fusion or a policy. Implement the hooks you want; the others do nothing.
///
/// The host calls one instance from one thread at a time. It lives as long as the session. A reply begins with an
/// `on_logits` and an `on_token` whose `step.position` and `step.attempt` are 0, which is where state of the last reply has
/// to go; the first `on_assessment` comes at position 1. A panic is caught, counted and reported; after three failures in a
/// row at one hook the plugin is parked and the text goes on without it.
pub trait Plugin: Sized + Send + 'static {
    /// What `--fusion-mode`, events and messages call it.
    const NAME: &'static str;
    /// Shown by `--list-hooks`. Without one of its own (`env!("CARGO_PKG_VERSION")`), that of this crate.
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    /// One sentence for `--list-hooks`.
    const DESCRIPTION: &'static str;
    /// Fusion or policy.
    const ROLE: Role;
    /// How many units it takes back at most: 0 for a policy that refuses tokens and takes none back. Text that no policy can
    /// reach is certain, and is not held back from readers that cannot take it back; a retraction that goes further is cut.
    /// `None` where it does not know: as many as may be.
    const MAX_RETRACT: Option<u32> = None;
    /// What can be set from outside: a struct of your own, or [`NoSettings`].
    type Settings: Settings;

    /// Makes an instance. The settings fit their schema. An error becomes a message to the user: the program does not
    /// start, or keeps the version of the plugin that it has. A second instance may be made for a moment, when a changed
    /// library is tried.
    fn create(settings: Self::Settings) -> Result<Self, String>;

    /// Writes the fused row: log-probabilities, or scores that differ from them by a constant; −∞ masks a unit. On
    /// entry it holds what the chain has made so far, the weighted mean of the members at its start.
    fn on_logits(&mut self, _step: &Step, _rows: &Rows, _fused: &mut [f32]) -> Result<(), String> {
        export::absent();
        Ok(())
    }

    /// Judges a candidate that is drawn and not yet decoded.
    fn on_token(&mut self, _step: &Step, _token: &Token) -> Result<Verdict, String> {
        export::absent();
        Ok(Verdict::proceed())
    }

    /// Judges the recent window after a unit was accepted.
    fn on_assessment(&mut self, _step: &Step, _assessment: &Assessment) -> Result<Verdict, String> {
        export::absent();
        Ok(Verdict::proceed())
    }

    /// Hears that units were taken back: state about them must go.
    fn on_retract(&mut self, _step: &Step, _retraction: &Retraction) -> Result<(), String> {
        export::absent();
        Ok(())
    }

    /// The state that [`Plugin::restore`] of a newer version takes over, when the library was built anew while it runs. The
    /// instance may go on afterwards. Most plugins have none.
    fn save(&self) -> Vec<u8> {
        export::absent();
        Vec::new()
    }

    /// Takes over what an older version saved, right after `create`. An error refuses the newer version: the older one goes
    /// on. Without this the newer version starts afresh.
    fn restore(&mut self, _state: &[u8]) -> Result<(), String> {
        export::absent();
        Ok(())
    }
}
