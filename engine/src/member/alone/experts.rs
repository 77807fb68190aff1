//! How much each expert of a mixture does on a text: how many tokens go through it, and how much it adds to them.
//!
//! The saliency of an expert is the mean, over the tokens that go through it, of its gate's weight times the norm of its output
//! (REAP, arXiv 2510.13999). Counts alone say nothing where a router was not trained to spread its tokens.

use super::{Reading, see};
use crate::error::Error;
use crate::member::model::tap::{See, Tensor};
use crate::settings::ModelSource;
use std::collections::BTreeMap;

/// The experts of a model on a text.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Experts {
    /// Tokens that were read.
    pub tokens: u64,
    /// Experts that a token goes through.
    pub used: u32,
    /// By the layer's number.
    pub layers: BTreeMap<u32, ExpertLayer>,
}

/// Those of a layer.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ExpertLayer {
    /// Tokens that went through each expert.
    pub counts: Vec<u64>,
    /// For each, the sum over its tokens of the gate's weight times the norm of its output.
    pub sums: Vec<f64>,
}

impl ExpertLayer {
    /// The mean of what each expert adds to a token that goes through it; 0 for one that none goes through.
    pub fn saliency(&self) -> Vec<f64> {
        let mean = |(&sum, &count): (&f64, &u64)| if count == 0 { 0.0 } else { sum / count as f64 };
        self.sums.iter().zip(&self.counts).map(mean).collect()
    }
}

impl Experts {
    /// Reads a text, and counts. `done` hears how many windows of how many were read.
    ///
    /// # Errors
    /// For a model without experts, and what can go wrong with its file, the text and the decoding.
    pub fn of(
        source: &ModelSource,
        reading: &Reading,
        done: &mut dyn FnMut(usize, usize) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let (mut seen, _) = see::<Seen>(source, reading, done)?;
        seen.end_layer();
        let Seen { experts, .. } = seen;
        if experts.layers.is_empty() {
            return Err(Error::Input(format!(
                "`{}` has no experts to profile; name a mixture-of-experts model",
                source.path.display()
            )));
        }
        Ok(experts)
    }
}

/// What was seen so far, and of the layer that is being computed.
#[derive(Default)]
struct Seen {
    experts: Experts,
    layer: u32,
    /// Experts that there are: as many as the router has logits.
    count: usize,
    /// The experts of each token, one token after the other.
    chosen: Vec<i32>,
    /// Of each of them the gate's weight, and the norm of what it gives.
    gates: Vec<f32>,
    norms: Vec<f32>,
    /// The gate was applied before the experts, so that it is in what they give (Llama 4).
    is_weighted: bool,
}

/// The part of a node's name that says what it is, and its layer.
fn part(name: &str) -> Option<(&str, u32)> {
    let (part, layer) = name.strip_prefix("ffn_moe_")?.rsplit_once('-')?;
    Some((part, layer.parse().ok()?))
}

impl See for Seen {
    fn wants(&self, tensor: &Tensor) -> bool {
        let Some((part, _)) = part(tensor.name()) else { return false };
        matches!(
            part,
            "logits"
                | "topk"
                | "weights"
                | "weights_softmax"
                | "weights_norm"
                | "weights_scaled"
                | "weighted"
                | "down"
                | "down_scaled"
                | "down_biased"
        )
    }

    fn see(&mut self, tensor: &Tensor) {
        let Some((part, layer)) = part(tensor.name()) else { return };
        match part {
            "logits" => {
                self.end_layer();
                self.layer = layer;
                self.count = tensor.dims()[0];
            }
            "topk" => {
                self.chosen = tensor.integers().unwrap_or_default();
                self.experts.used = self.experts.used.max(tensor.dims()[0] as u32);
            }
            // Each takes the place of the one before.
            "weights" | "weights_softmax" | "weights_norm" | "weights_scaled" => {
                self.gates = tensor.floats().unwrap_or_default();
            }
            "weighted" => self.is_weighted = self.norms.is_empty(),
            _ => {
                let width = tensor.dims()[0].max(1);
                let norm = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt() as f32;
                self.norms = tensor.floats().unwrap_or_default().chunks_exact(width).map(norm).collect();
            }
        }
    }
}

impl Seen {
    /// Adds what was seen of a layer up.
    fn end_layer(&mut self) {
        let chosen = std::mem::take(&mut self.chosen);
        let (gates, norms) = (std::mem::take(&mut self.gates), std::mem::take(&mut self.norms));
        let is_weighted = std::mem::take(&mut self.is_weighted);
        if chosen.is_empty() {
            return;
        }
        let layer = self.experts.layers.entry(self.layer).or_default();
        layer.counts.resize(self.count, 0);
        layer.sums.resize(self.count, 0.0);
        for (at, &expert) in chosen.iter().enumerate() {
            let Some(expert) = usize::try_from(expert).ok().filter(|&expert| expert < self.count) else { continue };
            let gate = if is_weighted { 1.0 } else { gates.get(at).copied().unwrap_or(0.0) };
            layer.counts[expert] += 1;
            layer.sums[expert] += f64::from(gate.abs()) * f64::from(norms.get(at).copied().unwrap_or(0.0));
        }
        // All layers see the same tokens.
        if self.experts.layers.keys().next() == Some(&self.layer) {
            self.experts.tokens += (chosen.len() / self.experts.used.max(1) as usize) as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_says_what_it_is_and_of_which_layer() {
        assert_eq!(part("ffn_moe_topk-3"), Some(("topk", 3)));
        assert_eq!(part("ffn_moe_down_biased-12"), Some(("down_biased", 12)));
        assert_eq!(part("ffn_moe_topk-3 (view)"), None);
        assert_eq!(part("ffn_out-3"), None);
    }

    #[test]
    fn an_expert_that_no_token_goes_through_has_no_saliency() {
        let layer = ExpertLayer { counts: vec![2, 0], sums: vec![3.0, 0.0] };
        assert_eq!(layer.saliency(), [1.5, 0.0]);
    }
}
