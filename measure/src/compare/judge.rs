//! What paired items show.

use super::pair::Pairs;
use super::parts::Parts;
use super::summary::{SEED, accuracy, bits, document, rate};
use super::{Change, Contrast, Figures, Measure, More, Verdict};
use crate::open::{Better, direction};
use crate::results::{Item, Ratio};
use crate::statistics::{
    ALPHA, Block, Interval, Paired, SequentialTest, bootstrap, bootstrap_difference, by_document, items_needed,
    times_as_much,
};

/// A contrast whose adjusted p-value and verdict are still to come.
pub(super) fn contrast(pairs: &Pairs, measure: Measure, [baseline, system]: [&String; 2]) -> Contrast {
    let (figures, p, changed, items) = match &measure {
        Measure::Right => answers(pairs, Item::is_right),
        Measure::RightNormalised => answers(pairs, Item::is_right_normalised),
        Measure::BitsPerByte => texts(pairs),
        Measure::Figure(name) => figure(pairs, name),
    };
    Contrast {
        measure,
        baseline: baseline.clone(),
        system: system.clone(),
        items,
        only_baseline: pairs.only_baseline,
        only_system: pairs.only_system,
        figures,
        p,
        p_adjusted: p,
        verdict: Verdict::NotShown { more: None },
        changed,
    }
}

type Found = (Figures, f64, Vec<Change>, u64);

fn answers(pairs: &Pairs, right: impl Fn(&Item) -> bool) -> Found {
    let counts: Paired = pairs.common.iter().map(|(one, other)| (right(one), right(other))).collect();
    let test = counts.mcnemar();
    let failed = |item: &Item| item.error.is_some();
    let figures = Figures::Accuracy {
        baseline: accuracy(
            counts.first(),
            pairs.common.iter().filter(|(one, _)| failed(one)).count() as u64,
            counts.items(),
        ),
        system: accuracy(
            counts.second(),
            pairs.common.iter().filter(|(_, other)| failed(other)).count() as u64,
            counts.items(),
        ),
        gained: counts.gained,
        lost: counts.lost,
        difference: counts.difference(),
        interval: counts.newcombe(),
        mid_p: test.mid_p,
    };
    let mut always_valid = SequentialTest::default();
    let mut changed = Vec::new();
    for (one, other) in &pairs.common {
        always_valid.observe(right(one), right(other));
        if right(one) != right(other) {
            changed.push(Change { id: one.id.clone(), gained: right(other) });
        }
    }
    let p = if pairs.sequential { always_valid.p() } else { test.p };
    (figures, p, changed, counts.items())
}

fn texts(pairs: &Pairs) -> Found {
    let costs: Vec<_> = pairs
        .common
        .iter()
        .filter_map(|(one, other)| {
            let ((nats, bytes), (other_nats, _)) = (one.cost()?, other.cost()?);
            Some((document(one), nats, other_nats, bytes))
        })
        .collect();
    let blocks = |nats: fn(f64, f64) -> f64| {
        by_document(
            costs.iter().map(|(document, one, other, bytes)| (document, Block::from_nats(nats(*one, *other), *bytes))),
        )
    };
    let [baseline, system, difference] =
        [blocks(|one, _| one), blocks(|_, other| other), blocks(|one, other| other - one)];
    let bytes: u64 = costs.iter().fold(0, |sum, (.., bytes)| sum.saturating_add(*bytes));
    let found = bootstrap(&difference, SEED);
    let figures = Figures::Bits {
        baseline: bits(&baseline),
        system: bits(&system),
        difference: rate(&difference),
        interval: found.map(|found| found.interval),
        blocks: difference.len() as u64,
        bytes,
    };
    (figures, found.map_or(1.0, |found| found.p), Vec::new(), costs.len() as u64)
}

/// A figure of items that have it in both results.
fn figure(pairs: &Pairs, name: &str) -> Found {
    let both = |(one, other): &(&Item, &Item)| Some((one.figure(name)?, other.figure(name)?));
    let (documents, ratios): (Vec<_>, Vec<(Ratio, Ratio)>) =
        pairs.common.iter().filter_map(|pair| Some((document(pair.0), both(pair)?))).unzip();
    let side = |of: fn(&(Ratio, Ratio)) -> Ratio| Parts::new(documents.iter().copied().zip(ratios.iter().map(of)));
    let [baseline, system] = [side(|(one, _)| *one), side(|(_, other)| *other)];
    let (difference, interval, p) = match (baseline.yes_or_no(), system.yes_or_no()) {
        // A bootstrap shows 5 of 32 against none at p = 0.01, McNemar's test at 0.06; so these are as items right or wrong.
        (Some(one), Some(other)) => {
            let counts: Paired = one.into_iter().zip(other).collect();
            (counts.difference(), Some(counts.newcombe()), counts.mcnemar().p)
        }
        _ => {
            let found = bootstrap_difference(&baseline.blocks, &system.blocks, SEED);
            let difference = rate(&system.blocks) - rate(&baseline.blocks);
            (difference, found.map(|found| found.interval), found.map_or(1.0, |found| found.p))
        }
    };
    let [baseline, system] = [baseline, system].map(|parts| parts.estimate());
    (Figures::Ratio { baseline, system, difference, interval }, p, Vec::new(), ratios.len() as u64)
}

/// What a contrast shows, after Holm; `level` is that of each of several tests, for how much more data it would take.
pub(super) fn verdict(contrast: &Contrast, level: f64) -> Verdict {
    let (interval, difference) = match &contrast.figures {
        Figures::Accuracy { interval, difference, .. } => (Some(*interval), *difference),
        Figures::Bits { interval, difference, .. } | Figures::Ratio { interval, difference, .. } => {
            (*interval, *difference)
        }
    };
    let better = match &contrast.measure {
        Measure::Right | Measure::RightNormalised => Some(Better::More),
        Measure::BitsPerByte => Some(Better::Less),
        Measure::Figure(name) => direction(name),
    };
    let shown = contrast.p_adjusted < ALPHA && interval.is_some_and(|interval| interval.excludes_zero());
    match better {
        _ if !shown => Verdict::NotShown { more: more(contrast, level) },
        None => Verdict::Differs,
        Some(better) if (better == Better::More) == (difference > 0.0) => Verdict::Better,
        Some(_) => Verdict::Worse,
    }
}

/// How much more data it would take, if the difference is what it seems to be.
fn more(contrast: &Contrast, level: f64) -> Option<More> {
    match &contrast.figures {
        Figures::Accuracy { gained, lost, .. } => {
            let part = |count: u64| count as f64 / contrast.items as f64;
            let needed = items_needed(part(*gained), part(*lost), level)?;
            Some(More::Items(needed.saturating_sub(contrast.items).max(1)))
        }
        Figures::Bits { interval, difference, bytes, .. } => {
            Some(More::Bytes(further(*bytes, *difference, *interval)?))
        }
        Figures::Ratio { interval, difference, .. } => {
            Some(More::Items(further(contrast.items, *difference, *interval)?))
        }
    }
}

/// How much data it would take beside this amount.
fn further(amount: u64, difference: f64, interval: Option<Interval>) -> Option<u64> {
    let interval = interval?;
    let times = times_as_much(difference, interval.high - interval.low)?;
    Some(((times - 1.0) * amount as f64).max(1.0) as u64)
}
