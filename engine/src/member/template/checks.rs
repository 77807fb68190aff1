//! The tests of Jinja2, as in `value is defined`.

use super::arguments::Arguments;
use super::interpreter::Interpreter;
use super::text::Text;
use super::value::Value;
use super::work::{Done, broken};
use super::{filters, show};
use std::rc::Rc;

/// All that [`check`] knows.
const NAMES: &[&str] = &[
    "!=",
    "<",
    "<=",
    "==",
    ">",
    ">=",
    "boolean",
    "callable",
    "defined",
    "divisibleby",
    "eq",
    "equalto",
    "escaped",
    "even",
    "false",
    "filter",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "string",
    "test",
    "true",
    "undefined",
    "upper",
];

/// `value is name(arguments)`.
pub fn check(run: &Interpreter, name: &str, value: &Value, arguments: &Arguments) -> Done<bool> {
    let work = run.work;
    work.spend(super::work::STEP)?;
    let other = || arguments.needed(0, "other");
    let number = |value: &Value| value.as_float().map_or_else(|| broken("it is no number"), Ok);
    Ok(match name {
        "defined" => !matches!(value, Value::Undefined(_)),
        "undefined" => matches!(value, Value::Undefined(_)),
        "none" => matches!(value, Value::None),
        "boolean" => matches!(value, Value::Bool(_)),
        "true" => matches!(value, Value::Bool(true)),
        "false" => matches!(value, Value::Bool(false)),
        "string" => matches!(value, Value::Text(_)),
        "integer" => matches!(value, Value::Int(_)),
        "float" => matches!(value, Value::Float(_)),
        "number" => value.as_float().is_some(),
        "mapping" => matches!(value, Value::Dict(_)),
        "iterable" => value.is_iterable(),
        "sequence" => value.is_iterable() && !matches!(value, Value::Loop(_)),
        "callable" => matches!(
            value,
            Value::Undefined(_) | Value::Macro(_) | Value::Function(_) | Value::Method(_) | Value::Loop(_)
        ),
        "escaped" => false,
        "odd" => number(value)?.rem_euclid(2.0) == 1.0,
        "even" => number(value)?.rem_euclid(2.0) == 0.0,
        "divisibleby" => match number(other()?)? {
            0.0 => return broken("division by zero"),
            divisor => number(value)? % divisor == 0.0,
        },
        "eq" | "==" | "equalto" => value.equals(work, other()?)?,
        "ne" | "!=" => !value.equals(work, other()?)?,
        "lt" | "<" | "lessthan" => value.order(work, other()?)?.is_lt(),
        "le" | "<=" => value.order(work, other()?)?.is_le(),
        "gt" | ">" | "greaterthan" => value.order(work, other()?)?.is_gt(),
        "ge" | ">=" => value.order(work, other()?)?.is_ge(),
        "in" => other()?.contains(work, value)?,
        "sameas" => {
            work.spend(value.as_text().map_or(0, Text::len))?;
            is_same(value, other()?)
        }
        "lower" | "upper" => {
            let text = show::string(run, value)?;
            work.spend(text.len())?;
            let (lower, upper) =
                (text.as_str().contains(char::is_lowercase), text.as_str().contains(char::is_uppercase));
            if name == "lower" { lower && !upper } else { upper && !lower }
        }
        "filter" => value.as_text().is_some_and(|name| filters::is_known(name.as_str())),
        "test" => value.as_text().is_some_and(|name| NAMES.contains(&name.as_str())),
        _ => return broken(format!("there is no test `{name}`")),
    })
}

/// `value is other`, where Python has one object for each small number and short text.
fn is_same(value: &Value, other: &Value) -> bool {
    match (value, other) {
        (Value::None, Value::None) | (Value::Undefined(_), Value::Undefined(_)) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a), Value::Int(b)) => a == b,
        (Value::Text(a), Value::Text(b)) => a.as_str() == b.as_str(),
        (Value::List(a), Value::List(b)) | (Value::Tuple(a), Value::Tuple(b)) => Rc::ptr_eq(a, b),
        (Value::Dict(a), Value::Dict(b)) => Rc::ptr_eq(a, b),
        (Value::Namespace(a), Value::Namespace(b)) => a == b,
        _ => false,
    }
}
