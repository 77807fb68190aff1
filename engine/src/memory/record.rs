//! What one line of the log says.

use crate::events::EndReason;
use crate::reply::{Modification, Reply, RetractionRecord, Timings};
use serde::Serialize;
use std::path::PathBuf;

/// A member's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ModelRecord {
    /// The member's name.
    pub name: String,
    /// The GGUF file.
    pub path: PathBuf,
    /// SHA-256 of the whole file, in lower-case hexadecimal; `null` when it was not worked out yet.
    pub sha256: Option<String>,
}

/// What all replies of an engine have in common.
#[derive(Debug, Clone, PartialEq)]
pub struct Session {
    /// The fusion that runs.
    pub fusion_mode: String,
    /// The members, in their order.
    pub models: Vec<ModelRecord>,
    /// Of the random draws.
    pub seed: u64,
    /// The settings, as the caller likes to show them.
    pub settings: serde_json::Value,
}

/// One line: the fields in this order.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Record<'a> {
    /// When the reply was finished: RFC 3339, UTC.
    pub timestamp: String,
    /// What the person wrote.
    pub prompt: &'a str,
    /// What the ensemble wrote.
    pub response: &'a str,
    /// Why it ended.
    pub reason: &'a EndReason,
    /// Units in it.
    pub tokens: u32,
    /// Mean confidence of the units that stand.
    pub avg_confidence: f32,
    /// In force at the end.
    pub final_temperature: f32,
    /// What policies changed, in order.
    pub modifications: &'a [Modification],
    /// How often text was taken back.
    pub retractions: usize,
    /// Each time with what was taken back and what stands in its place.
    pub retraction_details: &'a [RetractionRecord],
    /// How many members decoded together.
    pub num_models: usize,
    /// The fusion that ran.
    pub fusion_mode: &'a str,
    /// The members, in their order.
    pub models: &'a [ModelRecord],
    /// Of the random draws.
    pub seed: u64,
    /// The settings.
    pub settings: &'a serde_json::Value,
    /// Where the time went.
    pub timings: Timings,
}

impl<'a> Record<'a> {
    /// The line for a reply that was finished now.
    pub fn new(prompt: &'a str, reply: &'a Reply, session: &'a Session) -> Self {
        let now = jiff::Timestamp::now();
        Self {
            timestamp: format!("{now:.3}"),
            prompt,
            response: &reply.text,
            reason: &reply.reason,
            tokens: reply.tokens,
            avg_confidence: reply.avg_confidence,
            final_temperature: reply.final_parameters.temperature,
            modifications: &reply.modifications,
            retractions: reply.retractions.len(),
            retraction_details: &reply.retractions,
            num_models: session.models.len(),
            fusion_mode: &session.fusion_mode,
            models: &session.models,
            seed: session.seed,
            settings: &session.settings,
            timings: reply.timings,
        }
    }
}
