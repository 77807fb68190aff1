//! Rows and the fused row, as handles with native methods. A script never gets an array of 100,000 numbers, and nothing is
//! copied: a handle is the number of its call, and the borrowed rows lie in a scoped thread-local for just that call. A
//! handle that a script kept finds another number there, or nothing, and the script gets an error.

use std::cell::Cell;
use std::sync::atomic::{AtomicU64, Ordering};

use plugin_api::{Row, Rows};
use rhai::{Array, Dynamic, Engine, EvalAltResult, Map};
use scoped_tls_hkt::{scoped_thread_local, ReborrowMut};

use super::arithmetic;
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
];

/// Longest list that `top` gives.
const MOST_TOP: i64 = 64;
/// Passes over a whole row between two looks at the clock; one takes up to a millisecond.
const PASSES_A_LOOK: u32 = 4;

const STALE: &str = "these rows belong to a call that is over; use rows only inside the `on_logits` that got them";

type Outcome<T> = Result<T, Box<EvalAltResult>>;

/// What the handles of one call lead to.
struct Frame<'a> {
    call: u64,
    rows: &'a Rows,
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

/// Like [`frame`], for what goes over whole rows.
fn pass<T>(call: u64, read: impl FnOnce(Frame<'_>) -> Outcome<T>) -> Outcome<T> {
    frame(call, |frame| {
        frame.passes.set(frame.passes.get() + 1);
        if frame.passes.get() % PASSES_A_LOOK == 0 && frame.clock.is_late() {
            return Err(EvalAltResult::ErrorTerminated(Dynamic::UNIT, rhai::Position::NONE).into());
        }
        read(frame)
    })
}

impl RowHandle {
    /// Reads a field of the row.
    fn field<T>(&self, read: impl FnOnce(&Row) -> T) -> Outcome<T> {
        frame(self.call, |frame| Ok(read(&frame.rows.get(self.index))))
    }

    fn pass<T>(&self, read: impl FnOnce(&[f32], &Row) -> T) -> Outcome<T> {
        pass(self.call, |frame| {
            let row = frame.rows.get(self.index);
            Ok(read(row.logits(), &row))
        })
    }
}

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<RowsHandle>("Rows")
        .register_iterator::<RowsHandle>()
        .register_get("len", |rows: &mut RowsHandle| rows.count as i64)
        .register_fn("len", |rows: &mut RowsHandle| rows.count as i64)
        .register_get("units", |rows: &mut RowsHandle| frame(rows.call, |frame| Ok(i64::from(frame.rows.units))))
        .register_indexer_get(|rows: &mut RowsHandle, member: i64| match usize::try_from(member) {
            Ok(index) if index < rows.count => Ok(RowHandle { call: rows.call, index }),
            _ => Err(no_member(member, rows.count)),
        });
    register_row(engine);
    register_fused(engine);
}

fn register_row(engine: &mut Engine) {
    engine
        .register_type_with_name::<RowHandle>("Row")
        .register_get("name", |row: &mut RowHandle| {
            frame(row.call, |frame| Ok(frame.rows.get(row.index).name().to_owned()))
        })
        .register_get("weight", |row: &mut RowHandle| row.field(|row| f64::from(row.weight)))
        .register_get("evidence", |row: &mut RowHandle| row.field(|row| f64::from(row.evidence)))
        .register_get("entropy", |row: &mut RowHandle| row.field(|row| f64::from(row.entropy)))
        .register_fn("entropy", |row: &mut RowHandle| row.field(|row| f64::from(row.entropy)))
        .register_get("top_unit", |row: &mut RowHandle| row.field(|row| i64::from(row.top_unit)))
        .register_get("top_probability", |row: &mut RowHandle| row.field(|row| f64::from(row.top_probability)))
        .register_get("log_sum_exp", |row: &mut RowHandle| row.field(|row| f64::from(row.log_sum_exp)))
        .register_fn("probability", |row: &mut RowHandle, unit: i64| {
            frame(row.call, |frame| {
                let probabilities = frame.rows.get(row.index).probabilities();
                Ok(f64::from(probabilities[place(unit, probabilities.len())?]))
            })
        })
        .register_fn("log_probability", |row: &mut RowHandle, unit: i64| {
            frame(row.call, |frame| {
                let row = frame.rows.get(row.index);
                Ok(f64::from(row.logits()[place(unit, row.logits().len())?] - row.log_sum_exp))
            })
        })
        .register_fn("top", |row: &mut RowHandle, count: i64| {
            let count = top_count(count)?;
            row.pass(|logits, row| top_array(arithmetic::top(logits, count), row.log_sum_exp))
        })
        .register_fn("margin", |row: &mut RowHandle| row.pass(|logits, _| f64::from(arithmetic::margin(logits))))
        .register_fn("kl", |row: &mut RowHandle, other: RowHandle| {
            two_rows(*row, other, |rows| {
                let (p, q) = (rows.get(row.index), rows.get(other.index));
                arithmetic::kl(p.probabilities(), (p.logits(), p.log_sum_exp), (q.logits(), q.log_sum_exp))
            })
        })
        .register_fn("js", |row: &mut RowHandle, other: RowHandle| {
            two_rows(*row, other, |rows| {
                arithmetic::js(rows.get(row.index).probabilities(), rows.get(other.index).probabilities())
            })
        });
}

fn two_rows(one: RowHandle, other: RowHandle, compare: impl FnOnce(&Rows) -> f64) -> Outcome<f64> {
    pass(one.call, |frame| {
        if one.call != other.call {
            return Err(STALE.into());
        }
        Ok(compare(frame.rows))
    })
}

