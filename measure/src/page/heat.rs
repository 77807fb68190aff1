//! A matrix as a heat map that is readable without colour.

use super::bars::round;
use crate::compare::{cut, plain, signed};
use crate::statistics::Interval;
use maud::{Markup, html};
use serde::Serialize;

/// A matrix of gains: above 0 is better.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Matrix {
    /// What the values are, with their unit.
    pub caption: String,
    /// Names of the rows.
    pub rows: Vec<String>,
    /// Names of the columns.
    pub columns: Vec<String>,
    /// Row by row; `None`, missing values and those that are not finite are empty cells.
    pub values: Vec<Vec<Option<Cell>>>,
    /// Digits after the point.
    pub digits: usize,
}

/// A value of a matrix.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Cell {
    /// The value.
    pub value: f64,
    /// Its interval.
    pub interval: Option<Interval>,
}

const CELL: [f64; 2] = [112.0, 44.0];
const LEFT: f64 = 230.0;
const TOP: f64 = 34.0;

/// Digits that a cell has room for.
const MOST_DIGITS: usize = 4;

pub(super) fn map(matrix: &Matrix) -> Markup {
    let digits = matrix.digits.min(MOST_DIGITS);
    let [width, height] =
        [LEFT + CELL[0] * matrix.columns.len() as f64 + 2.0, TOP + CELL[1] * matrix.rows.len() as f64 + 2.0];
    let cells = matrix.values.iter().flatten().flatten().map(|cell| cell.value.abs());
    let most = cells.filter(|value| value.is_finite()).fold(f64::MIN_POSITIVE, f64::max);
    html! {
        h2 { (plain(&matrix.caption)) }
        div class="wide" {
            svg viewBox=(format!("0 0 {width} {height}")) width=(width) height=(height) role="img" aria-label=(plain(&matrix.caption)) {
                defs {
                    pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)" {
                        line class="hatch" x1="0" y1="0" x2="0" y2="7" {}
                    }
                }
                @for (column, name) in matrix.columns.iter().enumerate() {
                    @let x = LEFT + CELL[0] * (column as f64 + 0.5);
                    text x=(x) y=(TOP - 10.0) text-anchor="middle" { title { (plain(name)) } (cut(&plain(name), 15)) }
                }
                @for (row, name) in matrix.rows.iter().enumerate() {
                    @let y = TOP + CELL[1] * row as f64;
                    text x=(LEFT - 10.0) y=(y + CELL[1] / 2.0 + 4.0) text-anchor="end" { title { (plain(name)) } (cut(&plain(name), 31)) }
                    @for (column, column_name) in matrix.columns.iter().enumerate() {
                        @let value = matrix.values.get(row).and_then(|values| values.get(column)).copied().flatten();
                        @let value = value.filter(|cell| cell.value.is_finite());
                        g transform=(format!("translate({} {y})", LEFT + CELL[0] * column as f64)) {
                            title { (plain(name)) ", " (plain(column_name)) ": " (value.map_or("nothing".into(), |cell| words(&cell, digits))) }
                            @if let Some(cell) = value { (draw(&cell, most, digits)) }
                            rect class="frame" width=(CELL[0]) height=(CELL[1]) {}
                        }
                    }
                }
            }
        }
        p class="note" {
            "+ is better, − is worse; the stronger the colour, the larger the value. Hatched: the interval holds 0, or there is none, "
            "so nothing is shown."
        }
    }
}

fn draw(cell: &Cell, most: f64, digits: usize) -> Markup {
    let [width, height] = CELL;
    let finding = cell.interval.is_some_and(Interval::excludes_zero);
    let strength = 0.08 + 0.42 * (cell.value.abs() / most).min(1.0);
    let room = if cell.interval.is_some() { 18.0 } else { 27.0 };
    html! {
        rect class=(if cell.value < 0.0 { "minus" } else { "plus" }) width=(width) height=(height) fill-opacity=((strength * 100.0).round() / 100.0) {}
        @if !finding { rect width=(width) height=(height) fill="url(#hatch)" fill-opacity="0.35" {} }
        text class=[finding.then_some("bold")] x=(width / 2.0) y=(room) text-anchor="middle" { (minus(&signed(cell.value, digits))) }
        @if let Some(interval) = cell.interval {
            text class="small" x=(width / 2.0) y=(round(height - 9.0)) text-anchor="middle" { (range(interval, digits)) }
        }
    }
}

fn words(cell: &Cell, digits: usize) -> String {
    let interval = cell.interval.map(|interval| format!(" {}", range(interval, digits))).unwrap_or_default();
    format!("{}{interval}", minus(&signed(cell.value, digits)))
}

fn range(interval: Interval, digits: usize) -> String {
    minus(&format!("[{}, {}]", signed(interval.low, digits), signed(interval.high, digits)))
}

/// A minus sign as wide as the plus sign.
pub(super) fn minus(number: &str) -> String {
    number.replace('-', "−")
}
