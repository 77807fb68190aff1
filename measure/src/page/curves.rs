//! Curves over the tokens of a reply, one below the other on the same axis.

use super::bars::round;
use crate::explain::words::number;
use maud::{Markup, html};
use std::fmt::Write;

/// One curve.
pub(super) struct Curve {
    pub(super) name: &'static str,
    /// Value of each token; what is not finite leaves a gap.
    pub(super) values: Vec<f64>,
    /// Range of each token that is drawn behind the curve; may be empty.
    pub(super) band: Vec<[f64; 2]>,
    /// Value that the axis reaches at least.
    pub(super) least_top: f64,
}

/// Places on the axis where policies acted.
#[derive(Default)]
pub(super) struct Marks {
    /// Tokens that were refused.
    pub(super) refusals: Vec<usize>,
    /// Tokens that stood when text was taken back after the last of them.
    pub(super) retractions: Vec<usize>,
    /// Accepted tokens that policies answered to.
    pub(super) answers: Vec<usize>,
}

const WIDTH: f64 = 900.0;
const LEFT: f64 = 170.0;
const RIGHT: f64 = 880.0;
const TOP: f64 = 14.0;
/// Height of a curve, and that of a curve with the gap below it.
const CURVE: f64 = 64.0;
const ROW: f64 = 84.0;

pub(super) fn draw(curves: &[Curve], marks: &Marks) -> Markup {
    let tokens = curves.iter().map(|curve| curve.values.len()).max().unwrap_or(0);
    let bottom = TOP + ROW * curves.len() as f64;
    let height = bottom + 12.0;
    let middle = |token: usize| x(token as f64 + 0.5, tokens);
    let lines = |places: &mut dyn Iterator<Item = f64>, to: f64| {
        places.fold(String::new(), |mut path, x| {
            // Writing to a string cannot fail.
            let _ = write!(path, "M{x} 0V{to}");
            path
        })
    };
    let refusals = lines(&mut marks.refusals.iter().map(|token| middle(*token)), bottom - 10.0);
    let retractions = lines(&mut marks.retractions.iter().map(|token| x(*token as f64, tokens)), bottom - 10.0);
    let answers = lines(&mut marks.answers.iter().map(|token| middle(*token)), TOP - 6.0);
    html! {
        div class="wide" {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height) role="img" aria-label="figures of the tokens, in order" {
                path class="refusal" d=(refusals) {}
                path class="retraction" d=(retractions) {}
                path class="act" d=(answers) {}
                @for (row, curve) in curves.iter().enumerate() {
                    @let scale = Scale { base: TOP + ROW * row as f64 + CURVE, top: top(curve) };
                    line class="grid" x1=(LEFT) x2=(RIGHT) y1=(scale.base) y2=(scale.base) {}
                    line class="grid" x1=(LEFT) x2=(RIGHT) y1=(scale.base - CURVE) y2=(scale.base - CURVE) {}
                    text x="0" y=(scale.base - CURVE / 2.0) { (curve.name) }
                    text class="soft" x=(LEFT - 6.0) y=(scale.base + 4.0) text-anchor="end" { "0" }
                    text class="soft" x=(LEFT - 6.0) y=(scale.base - CURVE + 4.0) text-anchor="end" { (number(scale.top, 2)) }
                    @if !curve.band.is_empty() { path class="band" d=(band(&curve.band, &scale)) {} }
                    path class="curve" d=(line(&curve.values, &scale)) {}
                }
                text class="soft" x=(LEFT) y=(height - 4.0) { "first token" }
                text class="soft" x=(RIGHT) y=(height - 4.0) text-anchor="end" { "last of " (tokens) ", with those that are gone" }
            }
        }
    }
}

/// From 0, at the height `base`, to `top`.
struct Scale {
    base: f64,
    top: f64,
}

impl Scale {
    fn y(&self, value: f64) -> f64 {
        round(self.base - CURVE * (value / self.top).clamp(0.0, 1.0))
    }
}

fn x(place: f64, tokens: usize) -> f64 {
    round(LEFT + (RIGHT - LEFT) * place / tokens.max(1) as f64)
}

/// The largest finite value of a curve. Bands may leave the picture: a deviation of few tokens says little.
fn top(curve: &Curve) -> f64 {
    let values = curve.values.iter().copied().filter(|value| value.is_finite());
    values.fold(curve.least_top.max(f64::MIN_POSITIVE), f64::max)
}

/// The pieces of a curve between its gaps.
fn line(values: &[f64], scale: &Scale) -> String {
    let mut path = String::new();
    let mut is_open = false;
    for (token, value) in values.iter().enumerate() {
        // A surprise without bound is drawn at the top.
        if value.is_nan() {
            is_open = false;
            continue;
        }
        let (x, y) = (x(token as f64 + 0.5, values.len()), scale.y(*value));
        let _ = if is_open { write!(path, "L{x} {y}") } else { write!(path, "M{x} {y}h0") };
        is_open = true;
    }
    path
}

/// The outline of a band: its upper edge from the left, its lower edge back.
fn band(ranges: &[[f64; 2]], scale: &Scale) -> String {
    let place = |token: usize| x(token as f64 + 0.5, ranges.len());
    let finite = ranges.iter().enumerate().filter(|(_, range)| range.iter().all(|edge| edge.is_finite()));
    let finite: Vec<(f64, &[f64; 2])> = finite.map(|(token, range)| (place(token), range)).collect();
    let upper = finite.iter().map(|(x, [_, high])| (*x, scale.y(*high)));
    let lower = finite.iter().rev().map(|(x, [low, _])| (*x, scale.y(*low)));
    let mut path = String::new();
    for (x, y) in upper.chain(lower) {
        let _ = write!(path, "{}{x} {y}", if path.is_empty() { 'M' } else { 'L' });
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve(values: &[f64]) -> Curve {
        Curve {
            name: "c",
            values: values.into(),
            band: values.iter().map(|value| [0.0, *value]).collect(),
            least_top: 1.0,
        }
    }

    #[test]
    fn values_that_are_no_numbers_leave_gaps_and_infinite_ones_touch_the_top() {
        let scale = Scale { base: 100.0, top: 2.0 };
        assert_eq!(line(&[1.0, f64::NAN, f64::INFINITY, 0.0], &scale), "M258.8 68h0M613.8 36h0L791.3 100");
    }

    #[test]
    fn no_values_draw_nothing_wrong() {
        for values in [&[][..], &[f64::NAN], &[f64::INFINITY, f64::NEG_INFINITY], &[0.0], &[1e300, -1e300]] {
            let text = draw(&[curve(values)], &Marks::default()).into_string();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{values:?}: {text}");
        }
    }
}
