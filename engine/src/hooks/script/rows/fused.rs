//! The methods of the fused row.

use plugin_api::Rows;
use rhai::{Array, Dynamic, Engine};

use super::super::arithmetic;
use super::super::diagnose::ensemble_fault;
use super::member::scores;
use super::{
    FusedHandle, Outcome, RowHandle, RowsHandle, STALE, frame, pass, passes, place, places, top_array, top_count,
};

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<FusedHandle>("Fused")
        .register_fn("mix", |fused: &mut FusedHandle, rows: RowsHandle, weights: Array| {
            combine(*fused, rows, &weights, |rows, weights, fused| {
                let rows: Vec<&[f32]> = rows.iter().map(|row| row.probabilities).collect();
                crate::fuse::mix(&rows, weights, fused);
            })
        })
        .register_fn("product", |fused: &mut FusedHandle, rows: RowsHandle, weights: Array| {
            combine(*fused, rows, &weights, |rows, weights, fused| {
                let rows: Vec<(&[f32], f32)> = (0..rows.len()).map(|member| scores(rows, member)).collect();
                arithmetic::product(&rows, weights, fused);
            })
        })
        .register_fn("power_mean", |fused: &mut FusedHandle, rows: RowsHandle, weights: Array, rho: Dynamic| {
            let rho = number("power_mean", "an exponent from -16 to 16", &rho, -16.0..=16.0)?;
            combine(*fused, rows, &weights, |rows, weights, fused| {
                let rows: Vec<(&[f32], f32)> = (0..rows.len()).map(|member| scores(rows, member)).collect();
                arithmetic::power_mean(&rows, weights, rho, fused);
            })
        })
        .register_fn("copy", |fused: &mut FusedHandle, row: RowHandle| {
            beside(*fused, row, |(logits, log_sum_exp), fused| {
                fused.iter_mut().zip(logits).for_each(|(score, logit)| *score = logit - log_sum_exp);
            })
        })
        .register_fn("add", |fused: &mut FusedHandle, row: RowHandle, factor: Dynamic| {
            let factor = number("add", "a factor from -100 to 100", &factor, -100.0..=100.0)?;
            beside(*fused, row, |(logits, log_sum_exp), fused| arithmetic::add(logits, log_sum_exp, factor, fused))
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
            let count = top_count("top", count)?;
            passes(fused.call, 2, |frame| {
                Ok(top_array(crate::fuse::top(frame.fused, count), arithmetic::log_sum_exp(frame.fused)))
            })
        })
        .register_fn("top_mass", |fused: &mut FusedHandle, count: i64| {
            let count = top_count("top_mass", count)?;
            passes(fused.call, 2, |frame| {
                let total = arithmetic::log_sum_exp(frame.fused);
                let best = crate::fuse::top(frame.fused, count);
                Ok(best.iter().map(|(_, score)| f64::from((score - total).exp())).sum::<f64>())
            })
        })
        .register_fn("rank", |fused: &mut FusedHandle, unit: i64| {
            pass(fused.call, |frame| {
                let score = frame.fused[place(unit, frame.fused.len())?];
                Ok(arithmetic::rank(frame.fused, score) as i64)
            })
        })
        .register_fn("mass", |fused: &mut FusedHandle, units: Array| {
            pass(fused.call, |frame| {
                let places = places(&units, frame.fused.len())?;
                let total = arithmetic::log_sum_exp(frame.fused);
                Ok(places.iter().map(|place| f64::from((frame.fused[*place] - total).exp())).sum::<f64>())
            })
        })
        .register_fn("margin", |fused: &mut FusedHandle| {
            pass(fused.call, |frame| Ok(f64::from(arithmetic::margin(frame.fused))))
        })
        .register_fn("kl", |fused: &mut FusedHandle, row: RowHandle| {
            beside(*fused, row, |row, fused| arithmetic::kl((fused, arithmetic::log_sum_exp(fused)), row))
        })
        .register_fn("js", |fused: &mut FusedHandle, row: RowHandle| {
            beside(*fused, row, |row, fused| arithmetic::js((fused, arithmetic::log_sum_exp(fused)), row))
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
    passes(fused.call, rows.count, |frame| {
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

/// Reads or writes the fused row beside a member's row.
fn beside<T>(fused: FusedHandle, row: RowHandle, work: impl FnOnce((&[f32], f32), &mut [f32]) -> T) -> Outcome<T> {
    passes(fused.call, 2, |frame| {
        if row.call != fused.call {
            return Err(STALE.into());
        }
        Ok(work(scores(frame.rows, row.index), frame.fused))
    })
}

/// A number, whole or not, in a range.
fn number(method: &str, wanted: &str, value: &Dynamic, range: std::ops::RangeInclusive<f64>) -> Outcome<f32> {
    match value.as_float().or_else(|_| value.as_int().map(|whole| whole as f64)) {
        Ok(number) if range.contains(&number) => Ok(number as f32),
        _ => Err(format!("`{method}` takes {wanted}, and this is {value}").into()),
    }
}
