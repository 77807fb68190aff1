//! Perplexities and evaluations with their intervals.

use super::chart::{Point, points};
use crate::run::bytes;
use crate::stages::{Measured, Perplexities};
use maud::{Markup, html};
use measure::compare::plain;
use measure::statistics::Interval;
use serde_json::Value;

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

/// What `comparison.json` says, as a table: its figures are of several kinds.
pub(super) fn comparison(found: &Value) -> Markup {
    let contrasts = found.get("contrasts").and_then(Value::as_array);
    let text = |value: &Value, key: &str| {
        value.get(key).map_or(String::new(), |value| match value {
            Value::String(text) => plain(text),
            other => other.to_string(),
        })
    };
    html! {
        table {
            thead { tr { th { "model" } th { "against" } th { "measure" } th { "items" } th { "p" } th { "verdict" } } }
            tbody {
                @for contrast in contrasts.into_iter().flatten() {
                    tr {
                        @for key in ["system", "baseline", "measure", "items", "p_adjusted", "verdict"] {
                            td { (text(contrast, key)) }
                        }
                    }
                }
            }
        }
    }
}
