//! Two results on the same items, paired.
//!
//! "Shown" is a difference whose interval holds no 0 and whose p-value, adjusted by Holm where several systems are compared
//! with the first, is below 5 %. Everything else is "not shown", with how much more data it would take.

mod judge;
mod pair;
mod parts;
mod plain;
mod summary;
mod table;
mod text;

pub use crate::plain;
pub use plain::cut;
pub use summary::summary;
pub(crate) use text::{figure_digits, grouped, named_p_value, verdict};
pub use text::{p_value, signed};

use crate::results::{Measured, Results};
use crate::statistics::{ALPHA, Interval, holm};
use serde::Serialize;
use std::collections::{BTreeMap, HashSet};

/// Systems against the first of them, on the same items.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The task.
    pub task: String,
    /// How many items the task has; results may cover fewer.
    pub task_items: u64,
    /// One a system and a measure.
    pub contrasts: Vec<Contrast>,
    /// What a reader of the figures should know, in sentences.
    pub notes: Vec<String>,
}

/// A system against the first one, by one measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Contrast {
    /// What is compared.
    pub measure: Measure,
    /// The first system.
    pub baseline: String,
    /// The system that is compared with it.
    pub system: String,
    /// Items that both have.
    pub items: u64,
    /// Items that only the baseline has. They are left out.
    pub only_baseline: u64,
    /// Items that only the system has. They are left out.
    pub only_system: u64,
    /// The figures.
    pub figures: Figures,
    /// The two-sided p-value: exact McNemar, bootstrap, or that of the always-valid test for a run that looked as it went.
    pub p: f64,
    /// The p-value after Holm, over all contrasts of this comparison.
    pub p_adjusted: f64,
    /// What that shows.
    pub verdict: Verdict,
    /// Items that one got right and the other did not.
    pub changed: Vec<Change>,
}

/// What is compared.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Right answers.
    Right,
    /// Right choices by the log-likelihood per byte.
    RightNormalised,
    /// Bits per byte.
    BitsPerByte,
    /// The figure with this name.
    Figure(String),
}

/// Figures of two systems.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Figures {
    /// Of right and wrong answers.
    Accuracy {
        /// The first system.
        baseline: Accuracy,
        /// The system that is compared with it.
        system: Accuracy,
        /// Items that only the system got right.
        gained: u64,
        /// Items that only the baseline got right.
        lost: u64,
        /// The system's accuracy less the baseline's.
        difference: f64,
        /// Newcombe's interval of the difference.
        interval: Interval,
        /// McNemar's mid-p-value.
        mid_p: f64,
    },
    /// Of texts.
    Bits {
        /// The first system.
        baseline: Bits,
        /// The system that is compared with it.
        system: Bits,
        /// The system's bits per byte less the baseline's; below 0 is better.
        difference: f64,
        /// Interval of the difference; `None` where there are too few blocks for one.
        interval: Option<Interval>,
        /// Blocks that were drawn: documents, or items where no document is named.
        blocks: u64,
        /// Length of the texts.
        bytes: u64,
    },
    /// Of one figure of several that a text has.
    Ratio {
        /// The first system.
        baseline: Estimate,
        /// The system that is compared with it.
        system: Estimate,
        /// The system's figure less the baseline's.
        difference: f64,
        /// Interval of the difference; `None` where there are too few items for one.
        interval: Option<Interval>,
    },
}

/// An accuracy.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Accuracy {
    /// Right answers.
    pub right: u64,
    /// Items that could not be judged, and count as wrong.
    pub errors: u64,
    /// Right answers over items.
    pub accuracy: f64,
    /// Wilson's interval of the accuracy.
    pub interval: Interval,
}

/// Bits per byte of texts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Bits {
    /// All bits over all bytes.
    pub bits_per_byte: f64,
    /// Its interval; `None` where there are too few blocks for one.
    pub interval: Option<Interval>,
}

/// A figure of several items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Estimate {
    /// All that is counted, over all that it is counted among.
    pub value: f64,
    /// Its interval; `None` where there are too few items for one.
    pub interval: Option<Interval>,
    /// Items that have the figure.
    pub items: u64,
}

