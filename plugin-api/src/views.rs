//! What a hook is shown: views of what the host lends for the time of one call.

use crate::abi::Parameters;
use crate::export::LentRows;
use crate::testing::Members;

/// Where the reply stands, as every hook is told.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// Units accepted since the start of the reply: the position being decided (`on_logits`, `on_token`), or the one just
    /// after the newest unit (`on_assessment`).
    pub position: u32,
    /// 0 at the first try of this position, then 1, 2, … after resamples and retractions.
    pub attempt: u32,
    /// How many units can be taken back right now: bounded by the horizon and by the start of the reply.
    pub retractable: u32,
    /// Retractions that this reply may still make. At 0 a retraction is ignored.
    pub retractions_left: u32,
    /// How many members decode together, at least 1.
    pub members: u32,
    /// What [`Step::random`] draws from: a function of (seed, position, attempt), so that the same seed gives the same
    /// bytes.
    pub seed: u64,
    /// The sampling parameters in force, adjustments included.
    pub parameters: Parameters,
    /// The sampling parameters that the user set, to which adjustments decay.
    pub base: Parameters,
}

impl Step {
    /// The `draw`-th uniform random number in [0, 1) of this step: the same for every hook, and the same again when
    /// the reply is generated again with the same seed.
    pub fn random(&self, draw: u32) -> f32 {
        // SplitMix64 (Steele, Lea, Flood 2014): one 64-bit mix per draw, no state to carry.
        let mut z = self.seed.wrapping_add((u64::from(draw) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 40) as f32 / (1u64 << 24) as f32
    }
}

/// One member's logits for the next unit, and what the host has already worked out about them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Row<'a> {
    /// The member's name.
    pub name: &'a str,
    /// The member's weight as set by the user, in [0, 1]: the weights of all members sum to 1.
    pub weight: f32,
    /// One raw logit for each unit; −∞ where the member cannot emit it.
    pub logits: &'a [f32],
    /// One probability for each unit; they sum to 1.
    pub probabilities: &'a [f32],
    /// `log Σ exp logits`: the log-probability of unit v is `logits[v] − log_sum_exp`.
    pub log_sum_exp: f32,
    /// Entropy of `probabilities`, in nats: from 0, where one unit is certain.
    pub entropy: f32,
    /// The unit with the highest logit.
    pub top_unit: u32,
    /// Probability of `top_unit`.
    pub top_probability: f32,
    /// How well this member has predicted the text that stands: the sum of the log-probabilities that it gave to the
    /// accepted units and to the last ones of the prompt, each decayed by [`crate::abi::EVIDENCE_DECAY`] for every unit
    /// that came after it. In nats, at most 0; 0 before any text.
    pub evidence: f32,
}

/// All members' rows for the position being decided, in the order in which the user named the members.
///
/// They hold for the call that they are given to, and stay on its thread, as the host's functions do. A [`Row`] of them can
/// go to other threads.
///
/// ```compile_fail
/// fn goes_to_another_thread<T: Send>(_: T) {}
/// fn on_logits(rows: &plugin_api::Rows) {
///     goes_to_another_thread(*rows);
/// }
/// ```
#[derive(Clone, Copy)]
pub struct Rows<'a>(Source<'a>);

