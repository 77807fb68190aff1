//! Lines of a stage's `history.jsonl`: every number of a line is a chart, `series` names its line, `at` its place.

use super::chart::{Line, lines};
use maud::{Markup, html};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Points that a line is drawn of; of more, every second, fourth, … is taken.
const POINTS: usize = 600;

/// Charts of one stage.
const CHARTS: usize = 8;

/// The longest line that is read as a whole; the parts of one that is longer are no JSON and draw nothing.
const LONGEST: u64 = 1 << 20;

/// The charts of a history. One that cannot be read has none.
pub(super) fn charts(path: &Path) -> Vec<Markup> {
    let Ok(file) = File::open(path) else { return Vec::new() };
    let mut reader = BufReader::new(file);
    let mut charts: BTreeMap<String, Vec<Series>> = BTreeMap::new();
    for number in 0_u64.. {
        let mut line = String::new();
        match reader.by_ref().take(LONGEST).read_line(&mut line) {
            Ok(0) | Err(_) => break,
            Ok(_) => {}
        }
        if let Ok(Value::Object(values)) = serde_json::from_str(&line) {
            let name = values.get("series").and_then(Value::as_str).unwrap_or_default();
            let at = values.get("at").and_then(Value::as_f64).unwrap_or(number as f64);
            for (key, value) in values.iter().filter(|(key, _)| *key != "at") {
                if let Some(value) = value.as_f64() {
                    add(charts.entry(key.clone()).or_default(), name, (at, value));
                }
            }
        }
    }
    let drawn = charts.into_iter().take(CHARTS).map(|(what, series)| {
        let all: Vec<Line> =
            series.into_iter().map(|series| Line { name: series.name, points: series.points }).collect();
        html! { h3 { (what) } (lines(&what, &all)) }
    });
    drawn.collect()
}

/// A line in the making.
struct Series {
    name: String,
    points: Vec<(f64, f64)>,
    /// How many points come to one that is kept.
    every: u64,
    seen: u64,
}

fn add(all: &mut Vec<Series>, name: &str, point: (f64, f64)) {
    let place = all.iter().position(|series| series.name == name).unwrap_or_else(|| {
        all.push(Series { name: name.into(), points: Vec::new(), every: 1, seen: 0 });
        all.len() - 1
    });
    let Some(series) = all.get_mut(place) else { return };
    if series.seen.is_multiple_of(series.every) {
        series.points.push(point);
    }
    series.seen += 1;
    if series.points.len() > POINTS {
        let mut place = 0;
        series.points.retain(|_| {
            place += 1;
            place % 2 == 1
        });
        series.every *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_thinned_and_keep_their_shape() {
        let mut all = Vec::new();
        for at in 0..100_000 {
            add(&mut all, "a", (f64::from(at), f64::from(at) / 2.0));
        }
        let points = &all[0].points;
        assert!((POINTS / 2..=POINTS).contains(&points.len()), "{}", points.len());
        assert!(points.iter().all(|(x, y)| x / 2.0 == *y) && points.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(points.last().is_some_and(|(x, _)| *x > 99_000.0));
    }
}
