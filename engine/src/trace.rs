//! A run in a file: what the hooks saw at every step, so that policies can be tried on it without any model.
//!
//! The file is JSON lines. Rows are reduced to their [`MOST_CANDIDATES`] best units and the statistics of the whole row,
//! which are exact; what the other units have is known as a sum. An assessment is made of the units that stand, so a line
//! holds only what is new in it.
//!
//! | line | when |
//! |---|---|
//! | `reply` | a reply begins: the members, the fusion, the limits, the base parameters |
//! | `names` | the texts of units that the next line names for the first time |
//! | `logits` | the members' rows and the fused row of a position |
//! | `token` | a candidate, and what the policies answered |
//! | `assessment` | a unit that was accepted, and what the policies answered |
//! | `retract` | units are gone |

mod account;
mod read;
mod record;

pub use account::{Kept, Watch};
pub use read::{Trace, TraceError, read};
pub use record::{NewTrace, Source};

use crate::hooks::chain::Merged;
use plugin_api::{Action, Parameters, Step};
use serde::{Deserialize, Serialize};

/// Units that a row is reduced to.
pub const MOST_CANDIDATES: usize = 10;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// A reply begins.
    Reply(Reply),
    /// Texts of units. Not always UTF-8 by themselves: what is not is replaced.
    Names(Vec<(u32, String)>),
    /// Rows.
    Logits(Logits),
    /// A candidate.
    Token(Candidate),
    /// An accepted unit.
    Assessment(Accepted),
    /// Units are gone.
    Retract(Gone),
}

/// What holds for a whole reply.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Reply {
    /// Of this format: 1.
    pub trace: u32,
    /// Names and prior weights of the members, in order.
    pub members: Vec<(String, f32)>,
    /// Length of a row.
    pub units: u32,
    /// The fusion that was chosen when the recording began.
    pub fusion: String,
    /// How many units could be taken back.
    pub horizon: u32,
    /// How often.
    pub max_retractions: u32,
    /// What hooks were given to read of the command line.
    pub confidence_threshold: f32,
    /// As above.
    pub aggressive: bool,
}

/// Where a call stood. In the file a list: it stands in every line.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "PlaceFields", into = "PlaceFields")]
pub struct Place {
    position: u32,
    attempt: u32,
    retractable: u32,
    retractions_left: u32,
    seed: u64,
    now: Sampling,
    base: Sampling,
}

type PlaceFields = (u32, u32, u32, u32, u64, Sampling, Sampling);

/// Temperature, top-p, min-p, repeat penalty, top-k.
type Sampling = (f32, f32, f32, f32, u32);

/// A row, reduced.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReducedRow {
    /// The best units with their log-probabilities, best first.
    pub top: Vec<(u32, f32)>,
    /// Of the whole row, in nats.
    pub entropy: f32,
    /// `log Σ exp logits`.
    pub log_sum_exp: f32,
    /// How well the member predicted the text so far, in nats.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub evidence: f32,
}

/// The rows of a position.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Logits {
    /// Where.
    pub at: Place,
    /// One for each member.
    pub rows: Vec<ReducedRow>,
    /// As all hooks left it.
    pub fused: ReducedRow,
}

/// What is known about a unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UnitFigures {
    /// Which.
    pub unit: u32,
    /// Probability in the fused row, before temperature and truncation.
    pub probability: f32,
    /// Of the fused row, in nats.
    pub entropy: f32,
    /// 1 − mean pairwise total-variation distance of the members' rows.
    pub agreement: f32,
    /// The member that gave it most weight.
    pub leader: u32,
}

/// What policies asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// In words: `retract 3, temperature 0.84`.
    pub verdict: String,
    /// Whose verdict won.
    pub policy: String,
    /// Its reason; may be empty.
    pub reason: String,
}

