//! Why a run ended early.

use crate::bench::Failure;
use std::path::PathBuf;

/// Why a run ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ForgeError {
    /// A name that no stage has.
    #[error("no stage is called `{name}`{advice}")]
    NoSuchStage {
        /// The name.
        name: String,
        /// The nearest one, as a question.
        advice: String,
    },
    /// A stage that came to nothing.
    #[error("{0}")]
    Stage(Box<StageError>),
}

/// A stage that came to nothing, and where that leaves the recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StageError {
    /// The stage.
    pub stage: String,
    /// Why it came to nothing.
    pub reason: Failure,
    /// Stages that are done.
    pub done: Vec<String>,
    /// This stage and those after it.
    pub left: Vec<String>,
    /// What it said, if it had begun. The file is removed at the next start.
    pub log: Option<PathBuf>,
}

impl std::fmt::Display for StageError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        let stage = &self.stage;
        match &self.reason {
            Failure::Cancelled => write!(formatter, "stopped in the stage `{stage}`")?,
            Failure::Full(_) => write!(formatter, "the stage `{stage}` ended: {}", self.reason)?,
            Failure::Words(words) => write!(formatter, "the stage `{stage}` failed: {words}")?,
        }
        let names = |names: &[String]| names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        match self.done.as_slice() {
            [] => write!(formatter, "\nNo stage is done.")?,
            done => write!(formatter, "\nDone and kept: {}.", names(done))?,
        }
        write!(formatter, " Left: {}. The same command goes on with `{stage}`.", names(&self.left))?;
        match &self.log {
            Some(log) if self.reason != Failure::Cancelled => write!(formatter, "\nIts log: {}", log.display()),
            _ => Ok(()),
        }
    }
}
