//! Experts by layer.

use crate::bench::Profile;
use crate::stages::Chosen;
use maud::{Markup, html};
use measure::compare::plain;
use std::fmt::Write;

/// Shades that the eye tells apart.
const SHADES: usize = 8;

/// Experts that are drawn. llama.cpp takes no model with more of them, whatever a file says.
const MOST: u32 = 1024;

const LEFT: f64 = 50.0;
const TOP: f64 = 16.0;

/// What experts do, by saliency and by counts.
pub(super) fn profile(profile: &Profile) -> Markup {
    let counts = profile.layers.iter().map(|layer| layer.counts.iter().map(|count| *count as f64).collect());
    let saliency = profile.layers.iter().map(|layer| layer.saliency.clone());
    let labels: Vec<String> = profile.layers.iter().map(|layer| layer.layer.to_string()).collect();
    html! {
        h3 { "Saliency of experts" }
        (map("saliency of experts", &saliency.collect::<Vec<_>>(), &labels))
        h3 { "Tokens of experts" }
        (map("tokens of experts", &counts.collect::<Vec<_>>(), &labels))
        p class="note" {
            "One row a layer, one column an expert; the darkest of a row is its largest value. " (profile.tokens) " tokens, each through "
            (profile.used) " experts a layer."
        }
    }
}

/// Which experts stay.
pub(super) fn chosen(all: &[Chosen]) -> Markup {
    html! {
        @for chosen in all {
            @let rows: Vec<Vec<f64>> = chosen.kept.iter().map(|kept| {
                (0..chosen.of.min(MOST)).map(|expert| f64::from(u8::from(kept.contains(&expert)))).collect()
            }).collect();
            @let labels: Vec<String> = chosen.layers.iter().map(ToString::to_string).collect();
            h3 { (plain(&chosen.model)) ": " (chosen.experts) " of " (chosen.of) " experts stay" }
            (map("experts that stay", &rows, &labels))
        }
    }
}

/// A row for each layer, shaded by each value's part of the row's largest. Cells of a shade are one path: a large model has
/// 16,000 of them.
fn map(what: &str, rows: &[Vec<f64>], labels: &[String]) -> Markup {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = (800.0 / columns.max(1) as f64).clamp(3.0, 26.0).floor();
    let (width, height) = (LEFT + cell * columns as f64 + 2.0, TOP + cell * rows.len() as f64 + 2.0);
    let mut paths = vec![String::new(); SHADES];
    for (row, values) in rows.iter().enumerate() {
        let most = values.iter().copied().filter(|value| value.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
        for (column, value) in values.iter().enumerate() {
            let shade = (value / most * SHADES as f64).ceil().clamp(0.0, SHADES as f64) as usize;
            // Nothing is drawn of 0 and of what is no number.
            if let Some(path) = shade.checked_sub(1).and_then(|shade| paths.get_mut(shade)) {
                let (x, y) = (LEFT + cell * column as f64, TOP + cell * row as f64);
                // Writing to a string cannot fail.
                let _ = write!(path, "M{x} {y}h{cell}v{cell}h-{cell}z");
            }
        }
    }
    let every = (12.0 / cell).ceil().max(1.0) as usize;
    html! {
        div class="wide" {
            svg viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="img" aria-label=(what) {
                @for (shade, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
                    path class="cell" fill-opacity=((shade + 1) as f64 / SHADES as f64) d=(path) {}
                }
                rect class="frame" x=(LEFT) y=(TOP) width=(cell * columns as f64) height=(cell * rows.len() as f64) {}
                @for (row, label) in labels.iter().enumerate().step_by(every) {
                    text class="soft" x=(LEFT - 6.0) y=(TOP + cell * (row as f64 + 0.5) + 4.0) text-anchor="end" { (label) }
                }
                @for column in (0..columns).step_by(every.max(columns / 16).max(1)) {
                    text class="soft" x=(LEFT + cell * (column as f64 + 0.5)) y=(TOP - 4.0) text-anchor="middle" { (column) }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_of_a_row_is_the_darkest_and_zero_is_empty() {
        let text = map("m", &[vec![0.0, 1.0, 4.0], vec![0.5, f64::NAN, 0.0]], &["0".into(), "7".into()]).into_string();
        assert_eq!(text.matches("<path").count(), 2, "one path for a quarter, one for both rows' largest: {text}");
        assert!(text.contains(r#"fill-opacity="0.25" d="M76 16h26v26h-26z""#), "{text}");
        assert!(text.contains(r#"fill-opacity="1" d="M102 16h26v26h-26zM50 42h26v26h-26z""#), "{text}");
    }

    #[test]
    fn a_number_of_experts_that_cannot_be_is_not_drawn() {
        let by = crate::recipe::By::First;
        let chosen = Chosen { model: "a".into(), experts: 1, of: u32::MAX, by, layers: vec![0], kept: vec![vec![0]] };
        assert!(super::chosen(&[chosen]).into_string().contains("1 of 4294967295 experts stay"));
    }

    #[test]
    fn no_experts_draw_nothing_wrong() {
        let text = map("m", &[], &[]).into_string();
        assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
    }
}
