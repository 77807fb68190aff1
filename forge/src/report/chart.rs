//! Lines over an axis, and points with intervals.

use maud::{Markup, html};
use measure::compare::{cut, plain};
use measure::statistics::Interval;
use std::fmt::Write;

const WIDTH: f64 = 900.0;
/// The beginning and the end of plots; labels of points stand to the left, words to the right.
const LEFT: f64 = 250.0;
const RIGHT: f64 = 620.0;
const ROW: f64 = 32.0;
/// Lines of one chart: more cannot be told apart.
const LINES: usize = 4;

/// A line of a chart.
pub(super) struct Line {
    pub(super) name: String,
    /// Points in ascending order of the first number.
    pub(super) points: Vec<(f64, f64)>,
}

/// Lines over one axis.
pub(super) fn lines(what: &str, lines: &[Line]) -> Markup {
    let shown = lines.get(..LINES.min(lines.len())).unwrap_or_default();
    let points = || shown.iter().flat_map(|line| &line.points);
    let across = Scale::of(points().map(|(x, _)| *x), 60.0, 880.0);
    let up = Scale::of(points().map(|(_, y)| *y), 190.0, 15.0);
    html! {
        div class="wide" {
            svg viewBox="0 0 900 232" width="900" height="232" role="img" aria-label=(plain(what)) {
                @for tick in up.ticks() {
                    line class="grid" x1="60" x2="880" y1=(up.at(tick)) y2=(up.at(tick)) {}
                    text class="soft" x="54" y=(up.at(tick) + 4.0) text-anchor="end" { (up.label(tick)) }
                }
                @for tick in across.ticks() {
                    text class="soft" x=(across.at(tick)) y="206" text-anchor="middle" { (across.label(tick)) }
                }
                @for (number, line) in shown.iter().enumerate() {
                    path class=(format!("curve l{number}")) d=(path(line, &across, &up)) { title { (plain(&line.name)) } }
                    @let x = 60.0 + 205.0 * number as f64;
                    line class=(format!("curve l{number}")) x1=(x) x2=(x + 24.0) y1="222" y2="222" {}
                    text class="soft" x=(x + 30.0) y="226" { (cut(&plain(&line.name), 27)) }
                }
            }
        }
        @if lines.len() > LINES { p class="note" { "and " (lines.len() - LINES) " more, not drawn" } }
    }
}

fn path(line: &Line, across: &Scale, up: &Scale) -> String {
    let mut path = String::new();
    for (x, y) in line.points.iter().filter(|(x, y)| x.is_finite() && y.is_finite()) {
        // Writing to a string cannot fail.
        let _ = write!(path, "{}{} {}", if path.is_empty() { 'M' } else { 'L' }, across.at(*x), up.at(*y));
    }
    path
}

/// A figure with its interval.
pub(super) struct Point {
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) interval: Option<Interval>,
    /// The figure in words, to the right of it.
    pub(super) words: String,
    /// Whether it is a finding: filled, and hollow if not.
    pub(super) shown: bool,
}

/// Points with their intervals, one below the other.
pub(super) fn points(what: &str, points: &[Point], from_zero: bool) -> Markup {
    let ends = points.iter().flat_map(|point| {
        let interval = point.interval.map(|interval| [interval.low, interval.high]);
        [Some(point.value), interval.map(|[low, _]| low), interval.map(|[_, high]| high), from_zero.then_some(0.0)]
    });
    let scale = Scale::of(ends.flatten(), LEFT, RIGHT);
    let height = ROW * points.len() as f64 + 30.0;
    html! {
        div class="wide" {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height) role="img" aria-label=(plain(what)) {
                @for tick in scale.ticks() {
                    @let x = scale.at(tick);
                    line class=(if tick == 0.0 { "zero" } else { "grid" }) x1=(x) x2=(x) y1="0" y2=(height - 24.0) {}
                    text class="soft" x=(x) y=(height - 8.0) text-anchor="middle" { (scale.label(tick)) }
                }
                @for (row, point) in points.iter().enumerate() {
                    @let y = ROW * (row as f64 + 0.5);
                    g {
                        title { (plain(&point.label)) ": " (point.words) }
                        text x=(LEFT - 12.0) y=(y + 4.5) text-anchor="end" { (cut(&plain(&point.label), 33)) }
                        @if let Some(interval) = point.interval {
                            line class="whisker" x1=(scale.at(interval.low)) x2=(scale.at(interval.high)) y1=(y) y2=(y) {}
                        }
                        @if point.value.is_finite() {
                            circle class=(if point.shown { "shown" } else { "hollow" }) cx=(scale.at(point.value)) cy=(y) r="5" {}
                        }
                        text x=(RIGHT + 14.0) y=(y + 4.5) { (point.words) }
                    }
                }
            }
        }
    }
}

/// A scale from numbers to places.
struct Scale {
    low: f64,
    high: f64,
    step: f64,
    from: f64,
    to: f64,
}

impl Scale {
    /// A scale on which all these numbers stand, between two places.
    fn of(numbers: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (low, high) = numbers
            .filter(|number| number.is_finite() && number.abs() < 1e100)
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| (low.min(number), high.max(number)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let span = if high > low { high - low } else { low.abs().max(1e-9) * 0.1 };
        let power = 10.0_f64.powf((span / 5.0).log10().floor());
        let nice = [1.0, 2.0, 5.0, 10.0].into_iter().find(|times| times * power >= span / 5.0 * 0.999);
        let step = nice.unwrap_or(10.0) * power;
        let (low, high) = ((low / step).floor() * step, (high / step).ceil() * step);
        Self { low, high: if high > low { high } else { low + step }, step, from, to }
    }

    /// The place of a number, with one digit after the point.
    fn at(&self, number: f64) -> f64 {
        let part = ((number - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        let part = if part.is_nan() { 0.0 } else { part };
        ((self.from + part * (self.to - self.from)) * 10.0).round() / 10.0
    }

    fn ticks(&self) -> Vec<f64> {
        let count = ((self.high - self.low) / self.step).round().clamp(0.0, 20.0) as u32;
        (0..=count).map(|tick| self.low + f64::from(tick) * self.step).collect()
    }

    fn label(&self, tick: f64) -> String {
        let digits = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        let tick = if tick.abs() < self.step / 1e6 { 0.0 } else { tick };
        format!("{tick:.digits$}").replace('-', "−")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_numbers_around_all_figures() {
        let scale = Scale::of([8.13, 9.71].into_iter(), 0.0, 100.0);
        let labels: Vec<String> = scale.ticks().iter().map(|tick| scale.label(*tick)).collect();
        assert_eq!(labels, ["8.0", "8.5", "9.0", "9.5", "10.0"]);
        assert_eq!(scale.at(9.0), 50.0);
    }

    #[test]
    fn figures_that_are_no_numbers_draw_nothing_wrong() {
        for value in [f64::NAN, f64::INFINITY, 0.0, 1e300, -1e300, 1e-300] {
            let interval = Some(Interval { low: value, high: value });
            let point = Point { label: "a".into(), value, interval, words: String::new(), shown: true };
            let line = Line { name: "<b>".into(), points: vec![(0.0, value), (value, 1.0)] };
            let text = points("p", &[point], true).into_string() + &lines("l", &[line]).into_string();
            assert!(!text.contains("NaN") && !text.contains("inf") && !text.contains("<b>"), "{value}: {text}");
        }
    }
}
