//! What stages read: inputs and what earlier stages made.

use super::kinds::Kind;
use serde::{Deserialize, Serialize};

/// The name of an input, of a stage (what it made), or of one file of a stage: `base`, `quantize`, `quantize/moe-Q8_0.gguf`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Reference(pub String);

/// How much a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// One file.
    File,
    /// One file, or all main files of a stage.
    Files,
    /// A folder: an input that is one, or all that a stage made.
    Folder,
    /// One file, or all that a stage made.
    Any,
}

/// A reference that is resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The parameter.
    pub field: &'static str,
    /// The reference, as the recipe has it.
    pub reference: Reference,
    /// How much the parameter takes.
    pub wants: Wants,
    /// Where it comes from.
    pub origin: Origin,
}

impl Need {
    /// The stage it comes from, if it is one.
    pub fn stage(&self) -> Option<usize> {
        match self.origin {
            Origin::Input(_) => None,
            Origin::Stage { stage, .. } => Some(stage),
        }
    }
}

/// Where something comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// The input at this place.
    Input(usize),
    /// The stage at this place.
    Stage {
        /// The place.
        stage: usize,
        /// One file of it; what it made by default.
        file: Option<String>,
    },
}

/// References of one parameter.
type Part<'a> = (&'static str, Wants, Vec<&'a Reference>);

impl Kind {
    /// All references of a stage with what the parameter takes, in the order of the parameters.
    pub(super) fn references(&self) -> impl Iterator<Item = (&'static str, Wants, &Reference)> {
        let parts: Vec<Part> = match self {
            Self::Fetch(_) => vec![],
            Self::Convert(convert) => vec![("from", Wants::Folder, vec![&convert.from])],
            Self::Quantize(quantize) => vec![
                ("model", Wants::File, vec![&quantize.model]),
                ("imatrix", Wants::File, quantize.imatrix.iter().collect()),
            ],
            Self::Imatrix(imatrix) => {
                vec![("model", Wants::File, vec![&imatrix.model]), ("text", Wants::File, vec![&imatrix.text])]
            }
            Self::Perplexity(perplexity) => vec![
                ("models", Wants::Files, perplexity.models.0.iter().collect()),
                ("text", Wants::File, vec![&perplexity.text]),
                ("against", Wants::File, perplexity.against.iter().collect()),
            ],
            Self::Eval(eval) => vec![
                ("models", Wants::Files, eval.models.0.iter().collect()),
                ("against", Wants::File, eval.against.iter().collect()),
            ],
            Self::Profile(profile) => {
                vec![("model", Wants::File, vec![&profile.model]), ("text", Wants::File, vec![&profile.text])]
            }
            Self::Prune(prune) => vec![
                ("model", Wants::File, vec![&prune.model]),
                ("profile", Wants::File, prune.profile.iter().collect()),
            ],
            Self::Search(search) => vec![
                ("model", Wants::File, vec![&search.model]),
                ("profile", Wants::File, search.profile.iter().collect()),
                ("imatrix", Wants::File, search.imatrix.iter().collect()),
                ("text", Wants::File, vec![&search.text]),
                ("held", Wants::File, search.held.iter().collect()),
            ],
            Self::Pack(pack) => vec![("models", Wants::Files, pack.models.0.iter().collect())],
            Self::Card(card) => vec![
                ("models", Wants::Files, card.models.0.iter().collect()),
                ("results", Wants::Folder, card.results.0.iter().collect()),
            ],
            Self::Publish(publish) => vec![("files", Wants::Any, publish.files.0.iter().collect())],
            Self::Run(run) => vec![("inputs", Wants::Any, run.inputs.0.iter().collect())],
        };
        parts.into_iter().flat_map(|(field, wants, references)| {
            references.into_iter().map(move |reference| (field, wants, reference))
        })
    }
}