/// The figures of one result, without a pair.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Summary {
    /// Of right and wrong answers.
    Accuracy {
        /// Items that were judged, and those that could not be.
        items: u64,
        /// Right answers.
        accuracy: Accuracy,
        /// Right choices by the log-likelihood per byte, where all items have them.
        normalised: Option<Accuracy>,
    },
    /// Of texts.
    Bits {
        /// Their bits per byte.
        bits: Bits,
        /// Blocks that were drawn: documents, or items where no document is named.
        blocks: u64,
        /// Length of the texts.
        bytes: u64,
        /// Items that could not be judged. They are left out.
        errors: u64,
    },
    /// Of texts that have several.
    Figures {
        /// Items that were judged, and those that could not be.
        items: u64,
        /// Items that could not be judged. They are left out.
        errors: u64,
        /// Each figure by its name.
        figures: BTreeMap<String, Estimate>,
    },
}

/// Whether a difference is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The system is better.
    Better,
    /// The system is worse.
    Worse,
    /// The system differs, in a figure of which neither more nor less is better.
    Differs,
    /// Either may be better.
    NotShown {
        /// How much more data would show it in 80 % of all cases, if the difference is real; `None` where no amount would.
        more: Option<More>,
    },
}

/// An amount of data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum More {
    /// So many items.
    Items(u64),
    /// So many bytes of text.
    Bytes(u64),
}

/// An item that one system got right and the other did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The item.
    pub id: String,
    /// Whether the system got it right, and not the baseline.
    pub gained: bool,
}

/// Why results cannot be compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences name the fields")]
#[non_exhaustive]
pub enum CompareError {
    /// There is nothing to compare with.
    #[error("a comparison takes two results or more")]
    TooFew,
    /// Their items are others.
    #[error(
        "`{one}` and `{other}` are about different items: their digests differ; compare runs of the same task and data"
    )]
    OtherItems { one: String, other: String },
    /// Nothing says that their items are the same.
    #[error("`{one}` is of the task {task}, `{other}` of {other_task}; compare runs of the same task")]
    OtherTask { one: String, other: String, task: String, other_task: String },
    /// One has right and wrong answers, the other nats.
    #[error("`{one}` {one_says} and `{other}` {other_says}; compare results that measure the same")]
    OtherMeasure { one: String, one_says: &'static str, other: String, other_says: &'static str },
    /// They have no item together.
    #[error("`{one}` and `{other}` have no item in common")]
    NothingCommon { one: String, other: String },
    /// No figure is in both.
    #[error("`{one}` and `{other}` have no figure in common; compare results that measure the same")]
    NoFigureCommon { one: String, other: String },
    /// An item is not the same in both.
    #[error("item `{id}` is another one in `{one}` than in `{other}`: {what}; compare runs on the same data")]
    OtherItem { id: String, one: String, other: String, what: &'static str },
}

/// Compares each of the results with the first.
pub fn compare(results: &[Results]) -> Result<Comparison, CompareError> {
    let [baseline, others @ ..] = results else { return Err(CompareError::TooFew) };
    if others.is_empty() {
        return Err(CompareError::TooFew);
    }
    let names = pair::names(results);
    let mut contrasts = Vec::new();
    let mut notes: Vec<String> =
        results.iter().flat_map(|results| results.notes.iter().map(|note| plain(note))).collect();
    for (other, name) in others.iter().zip(&names[1..]) {
        let pairs = pair::pair(baseline, other)?;
        notes.extend(pair::notes(&pairs, baseline, other, [&names[0], name]));
        let measures: Vec<Measure> = match baseline.header.measured {
            Measured::Nats => vec![Measure::BitsPerByte],
            Measured::Right if pairs.have_normalised() => vec![Measure::Right, Measure::RightNormalised],
            Measured::Right => vec![Measure::Right],
            Measured::Figures => {
                let figures = pair::figures(&pairs, baseline, other)?;
                notes.extend(figures.notes);
                figures.common.into_iter().map(Measure::Figure).collect()
            }
        };
        contrasts.extend(measures.into_iter().map(|measure| judge::contrast(&pairs, measure, [&names[0], name])));
    }
    // What is to tell of the baseline comes once for each system.
    let mut told = HashSet::new();
    notes.retain(|note| told.insert(note.clone()));
    contrasts.sort_by(|one, other| one.measure.cmp(&other.measure));
    let adjusted = holm(&contrasts.iter().map(|contrast| contrast.p).collect::<Vec<_>>());
    let level = ALPHA / contrasts.len() as f64;
    for (contrast, adjusted) in contrasts.iter_mut().zip(adjusted) {
        contrast.p_adjusted = adjusted;
        contrast.verdict = judge::verdict(contrast, level);
    }
    Ok(Comparison { task: plain(&baseline.header.task), task_items: baseline.header.items.number, contrasts, notes })
}
