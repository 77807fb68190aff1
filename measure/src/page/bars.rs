//! Bars and points with their intervals.

use crate::compare::{cut, plain};
use crate::statistics::Interval;
use maud::{Markup, html};

/// A figure with its interval.
pub(super) struct Figure {
    /// Whose figure it is.
    pub(super) label: String,
    pub(super) value: f64,
    pub(super) interval: Option<Interval>,
    /// The figure in words, to the right of it.
    pub(super) words: String,
    /// Whether it is a finding: its point is filled, and hollow if not.
    pub(super) shown: bool,
}

const WIDTH: f64 = 900.0;
const ROW: f64 = 34.0;
/// Where the plot begins and ends; to its left are the labels, to its right the words.
const LEFT: f64 = 230.0;
const RIGHT: f64 = 610.0;
/// Characters of a label that fit to the left of the plot.
const LABEL: usize = 31;

/// Bars from 0.
pub(super) fn bars(figures: &[Figure], what: &str, least_end: f64) -> Markup {
    let scale = Scale::of(figures, least_end);
    chart(figures, what, &scale, |figure, middle| {
        let (from, to) = (scale.x(0.0), scale.x(figure.value));
        html! {
            rect class="bar" x=(round(from.min(to))) y=(middle - 9.0) width=(round((to - from).abs())) height="18" {}
            (whisker(&scale, figure, middle))
        }
    })
}

/// Points around 0.
pub(super) fn points(figures: &[Figure], what: &str) -> Markup {
    let scale = Scale::of(figures, 0.0);
    chart(figures, what, &scale, |figure, middle| {
        html! {
            (whisker(&scale, figure, middle))
            @if figure.value.is_finite() {
                circle class=(if figure.shown { "shown" } else { "hollow" }) cx=(round(scale.x(figure.value))) cy=(middle) r="5" {}
            }
        }
    })
}

fn chart(figures: &[Figure], what: &str, scale: &Scale, draw: impl Fn(&Figure, f64) -> Markup) -> Markup {
    let height = ROW * figures.len() as f64 + 30.0;
    let words = |figure: &Figure| format!("{}: {}", plain(&figure.label), figure.words);
    html! {
        div class="wide" {
            svg viewBox=(format!("0 0 {WIDTH} {height}")) width=(WIDTH) height=(height) role="img" aria-label=(what) {
                @for tick in scale.ticks() {
                    @let x = round(scale.x(tick));
                    line class=(if tick == 0.0 { "zero" } else { "grid" }) x1=(x) x2=(x) y1="0" y2=(height - 24.0) {}
                    text class="soft" x=(x) y=(height - 8.0) text-anchor="middle" { (scale.label(tick)) }
                }
                @for (row, figure) in figures.iter().enumerate() {
                    @let middle = ROW * (row as f64 + 0.5);
                    g {
                        title { (words(figure)) }
                        text x=(LEFT - 10.0) y=(middle + 4.5) text-anchor="end" { (cut(&plain(&figure.label), LABEL)) }
                        (draw(figure, middle))
                        text x=(RIGHT + 14.0) y=(middle + 4.5) { (figure.words) }
                    }
                }
            }
        }
    }
}

fn whisker(scale: &Scale, figure: &Figure, middle: f64) -> Markup {
    let ends = figure.interval.map(|interval| [interval.low, interval.high].map(|end| round(scale.x(end))));
    html! {
        @if let Some([low, high]) = ends {
            line class="whisker" x1=(low) x2=(high) y1=(middle) y2=(middle) {}
            line class="whisker" x1=(low) x2=(low) y1=(middle - 5.0) y2=(middle + 5.0) {}
            line class="whisker" x1=(high) x2=(high) y1=(middle - 5.0) y2=(middle + 5.0) {}
        }
    }
}

/// Where values stand.
struct Scale {
    low: f64,
    high: f64,
    step: f64,
}

impl Scale {
    /// A scale on which 0 and all figures and intervals stand.
    fn of(figures: &[Figure], least_end: f64) -> Self {
        let ends = figures.iter().flat_map(|figure| {
            let interval = figure.interval.unwrap_or(Interval { low: figure.value, high: figure.value });
            [figure.value, interval.low, interval.high]
        });
        let (low, high) = ends
            .filter(|end| end.is_finite())
            .fold((0.0_f64, least_end.max(0.0)), |(low, high), end| (low.min(end), high.max(end)));
        let span = if high > low { high - low } else { 1.0 };
        let step = nice(span / 5.0);
        Self { low: (low / step).floor() * step, high: (high / step).ceil().max(1.0) * step, step }
    }

    fn x(&self, value: f64) -> f64 {
        let part = ((value - self.low) / (self.high - self.low)).clamp(0.0, 1.0);
        LEFT + if part.is_nan() { 0.0 } else { part } * (RIGHT - LEFT)
    }

    fn ticks(&self) -> Vec<f64> {
        let first = (self.low / self.step).round() as i64;
        (first..)
            .map(|tick| tick as f64 * self.step)
            .take_while(|tick| *tick <= self.high + self.step / 2.0)
            .take(20)
            .collect()
    }

    fn label(&self, tick: f64) -> String {
        let digits = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        format!("{:.digits$}", if tick == 0.0 { 0.0 } else { tick })
    }
}

/// The next larger of 1, 2 and 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10.0_f64.powf(step.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .map(|times| times * power)
        .into_iter()
        .find(|nice| *nice >= step * 0.999)
        .unwrap_or(power * 10.0)
}

/// A coordinate with one digit after the point.
pub(super) fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figure(value: f64, low: f64, high: f64) -> Figure {
        Figure { label: "a".into(), value, interval: Some(Interval { low, high }), words: String::new(), shown: true }
    }

    #[test]
    fn ticks_are_round_numbers_around_all_figures() {
        let scale = Scale::of(&[figure(66.7, 48.8, 80.8)], 100.0);
        assert_eq!(scale.ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        let scale = Scale::of(&[figure(-0.047, -0.091, -0.013)], 0.0);
        assert_eq!(
            scale.ticks().into_iter().map(|tick| scale.label(tick)).collect::<Vec<_>>().first().map(String::as_str),
            Some("-0.10")
        );
    }

    #[test]
    fn figures_that_are_no_numbers_draw_nothing_wrong() {
        for value in [f64::NAN, f64::INFINITY, 0.0, 1e300, -1e300, 1e-300] {
            let text = bars(&[figure(value, value, value)], "", 0.0).into_string()
                + &points(&[figure(value, value, value)], "").into_string();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{value}: {text}");
        }
    }
}
