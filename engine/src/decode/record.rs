//! What happened to a reply beside its text: for the events at its end and for the memory log.

use super::Members;
use super::text::ReplyText;
use super::window::Window;
use crate::reply::{FusionData, Modification, RetractionRecord};

#[derive(Debug, Default)]
pub(super) struct Record {
    pub modifications: Vec<Modification>,
    pub retractions: Vec<RetractionRecord>,
    pub adjustments: u32,
}

impl Record {
    /// Notes a change, with how the members stood at the newest unit.
    pub fn modify(
        &mut self,
        kind: &'static str,
        position: u32,
        description: String,
        window: &Window,
        members: &Members,
        mode: &str,
    ) {
        let newest = window.len().checked_sub(1).and_then(|newest| window.get(newest));
        let fusion_data = FusionData {
            mode: mode.to_string(),
            leader: newest.as_ref().map_or_else(String::new, |unit| members.names[unit.leader as usize].clone()),
            agreement: newest.as_ref().map_or(1.0, |unit| unit.agreement),
            probabilities: newest.as_ref().map_or_else(Vec::new, |unit| unit.member_probabilities.to_vec()),
        };
        let confidence = window.recent_confidence();
        self.modifications.push(Modification { token_index: position, kind, confidence, description, fusion_data });
    }

    /// Fills in what came in the place of what was taken back.
    pub fn finish(&mut self, text: &ReplyText) {
        for retraction in &mut self.retractions {
            let start = (retraction.index as usize).min(text.units());
            let end = (start + retraction.tokens as usize).min(text.units());
            retraction.chosen = text.text_of(start..end);
        }
    }
}

/// "policy: reason", or the policy alone.
pub(super) fn who_and_why(policy: &str, reason: &str) -> String {
    if reason.is_empty() { policy.to_string() } else { format!("{policy}: {reason}") }
}