fn register_fused(engine: &mut Engine) {
    engine
        .register_type_with_name::<FusedHandle>("Fused")
        .register_fn("mix", |fused: &mut FusedHandle, rows: RowsHandle, weights: Array| {
            combine(*fused, rows, &weights, |rows, weights, fused| {
                let rows: Vec<&[f32]> = rows.iter().map(|row| row.probabilities()).collect();
                crate::fuse::mix(&rows, weights, fused);
            })
        })
        .register_fn("product", |fused: &mut FusedHandle, rows: RowsHandle, weights: Array| {
            combine(*fused, rows, &weights, |rows, weights, fused| {
                let rows: Vec<(&[f32], f32)> = rows.iter().map(|row| (row.logits(), row.log_sum_exp)).collect();
                arithmetic::product(&rows, weights, fused);
            })
        })
        .register_fn("bias", |fused: &mut FusedHandle, unit: i64, amount: f64| bias(*fused, unit, amount))
        .register_fn("bias", |fused: &mut FusedHandle, unit: i64, amount: i64| bias(*fused, unit, amount as f64))
        .register_fn("ban", |fused: &mut FusedHandle, unit: i64| {
            frame(fused.call, |frame| {
                let place = place(unit, frame.fused.len())?;
                frame.fused[place] = f32::NEG_INFINITY;
                Ok(())
            })
        })
        .register_fn("scale", |fused: &mut FusedHandle, factor: f64| scale(*fused, factor))
        .register_fn("scale", |fused: &mut FusedHandle, factor: i64| scale(*fused, factor as f64))
        .register_fn("mask_below", |fused: &mut FusedHandle, margin: f64| mask_below(*fused, margin))
        .register_fn("mask_below", |fused: &mut FusedHandle, margin: i64| mask_below(*fused, margin as f64))
        .register_fn("entropy", |fused: &mut FusedHandle| {
            pass(fused.call, |frame| Ok(arithmetic::entropy(frame.fused)))
        })
        .register_fn("probability", |fused: &mut FusedHandle, unit: i64| {
            pass(fused.call, |frame| {
                let score = frame.fused[place(unit, frame.fused.len())?];
                Ok(f64::from((score - arithmetic::log_sum_exp(frame.fused)).exp()))
            })
        })
        .register_fn("top", |fused: &mut FusedHandle, count: i64| {
            let count = top_count(count)?;
            pass(fused.call, |frame| {
                Ok(top_array(arithmetic::top(frame.fused, count), arithmetic::log_sum_exp(frame.fused)))
            })
        });
}

fn bias(fused: FusedHandle, unit: i64, amount: f64) -> Outcome<()> {
    if !amount.is_finite() {
        return Err(format!("`bias` takes a finite number, and this is {amount}; `ban` takes a unit away").into());
    }
    frame(fused.call, |frame| {
        let place = place(unit, frame.fused.len())?;
        frame.fused[place] += amount as f32;
        Ok(())
    })
}

fn scale(fused: FusedHandle, factor: f64) -> Outcome<()> {
    let factor = factor as f32;
    if !(factor.is_finite() && factor > 0.0) {
        return Err(format!("`scale` takes a finite number above 0, and this is {factor}").into());
    }
    pass(fused.call, |frame| {
        frame.fused.iter_mut().for_each(|score| *score *= factor);
        Ok(())
    })
}

fn mask_below(fused: FusedHandle, margin: f64) -> Outcome<()> {
    if margin.is_nan() || margin < 0.0 {
        return Err(
            format!("`mask_below` takes a margin from 0, in nats below the best unit, and this is {margin}").into()
        );
    }
    pass(fused.call, |frame| {
        let floor = frame.fused.iter().copied().fold(f32::NEG_INFINITY, f32::max) - margin as f32;
        frame.fused.iter_mut().filter(|score| **score < floor).for_each(|score| *score = f32::NEG_INFINITY);
        Ok(())
    })
}

/// Overwrites the fused row with a weighted combination of all rows.
fn combine(
    fused: FusedHandle,
    rows: RowsHandle,
    weights: &[Dynamic],
    write: impl FnOnce(&Rows, &[f32], &mut [f32]),
) -> Outcome<()> {
    pass(fused.call, |frame| {
        if rows.call != fused.call {
            return Err(STALE.into());
        }
        if weights.len() != rows.count {
            return Err(ensemble_fault(format!(
                "{} weights for {} rows; one for each is needed",
                weights.len(),
                rows.count
            )));
        }
        let weights = weights
            .iter()
            .map(|weight| match weight.as_float().or_else(|_| weight.as_int().map(|whole| whole as f64)) {
                Ok(weight) if weight.is_finite() && weight >= 0.0 => Ok(weight),
                _ => Err(format!("a weight is a number from 0, and this is {weight}").into()),
            })
            .collect::<Outcome<Vec<f64>>>()?;
        let total: f64 = weights.iter().sum();
        if !(total > 0.0 && total.is_finite()) {
            return Err("the weights are all 0; one must be above".into());
        }
        let weights: Vec<f32> = weights.iter().map(|weight| (weight / total) as f32).collect();
        write(frame.rows, &weights, frame.fused);
        Ok(())
    })
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

fn top_count(count: i64) -> Outcome<usize> {
    match count {
        1..=MOST_TOP => Ok(count as usize),
        _ => Err(format!("`top` gives 1 to {MOST_TOP} units, and this asks for {count}").into()),
    }
}

fn top_array(top: Vec<(usize, f32)>, log_sum_exp: f32) -> Array {
    top.into_iter()
        .map(|(unit, score)| {
            let mut entry = Map::new();
            entry.insert("unit".into(), Dynamic::from(unit as i64));
            entry.insert("probability".into(), Dynamic::from(f64::from((score - log_sum_exp).exp())));
            Dynamic::from(entry)
        })
        .collect()
}
