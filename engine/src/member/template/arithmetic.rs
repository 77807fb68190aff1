//! Operators on numbers and sequences.

use super::format;
use super::interpreter::Interpreter;
use super::text::TextBuilder;
use super::value::{Value, undefined};
use super::work::{Done, broken};
use minijinja::machinery::ast::BinOpKind;

impl Interpreter<'_, '_> {
    pub fn arithmetic(&mut self, operation: BinOpKind, left: &Value, right: &Value) -> Done<Value> {
        if let (Value::Undefined(name), _) | (_, Value::Undefined(name)) = (left, right) {
            return undefined(name);
        }
        match (operation, left, right) {
            (BinOpKind::Rem, Value::Text(format), _) => Ok(Value::Text(format::percent(self, format, right)?)),
            (BinOpKind::Add, Value::Text(left), Value::Text(right)) => {
                let mut text = TextBuilder::new(self.work);
                text.push(left)?;
                text.push(right)?;
                Ok(Value::Text(text.finish()?))
            }
            (BinOpKind::Add, Value::List(a), Value::List(b)) | (BinOpKind::Add, Value::Tuple(a), Value::Tuple(b)) => {
                self.work.spend_places(a.items.len() + b.items.len())?;
                let items = a.items.iter().chain(&b.items).cloned().collect();
                if matches!(left, Value::List(_)) {
                    Value::list(self.work, items)
                } else {
                    Value::tuple(self.work, items)
                }
            }
            (BinOpKind::Mul, sequence @ (Value::Text(_) | Value::List(_) | Value::Tuple(_)), count)
            | (BinOpKind::Mul, count, sequence @ (Value::Text(_) | Value::List(_) | Value::Tuple(_))) => {
                let Some(count) = count.as_int() else {
                    return broken(format!("can't multiply sequence by non-int of type '{}'", count.type_name()));
                };
                self.repeat(sequence, usize::try_from(count).unwrap_or(0))
            }
            _ => match (left.as_int(), right.as_int(), left.as_float(), right.as_float()) {
                (Some(a), Some(b), ..) => whole(operation, a, b),
                (_, _, Some(a), Some(b)) => real(operation, a, b),
                _ => broken(format!(
                    "unsupported operands for {}: '{}' and '{}'",
                    sign(operation),
                    left.type_name(),
                    right.type_name()
                )),
            },
        }
    }

    fn repeat(&self, sequence: &Value, count: usize) -> Done<Value> {
        let items = match sequence {
            Value::Text(text) => {
                let mut repeated = TextBuilder::new(self.work);
                repeated.push_times(text, count)?;
                return Ok(Value::Text(repeated.finish()?));
            }
            _ => sequence.items(self.work)?,
        };
        self.work.spend_places(items.items.len().saturating_mul(count))?;
        let length = items.items.len() * count;
        let repeated = items.items.iter().cycle().take(length).cloned().collect();
        match sequence {
            Value::Tuple(_) => Value::tuple(self.work, repeated),
            _ => Value::list(self.work, repeated),
        }
    }
}

/// `-value`.
pub fn negative(value: &Value) -> Done<Value> {
    match value {
        Value::Float(number) => Ok(Value::Float(-number)),
        Value::Undefined(name) => undefined(name),
        _ => match value.as_int() {
            Some(number) => number.checked_neg().map_or_else(too_large, |number| Ok(Value::Int(number))),
            None => broken(format!("bad operand type for unary -: '{}'", value.type_name())),
        },
    }
}

fn whole(operation: BinOpKind, a: i64, b: i64) -> Done<Value> {
    let result = match operation {
        BinOpKind::Add => a.checked_add(b),
        BinOpKind::Sub => a.checked_sub(b),
        BinOpKind::Mul => a.checked_mul(b),
        BinOpKind::Pow if b >= 0 => match (a, u32::try_from(b)) {
            (0 | 1, _) => Some(if b == 0 { 1 } else { a }),
            (-1, _) => Some(if b % 2 == 0 { 1 } else { -1 }),
            (_, Ok(b)) => a.checked_pow(b),
            _ => None,
        },
        BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem if b == 0 => return broken("division by zero"),
        BinOpKind::FloorDiv => a.checked_div_euclid(b).map(|quotient| {
            // Python rounds down, where Rust keeps the remainder positive.
            if b < 0 && a.rem_euclid(b) != 0 { quotient - 1 } else { quotient }
        }),
        BinOpKind::Rem => a.checked_rem_euclid(b).map(|rest| if b < 0 && rest != 0 { rest + b } else { rest }),
        _ => return real(operation, a as f64, b as f64),
    };
    result.map_or_else(too_large, |number| Ok(Value::Int(number)))
}

fn real(operation: BinOpKind, a: f64, b: f64) -> Done<Value> {
    let divides = matches!(operation, BinOpKind::Div | BinOpKind::FloorDiv | BinOpKind::Rem);
    if divides && b == 0.0 || matches!(operation, BinOpKind::Pow) && a == 0.0 && b < 0.0 {
        return broken("division by zero");
    }
    Ok(Value::Float(match operation {
        BinOpKind::Add => a + b,
        BinOpKind::Sub => a - b,
        BinOpKind::Mul => a * b,
        BinOpKind::Div => a / b,
        BinOpKind::FloorDiv => (a / b).floor(),
        BinOpKind::Rem => a - b * (a / b).floor(),
        BinOpKind::Pow => a.powf(b),
        _ => return broken("an unknown operator"),
    }))
}

fn sign(operation: BinOpKind) -> &'static str {
    match operation {
        BinOpKind::Add => "+",
        BinOpKind::Sub => "-",
        BinOpKind::Mul => "*",
        BinOpKind::Div => "/",
        BinOpKind::FloorDiv => "//",
        BinOpKind::Rem => "%",
        _ => "**",
    }
}

pub fn too_large<T>() -> Done<T> {
    broken("a number does not fit 64 bits")
}
