//! Whole rows out of reduced ones, for what edits rows. What is not among the best shares the rest evenly.

use crate::trace::{Logits, ReducedRow, Reply};
use plugin_api::{Row, Rows};

/// Calls `look` with the members' rows of a position.
pub fn with_whole_rows<R>(logits: &Logits, reply: &Reply, look: impl FnOnce(&Rows) -> R) -> R {
    let units = reply.units as usize;
    let expanded: Vec<(Vec<f32>, Vec<f32>)> = logits.rows.iter().map(|row| expand(row, units)).collect();
    let table: Vec<Row> = logits
        .rows
        .iter()
        .zip(expanded.iter().zip(&reply.members))
        .map(|(row, ((logits, probabilities), (name, weight)))| Row {
            name,
            weight: *weight,
            logits,
            probabilities,
            log_sum_exp: row.log_sum_exp,
            entropy: row.entropy,
            top_unit: row.top.first().map_or(0, |(unit, _)| *unit),
            top_probability: row.top.first().map_or(0.0, |(_, score)| score.exp()),
            evidence: row.evidence,
        })
        .collect();
    look(&Rows::new(&table))
}

/// Logits and probabilities.
pub fn expand(row: &ReducedRow, units: usize) -> (Vec<f32>, Vec<f32>) {
    let known: f32 = row.top.iter().map(|(_, score)| score.exp()).sum();
    let others = units.saturating_sub(row.top.len()) as f32;
    // Nothing is left where the best are all there is.
    let rest = (1.0 - known).max(0.0) / others.max(1.0);
    let mut probabilities = vec![rest; units];
    let mut logits = vec![rest.ln() + row.log_sum_exp; units];
    for &(unit, score) in &row.top {
        if let (Some(logit), Some(probability)) = (logits.get_mut(unit as usize), probabilities.get_mut(unit as usize))
        {
            (*logit, *probability) = (score + row.log_sum_exp, score.exp());
        }
    }
    (logits, probabilities)
}
