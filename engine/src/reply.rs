//! What is left of a reply when it is written: for the memory log and for programs that use the library.

use crate::events::EndReason;
use plugin_api::Parameters;
use serde::Serialize;

/// How the members stood at a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FusionData {
    /// The fusion that ran.
    pub mode: String,
    /// The member that gave the unit most weight.
    pub leader: String,
    /// 1 − mean pairwise total-variation distance.
    pub agreement: f32,
    /// Each member's probability for the unit, in their order.
    pub probabilities: Vec<f32>,
}

/// Something a policy changed while the reply was written.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Modification {
    /// Position in the reply.
    pub token_index: u32,
    /// `adjust`, `resample`, `force`, `retract` or `stop`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Mean confidence of the window then.
    pub confidence: f32,
    /// Who and why.
    pub description: String,
    /// How the members stood.
    pub fusion_data: FusionData,
}

/// One retraction, with what stood before and what stands now.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetractionRecord {
    /// Units that remained.
    pub index: u32,
    /// Units taken back.
    pub tokens: u32,
    /// Who.
    pub policy: String,
    /// Why.
    pub reason: String,
    /// The text that was taken back.
    pub rejected: String,
    /// The text that stands in its place: as many units, or up to the end of the reply.
    pub chosen: String,
}

/// Where the time went, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Timings {
    /// Reading the part of the prompt that was not known yet.
    pub prompt_ms: f64,
    /// Writing the reply.
    pub reply_ms: f64,
    /// Prompt tokens of the first member.
    pub prompt_tokens: u32,
    /// Those of them that were decoded now, the others being known from the turn before.
    pub prompt_tokens_decoded: u32,
}

/// What was read ahead, in units.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Drafts {
    /// Times that the members decoded for it: each brings a unit, and one more for each of what was proposed that was kept.
    pub rounds: u32,
    /// Decoded before it was known whether they are written.
    pub proposed: u32,
    /// Those of them that were.
    pub kept: u32,
}

/// A finished reply.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// What the ensemble wrote.
    pub text: String,
    /// Why it ended.
    pub reason: EndReason,
    /// The stop string that ended it.
    pub stopped_by: Option<String>,
    /// Units in it.
    pub tokens: u32,
    /// What was taken back, in order.
    pub retractions: Vec<RetractionRecord>,
    /// What policies changed, in order.
    pub modifications: Vec<Modification>,
    /// Mean confidence of the units that stand.
    pub avg_confidence: f32,
    /// In force at the end.
    pub final_parameters: Parameters,
    /// Where the time went.
    pub timings: Timings,
    /// Oldest messages that were dropped to make room (`--context-shift`).
    pub dropped_messages: usize,
    /// What was read ahead. It changes how fast the text came and nothing else.
    pub drafts: Drafts,
}