impl Answer {
    /// `None` where nobody asked for anything.
    pub fn of(merged: &Merged) -> Option<Self> {
        let mut words = match merged.action {
            Action::Continue | Action::Adjust => Vec::new(),
            Action::Resample => vec!["resample".to_string()],
            Action::Force(unit) => vec![format!("force {unit}")],
            Action::Retract(units) => vec![format!("retract {units}")],
            Action::Stop => vec!["stop".to_string()],
        };
        for adjusted in &merged.adjustments {
            let change = &adjusted.adjustment;
            let named = [
                ("temperature", change.temperature),
                ("repeat penalty", change.repeat_penalty),
                ("top-p", change.top_p),
                ("min-p", change.min_p),
            ];
            words.extend(named.into_iter().filter_map(|(name, value)| Some(format!("{name} {:.2}", value?))));
            words.extend(change.top_k.map(|k| format!("top-k {k}")));
        }
        if words.is_empty() {
            return None;
        }
        // Who only adjusts wins nothing in a merged verdict.
        let (policy, reason) = match merged.adjustments.first() {
            Some(adjusted) if merged.policy.is_empty() => (&adjusted.policy, &adjusted.reason),
            _ => (&merged.policy, &merged.reason),
        };
        Some(Self { verdict: words.join(", "), policy: policy.clone(), reason: reason.clone() })
    }
}

/// A candidate and the answer to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Where.
    pub at: Place,
    /// It.
    #[serde(flatten)]
    pub figures: UnitFigures,
    /// Its bytes, where they are no UTF-8 by themselves; elsewhere its text is among the names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bytes: Vec<u8>,
    /// Whether it ends the text.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_end: bool,
    /// What each member gave it.
    pub members: Vec<f32>,
    /// By how many nats it is behind the likeliest unit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub behind: f32,
    /// What the policies of the run answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// An accepted unit and the answer to it. The members' probabilities are not assessed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Accepted {
    /// Where: after the unit.
    pub at: Place,
    /// It.
    #[serde(flatten)]
    pub figures: UnitFigures,
    /// What the policies of the run answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<Answer>,
}

/// Units that are gone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Gone {
    /// Where: after they are gone.
    pub at: Place,
    /// How many.
    pub units: u32,
    /// The policy whose verdict it was.
    pub policy: String,
}

fn is_zero(value: &f32) -> bool {
    *value == 0.0
}

impl From<PlaceFields> for Place {
    fn from((position, attempt, retractable, retractions_left, seed, now, base): PlaceFields) -> Self {
        Self { position, attempt, retractable, retractions_left, seed, now, base }
    }
}

impl From<Place> for PlaceFields {
    fn from(at: Place) -> Self {
        (at.position, at.attempt, at.retractable, at.retractions_left, at.seed, at.now, at.base)
    }
}

impl From<&Step> for Place {
    fn from(step: &Step) -> Self {
        let sampling = |p: &Parameters| (p.temperature, p.top_p, p.min_p, p.repeat_penalty, p.top_k);
        Self {
            position: step.position,
            attempt: step.attempt,
            retractable: step.retractable,
            retractions_left: step.retractions_left,
            seed: step.seed,
            now: sampling(&step.parameters),
            base: sampling(&step.base),
        }
    }
}

impl Line {
    /// Where the call stood; `None` for what is no call.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Self::Reply(_) | Self::Names(_) => None,
            Self::Logits(logits) => Some(&logits.at),
            Self::Token(candidate) => Some(&candidate.at),
            Self::Assessment(accepted) => Some(&accepted.at),
            Self::Retract(gone) => Some(&gone.at),
        }
    }
}

impl Place {
    /// Units that stand.
    pub fn position(&self) -> u32 {
        self.position
    }

    /// How many of them could be taken back.
    pub fn retractable(&self) -> u32 {
        self.retractable
    }

    /// The step as a hook sees it.
    pub fn step(&self, members: u32) -> Step {
        let parameters = |(temperature, top_p, min_p, repeat_penalty, top_k): Sampling| Parameters {
            temperature,
            top_p,
            min_p,
            repeat_penalty,
            top_k,
        };
        Step {
            position: self.position,
            attempt: self.attempt,
            retractable: self.retractable,
            retractions_left: self.retractions_left,
            members,
            seed: self.seed,
            parameters: parameters(self.now),
            base: parameters(self.base),
        }
    }
}
