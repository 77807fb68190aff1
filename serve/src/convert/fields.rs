//! The fields of a request's JSON: read with a refusal that names the field, and none of them passed over.

use crate::backend::{Refusal, RefusalKind};
use serde_json::{Map, Value};

/// A refusal of what a request says, with the parameter it concerns.
pub(crate) fn invalid(param: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { kind: RefusalKind::Invalid, message: message.into(), param: Some(param) }
}

/// A JSON object that is read field by field. A field that is `null` counts as absent.
pub(crate) struct Fields<'a> {
    map: &'a Map<String, Value>,
    /// What the object is called where a refusal must name it.
    of: &'static str,
    read: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which must be an object; `of` names the parameter it stands in.
    pub(crate) fn new(value: &'a Value, of: &'static str) -> Result<Self, Refusal> {
        match value {
            Value::Object(map) => Ok(Self { map, of, read: Vec::new() }),
            other => Err(invalid(of, format!("`{of}` must be an object, not {}.", kind(other)))),
        }
    }

    /// The value of a field.
    pub(crate) fn value(&mut self, name: &'static str) -> Option<&'a Value> {
        self.read.push(name);
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Passes over fields that change nothing about the reply.
    pub(crate) fn ignore(&mut self, names: &[&'static str]) {
        self.read.extend(names);
    }

    /// A field of text.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<&'a str>, Refusal> {
        self.typed(name, "a string", Value::as_str)
    }

    /// A field of text that must be there.
    pub(crate) fn required_text(&mut self, name: &'static str) -> Result<&'a str, Refusal> {
        self.text(name)?.ok_or_else(|| self.missing(name))
    }

    /// A field that is true or false.
    pub(crate) fn flag(&mut self, name: &'static str) -> Result<Option<bool>, Refusal> {
        self.typed(name, "true or false", Value::as_bool)
    }

    /// A field with a list.
    pub(crate) fn list(&mut self, name: &'static str) -> Result<Option<&'a [Value]>, Refusal> {
        self.typed(name, "a list", |value| value.as_array().map(Vec::as_slice))
    }

    /// A field with a whole number of at least `least`.
    pub(crate) fn count(&mut self, name: &'static str, least: u32) -> Result<Option<u32>, Refusal> {
        let wanted = format!("a whole number of at least {least}");
        self.typed(name, &wanted, |value| value.as_u64()?.try_into().ok().filter(|&count| count >= least))
    }

    /// A field with a number from 0 to `most`.
    pub(crate) fn number(&mut self, name: &'static str, most: f64) -> Result<Option<f32>, Refusal> {
        let wanted = format!("a number from 0 to {most}");
        self.typed(name, &wanted, |value| {
            value.as_f64().filter(|number| (0.0..=most).contains(number)).map(|n| n as f32)
        })
    }

    fn typed<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Refusal> {
        let Some(value) = self.value(name) else { return Ok(None) };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None if value.is_number() || value.is_boolean() => {
                Err(invalid(self.param(name), format!("`{name}` must be {wanted}, not {value}.")))
            }
            None => Err(invalid(self.param(name), format!("`{name}` must be {wanted}, not {}.", kind(value)))),
        }
    }

    /// The parameter of the request that a field belongs to.
    fn param(&self, name: &'static str) -> &'static str {
        if self.of == "body" { name } else { self.of }
    }

    /// The refusal of a field that is not there.
    pub(crate) fn missing(&self, name: &'static str) -> Refusal {
        invalid(self.param(name), format!("`{name}` is missing in `{}`.", self.of))
    }

    /// Refuses the fields that nobody read.
    pub(crate) fn finish(self) -> Result<(), Refusal> {
        self.check()
    }

    /// As [`finish`](Self::finish), for who only borrows them.
    pub(crate) fn check(&self) -> Result<(), Refusal> {
        match self.map.iter().find(|(name, value)| !value.is_null() && !self.read.contains(&name.as_str())) {
            None => Ok(()),
            Some((name, _)) => Err(Refusal {
                kind: RefusalKind::Invalid,
                message: format!("`{name}` is not supported in `{}`: leave it out.", self.of),
                param: Some(self.of),
            }),
        }
    }
}

/// What a JSON value is, in a refusal.
pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_refusal_names_the_field_and_what_it_must_be() {
        let body = json!({ "top_p": 3, "stop": {}, "seed": null, "more": 1, "max": 0 });
        let mut fields = Fields::new(&body, "body").unwrap();
        assert_eq!(
            fields.number("top_p", 1.0).unwrap_err(),
            invalid("top_p", "`top_p` must be a number from 0 to 1, not 3.")
        );
        assert_eq!(fields.list("stop").unwrap_err(), invalid("stop", "`stop` must be a list, not an object."));
        assert!(fields.count("max", 1).unwrap_err().message.contains("at least 1, not 0"));
        assert_eq!(fields.count("seed", 0), Ok(None));
        assert_eq!(fields.required_text("model").unwrap_err().message, "`model` is missing in `body`.");
        assert_eq!(fields.finish().unwrap_err().message, "`more` is not supported in `body`: leave it out.");
    }
}
