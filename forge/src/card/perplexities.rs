//! What texts cost models.

use super::text::{change, count, interval, name, names, p_value, some, table};
use super::{Facts, Origin};
use crate::stages::{Difference, Measured, Perplexities};
use measure::statistics::{ALPHA, Block, bootstrap, holm, times_as_much};

/// The seed of resamples: the same windows give the same interval.
const SEED: u64 = 0;

/// The section on one text.
pub(super) fn section(origin: &Origin, found: &Perplexities, facts: &Facts) -> String {
    let digest = origin
        .text
        .as_ref()
        .map_or("whose digest no statement names".into(), |(_, sha256)| format!("SHA-256 {}", name(sha256)));
    let skipped =
        if found.skip == 0 { String::new() } else { format!(" after the first {}", some(found.skip.into(), "window")) };
    let mut text = format!(
        "\n### Perplexity on {}\n\nThe text is {}, {digest}. It was cut into windows of {} tokens{skipped}; the second half of \
         each counts, as llama-perplexity counts. Stage {}.\n\n",
        name(&found.text),
        name(&found.text),
        count(found.context.into()),
        name(&origin.name),
    );
    let rows: Vec<Vec<String>> = found.models.iter().map(row).collect();
    text.push_str(&table(&["model", "windows", "tokens", "perplexity", "interval", "bits a byte", "interval"], &rows));
    text.push('\n');
    text.push_str(&differences(found));
    let strangers = found.models.iter().filter(|own| facts.models.iter().all(|model| model.sha256 != own.sha256));
    for stranger in strangers {
        text.push_str(&format!(
            "\nThe model {} is not among the files here: {} bytes, SHA-256 {}.\n",
            name(&stranger.model),
            count(stranger.size),
            name(&stranger.sha256)
        ));
    }
    text
}

fn row(model: &Measured) -> Vec<String> {
    let blocks = model.windows.iter().map(|window| Block::from_nats(window.nats, window.bytes.into()));
    let blocks: Vec<Block> = blocks.collect();
    vec![
        name(&model.model),
        count(model.windows.len() as u64),
        count(model.tokens),
        figure(model.perplexity),
        interval(model.interval, figure),
        figure(model.bits_per_byte),
        interval(bootstrap(&blocks, SEED).map(|found| found.interval), figure),
    ]
}

fn figure(value: f64) -> String {
    format!("{value:.4}")
}

fn differences(found: &Perplexities) -> String {
    let pairs: Vec<(&Measured, &Difference)> =
        found.models.iter().filter_map(|model| Some((model, model.against.as_ref()?))).collect();
    let alone = found
        .models
        .iter()
        .filter(|model| model.against.is_none() && pairs.iter().all(|(_, difference)| difference.model != model.model));
    let alone: Vec<&str> = alone.map(|model| model.model.as_str()).collect();
    let mut text = String::new();
    if !pairs.is_empty() {
        let p = holm(&pairs.iter().map(|(_, difference)| difference.p.unwrap_or(1.0)).collect::<Vec<_>>());
        let rows: Vec<Vec<String>> = pairs
            .iter()
            .zip(p)
            .map(|((model, difference), p)| {
                vec![
                    name(&model.model),
                    name(&difference.model),
                    change(difference.change),
                    interval(difference.interval, change),
                    if difference.p.is_some() { p_value(p) } else { "–".into() },
                    verdict(difference, p),
                ]
            })
            .collect();
        text.push_str(&table(&["model", "against", "perplexity", "interval", "p (Holm)", "finding"], &rows));
    }
    if alone.len() > 1 || (pairs.is_empty() && !alone.is_empty()) {
        text.push_str(&format!("No pair, so no difference is shown, of {}.\n", names(alone)));
    }
    text
}

/// Whether a change is shown, and how much more text would show it.
fn verdict(difference: &Difference, p: f64) -> String {
    let Some(interval) = difference.interval else { return "not shown: too few windows".into() };
    if interval.excludes_zero() && p < ALPHA {
        return if difference.change > 0.0 { "shown: worse".into() } else { "shown: better".into() };
    }
    // The interval was found for the mean of the cost, in nats.
    let width = interval.high.ln_1p() - interval.low.ln_1p();
    match times_as_much(difference.change.ln_1p(), width) {
        Some(times) if (1.05..1e6).contains(&times) => {
            format!("not shown; about {times:.1} times as much text would show it, if it is real")
        }
        _ => "not shown".into(),
    }
}
