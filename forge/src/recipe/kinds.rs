//! Kinds of stages and their parameters.

use super::many::Many;
use super::node::Node;
use super::problem::Problem;
use super::reference::Reference;
use super::values::{Axes, By, Bytes, Keep, Strategy};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

macro_rules! kinds {
    ($($(#[$docs:meta])* $kind:ident = $name:literal,)*) => {
        /// What a stage does, with its parameters.
        #[derive(Debug, Clone, PartialEq, Serialize)]
        #[serde(tag = "kind")]
        pub enum Kind {
            $($(#[$docs])* #[serde(rename = $name)] $kind($kind),)*
        }

        impl Kind {
            /// Names of all kinds.
            pub const NAMES: &[&str] = &[$($name,)*];

            /// Its name in recipes.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$kind(_) => $name,)*
                }
            }

            /// The kind of this name with its parameters; `None` where none has the name.
            pub(super) fn read(name: &str, parameters: &Node) -> Option<Result<Self, Problem>> {
                match name {
                    $($name => Some(Deserialize::deserialize(parameters).map(Self::$kind)),)*
                    _ => None,
                }
            }
        }
    };
}

kinds! {
    /// Gets a file from the hub.
    Fetch = "fetch",
    /// Makes a GGUF file of a folder of the hub's form.
    Convert = "convert",
    /// Makes smaller copies of a model.
    Quantize = "quantize",
    /// Finds which weights matter on a text.
    Imatrix = "imatrix",
    /// Measures what a text costs models.
    Perplexity = "perplexity",
    /// Has a task answered.
    Eval = "eval",
    /// Counts what experts do on a text.
    Profile = "profile",
    /// Takes experts out.
    Prune = "prune",
    /// Looks for the smallest file that is good enough.
    Search = "search",
    /// Puts models that decode together into a folder.
    Pack = "pack",
    /// Writes a model card.
    Card = "card",
    /// Puts a folder on the hub.
    Publish = "publish",
    /// Runs any command.
    Run = "run",
}

/// Parameters of `fetch`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// `hf:owner/repo/file@revision`.
    pub file: String,
}

/// Parameters of `convert`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Convert {
    /// A folder with a model in the hub's form: an input, or a stage.
    pub from: Reference,
    /// `convert_hf_to_gguf.py` in a checkout of llama.cpp, from the recipe's folder.
    pub script: PathBuf,
    /// The Python that runs it.
    #[serde(default = "python")]
    pub python: String,
    /// What tensors become: `f32`, `f16`, `bf16`, `q8_0`, `auto`.
    #[serde(default = "half", rename = "type")]
    pub to: String,
}

/// Parameters of `quantize`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantize {
    /// The model.
    pub model: Reference,
    /// The types, one file each: `["Q8_0", "Q4_K_M"]`.
    #[serde(alias = "type")]
    pub types: Many<String>,
    /// An importance matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imatrix: Option<Reference>,
}

/// Parameters of `imatrix`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Imatrix {
    /// The model.
    pub model: Reference,
    /// The text.
    pub text: Reference,
    /// Tokens a window.
    #[serde(default = "context")]
    pub context: u32,
    /// The first so many windows; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<u32>,
}

/// Parameters of `perplexity`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Perplexity {
    /// The models.
    #[serde(alias = "model")]
    pub models: Many<Reference>,
    /// The text.
    pub text: Reference,
    /// The model that the others are paired with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Reference>,
    /// Tokens a window.
    #[serde(default = "context")]
    pub context: u32,
    /// So many windows; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<u32>,
    /// Windows that are left out at the beginning, such as those that experts were chosen by.
    #[serde(default)]
    pub skip: u32,
}

/// Parameters of `eval`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eval {
    /// The models.
    #[serde(alias = "model")]
    pub models: Many<Reference>,
    /// A built-in task, or a task's `.toml` file from the recipe's folder.
    pub task: String,
    /// The first so many items; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// The model that the others are paired with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub against: Option<Reference>,
}

/// Parameters of `profile`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The model.
    pub model: Reference,
    /// The text.
    pub text: Reference,
    /// Tokens a window.
    #[serde(default = "context")]
    pub context: u32,
    /// The first so many windows; all by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub windows: Option<u32>,
}

/// Parameters of `prune`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prune {
    /// The model.
    pub model: Reference,
    /// What experts do, from a `profile` stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Reference>,
    /// How many experts every layer keeps, one file each: `6` or `[6, 4]`.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub experts: Many<u32>,
    /// Instead of `experts`: the smallest number whose experts have this part of the profile in every layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coverage: Option<f64>,
    /// What experts are ranked by.
    #[serde(default = "total")]
    pub by: By,
    /// For `by = "random"`.
    #[serde(default)]
    pub seed: u64,
}

/// Parameters of `search`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// The model.
    pub model: Reference,
    /// What experts do, where experts are an axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Reference>,
    /// An importance matrix.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub imatrix: Option<Reference>,
    /// The text that candidates are compared on.
    pub text: Reference,
    /// Another text, on which the winner is measured again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Reference>,
    /// What candidates differ in.
    pub axes: Axes,
    /// How candidates are chosen.
    #[serde(default = "funnel")]
    pub strategy: Strategy,
    /// The largest file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fits: Option<Bytes>,
    /// What the winner must hold to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Keep>,
    /// Tokens a window.
    #[serde(default = "context")]
    pub context: u32,
    /// Tokens of the quick evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quick: Option<u64>,
    /// Tokens of the full evaluation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub full: Option<u64>,
    /// For all that is drawn.
    #[serde(default)]
    pub seed: u64,
}

/// Parameters of `pack`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pack {
    /// The members.
    pub models: Many<Reference>,
    /// Their weights; equal by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub weights: Vec<f64>,
    /// The fusion's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fusion: Option<String>,
    /// Names of policies, or their files from the recipe's folder.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<String>,
}

/// Parameters of `card`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Card {
    /// What it is a card of.
    pub models: Many<Reference>,
    /// The title; the first model's name by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Stages whose figures it shows.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub results: Many<Reference>,
    /// The licence's name on the hub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Repositories that the models come from.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub base: Many<String>,
    /// `owner/name` of the repository that the card is for, as in `publish`: for the line that says how a model is run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
}

/// Parameters of `publish`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    /// What is put there: files, or all files of stages.
    pub files: Many<Reference>,
    /// `owner/name`.
    pub repo: String,
    /// Whether only the owner sees it.
    #[serde(default)]
    pub private: bool,
    /// The branch; the main one by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
}

/// Parameters of `run`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// The program and what it is given. `{in.NAME}` is the path of the input NAME, `{out}` the folder for what it makes.
    pub command: Vec<String>,
    /// What it reads.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub inputs: Many<Reference>,
    /// Files that it must have made; any by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outputs: Vec<String>,
}

fn is_empty<T>(many: &Many<T>) -> bool {
    many.0.is_empty()
}

fn python() -> String {
    "python3".into()
}

fn half() -> String {
    "f16".into()
}

fn context() -> u32 {
    512
}

fn total() -> By {
    By::Total
}

fn funnel() -> Strategy {
    Strategy::Funnel
}
