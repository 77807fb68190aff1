//! One recorded trace: what a policy was told at every step of two replies, to be replayed through any hook.
//!
//! `tests/fixtures/trace.jsonl` has one step and its assessment per line. Confidences, entropies and agreement are those
//! of stories-260k and stories-280k, fused by `confidence`, reading two texts: a story that falls into a loop and then
//! into something that is no story, and one with a word said fourteen times. The parameters and the retractions are what
//! the stock policy of then, `policies/absolute.rhai`, made of them; the seeds are random.

use llama_selfmod::hooks::{Hook, HookError};
use plugin_api::{Assessment, Parameters, Step, Token, Verdict, surprise};
use serde::Deserialize;

/// What a policy is told after a unit.
#[derive(Deserialize)]
pub struct Record {
    step: RecordedStep,
    assessment: RecordedAssessment,
}

#[derive(Deserialize)]
struct RecordedStep {
    position: u32,
    attempt: u32,
    retractable: u32,
    retractions_left: u32,
    seed: u64,
    temperature: f32,
    repeat_penalty: f32,
}

#[derive(Deserialize)]
struct RecordedAssessment {
    unit: u32,
    confidence: f32,
    mean_confidence: f32,
    slope: f32,
    minimum: f32,
    minimum_back: u32,
    entropy: f32,
    agreement: f32,
    leader: u32,
    unique: u32,
    unique_of: u32,
    repeated: u32,
    period: u32,
    confidences: Vec<f32>,
    units: Vec<u32>,
}

/// The trace.
pub fn load() -> Vec<Record> {
    include_str!("../fixtures/trace.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What `hook` answers at each step of the trace: to the candidate, and after it was accepted.
pub fn replay(trace: &[Record], hook: &mut dyn Hook) -> Vec<Result<Verdict, HookError>> {
    let answers = trace.iter().flat_map(|record| {
        let after = record.step();
        let before = Step { position: after.position - 1, ..after };
        [hook.on_token(&before, &record.token()), hook.on_assessment(&after, &record.assessment())]
    });
    answers.collect()
}

impl Record {
    fn step(&self) -> Step {
        let base = Parameters { temperature: 0.7, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 };
        let RecordedStep { temperature, repeat_penalty, .. } = self.step;
        Step {
            position: self.step.position,
            attempt: self.step.attempt,
            retractable: self.step.retractable,
            retractions_left: self.step.retractions_left,
            members: 2,
            seed: self.step.seed,
            parameters: Parameters { temperature, repeat_penalty, ..base },
            base,
        }
    }

    /// As a candidate in its window. What stood before that is not in the trace, nor is the likeliest unit.
    fn token(&self) -> Token<'_> {
        let RecordedAssessment { unit, confidence, entropy, agreement, leader, confidences, .. } = &self.assessment;
        let before = &confidences[..confidences.len() - 1];
        let count = before.len().max(1) as f32;
        let surprise_mean = before.iter().map(|&p| surprise(p)).sum::<f32>() / count;
        let square = before.iter().map(|&p| (surprise(p) - surprise_mean).powi(2)).sum::<f32>() / count;
        Token {
            unit: *unit,
            bytes: b"?",
            leader: *leader,
            probability: *confidence,
            entropy: *entropy,
            agreement: *agreement,
            is_end: false,
            member_probabilities: &[0.5, 0.5],
            surprise_mean,
            surprise_deviation: square.sqrt(),
            behind: if *confidence > 0.4 { 0.0 } else { 1.0 },
        }
    }

    fn assessment(&self) -> Assessment<'_> {
        let a = &self.assessment;
        Assessment {
            unit: a.unit,
            confidence: a.confidence,
            mean_confidence: a.mean_confidence,
            slope: a.slope,
            minimum: a.minimum,
            minimum_back: a.minimum_back,
            entropy: a.entropy,
            agreement: a.agreement,
            leader: a.leader,
            unique: a.unique,
            unique_of: a.unique_of,
            repeated: a.repeated,
            period: a.period,
            confidences: &a.confidences,
            units: &a.units,
        }
    }
}
