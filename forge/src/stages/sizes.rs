//! Headers of what stages will make, from which sizes follow to the byte before anything is made.

use super::experts;
use crate::bench::Bench;
use crate::recipe::Kind;
use gguf::Header;

/// Headers of a stage's main outputs, in their order, from the header of the model that it reads. Empty where only its run tells.
pub(crate) fn headers(kind: &Kind, model: &Header, bench: &dyn Bench) -> Vec<Header> {
    let headers = match kind {
        Kind::Quantize(quantize) => {
            let quantized = |to: &String| bench.quantized(model, to, quantize.imatrix.is_some());
            quantize.types.0.iter().map(quantized).collect::<Result<_, _>>()
        }
        Kind::Prune(prune) if prune.coverage.is_none() => {
            let Ok(has) = gguf::Experts::of(model) else { return Vec::new() };
            if prune.experts.0.iter().any(|number| *number > has.count()) {
                return Vec::new();
            }
            let keep = |number: u32| vec![(0..number).collect::<Vec<u32>>(); has.layers().len()];
            // Which ones stay makes no difference to the size.
            let pruned = |&number: &u32| experts::plan(model, &keep(number)).map(|plan| plan.header().clone());
            prune.experts.0.iter().map(pruned).collect()
        }
        _ => return Vec::new(),
    };
    // What is wrong, the run will say.
    headers.unwrap_or_default()
}