/// Where rows come from. They are made when they are asked for, so that lending them takes no memory.
#[derive(Clone, Copy)]
enum Source<'a> {
    Views(&'a [Row<'a>]),
    Made(&'a Members),
    Lent(LentRows<'a>),
}

impl<'a> Rows<'a> {
    /// Rows that are there as views already, of one length.
    ///
    /// # Panics
    /// When two rows, or the logits and probabilities of one, differ in length.
    pub fn new(rows: &'a [Row<'a>]) -> Self {
        let new = Self(Source::Views(rows));
        let is_whole = |row: &Row| row.logits.len() == new.units() && row.probabilities.len() == new.units();
        assert!(rows.iter().all(is_whole), "rows of different lengths");
        new
    }

    pub(crate) fn made(members: &'a Members) -> Self {
        Self(Source::Made(members))
    }

    pub(crate) fn lent(rows: LentRows<'a>) -> Self {
        Self(Source::Lent(rows))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        match self.0 {
            Source::Views(rows) => rows.len(),
            Source::Made(members) => members.len(),
            Source::Lent(rows) => rows.len(),
        }
    }

    /// True without members; the host never passes that.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many units there are: the length of each row, and of the fused one.
    pub fn units(&self) -> usize {
        match self.0 {
            Source::Views(rows) => rows.first().map_or(0, |row| row.logits.len()),
            Source::Made(members) => members.units(),
            Source::Lent(rows) => rows.units(),
        }
    }

    /// The row of member `index`.
    ///
    /// # Panics
    /// When `index` is not below [`Rows::len`].
    pub fn get(&self, index: usize) -> Row<'a> {
        assert!(index < self.len(), "row {index} of {}", self.len());
        match self.0 {
            Source::Views(rows) => rows[index],
            Source::Made(members) => members.row(index),
            Source::Lent(rows) => rows.row(index),
        }
    }

    /// All rows, in the order of the members.
    pub fn iter(&self) -> impl Iterator<Item = Row<'a>> + use<'a> {
        let rows = *self;
        (0..rows.len()).map(move |index| rows.get(index))
    }

    /// Writes the linear mixture `log Σ_i weights[i] · p_i(v)` to `fused`, with the host's vectorised arithmetic where the
    /// rows are the host's. The weights are scaled to sum to 1.
    ///
    /// # Errors
    /// When there is not one weight for each member, or one is negative or not finite, or all are 0, or `fused` is not
    /// as long as a row. Then it stays as it is.
    pub fn mix(&self, weights: &[f32], fused: &mut [f32]) -> Result<(), String> {
        if weights.len() != self.len() {
            return Err(format!("mix was given {} weights for {} members", weights.len(), self.len()));
        }
        if fused.len() != self.units() {
            return Err(format!("mix was given room for {} units, there are {}", fused.len(), self.units()));
        }
        let is_mixed = match self.0 {
            Source::Lent(rows) => rows.mix(weights, fused),
            _ if !are_usable(weights) => false,
            _ => {
                self.mix_plainly(weights, fused);
                true
            }
        };
        match is_mixed {
            true => Ok(()),
            false => Err(format!("mix needs finite weights of at least 0, not all 0; it was given {weights:?}")),
        }
    }

    /// The mixture in a plain loop; the lengths fit.
    pub(crate) fn mix_plainly(&self, weights: &[f32], fused: &mut [f32]) {
        let sum: f32 = weights.iter().sum();
        let rows: Vec<&[f32]> = self.iter().map(|row| row.probabilities).collect();
        for (unit, score) in fused.iter_mut().enumerate() {
            let probability: f32 = rows.iter().zip(weights).map(|(row, weight)| weight / sum * row[unit]).sum();
            *score = probability.ln();
        }
    }
}

fn are_usable(weights: &[f32]) -> bool {
    weights.iter().all(|weight| weight.is_finite() && *weight >= 0.0) && weights.iter().any(|weight| *weight > 0.0)
}

impl std::fmt::Debug for Rows<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_list().entries(self.iter()).finish()
    }
}

/// The candidate that was drawn and not yet decoded.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Token<'a> {
    /// The candidate.
    pub unit: u32,
    /// The candidate's bytes; not always UTF-8 by themselves. Empty for the end of the text.
    pub bytes: &'a [u8],
    /// The member that gave the candidate most weight, below [`Step::members`].
    pub leader: u32,
    /// The candidate's probability in the fused row, before temperature and truncation.
    pub probability: f32,
    /// Entropy of the fused row, in nats.
    pub entropy: f32,
    /// How much the members' rows are alike: 1 − their mean pairwise total-variation distance, in [0, 1].
    pub agreement: f32,
    /// True when the candidate ends the text.
    pub is_end: bool,
    /// The probabilities that the members gave the candidate: [`Step::members`] of them.
    pub member_probabilities: &'a [f32],
    /// Mean [surprise](Token::surprise) of the units that stand in this reply, in nats; 0 before the first, and with a host
    /// older than 1.1.
    pub surprise_mean: f32,
    /// Standard deviation of their surprise, in nats.
    pub surprise_deviation: f32,
    /// How far the candidate is behind the likeliest unit of the fused row that is not banned here: the difference of their
    /// log-probabilities, in nats. 0 for the likeliest.
    pub behind: f32,
}

