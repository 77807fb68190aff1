//! Results as JSON lines: a header, then one line an item.
//!
//! One line an item is what makes results comparable: [`crate::compare`] pairs them by `id`. A line is written and flushed when its
//! item is judged, so a kill loses the items under way and no other, and [`Writer::open`] goes on where a run stopped.

mod error;
mod lm_eval;
mod read;
mod write;

pub use error::ResultsError;
pub use read::read;
pub use write::Writer;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// The version of the format that is written and read.
pub const FORMAT: u32 = 1;

/// What was asked of whom: the first line of a file of results.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// Version of the format, [`FORMAT`].
    pub results: u32,
    /// Name of the task.
    pub task: String,
    /// The items of the task.
    pub items: Items,
    /// What answered them.
    pub system: System,
    /// Seed of the run.
    pub seed: u64,
    /// The program that wrote the file.
    pub program: Program,
    /// What an item's line says.
    pub measured: Measured,
    /// Whether the run looked at its figures as it went and could stop early. Plain p-values do not hold then.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub sequential: bool,
}

/// The items of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Items {
    /// SHA-256 of the items, in hexadecimal. `None` in files of other programs that keep none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How many the task has; a run with a limit judges fewer.
    pub number: u64,
}

/// One model, or several that decode together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// Its name in tables.
    pub name: String,
    /// Its models.
    #[serde(default)]
    pub members: Vec<Member>,
    /// How the members' predictions become one; empty for a single model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub fusion: String,
    /// Names of the policies, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
    /// All else that changes what it answers, such as the temperature.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub settings: serde_json::Value,
}

/// A model of a [`System`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// Its file, as it was given.
    pub file: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// Its weight.
    pub weight: f64,
}

/// A program that writes results.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name and version.
    pub version: String,
    /// What it was built from and for, as far as that changes figures.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub build: String,
}

/// What was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// Whether an answer is right.
    Right,
    /// Nats that a text cost, and its length in bytes.
    Nats,
    /// Several figures of a text, each with a name.
    Figures,
}

impl Measured {
    /// What a file of it says, in a sentence.
    #[cfg(feature = "reports")]
    pub(crate) fn says(self) -> &'static str {
        match self {
            Self::Right => "says what is right",
            Self::Nats => "what a text cost",
            Self::Figures => "has figures of texts",
        }
    }
}

/// An item's part of a figure: the figure of several items is all `sum` over all `of`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// What is counted, such as words of a reply that are known.
    pub sum: f64,
    /// What it is counted among, above 0: all words of the reply.
    pub of: f64,
}

impl Ratio {
    /// Whether both are numbers and there is something to count among.
    fn is_sound(self) -> bool {
        self.sum.is_finite() && self.of.is_finite() && self.of > 0.0
    }
}

/// What came out for one item.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Item {
    /// The item's name, the same in all results of the task.
    pub id: String,
    /// Whether the answer is right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right: Option<bool>,
    /// Whether the choice with the best log-likelihood per byte is right; of tasks with choices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub right_normalised: Option<bool>,
    /// Negative natural logarithm of the text's probability.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nats: Option<f64>,
    /// Length of the text that `nats` is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Tokens of that text, where the system counts in tokens: for perplexity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tokens: Option<u64>,
    /// Figures of the text by their names. An item may lack one that others have: a reply without a word has no share of them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub figures: BTreeMap<String, Ratio>,
    /// Document that the text is a part of; without one, each item is a block of its own in a bootstrap.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub document: Option<String>,
    /// What was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub question: Option<String>,
    /// What was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
    /// What would have been right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// Time that it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Why the item could not be judged. It counts as wrong, and is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Digest of the question and its answer, where the file keeps one an item, as lm-eval does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A file of results.
#[derive(Debug, Clone, PartialEq)]
pub struct Results {
    /// The file.
    pub path: PathBuf,
    /// Its first line.
    pub header: Header,
    /// Its items, in their order.
    pub items: Vec<Item>,
    /// What a reader of the figures should know, in sentences: a torn last line, the filter that was taken.
    pub notes: Vec<String>,
}

impl Item {
    /// Whether the item counts as right. One that could not be judged does not.
    pub fn is_right(&self) -> bool {
        self.error.is_none() && self.right == Some(true)
    }

    /// Whether the item counts as right by the second normalisation.
    pub fn is_right_normalised(&self) -> bool {
        self.error.is_none() && self.right_normalised == Some(true)
    }

    /// Nats and bytes of an item that has both and could be judged.
    pub fn cost(&self) -> Option<(f64, u64)> {
        self.error.is_none().then_some(self.nats.zip(self.bytes)).flatten()
    }

    /// The figure with this name, of an item that has it and could be judged.
    pub fn figure(&self, name: &str) -> Option<Ratio> {
        self.error.is_none().then(|| self.figures.get(name).copied()).flatten()
    }

    /// Says what the line lacks for what its header promises.
    fn lack(&self, measured: Measured) -> Option<&'static str> {
        if self.error.is_some() {
            return None;
        }
        match measured {
            Measured::Right if self.right.is_none() => Some("it has no `right`, and no `error` that says why"),
            Measured::Nats if self.nats.is_none() || self.bytes.is_none() => {
                Some("it has no `nats` or no `bytes`, and no `error` that says why")
            }
            Measured::Figures if self.figures.is_empty() => Some("it has no `figures`, and no `error` that says why"),
            _ if !self.figures.values().all(|ratio| ratio.is_sound()) => {
                Some("one of its `figures` is no ratio; its `of` must be above 0")
            }
            _ if self.nats.is_some_and(|nats| !(nats >= 0.0 && nats.is_finite())) => {
                Some("its `nats` is no negative log-likelihood; it must be 0 or more")
            }
            _ => None,
        }
    }
}
