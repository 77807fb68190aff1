//! The first half of a step: from the members' rows to one row.

use crate::fuse;
use crate::hooks::chain::Chain;
use crate::member::{Ensemble, Unit};
use plugin_api::{Row, Rows, Step};

/// What the loop knows of the members beside their rows.
#[derive(Debug, Clone)]
pub struct Members {
    /// Their names, in order.
    pub names: Vec<String>,
    /// Their prior weights, scaled to sum to 1.
    pub weights: Vec<f32>,
}

/// The fused row of a step and what is known about it. Its buffers are kept from step to step.
#[derive(Debug, Default)]
pub struct Fusion {
    /// Log-probabilities.
    pub row: Vec<f32>,
    /// Of `row`.
    pub statistics: fuse::RowStatistics,
    /// 1 − mean pairwise total-variation distance of the members.
    pub agreement: f32,
    /// Added to a log-probability it gives a score on the scale of the members' logits: their weighted mean log-sum-exp.
    pub offset: f32,
}

impl Fusion {
    /// Fuses the members' rows: the weighted mean, then whatever the chain makes of it.
    pub fn make(&mut self, ensemble: &Ensemble, members: &Members, chain: &mut Chain, step: &Step) {
        let units = ensemble.vocabulary().len();
        self.row.resize(units, 0.0);
        let probabilities: Vec<&[f32]> = ensemble.rows().map(|row| row.probabilities.as_slice()).collect();
        let mean = |row: &mut [f32]| fuse::mix(&probabilities, &members.weights, row);
        mean(&mut self.row);
        let table: Vec<Row> = ensemble
            .rows()
            .zip(members.names.iter().zip(&members.weights))
            .map(|(row, (name, &weight))| Row {
                struct_size: size_of::<Row>() as u32,
                top_unit: row.statistics.top_unit,
                logits: row.logits.as_ptr(),
                probabilities: row.probabilities.as_ptr(),
                log_sum_exp: row.statistics.log_sum_exp,
                entropy: row.statistics.entropy,
                top_probability: row.statistics.top_probability,
                evidence: row.evidence,
                weight,
                name_len: name.len() as u32,
                name: name.as_ptr(),
            })
            .collect();
        let rows = Rows {
            struct_size: size_of::<Rows>() as u32,
            count: table.len() as u32,
            units: units as u32,
            reserved: 0,
            rows: table.as_ptr(),
        };
        chain.on_logits(step, &rows, &mut self.row, &mean);
        // The chain leaves a valid row, and so does the mean of valid rows.
        self.statistics = fuse::normalise(&mut self.row).unwrap_or_default();
        self.agreement = fuse::agreement(&probabilities);
        self.offset = table.iter().map(|row| row.weight * row.log_sum_exp).sum();
    }

    /// Probability of a unit, before temperature and truncation.
    pub fn probability(&self, unit: Unit) -> f32 {
        self.row.get(unit as usize).map_or(0.0, |score| score.exp())
    }
}
