//! How well each signal separates what went wrong from the rest.

use super::roc::{Case, Draws};
use super::{Reply, Signal};
use crate::statistics::Interval;
use serde::Serialize;

/// Entropy in nats above which a token was a choice. Below it nearly all tokens are certain and right, which makes any signal
/// look good that sees certainty.
pub(super) const UNSURE: f64 = 0.3;

/// Areas under the ROC curve, of every signal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Areas {
    /// Number of replies.
    pub replies: usize,
    /// "An error begins at this token", over all tokens.
    pub all: Table,
    /// "An error begins at this token", over the tokens whose row has an entropy above 0.3 nats.
    pub unsure: Table,
    /// "This reply is wrong", by the greatest value in it, over the replies of which that is known.
    pub greatest: Table,
    /// "This reply is wrong", by the mean value in it, over the replies of which that is known.
    pub mean: Table,
}

/// Areas of every signal over the same cases.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Table {
    /// Cases that are errors.
    pub errors: usize,
    /// All cases, errors included.
    pub cases: usize,
    /// An area a signal, the greatest first. `None` where there is no error or nothing but errors.
    pub areas: Option<Vec<Area>>,
}

/// The area under the ROC curve of one signal: how well it separates errors from all else.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Area {
    /// The signal.
    pub signal: Signal,
    /// The probability that it is greater at an error than elsewhere, ties counting half: 1 if it always is, ½ if it says
    /// nothing.
    pub area: f64,
    /// Its 95 % interval. `None` where fewer than five replies hold errors, or anything else.
    pub interval: Option<Interval>,
}

/// The areas of all signals that the replies have, with intervals from 200 resamples of replies, which are the same for the
/// same seed.
///
/// An interval of an area of exactly 0 or 1 has no width, because no resample can have another.
pub fn areas(replies: &[Reply], seed: u64) -> Areas {
    let draws = Draws::new(replies.len(), seed);
    let tokens = |reply: &Reply, values: Vec<f64>| -> Vec<(f64, bool)> {
        values.into_iter().enumerate().map(|(at, value)| (value, reply.faults.contains(&at))).collect()
    };
    let unsure = |reply: &Reply, values: Vec<f64>| {
        let cases = tokens(reply, values).into_iter().zip(&reply.tokens);
        cases.filter(|(_, token)| token.entropy > UNSURE).map(|(case, _)| case).collect()
    };
    let greatest = |reply: &Reply, values: Vec<f64>| {
        reply.is_wrong.and_then(|wrong| Some((values.into_iter().reduce(f64::max)?, wrong))).into_iter().collect()
    };
    let mean = |reply: &Reply, values: Vec<f64>| {
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        reply.is_wrong.filter(|_| !values.is_empty()).map(|wrong| (mean, wrong)).into_iter().collect()
    };
    Areas {
        replies: replies.len(),
        all: table(replies, &draws, tokens),
        unsure: table(replies, &draws, unsure),
        greatest: table(replies, &draws, greatest),
        mean: table(replies, &draws, mean),
    }
}

/// A table over the cases that a function makes of a reply and the values of a signal in it: values, and whether they are at
/// something wrong.
fn table(replies: &[Reply], draws: &Draws, cases: impl Fn(&Reply, Vec<f64>) -> Vec<(f64, bool)>) -> Table {
    let of = |signal: Signal| -> Vec<Case> {
        let all = replies.iter().enumerate().flat_map(|(reply, of)| {
            let found = cases(of, signal.values(of));
            found.into_iter().map(move |(value, is_wrong)| Case { value, is_wrong, reply })
        });
        all.collect()
    };
    let any = of(Signal::Surprise);
    let area = |signal| draws.area(of(signal)).map(|(area, interval)| Area { signal, area, interval });
    let mut areas: Option<Vec<Area>> = Signal::of(replies).into_iter().map(area).collect();
    if let Some(areas) = &mut areas {
        areas.sort_by(|one, other| other.area.total_cmp(&one.area));
    }
    Table { errors: any.iter().filter(|case| case.is_wrong).count(), cases: any.len(), areas }
}
