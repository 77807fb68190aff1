//! Try a plugin without an engine: members with made-up rows, which are mixed in a plain loop.
//!
//! ```
//! use plugin_api::{testing::Members, NoSettings, Plugin, Role, Rows, Step};
//!
//! struct First;
//! impl Plugin for First {
//!     const NAME: &'static str = "first";
//!     const DESCRIPTION: &'static str = "the first member alone";
//!     const ROLE: Role = Role::Fusion;
//!     type Settings = NoSettings;
//!     fn create(_: NoSettings) -> Result<Self, String> {
//!         Ok(First)
//!     }
//!     fn on_logits(&mut self, _: &Step, rows: &Rows, fused: &mut [f32]) -> Result<(), String> {
//!         fused.copy_from_slice(rows.get(0).logits);
//!         Ok(())
//!     }
//! }
//!
//! let members = Members::new(&[&[0.0, 3.0], &[2.0, 0.0]]);
//! assert_eq!(members.fuse(&mut First).unwrap(), [0.0, 3.0]);
//! ```

use crate::{Assessment, Parameters, Plugin, Row, Rows, Settings, Step, Token};

/// A plugin with these settings, a JSON object. The ranges of its schema are the host's to check and are not looked at.
pub fn made<P: Plugin>(settings: &str) -> Result<P, String> {
    P::create(P::Settings::parse(settings)?)
}

/// Members with rows of your choice, equal weights and no evidence yet.
pub struct Members(Vec<Member>);

/// What a row is a view of.
struct Member {
    name: String,
    weight: f32,
    logits: Vec<f32>,
    probabilities: Vec<f32>,
    log_sum_exp: f32,
    entropy: f32,
    top_unit: usize,
    evidence: f32,
}

impl Members {
    /// One row of logits for each member.
    ///
    /// # Panics
    /// When a row is empty, or not as long as the first.
    pub fn new(logits: &[&[f32]]) -> Self {
        let are_rows = logits.iter().all(|row| !row.is_empty() && row.len() == logits[0].len());
        assert!(are_rows, "each row has a logit at least, and all are as long as the first");
        let member = |(index, row): (usize, &&[f32])| {
            let log_sum_exp = log_sum_exp(row);
            let probabilities: Vec<f32> = row.iter().map(|logit| (logit - log_sum_exp).exp()).collect();
            Member {
                name: format!("member-{index}"),
                weight: 1.0 / logits.len() as f32,
                logits: row.to_vec(),
                log_sum_exp,
                entropy: probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum(),
                top_unit: (0..row.len()).max_by(|&a, &b| row[a].total_cmp(&row[b])).unwrap_or(0),
                probabilities,
                evidence: 0.0,
            }
        };
        Self(logits.iter().enumerate().map(member).collect())
    }

    /// With these weights of the user; scaled to sum to 1.
    pub fn weights(mut self, weights: &[f32]) -> Self {
        let sum: f32 = weights.iter().sum();
        for (member, weight) in self.0.iter_mut().zip(weights) {
            member.weight = weight / sum;
        }
        self
    }

    /// With this evidence from the text so far, in nats.
    pub fn evidence(mut self, evidence: &[f32]) -> Self {
        for (member, evidence) in self.0.iter_mut().zip(evidence) {
            member.evidence = *evidence;
        }
        self
    }

    /// What the host passes to `on_logits`.
    pub fn rows(&self) -> Rows<'_> {
        Rows::made(self)
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn units(&self) -> usize {
        self.0.first().map_or(0, |member| member.logits.len())
    }

    pub(crate) fn row(&self, index: usize) -> Row<'_> {
        let member = &self.0[index];
        Row {
            name: &member.name,
            weight: member.weight,
            logits: &member.logits,
            probabilities: &member.probabilities,
            log_sum_exp: member.log_sum_exp,
            entropy: member.entropy,
            top_unit: member.top_unit as u32,
            top_probability: member.probabilities[member.top_unit],
            evidence: member.evidence,
        }
    }

    /// The weighted mean of the members: what the fused row holds when the first fusion is called.
    pub fn mean(&self) -> Vec<f32> {
        let weights: Vec<f32> = self.0.iter().map(|member| member.weight).collect();
        let mut mean = vec![0.0; self.units()];
        self.rows().mix_plainly(&weights, &mut mean);
        mean
    }

    /// The fused row that a fusion makes of these members.
    pub fn fuse<P: Plugin>(&self, fusion: &mut P) -> Result<Vec<f32>, String> {
        let mut fused = self.mean();
        let step = Step { members: self.len() as u32, ..step() };
        fusion.on_logits(&step, &self.rows(), &mut fused)?;
        Ok(fused)
    }
}

/// A step in the middle of a reply of one member: temperature 0.7, repeat penalty 1.1, everything retractable, 3
/// retractions left.
pub fn step() -> Step {
    let parameters = Parameters { temperature: 0.7, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 };
    Step {
        position: 40,
        attempt: 0,
        retractable: 32,
        retractions_left: 3,
        members: 1,
        seed: 1,
        parameters,
        base: parameters,
    }
}

/// A candidate of one member that gives no reason to act: ` once`, with probability 0.7.
pub fn token() -> Token<'static> {
    Token {
        unit: 7,
        bytes: b" once",
        leader: 0,
        probability: 0.7,
        entropy: 1.0,
        agreement: 0.8,
        is_end: false,
        member_probabilities: &[0.7],
        surprise_mean: 0.8,
        surprise_deviation: 0.6,
        behind: 0.0,
    }
}

/// An assessment that gives no reason to act: 32 units, all different in the last 10, each with confidence 0.7.
pub fn assessment() -> Assessment<'static> {
    Assessment {
        unit: 7,
        confidence: 0.7,
        mean_confidence: 0.7,
        slope: 0.0,
        minimum: 0.7,
        minimum_back: 1,
        entropy: 1.0,
        agreement: 0.8,
        leader: 0,
        unique: 10,
        unique_of: 10,
        repeated: 0,
        period: 0,
        confidences: &CONFIDENCES,
        units: &UNITS,
    }
}

/// Like [`assessment`], over a window of fewer units.
///
/// # Panics
/// When `units` is above 32.
pub fn assessment_of(units: usize) -> Assessment<'static> {
    Assessment { confidences: &CONFIDENCES[..units], units: &UNITS[..units], ..assessment() }
}

static CONFIDENCES: [f32; 32] = [0.7; 32];
static UNITS: [u32; 32] = {
    let mut units = [0; 32];
    let mut index = 0;
    while index < units.len() {
        units[index] = index as u32;
        index += 1;
    }
    units
};

fn log_sum_exp(row: &[f32]) -> f32 {
    let top = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    top + row.iter().map(|logit| (logit - top).exp()).sum::<f32>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_say_what_their_logits_say() {
        let members = Members::new(&[&[0.0, 0.0, 0.0, 0.0], &[1.0, 5.0, f32::NEG_INFINITY, 2.0]]);
        let rows = members.rows();
        assert!((rows.get(0).entropy - 4f32.ln()).abs() < 1e-6);
        assert_eq!((rows.get(1).top_unit, rows.get(1).name), (1, "member-1"));
        assert_eq!(rows.get(1).probabilities[2], 0.0);
        assert!((rows.get(1).probabilities.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_mean_follows_the_weights() {
        let rows: [&[f32]; 2] = [&[0.0, -60.0], &[-60.0, 0.0]];
        let mean = Members::new(&rows).weights(&[3.0, 1.0]).mean();
        assert!((mean[0].exp() - 0.75).abs() < 1e-6 && (mean[1].exp() - 0.25).abs() < 1e-6);
    }
}
