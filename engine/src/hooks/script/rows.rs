//! Rows and the fused row, as handles with native methods: what the handles lead to. The methods are in `rows/`.
//!
//! A script never gets an array of 100,000 numbers, and nothing is copied: a handle is the number of its call, and the
//! borrowed rows lie in a scoped thread-local for just that call. A handle that a script kept finds another number there,
//! or nothing, and the script gets an error.

mod fused;
mod member;

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use plugin_api::Rows;
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map, Position};
use scoped_tls_hkt::{ReborrowMut, scoped_thread_local};

use super::diagnose::ensemble_fault;
use super::limits::Clock;
use super::surface::no_member;

/// Names for guesses at a misspelt one.
pub(super) const NAMES: &[&str] = &[
    "len",
    "units",
    "name",
    "weight",
    "evidence",
    "entropy",
    "top_unit",
    "top_probability",
    "log_sum_exp",
    "probability",
    "log_probability",
    "top",
    "margin",
    "kl",
    "js",
    "mix",
    "product",
    "bias",
    "ban",
    "scale",
    "mask_below",
    "rank",
    "mass",
    "top_mass",
    "copy",
    "add",
    "power_mean",
];

/// Longest list that `top` gives.
const MOST_TOP: i64 = 64;
/// Passes over a whole row between two looks at the clock; one takes up to a millisecond, mostly far less.
const PASSES_A_LOOK: u32 = 4;

const STALE: &str = "these rows belong to a call that is over; use rows only inside the `on_logits` that got them";

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// What the handles of one call lead to.
struct Frame<'a> {
    call: u64,
    rows: &'a Rows<'a>,
    fused: &'a mut [f32],
    clock: &'a Clock,
    passes: &'a Cell<u32>,
}

impl<'a, 'b: 'a> ReborrowMut<'a> for Frame<'b> {
    type Result = Frame<'a>;
    fn reborrow_mut(&'a mut self) -> Frame<'a> {
        Frame { call: self.call, rows: self.rows, fused: self.fused, clock: self.clock, passes: self.passes }
    }
}

scoped_thread_local!(static mut FRAME: for<'a> Frame<'a>);

/// All members' rows.
#[derive(Clone, Copy)]
pub(super) struct RowsHandle {
    call: u64,
    count: usize,
}

/// One member's row.
#[derive(Clone, Copy)]
pub(super) struct RowHandle {
    call: u64,
    index: usize,
}

/// The fused row.
#[derive(Clone, Copy)]
pub(super) struct FusedHandle {
    call: u64,
}

impl IntoIterator for RowsHandle {
    type Item = RowHandle;
    type IntoIter = std::vec::IntoIter<RowHandle>;
    fn into_iter(self) -> Self::IntoIter {
        (0..self.count).map(|index| RowHandle { call: self.call, index }).collect::<Vec<_>>().into_iter()
    }
}

/// Lends the rows to a script for the duration of `call`.
pub(super) fn lend<T>(
    rows: &Rows,
    fused: &mut [f32],
    clock: &Clock,
    call: impl FnOnce(RowsHandle, FusedHandle) -> T,
) -> T {
    static CALLS: AtomicU64 = AtomicU64::new(0);
    let number = CALLS.fetch_add(1, Ordering::Relaxed);
    let passes = Cell::new(0);
    FRAME.set(Frame { call: number, rows, fused, clock, passes: &passes }, || {
        call(RowsHandle { call: number, count: rows.len() }, FusedHandle { call: number })
    })
}

fn frame<T>(call: u64, read: impl FnOnce(Frame<'_>) -> Outcome<T>) -> Outcome<T> {
    if !FRAME.is_set() {
        return Err(STALE.into());
    }
    FRAME.with(|frame| if frame.call == call { read(frame) } else { Err(STALE.into()) })
}

/// Like [`frame`], for what goes over a whole row. Rhai counts it as one operation, so the deadline is looked at here.
fn pass<T>(call: u64, read: impl FnOnce(Frame<'_>) -> Outcome<T>) -> Outcome<T> {
    passes(call, 1, read)
}

/// Like [`pass`], for what goes over that many rows.
fn passes<T>(call: u64, rows: usize, read: impl FnOnce(Frame<'_>) -> Outcome<T>) -> Outcome<T> {
    frame(call, |frame| {
        let before = frame.passes.get();
        let after = before.saturating_add(u32::try_from(rows).unwrap_or(u32::MAX));
        frame.passes.set(after);
        if before / PASSES_A_LOOK != after / PASSES_A_LOOK && frame.clock.is_late() {
            return Err(EvalAltResult::ErrorTerminated(Dynamic::UNIT, Position::NONE).into());
        }
        read(frame)
    })
}

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<RowsHandle>("Rows")
        .register_iterator::<RowsHandle>()
        .register_get("len", |rows: &mut RowsHandle| rows.count as i64)
        .register_fn("len", |rows: &mut RowsHandle| rows.count as i64)
        .register_get("units", |rows: &mut RowsHandle| frame(rows.call, |frame| Ok(frame.rows.units() as i64)))
        .register_indexer_get(|rows: &mut RowsHandle, member: i64| match usize::try_from(member) {
            Ok(index) if index < rows.count => Ok(RowHandle { call: rows.call, index }),
            _ => Err(no_member(member, rows.count)),
        });
    member::register(engine);
    fused::register(engine);
}

fn place(unit: i64, units: usize) -> Outcome<usize> {
    match usize::try_from(unit) {
        Ok(place) if place < units => Ok(place),
        _ => Err(ensemble_fault(format!(
            "there is no unit {unit}: they are numbered from 0 to {}",
            units.saturating_sub(1)
        ))),
    }
}

fn top_count(method: &str, count: i64) -> Outcome<usize> {
    match count {
        1..=MOST_TOP => Ok(count as usize),
        _ => Err(format!("`{method}` takes 1 to {MOST_TOP} units, and this asks for {count}").into()),
    }
}

fn top_array(top: Vec<(u32, f32)>, log_sum_exp: f32) -> Array {
    top.into_iter()
        .map(|(unit, score)| {
            let mut entry = Map::new();
            entry.insert("unit".into(), Dynamic::from(i64::from(unit)));
            entry.insert("probability".into(), Dynamic::from(f64::from((score - log_sum_exp).exp())));
            Dynamic::from(entry)
        })
        .collect()
}

/// The places of different units: one that is named twice counts once.
fn places(units: &[Dynamic], length: usize) -> Outcome<Vec<usize>> {
    let mut places = units
        .iter()
        .map(|unit| match unit.as_int() {
            Ok(unit) => place(unit, length),
            Err(kind) => Err(format!("`mass` takes unit numbers, and this is of type {kind}").into()),
        })
        .collect::<Outcome<Vec<usize>>>()?;
    places.sort_unstable();
    places.dedup();
    Ok(places)
}
