//! The methods of one member's row.

use plugin_api::{Row, Rows};
use rhai::{Array, Engine};

use super::super::arithmetic;
use super::{Outcome, RowHandle, STALE, frame, pass, passes, place, places, top_array, top_count};

impl RowHandle {
    /// Reads a field of the row.
    fn field<T>(&self, read: impl FnOnce(&Row) -> T) -> Outcome<T> {
        frame(self.call, |frame| Ok(read(&frame.rows.get(self.index))))
    }

    fn pass<T>(&self, read: impl FnOnce(&[f32], &Row) -> T) -> Outcome<T> {
        pass(self.call, |frame| {
            let row = frame.rows.get(self.index);
            Ok(read(row.logits, &row))
        })
    }
}

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<RowHandle>("Row")
        .register_get("name", |row: &mut RowHandle| {
            frame(row.call, |frame| Ok(frame.rows.get(row.index).name.to_owned()))
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
                let probabilities = frame.rows.get(row.index).probabilities;
                Ok(f64::from(probabilities[place(unit, probabilities.len())?]))
            })
        })
        .register_fn("log_probability", |row: &mut RowHandle, unit: i64| {
            frame(row.call, |frame| {
                let row = frame.rows.get(row.index);
                Ok(f64::from(row.logits[place(unit, row.logits.len())?] - row.log_sum_exp))
            })
        })
        .register_fn("top", |row: &mut RowHandle, count: i64| {
            let count = top_count("top", count)?;
            row.pass(|logits, row| top_array(crate::fuse::top(logits, count), row.log_sum_exp))
        })
        .register_fn("top_mass", |row: &mut RowHandle, count: i64| {
            let count = top_count("top_mass", count)?;
            row.pass(|logits, row| {
                let best = crate::fuse::top(logits, count);
                best.iter().map(|(_, logit)| f64::from((logit - row.log_sum_exp).exp())).sum::<f64>()
            })
        })
        .register_fn("rank", |row: &mut RowHandle, unit: i64| {
            pass(row.call, |frame| {
                let row = frame.rows.get(row.index);
                let logit = row.logits[place(unit, row.logits.len())?];
                Ok(arithmetic::rank(row.logits, logit) as i64)
            })
        })
        .register_fn("mass", |row: &mut RowHandle, units: Array| {
            frame(row.call, |frame| {
                let row = frame.rows.get(row.index);
                let probabilities = row.probabilities;
                let places = places(&units, probabilities.len())?;
                Ok(places.iter().map(|place| f64::from(probabilities[*place])).sum::<f64>())
            })
        })
        .register_fn("margin", |row: &mut RowHandle| row.pass(|logits, _| f64::from(arithmetic::margin(logits))))
        .register_fn("kl", |row: &mut RowHandle, other: RowHandle| {
            two_rows(*row, other, |rows| arithmetic::kl(scores(rows, row.index), scores(rows, other.index)))
        })
        .register_fn("js", |row: &mut RowHandle, other: RowHandle| {
            two_rows(*row, other, |rows| arithmetic::js(scores(rows, row.index), scores(rows, other.index)))
        });
}

fn two_rows(one: RowHandle, other: RowHandle, compare: impl FnOnce(&Rows) -> f64) -> Outcome<f64> {
    passes(one.call, 2, |frame| {
        if one.call != other.call {
            return Err(STALE.into());
        }
        Ok(compare(frame.rows))
    })
}

/// A row as the arithmetic takes it: logits with their log-sum-exp.
pub(super) fn scores<'a>(rows: &Rows<'a>, member: usize) -> (&'a [f32], f32) {
    let row = rows.get(member);
    (row.logits, row.log_sum_exp)
}
