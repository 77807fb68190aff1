//! Perplexities and evaluations with their intervals.

use super::chart::{Point, points};
use crate::recipe::files;
use crate::size::bytes;
use crate::stages::{Measured, Perplexities};
use maud::{Markup, html};
use measure::compare::{plain, summary};
use measure::results::read;
use measure::statistics::Interval;
use serde_json::Value;
use std::path::Path;

/// How intervals are to be read.
const INTERVALS: &str = "Lines through points are 95 % intervals by a block bootstrap over windows. A change is shown (filled) if its \
                         paired interval holds no 0.";

pub(super) fn perplexities(found: &Perplexities) -> Markup {
    let own: Vec<Point> = found
        .models
        .iter()
        .map(|model| Point {
            label: model.model.clone(),
            value: model.perplexity,
            interval: model.interval,
            words: format!("{:.4}, {}", model.perplexity, bytes(model.size)),
            shown: true,
        })
        .collect();
    let paired: Vec<Point> = found.models.iter().filter_map(change).collect();
    html! {
        h3 { "Perplexity on " (plain(&found.text)) }
        (points("perplexity", &own, false))
        @if let Some(base) = found.models.first().filter(|_| !paired.is_empty()) {
            h3 { "Change against " (plain(&base.model)) ", in %" }
            (points("change of perplexity", &paired, true))
        }
        p class="note" { (INTERVALS) " Windows of " (found.context) " tokens, of which the second half counts." }
    }
}

fn change(model: &Measured) -> Option<Point> {
    let against = model.against.as_ref()?;
    let percent = |interval: Interval| Interval { low: interval.low * 100.0, high: interval.high * 100.0 };
    let interval = against.interval.map(percent);
    let range = interval.map_or("no interval: too few windows".into(), |interval| {
        format!("[{:+.2}, {:+.2}]", interval.low, interval.high)
    });
    let verdict = if against.shown { "" } else { ", not shown" };
    Some(Point {
        label: model.model.clone(),
        value: against.change * 100.0,
        interval,
        words: format!("{:+.2} % {range}{verdict}", against.change * 100.0).replace('-', "−"),
        shown: against.shown,
    })
}

/// Differences that `comparison.json` tells.
pub(super) fn comparison(found: &Value) -> Markup {
    let contrasts = found.get("contrasts").and_then(Value::as_array);
    let points: Vec<Point> = contrasts.into_iter().flatten().filter_map(contrast).collect();
    let baseline = found.pointer("/contrasts/0/baseline").and_then(Value::as_str).unwrap_or_default();
    html! {
        h3 { "Difference from " (plain(baseline)) }
        (super::chart::points("differences on the same items", &points, true))
        p class="note" { "Lines through points are 95 % intervals of the paired difference; accuracies in points of 100." }
    }
}

fn contrast(contrast: &Value) -> Option<Point> {
    let figures = contrast.get("figures")?;
    // Only accuracies gain and lose items.
    let times = if figures.get("gained").is_some() { 100.0 } else { 1.0 };
    let number = |place: &str| figures.pointer(place).and_then(Value::as_f64).map(|number| number * times);
    let value = number("/difference")?;
    let interval = number("/interval/low").zip(number("/interval/high")).map(|(low, high)| Interval { low, high });
    let range = interval.map_or(String::new(), |interval| format!(" [{:+.2}, {:+.2}]", interval.low, interval.high));
    let verdict = contrast.get("verdict")?;
    let shown = verdict.is_string();
    let verdict = match (verdict.as_str(), verdict.pointer("/not_shown/more/items")) {
        (Some(verdict), _) => format!(", {verdict}"),
        (None, Some(more)) => format!(", not shown: {more} more items?"),
        (None, None) => ", not shown".into(),
    };
    let system = contrast.get("system").and_then(Value::as_str).unwrap_or_default();
    let measure = contrast.get("measure").and_then(Value::as_str).unwrap_or("figure").replace('_', " ");
    Some(Point {
        label: format!("{system}, {measure}"),
        value,
        interval,
        words: format!("{value:+.2}{range}{verdict}").replace('-', "−"),
        shown,
    })
}

/// The figures of each file of results.
pub(super) fn evaluations(folder: &Path, made: &[&str]) -> Markup {
    let lines = made.iter().filter(|file| file.ends_with(files::RESULTS)).map(|file| match read(&folder.join(file)) {
        Ok(results) => (plain(&results.header.system.name), summary(&results).to_string()),
        Err(error) => (plain(file), error.to_string()),
    });
    html! {
        table class="facts" {
            @for (name, words) in lines { tr { th { (name) } td { (words) } } }
        }
    }
}
