//! Try a plugin without an engine: members with made-up rows, and a host that mixes in a plain loop.
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
//!         fused.copy_from_slice(rows.get(0).logits());
//!         Ok(())
//!     }
//! }
//!
//! let members = Members::new(&[&[0.0, 3.0], &[2.0, 0.0]]);
//! assert_eq!(members.fuse(&mut First).unwrap(), [0.0, 3.0]);
//! ```

use crate::abi::{self, Assessment, Host, Parameters, Row, Rows, Step};
use crate::{Plugin, Settings};
use std::mem::size_of;

/// A plugin with these settings, a JSON object. The ranges of its schema are the host's to check and are not looked at.
pub fn made<P: Plugin>(settings: &str) -> Result<P, String> {
    P::create(P::Settings::parse(settings)?)
}

/// Members with rows of your choice, equal weights and no evidence yet.
pub struct Members {
    logits: Vec<Vec<f32>>,
    probabilities: Vec<Vec<f32>>,
    names: Vec<String>,
    rows: Vec<Row>,
}

impl Members {
    /// One row of logits for each member; all are as long as the first.
    pub fn new(logits: &[&[f32]]) -> Self {
        let logits: Vec<Vec<f32>> = logits.iter().map(|row| row.to_vec()).collect();
        let names: Vec<String> = (0..logits.len()).map(|index| format!("member-{index}")).collect();
        let log_sum_exps: Vec<f32> = logits.iter().map(|row| log_sum_exp(row)).collect();
        let probabilities: Vec<Vec<f32>> = logits
            .iter()
            .zip(&log_sum_exps)
            .map(|(row, log_sum_exp)| row.iter().map(|logit| (logit - log_sum_exp).exp()).collect())
            .collect();
        let rows = (0..logits.len())
            .map(|index| {
                let (logits, probabilities): (&[f32], &[f32]) = (&logits[index], &probabilities[index]);
                let top = (0..logits.len()).max_by(|&a, &b| logits[a].total_cmp(&logits[b])).unwrap_or(0);
                Row {
                    struct_size: size_of::<Row>() as u32,
                    top_unit: top as u32,
                    logits: logits.as_ptr(),
                    probabilities: probabilities.as_ptr(),
                    log_sum_exp: log_sum_exps[index],
                    entropy: probabilities.iter().filter(|p| **p > 0.0).map(|p| -p * p.ln()).sum(),
                    top_probability: probabilities[top],
                    evidence: 0.0,
                    weight: 1.0 / log_sum_exps.len() as f32,
                    name_len: names[index].len() as u32,
                    name: names[index].as_ptr(),
                }
            })
            .collect();
        Self { logits, probabilities, names, rows }
    }

    /// With these weights of the user; scaled to sum to 1.
    pub fn weights(mut self, weights: &[f32]) -> Self {
        let sum: f32 = weights.iter().sum();
        for (row, weight) in self.rows.iter_mut().zip(weights) {
            row.weight = weight / sum;
        }
        self
    }

    /// With this evidence from the text so far, in nats.
    pub fn evidence(mut self, evidence: &[f32]) -> Self {
        for (row, evidence) in self.rows.iter_mut().zip(evidence) {
            row.evidence = *evidence;
        }
        self
    }

    /// What the host passes to `on_logits`; valid as long as the members live.
    pub fn rows(&self) -> Rows {
        debug_assert!(self.names.len() == self.rows.len() && self.probabilities.len() == self.rows.len());
        Rows {
            struct_size: size_of::<Rows>() as u32,
            count: self.rows.len() as u32,
            units: self.logits.first().map_or(0, Vec::len) as u32,
            reserved: 0,
            rows: self.rows.as_ptr(),
        }
    }

    /// The weighted mean of the members: what the fused row holds when the first fusion is called.
    pub fn mean(&self) -> Vec<f32> {
        let weights: Vec<f32> = self.rows.iter().map(|row| row.weight).collect();
        let mut mean = vec![0.0; self.rows().units as usize];
        mixture(&self.rows(), &weights, &mut mean);
        mean
    }

    /// The fused row that a fusion makes of these members.
    pub fn fuse<P: Plugin>(&self, fusion: &mut P) -> Result<Vec<f32>, String> {
        let mut fused = self.mean();
        let step = Step { members: self.rows.len() as u32, ..step() };
        crate::export::with_host(&HOST, || fusion.on_logits(&step, &self.rows(), &mut fused))?;
        Ok(fused)
    }
}

/// A step in the middle of a reply: temperature 0.7, repeat penalty 1.1, everything retractable, 3 retractions left.
pub fn step() -> Step {
    let parameters = Parameters { temperature: 0.7, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 };
    Step {
        struct_size: size_of::<Step>() as u32,
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

/// An assessment that gives no reason to act: 32 units, all different in the last 10, each with confidence 0.7.
pub fn assessment() -> Assessment {
    Assessment {
        struct_size: size_of::<Assessment>() as u32,
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
        confidences: CONFIDENCES.as_ptr(),
        units: UNITS.as_ptr(),
        window: 32,
        reserved: 0,
    }
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

static HOST: Host =
    Host { struct_size: size_of::<Host>() as u32, abi_minor: abi::ABI_MINOR, set_error: ignore, mix: mix_rows };

/// `Members::fuse` hands errors on by itself.
unsafe extern "C" fn ignore(_: *const u8, _: usize) {}

unsafe extern "C" fn mix_rows(rows: *const Rows, weights: *const f32, fused: *mut f32) -> i32 {
    // SAFETY: `Rows::mix` checks both lengths and passes what it borrows.
    let (rows, weights, fused) = unsafe {
        let rows = &*rows;
        let fused = std::slice::from_raw_parts_mut(fused, rows.units as usize);
        (rows, std::slice::from_raw_parts(weights, rows.len()), fused)
    };
    let usable = weights.iter().all(|w| w.is_finite() && *w >= 0.0) && weights.iter().any(|w| *w > 0.0);
    if !usable {
        return abi::FAILED;
    }
    mixture(rows, weights, fused);
    abi::OK
}

fn mixture(rows: &Rows, weights: &[f32], fused: &mut [f32]) {
    let sum: f32 = weights.iter().sum();
    for (unit, score) in fused.iter_mut().enumerate() {
        let probability: f32 = rows.iter().zip(weights).map(|(row, w)| w / sum * row.probabilities()[unit]).sum();
        *score = probability.ln();
    }
}

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
        assert_eq!((rows.get(1).top_unit, rows.get(1).name()), (1, "member-1"));
        assert_eq!(rows.get(1).probabilities()[2], 0.0);
        assert!((rows.get(1).probabilities().iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_mean_follows_the_weights() {
        let rows: [&[f32]; 2] = [&[0.0, -60.0], &[-60.0, 0.0]];
        let mean = Members::new(&rows).weights(&[3.0, 1.0]).mean();
        assert!((mean[0].exp() - 0.75).abs() < 1e-6 && (mean[1].exp() - 0.25).abs() < 1e-6);
    }
}
