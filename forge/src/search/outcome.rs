//! What a search came to.

use super::{Evidence, Point};
use serde::Serialize;

/// The step of the funnel that a number comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Arithmetic on sizes.
    Size,
    /// The cheap guess.
    Estimate,
    /// A look at some of the windows.
    Quick,
    /// All windows.
    Full,
    /// A conclusion of the strategy, without a measurement of the candidate.
    Strategy,
    /// The held windows.
    Held,
}

/// A ratio of perplexities, to the base's or to another candidate's.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ratio {
    /// The ratio; above 1 is worse.
    pub ratio: f64,
    /// Lower end of its 95 % interval.
    pub low: f64,
    /// Upper end of its 95 % interval.
    pub high: f64,
    /// Windows that it rests on.
    pub windows: usize,
    /// The p-value of "it is exactly the gate", or of "it is 1" without a gate.
    pub p: f64,
}

impl From<Evidence> for Ratio {
    fn from(evidence: Evidence) -> Self {
        let interval = evidence.ratio_interval();
        let Evidence { windows, p, .. } = evidence;
        Self { ratio: evidence.ratio(), low: interval.low, high: interval.high, windows, p }
    }
}

/// What became of a candidate, with the number that decided it. All losses are ratios of perplexities to the base's.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "fate", rename_all = "snake_case")]
pub enum Fate {
    /// The winner.
    Winner,
    /// Its file is larger than what fits.
    TooLarge {
        /// The most bytes that fit.
        limit: u64,
    },
    /// The guess of its loss is far above the gate.
    Predicted {
        /// The guess.
        ratio: f64,
        /// The most that is looked at.
        limit: f64,
    },
    /// It is shown to be above the gate.
    AboveGate {
        /// Lower end of its interval.
        low: f64,
        /// The gate.
        gate: f64,
    },
    /// On all windows its interval holds the gate.
    NotShown {
        /// Upper end of its interval.
        high: f64,
        /// The gate.
        gate: f64,
        /// Tokens more that would show it to be below, in 80 of 100 cases, if the estimate is true; `None`: no number would.
        more_tokens: Option<u64>,
    },
    /// It was kept in the search, and the held windows do not confirm it.
    NotConfirmed {
        /// Upper end of its interval on the held windows.
        high: f64,
        /// The gate.
        gate: f64,
        /// The p-value of "it is exactly the gate" there, which had to be below 2.5 %.
        p: f64,
    },
    /// It was not decided by measurement: it is presumed to be above the gate, as a candidate of better quality is.
    Presumed {
        /// The candidate of better quality.
        below: Point,
        /// Lower end of that one's interval.
        low: f64,
    },
    /// It was not measured: a candidate that fits is better on every axis.
    Below {
        /// That candidate.
        better: Point,
    },
    /// It was not decided by measurement: measurements of others make it unlikely to be below the gate.
    Unlikely {
        /// How likely it is.
        probability: f64,
    },
    /// Most random subsamples found it above the gate.
    Outvoted {
        /// Subsamples in which it was below.
        passed: u32,
        /// All its subsamples.
        votes: u32,
    },
    /// It is larger than the winner.
    Larger {
        /// Bytes that it has more.
        by: u64,
    },
    /// It is shown to be worse than the winner.
    Worse {
        /// Lower end of the ratio of its perplexity to the winner's.
        low: f64,
    },
    /// It is not the best, and not shown to be worse than the winner.
    NotWorse {
        /// Lower end of the ratio of its perplexity to the winner's.
        low: f64,
        /// Upper end of that ratio.
        high: f64,
    },
    /// Below the gate in the search, when the search ended without a confirmation of it.
    Unchecked {
        /// Upper end of its interval.
        high: f64,
    },
    /// The search ended before it was decided.
    NotReached,
    /// Its size or its losses could not be had.
    Failed {
        /// What went wrong, in a sentence.
        reason: String,
    },
}

/// A candidate in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Listed {
    /// The place of its values on the axes.
    pub point: Point,
    /// The candidate in words.
    pub label: String,
    /// Bytes of its file.
    pub size: Option<u64>,
    /// The guess of its ratio.
    pub estimate: Option<f64>,
    /// Its ratio to the base in the search.
    pub measured: Option<Ratio>,
    /// The p-value of `measured` by Holm over all candidates that were measured.
    pub p_holm: Option<f64>,
    /// The step that decided.
    pub step: Step,
    /// What became of it.
    #[serde(flatten)]
    pub fate: Fate,
}

/// The measurement on windows that the search did not see.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Confirmation {
    /// The candidate.
    pub point: Point,
    /// The candidate in words.
    pub label: String,
    /// Its ratio to the base there.
    pub held: Ratio,
    /// Without a gate: the runner-up, and the ratio of the winner's perplexity to its, on the same windows.
    pub against: Option<Versus>,
    /// Whether that shows what the search says: that it is below the gate, or better than the runner-up.
    pub shown: bool,
}

/// A comparison with another candidate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Versus {
    /// The other candidate.
    pub point: Point,
    /// The candidate in words.
    pub label: String,
    /// The ratio of perplexities; below 1 the other one is worse.
    pub ratio: Ratio,
}

/// The candidate that came nearest where none is shown to be below the gate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Nearest {
    /// The candidate.
    pub point: Point,
    /// The candidate in words.
    pub label: String,
    /// Its ratio to the base; on the held windows if it was measured there. `None`: only a guess is known, or nothing.
    pub ratio: Option<Ratio>,
    /// Tokens more that would show it to be below the gate, in 80 of 100 cases, if the ratio is true; `None`: no number would.
    pub more_tokens: Option<u64>,
}

/// Tokens of candidates' evaluations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Spent {
    /// Tokens of the search.
    pub search: u64,
    /// Tokens of confirmations.
    pub held: u64,
    /// What a full evaluation of every candidate that fits would have cost, without a confirmation.
    pub exhaustive: u64,
}

/// What a search came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// The strategy's name.
    pub strategy: &'static str,
    /// The most that the ratio of perplexities may be.
    pub gate: Option<f64>,
    /// The winner: with a gate confirmed on the held windows, without one the best in the search.
    pub winner: Option<Point>,
    /// The measurements on the held windows, the winner's last.
    pub confirmations: Vec<Confirmation>,
    /// The candidate that came nearest, where there is no winner.
    pub nearest: Option<Nearest>,
    /// All candidates, from the smallest file to the largest, and then those without a size.
    pub listed: Vec<Listed>,
    /// The tokens that it cost.
    pub tokens: Spent,
    /// What else there is to say, in sentences.
    pub notes: Vec<String>,
}

impl Outcome {
    /// The winner's line.
    pub fn winner(&self) -> Option<&Listed> {
        self.listed.iter().find(|listed| listed.fate == Fate::Winner)
    }

    /// The measurement that the winner is reported with.
    pub fn confirmation(&self) -> Option<&Confirmation> {
        let winner = self.winner.as_ref()?;
        self.confirmations.iter().rfind(|confirmation| confirmation.point == *winner)
    }
}
