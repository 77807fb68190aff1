//! Verdicts as scripts make them: `retract(3, "why").adjust(#{ temperature: 0.9 })`. They are native functions, so that a
//! misspelt one fails when the script is loaded, and an unknown key is named.

use plugin_api::abi::MAX_BANS;
use plugin_api::{Action, Adjustment, Parameters, Step, Verdict};
use rhai::{Array, Dynamic, Engine, EvalAltResult, ImmutableString, Map};

use super::diagnose;
use super::program::Function;

type Answer = Result<Verdict, Box<EvalAltResult>>;

const KEYS: [&str; 7] = ["temperature", "repeat_penalty", "top_p", "min_p", "top_k", "hold", "reason"];

pub(super) const NAMES: &[&str] = &["proceed", "adjust", "retract", "resample", "force", "stop", "ban", "reason"];

pub(super) fn register(engine: &mut Engine) {
    engine
        .register_type_with_name::<Verdict>("Verdict")
        .register_fn("proceed", Verdict::proceed)
        .register_fn("retract", |units: i64| retract(units, ""))
        .register_fn("retract", |units: i64, reason: &str| retract(units, reason))
        .register_fn("resample", || Verdict::resample(""))
        .register_fn("resample", |reason: &str| Verdict::resample(reason))
        .register_fn("force", |unit: i64| force(unit, ""))
        .register_fn("force", |unit: i64, reason: &str| force(unit, reason))
        .register_fn("stop", |reason: &str| Verdict::stop(reason))
        .register_fn("adjust", |values: Map| adjust(Verdict { action: Action::Adjust, ..Verdict::default() }, values))
        .register_fn("adjust", |verdict: Verdict, values: Map| adjust(verdict, values))
        .register_fn("ban", |verdict: Verdict, unit: i64| ban(verdict, &[Dynamic::from(unit)]))
        .register_fn("ban", |verdict: Verdict, units: Array| ban(verdict, &units))
        .register_fn("reason", |verdict: Verdict, reason: &str| Verdict { reason: reason.into(), ..verdict });
}

fn retract(units: i64, reason: &str) -> Answer {
    match u32::try_from(units) {
        Ok(units) if units > 0 => Ok(Verdict::retract(units, reason)),
        _ => Err(format!("`retract` takes how many units to take back, from 1; this is {units}").into()),
    }
}

fn force(unit: i64, reason: &str) -> Answer {
    Ok(Verdict::force(unit_number(unit)?, reason))
}

fn ban(mut verdict: Verdict, units: &[Dynamic]) -> Answer {
    for unit in units {
        let unit = unit.as_int().map_err(|kind| format!("`ban` takes unit numbers, and this is of type {kind}"))?;
        verdict.bans.push(unit_number(unit)?);
    }
    if verdict.bans.len() > MAX_BANS {
        return Err(format!("one verdict can ban {MAX_BANS} units, and this one bans {}", verdict.bans.len()).into());
    }
    Ok(verdict)
}

fn unit_number(unit: i64) -> Result<u32, Box<EvalAltResult>> {
    u32::try_from(unit).map_err(|_| format!("a unit is a number from 0, and this is {unit}").into())
}

fn adjust(mut verdict: Verdict, values: Map) -> Answer {
    let adjustment = &mut verdict.adjustment;
    for (key, value) in values {
        match key.as_str() {
            "temperature" => adjustment.temperature = Some(number(&key, &value, 0.0, f64::from(f32::MAX))?),
            "repeat_penalty" => adjustment.repeat_penalty = Some(number(&key, &value, 1.0, f64::from(f32::MAX))?),
            "top_p" => adjustment.top_p = Some(number(&key, &value, f64::from(f32::MIN_POSITIVE), 1.0)?),
            "min_p" => adjustment.min_p = Some(number(&key, &value, 0.0, 1.0)?),
            "top_k" => adjustment.top_k = Some(number(&key, &value, 0.0, f64::from(i32::MAX))? as u32),
            "hold" => adjustment.hold = value.as_bool().map_err(|kind| mistyped(&key, "true or false", kind))?,
            "reason" => {
                verdict.reason = value.into_immutable_string().map_err(|kind| mistyped(&key, "a text", kind))?.into();
            }
            unknown => {
                let guess = diagnose::nearest(unknown, KEYS).map(|key| format!("; did you mean `{key}`?"));
                return Err(format!(
                    "`adjust` knows no `{unknown}`{}",
                    guess.unwrap_or_else(|| format!(", only {}", KEYS.map(|key| format!("`{key}`")).join(", ")))
                )
                .into());
            }
        }
    }
    Ok(verdict)
}

