//! Write a fusion or a self-correction policy for `llama_selfmod`.
//!
//! ```
//! use plugin_api::{export_plugin, Plugin, Role, Rows, Step};
//!
//! /// Every member counts as much as it is sure.
//! struct Certain;
//!
//! impl Plugin for Certain {
//!     const NAME: &'static str = "certain";
//!     const DESCRIPTION: &'static str = "weights by certainty alone";
//!     const ROLE: Role = Role::Fusion;
//!
//!     fn create(_settings: &str) -> Result<Self, String> {
//!         Ok(Certain)
//!     }
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
//! Build it as a `cdylib` and pass it to `llama_selfmod --plugin FILE`.

pub mod abi;
mod export;
pub mod testing;
mod types;
mod verdict;

pub use abi::{Assessment, Parameters, Retraction, Row, Rows, Step, Token};
#[doc(hidden)]
pub use export::{entry, Sdk};
pub use verdict::{Action, Adjustment, Verdict};

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
/// The host calls one instance from one thread at a time. It lives as long as the session: a reply begins with
/// `step.position` and `step.attempt` 0, which is where state of the last reply has to go. A panic is caught, counted and reported; after three
/// failures in a row the plugin is parked and the text goes on without it.
pub trait Plugin: Sized + Send + 'static {
    /// What `--fusion-mode`, events and messages call it.
    const NAME: &'static str;
    /// Shown by `--list-hooks`. Without one of its own (`env!("CARGO_PKG_VERSION")`), that of this crate.
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    /// One sentence for `--list-hooks`.
    const DESCRIPTION: &'static str;
    /// Fusion or policy.
    const ROLE: Role;
    /// JSON schema of the settings, or empty.
    const SETTINGS_SCHEMA: &'static str = "";

    /// Makes an instance. `settings` is a JSON object; the host puts the command line's values for the stock policy
    /// into it and ignores nothing: an error becomes a message to the user.
    fn create(settings: &str) -> Result<Self, String>;

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

    /// The state that [`Plugin::restore`] of a newer version takes over. Most plugins have none.
    fn save(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Takes over a saved state.
    fn restore(&mut self, _state: &[u8]) -> Result<(), String> {
        Ok(())
    }
}