impl Token<'_> {
    /// How unexpected the candidate is: −ln of its probability, in nats, at most 27.6, which stands for all that is less likely
    /// than 10⁻¹².
    pub fn surprise(&self) -> f32 {
        surprise(self.probability)
    }
}

/// −ln of a probability, in nats; what is less likely than 10⁻¹² counts as that.
pub fn surprise(probability: f32) -> f32 {
    -probability.max(LEAST_PROBABILITY).ln()
}

/// A unit that was forced may be impossible, and one such must not decide a mean.
const LEAST_PROBABILITY: f32 = 1e-12;

/// The report on the recent window, after a unit was accepted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Assessment<'a> {
    /// The unit just accepted.
    pub unit: u32,
    /// The unit's probability in the fused row, before temperature and truncation.
    pub confidence: f32,
    /// Mean confidence of the last 5 units, or of as many as there are.
    pub mean_confidence: f32,
    /// Least-squares slope of those confidences, per unit.
    pub slope: f32,
    /// The lowest of those confidences.
    pub minimum: f32,
    /// How many units back the lowest stands; 1 is the newest. `retract(minimum_back)` takes it away.
    pub minimum_back: u32,
    /// Entropy of the fused row that the unit was drawn from, in nats.
    pub entropy: f32,
    /// How much the members' rows were alike: 1 − their mean pairwise total-variation distance, in [0, 1].
    pub agreement: f32,
    /// The member that gave the unit most weight, below [`Step::members`].
    pub leader: u32,
    /// How many different units stand among the last 10.
    pub unique: u32,
    /// How many units `unique` was counted over: 10, less at the start.
    pub unique_of: u32,
    /// Length of the longest suffix of the window that stands there a second time, in units; 0 when there is none.
    pub repeated: u32,
    /// How far apart the two copies are, in units; 0 when there is none.
    pub period: u32,
    /// The confidences of the window, oldest first: of the newest 256 units, or of as many as there are.
    pub confidences: &'a [f32],
    /// The units of the window, oldest first; as many as `confidences`.
    pub units: &'a [u32],
}

/// What was taken back, as every hook is told afterwards: state about those units must go.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Retraction<'a> {
    /// How many units were taken back, at least 1.
    pub units: u32,
    /// How many units remain since the start of the reply.
    pub position: u32,
    /// Name of the policy whose verdict won.
    pub policy: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_that_are_views_mix_in_a_plain_loop() {
        let row = |probabilities| Row { logits: &[0.0; 2], probabilities, ..Row::default() };
        let rows = [row(&[0.5, 0.5]), row(&[1.0, 0.0])];
        let rows = Rows::new(&rows);
        let mut fused = [0.0; 2];
        rows.mix(&[1.0, 3.0], &mut fused).unwrap();
        assert!((fused[0].exp() - 0.875).abs() < 1e-6 && (fused[1].exp() - 0.125).abs() < 1e-6);
        assert!(rows.mix(&[1.0], &mut fused).unwrap_err().contains("1 weights for 2 members"));
        assert!(rows.mix(&[1.0; 2], &mut [0.0; 3]).unwrap_err().contains("room for 3 units"));
        assert!(rows.mix(&[0.0; 2], &mut fused).unwrap_err().contains("[0.0, 0.0]"));
    }

    #[test]
    #[should_panic(expected = "rows of different lengths")]
    fn rows_of_different_lengths_are_none() {
        let row = |logits| Row { logits, probabilities: logits, ..Row::default() };
        Rows::new(&[row(&[0.5, 0.5]), row(&[1.0])]);
    }
}
