//! The fields of a JSON object, taken one by one and checked. What is left at the end is refused.

use crate::failure::Failure;
use serde_json::{Map, Value};
use std::ops::RangeInclusive;

/// Fields of a request that nobody has read yet. `null` counts as absent, as in OpenAI's interface.
#[derive(Debug, Clone)]
pub struct Fields(Map<String, Value>);

impl Fields {
    /// The fields of a body.
    pub fn of(body: Value) -> Result<Self, Failure> {
        match body {
            Value::Object(map) => Ok(Self(map)),
            other => Err(Failure::invalid(format!("The body must be a JSON object and is {}.", kind_of(&other)))),
        }
    }

    /// The object, for whoever reads it otherwise.
    pub fn into_value(self) -> Value {
        Value::Object(self.0)
    }

    /// Whether a field is there.
    pub fn has(&self, name: &str) -> bool {
        self.0.get(name).is_some_and(|value| !value.is_null())
    }

    /// A field's value, whatever it is. It counts as read.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    /// Puts a field in its place, as if the client had sent it.
    pub fn put(&mut self, name: &str, value: Value) {
        self.0.insert(name.to_owned(), value);
    }

    /// A number within limits.
    pub fn number(&mut self, name: &str, limits: RangeInclusive<f64>) -> Result<Option<f32>, Failure> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match value.as_f64() {
            Some(number) if limits.contains(&number) => Ok(Some(number as f32)),
            Some(_) => Err(out_of(name, limits.start(), limits.end())),
            None => Err(wrong(name, "a number", &value)),
        }
    }

    /// A whole number within limits.
    pub fn integer(&mut self, name: &str, limits: RangeInclusive<u32>) -> Result<Option<u32>, Failure> {
        let Some(value) = self.take(name) else { return Ok(None) };
        if !value.is_i64() && !value.is_u64() {
            return Err(wrong(name, "a whole number", &value));
        }
        match value.as_u64().and_then(|number| u32::try_from(number).ok()) {
            Some(number) if limits.contains(&number) => Ok(Some(number)),
            _ => Err(out_of(name, limits.start(), limits.end())),
        }
    }

    /// `true` or `false`; `false` where nothing is said.
    pub fn flag(&mut self, name: &str) -> Result<bool, Failure> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(other) => Err(wrong(name, "true or false", &other)),
        }
    }

    /// A text.
    pub fn text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(wrong(name, "a string", &other)),
        }
    }

    /// An array.
    pub fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(wrong(name, "an array", &other)),
        }
    }

    /// Refuses a field, unless it has a value that asks for nothing.
    pub fn only(&mut self, name: &str, harmless: &[Value], message: &str) -> Result<(), Failure> {
        match self.take(name) {
            Some(value) if !harmless.iter().any(|one| same(one, &value)) => Err(Failure::unsupported(name, message)),
            _ => Ok(()),
        }
    }

    /// Forgets fields that change nothing of what is written.
    pub fn ignore(&mut self, names: &[&str]) {
        for name in names {
            self.0.remove(*name);
        }
    }

    /// Refuses whatever nobody has read.
    pub fn end(self) -> Result<(), Failure> {
        match self.0.into_iter().find(|(_, value)| !value.is_null()) {
            None => Ok(()),
            Some((name, _)) => {
                let message = format!("`{name}` is not supported here. Leave it out.");
                Err(Failure::unsupported(name, message))
            }
        }
    }
}

/// Equal, and 0 is 0.0.
fn same(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other,
    }
}

/// A refusal of a value of the wrong type.
pub fn wrong(name: &str, expected: &str, value: &Value) -> Failure {
    Failure::field(name, format!("`{name}` must be {expected} and is {}.", kind_of(value))).with_code("invalid_type")
}

fn out_of(name: &str, least: impl std::fmt::Display, most: impl std::fmt::Display) -> Failure {
    Failure::field(name, format!("`{name}` must be between {least} and {most}."))
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// An array of units.
pub fn units(name: &str, items: &[Value], most: u32) -> Result<Vec<u32>, Failure> {
    let unit = |value: &Value| match value.as_u64() {
        Some(unit) if unit < u64::from(most) => Ok(unit as u32),
        Some(unit) => Err(Failure::field(name, format!("There is no unit {unit}: the last one is {}.", most - 1))),
        None => Err(wrong(name, "an array of units (whole numbers from 0)", value)),
    };
    items.iter().map(unit).collect()
}
