//! Candidates of rows as small bars, side by side.

use super::bars::round;
use crate::explain::words::{Row, probability, shown};
use maud::{Markup, html};

/// Candidates of a row that are shown.
pub(super) const BEST: usize = 5;

const WIDTH: f64 = 250.0;
const LINE: f64 = 17.0;
/// Where bars begin and how long the longest is; to their left are the candidates, to their right the probabilities.
const LEFT: f64 = 105.0;
const LONGEST: f64 = 85.0;
/// Columns that fit to the left of the bars.
const COLUMNS: usize = 14;

/// Bars of one row, and below them the token that the page is about.
pub(super) fn bars(row: &Row) -> Markup {
    let best = row.top.iter().take(BEST);
    let lines: Vec<(String, f64)> = best
        .map(|(text, value)| (shown(text, COLUMNS), *value))
        .chain([("this token".into(), row.probability)])
        .collect();
    let height = LINE * lines.len() as f64 + 4.0;
    html! {
        div {
            bdi { (row.name) }
            svg viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height) role="img" aria-label="best candidates" {
                @for (place, (text, value)) in lines.iter().enumerate() {
                    @let y = LINE * place as f64;
                    @let is_own = place + 1 == lines.len();
                    text class=[is_own.then_some("soft")] x=(LEFT - 6.0) y=(y + 13.0) text-anchor="end" { (text) }
                    rect class="bar" x=(LEFT) y=(y + 3.0) width=(length(*value)) height="12" {}
                    text class="small" x=(LEFT + length(*value) + 5.0) y=(y + 13.0) { (probability(*value)) }
                }
            }
        }
    }
}

fn length(value: f64) -> f64 {
    if value.is_finite() { round(LONGEST * value.clamp(0.0, 1.0)) } else { 0.0 }
}
