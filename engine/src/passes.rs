//! What one model alone needs for each unit of a text: enough to say what any ensemble of such models would need, without
//! running it.
//!
//! A fusion that mixes probabilities looks at a row's entropy, at the evidence for a member and at nothing else of the row
//! than the probability of the unit that came. So N passes, with one model in memory at a time, take the place of the 2^N
//! ensembles: [`Passes::fused`] asks the fusion itself about rows of two units, the one that came and all others together.

mod plan;
mod store;

pub use plan::Plan;
pub use store::{Store, file_digest};

use crate::engine::Engine;
use crate::error::Error;
use crate::hooks::chain::Chain;
use crate::score::{Predicted, given_step};
use crate::settings::Settings;
use plugin_api::{Row, Rows};

/// One model's pass over a text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Pass {
    /// Bytes of the text up to and with each unit.
    pub ends: Vec<u32>,
    /// −ln P of each unit, in nats.
    pub nats: Vec<f32>,
    /// Entropy of the row that predicted it, in nats.
    pub entropy: Vec<f32>,
    /// The evidence for the model before it: see [`plugin_api::Row::evidence`].
    pub evidence: Vec<f32>,
    /// Bytes of the model's KV cache.
    pub cache: u64,
}

impl Pass {
    /// How many units there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// True for a text without any.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Bytes that were predicted.
    pub fn bytes(&self) -> usize {
        self.ends.last().map_or(0, |&end| end as usize)
    }
}

impl Engine {
    /// The pass of a model that was loaded alone. An error where it has no token for a part of the text.
    pub fn pass(&mut self, text: &str, progress: &mut dyn FnMut(f64)) -> Result<Pass, Error> {
        let name = self.members().first().map(|member| member.name.clone()).unwrap_or_default();
        let cache = self.members().iter().map(|member| member.cache_bytes).sum();
        let (mut pass, mut silent) = (Pass { cache, ..Pass::default() }, None);
        let mut keep = |unit: &Predicted| {
            let end = pass.bytes() + unit.bytes.len();
            let (Some(row), Some(&nats)) = (unit.rows.first(), unit.members.first()) else { return };
            if row.abstains {
                silent.get_or_insert(end);
            }
            pass.ends.push(end as u32);
            pass.nats.push(nats as f32);
            pass.entropy.push(row.statistics.entropy);
            pass.evidence.push(row.evidence);
        };
        self.walk(text, &mut keep, progress)?;
        match silent {
            Some(end) => {
                let shown = text.get(..end).and_then(|text| text.chars().next_back());
                let what = shown.map_or_else(|| "a character".into(), |character| format!("{character:?}"));
                Err(Error::Input(format!("`{name}` has no token for {what}, {end} bytes into the text")))
            }
            None if pass.is_empty() => Err(Error::Input("the text is too short; give at least two tokens".into())),
            None => Ok(pass),
        }
    }
}

/// Some models' passes over the same units of one text.
pub struct Passes<'a> {
    passes: Vec<&'a Pass>,
    names: Vec<&'a str>,
}

impl<'a> Passes<'a> {
    /// `None` where they are not of the same units.
    pub fn new(passes: Vec<(&'a str, &'a Pass)>) -> Option<Self> {
        let (names, passes): (Vec<&str>, Vec<&Pass>) = passes.into_iter().unzip();
        let first = passes.first()?;
        let are_alike = passes.iter().all(|pass| pass.ends == first.ends);
        are_alike.then_some(Self { passes, names })
    }

    /// −ln P of each unit under the fusion of a chain, with these weights of the members (any scale), in nats. Exact for fusions that
    /// mix the members' probabilities, as all stock ones but `voting` and `contrast` do.
    pub fn fused(&self, weights: &[f32], chain: &mut Chain) -> Vec<f64> {
        let total: f32 = weights.iter().sum();
        let weights: Vec<f32> = weights.iter().map(|weight| weight / total).collect();
        let members = self.passes.len();
        let units = self.passes.first().map_or(0, |pass| pass.len());
        let mut fused = vec![0.0f32; 2];
        let (mut logits, mut probabilities) = (vec![[0.0f32; 2]; members], vec![[0.0f32; 2]; members]);
        let parameters = Settings::default().parameters;
        chain.reset();
        let costs = (0..units).map(|unit| {
            for (member, pass) in self.passes.iter().enumerate() {
                let p = (-pass.nats[unit]).exp();
                probabilities[member] = [p, 1.0 - p];
                logits[member] = [-pass.nats[unit], (1.0 - p).ln()];
            }
            let mean = |row: &mut [f32]| {
                for (at, score) in row.iter_mut().enumerate() {
                    let sum: f32 = probabilities.iter().zip(&weights).map(|(row, weight)| weight * row[at]).sum();
                    *score = sum.ln();
                }
            };
            let rows: Vec<Row> = (0..members)
                .map(|member| Row {
                    name: self.names[member],
                    weight: weights[member],
                    logits: &logits[member],
                    probabilities: &probabilities[member],
                    log_sum_exp: 0.0,
                    entropy: self.passes[member].entropy[unit],
                    top_unit: u32::from(probabilities[member][0] < 0.5),
                    top_probability: probabilities[member][0].max(probabilities[member][1]),
                    evidence: self.passes[member].evidence[unit],
                })
                .collect();
            let step = given_step(parameters, 0, members, unit as u32);
            mean(&mut fused);
            chain.on_logits(&step, &Rows::new(&rows), &mut fused, &mean);
            let (own, others) = (f64::from(fused[0]), f64::from(fused[1]));
            // The row is in log-probabilities up to a constant.
            let most = own.max(others);
            most + ((own - most).exp() + (others - most).exp()).ln() - own
        });
        costs.collect()
    }
}