/// A number in a range, rounded to the precision of the sampler.
fn number(key: &str, value: &Dynamic, lowest: f64, highest: f64) -> Result<f32, Box<EvalAltResult>> {
    let x = value
        .as_float()
        .or_else(|_| value.as_int().map(|whole| whole as f64))
        .map_err(|kind| mistyped(key, "a number", kind))?;
    if (lowest..=highest).contains(&x) {
        return Ok(x as f32);
    }
    let range = match (lowest, highest) {
        (_, highest) if highest > 1.0 => format!("at least {lowest}"),
        (0.0, _) => "from 0 to 1".into(),
        _ => "above 0 and at most 1".into(),
    };
    Err(format!("`{key}` must be {range}, and this is {x}").into())
}

fn mistyped(key: &str, wanted: &str, kind: &str) -> Box<EvalAltResult> {
    format!("`{key}` must be {wanted}, and this is of type {kind}").into()
}

/// What a hook function returned, as a verdict. Nothing means go on.
///
/// A value that is already in force is no adjustment: it is dropped (compared as the sampler's `f32`), and an adjustment
/// with nothing left is none. With `hold` it stays, since it then says "do not decay from here".
pub(super) fn read(answer: Dynamic, function: Function, step: &Step) -> Result<Verdict, String> {
    if answer.is_unit() {
        return Ok(Verdict::proceed());
    }
    let kind = match answer.type_name() {
        "i64" => "a whole number",
        "f64" => "a number",
        "bool" => "true or false",
        "string" => "a text",
        "map" => "a map (did you mean `adjust(#{ … })`?)",
        "array" => "an array",
        _ => "something else",
    };
    let Some(mut verdict) = answer.try_cast::<Verdict>() else {
        return Err(format!(
            "`{}` returned {kind}; it returns nothing or a verdict, such as `proceed()` or `adjust(#{{ temperature: 0.9 }})`",
            function.name()
        ));
    };
    let misplaced = match (verdict.action, function) {
        (Action::Retract(_), Function::OnToken) => Some(("retract", Function::OnAssessment)),
        (Action::Resample, Function::OnAssessment) => Some(("resample", Function::OnToken)),
        (Action::Force(_), Function::OnAssessment) => Some(("force", Function::OnToken)),
        _ => None,
    };
    if let Some((action, place)) = misplaced {
        return Err(format!("only `{}` can answer `{action}`, and this is `{}`", place.name(), function.name()));
    }
    drop_unchanged(&mut verdict.adjustment, &step.parameters);
    if verdict.action == Action::Adjust && verdict.adjustment.is_empty() {
        return Ok(Verdict::proceed());
    }
    Ok(verdict)
}

fn drop_unchanged(adjustment: &mut Adjustment, now: &Parameters) {
    if adjustment.hold {
        return;
    }
    adjustment.temperature = adjustment.temperature.filter(|x| *x != now.temperature);
    adjustment.top_p = adjustment.top_p.filter(|x| *x != now.top_p);
    adjustment.min_p = adjustment.min_p.filter(|x| *x != now.min_p);
    adjustment.repeat_penalty = adjustment.repeat_penalty.filter(|x| *x != now.repeat_penalty);
    adjustment.top_k = adjustment.top_k.filter(|k| *k != now.top_k);
}

/// `fixed(0.4321, 2)` is `0.43`: numbers for reasons.
pub(super) fn fixed(x: f64, decimals: i64) -> ImmutableString {
    format!("{x:.*}", decimals.clamp(0, 9) as usize).into()
}
