//! What rules on a signal would refuse.

use super::{Reply, Signal};
use serde::Serialize;
use std::fmt::{self, Display, Formatter};

/// The difference in log-probability up to which a token counts as the likeliest: records of rows are rounded.
const ROUNDING: f64 = 1e-3;

/// A rule that refuses tokens.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Refuses a token that is not the likeliest, from the fifth on, whose surprise is above its running mean by more than so
    /// many times the running deviation plus 0.1 nats.
    Surprise {
        /// The number of deviations.
        deviations: f64,
    },
    /// Refuses a token where the mean probability of the last five is below 0.35.
    MeanOfFive,
}

impl Rule {
    const ALL: [Self; 5] = [
        Self::Surprise { deviations: 1.0 },
        Self::Surprise { deviations: 1.5 },
        Self::Surprise { deviations: 2.0 },
        Self::Surprise { deviations: 3.0 },
        Self::MeanOfFive,
    ];

    /// Whether it refuses each token of a reply.
    pub fn refuses(self, reply: &Reply) -> Vec<bool> {
        match self {
            Self::Surprise { deviations } => {
                let below = Signal::BelowLikeliest.values(reply);
                let surprises = Signal::SurpriseInDeviations.values(reply).into_iter().zip(below);
                surprises.map(|(surprise, below)| surprise > deviations && below > ROUNDING).collect()
            }
            Self::MeanOfFive => Signal::BelowThird.values(reply).into_iter().map(|below| below > 0.0).collect(),
        }
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        match self {
            Self::Surprise { deviations } => {
                write!(f, "surprise above mean + {deviations} (deviation + 0.1), not the likeliest")
            }
            Self::MeanOfFive => f.write_str("mean of 5 below 0.35"),
        }
    }
}

/// Rules that refuse tokens, with what each would refuse in replies.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Thresholds {
    /// Tokens at which an error begins.
    pub errors: usize,
    /// All tokens.
    pub tokens: usize,
    /// One a rule.
    pub rules: Vec<Threshold>,
}

/// A rule with what it would refuse.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Threshold {
    /// The rule.
    pub rule: Rule,
    /// The share of tokens that it refuses. `None` without tokens.
    pub refused: Option<f64>,
    /// The share of errors that it refuses. `None` without errors.
    pub hit: Option<f64>,
    /// The share of errors in what it refuses. `None` if it refuses nothing.
    pub precision: Option<f64>,
}

/// Counts what rules would refuse: the one on surprise with 1, 1.5, 2 and 3 deviations, and the one on the mean of five.
pub fn thresholds(replies: &[Reply]) -> Thresholds {
    let errors = |reply: &Reply| (0..reply.tokens.len()).filter(|at| reply.faults.contains(at)).count();
    let (errors, tokens) = (replies.iter().map(errors).sum(), replies.iter().map(|reply| reply.tokens.len()).sum());
    let share = |part: usize, all: usize| (all > 0).then(|| part as f64 / all as f64);
    let measure = |rule: Rule| {
        let (mut refused, mut hit) = (0, 0);
        for reply in replies {
            for (at, _) in rule.refuses(reply).into_iter().enumerate().filter(|(_, refuses)| *refuses) {
                refused += 1;
                hit += usize::from(reply.faults.contains(&at));
            }
        }
        Threshold { rule, refused: share(refused, tokens), hit: share(hit, errors), precision: share(hit, refused) }
    };
    Thresholds { errors, tokens, rules: Rule::ALL.map(measure).into() }
}
