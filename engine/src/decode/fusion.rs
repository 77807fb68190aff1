//! The first half of a step: from the members' rows to one row.

use crate::fuse;
use crate::hooks::chain::Chain;
use crate::member::{MemberRow, Unit, Vocabulary};
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
    /// What members that abstain are given.
    stand_in: MemberRow,
}

/// The members' rows. One that abstains gets the mean of the others, so that no fusion is drawn anywhere by it.
fn voting_rows<'a>(
    own: &[&'a MemberRow],
    vocabulary: &Vocabulary,
    members: &Members,
    stand_in: &'a mut MemberRow,
) -> Vec<&'a MemberRow> {
    if own.iter().all(|row| !row.abstains) {
        return own.to_vec();
    }
    let voters = || own.iter().zip(&members.weights).filter(|(row, _)| !row.abstains);
    let units = vocabulary.len();
    stand_in.logits.clear();
    stand_in.probabilities.resize(units, 0.0);
    // Where nobody has a say, or nobody that counts, everything is as likely.
    let weights: Vec<f32> = voters().map(|(_, &weight)| weight).collect();
    if weights.iter().any(|&weight| weight > 0.0) {
        stand_in.logits.resize(units, 0.0);
        let probabilities: Vec<&[f32]> = voters().map(|(row, _)| row.probabilities.as_slice()).collect();
        fuse::mix(&probabilities, &weights, &mut stand_in.logits);
    } else {
        let score = |unit| if vocabulary.can_emit(unit) { 0.0 } else { f32::NEG_INFINITY };
        stand_in.logits.extend((0..units as Unit).map(score));
    }
    stand_in.statistics = fuse::softmax(&stand_in.logits, &mut stand_in.probabilities).unwrap_or_default();
    let stand_in = &*stand_in;
    own.iter().map(|row| if row.abstains { stand_in } else { row }).collect()
}

impl Fusion {
    /// Fuses the members' rows: the weighted mean, then whatever the chain makes of it.
    pub fn make(
        &mut self,
        own: &[&MemberRow],
        vocabulary: &Vocabulary,
        members: &Members,
        chain: &mut Chain,
        step: &Step,
    ) {
        let units = vocabulary.len();
        self.row.resize(units, 0.0);
        let Self { stand_in, .. } = self;
        let rows = voting_rows(own, vocabulary, members, stand_in);
        let probabilities: Vec<&[f32]> = rows.iter().map(|row| row.probabilities.as_slice()).collect();
        let mean = |row: &mut [f32]| fuse::mix(&probabilities, &members.weights, row);
        mean(&mut self.row);
        let table: Vec<Row> = rows
            .iter()
            .zip(own)
            .zip(members.names.iter().zip(&members.weights))
            .map(|((row, own), (name, &weight))| Row {
                name,
                weight,
                logits: &row.logits,
                probabilities: &row.probabilities,
                log_sum_exp: row.statistics.log_sum_exp,
                entropy: row.statistics.entropy,
                top_unit: row.statistics.top_unit,
                top_probability: row.statistics.top_probability,
                evidence: own.evidence,
            })
            .collect();
        chain.on_logits(step, &Rows::new(&table), &mut self.row, &mean);
        // The chain leaves a valid row, and so does the mean of valid rows.
        self.statistics = fuse::normalise(&mut self.row).unwrap_or_default();
        self.agreement = fuse::agreement(&probabilities);
        self.offset = table.iter().map(|row| row.weight * row.log_sum_exp).sum();
    }

    /// Log-probability of the likeliest unit that is not among `bans`.
    pub fn likeliest_but(&self, bans: &[Unit]) -> f32 {
        let top = self.statistics.top_unit;
        if !bans.contains(&top) {
            return self.row.get(top as usize).copied().unwrap_or(f32::NEG_INFINITY);
        }
        super::session::likeliest_but(&self.row, bans)
    }

    /// Probability of a unit, before temperature and truncation.
    pub fn probability(&self, unit: Unit) -> f32 {
        self.row.get(unit as usize).map_or(0.0, |score| score.exp())
    }
}
