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
            struct_size: size_of::<Row>() as u32,
            top_unit: row.top.first().map_or(0, |(unit, _)| *unit),
            logits: logits.as_ptr(),
            probabilities: probabilities.as_ptr(),
            log_sum_exp: row.log_sum_exp,
            entropy: row.entropy,
            top_probability: row.top.first().map_or(0.0, |(_, score)| score.exp()),
            evidence: row.evidence,
            weight: *weight,
            name_len: name.len() as u32,
            name: name.as_ptr(),
        })
        .collect();
    look(&Rows {
        struct_size: size_of::<Rows>() as u32,
        count: table.len() as u32,
        units: reply.units,
        reserved: 0,
        rows: table.as_ptr(),
    })
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
