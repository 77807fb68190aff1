//! Texts with places for an item's fields: `Question: {question}`, and `{{` for a brace.

use serde_json::{Map, Value};

use super::error::LineProblem;
use crate::nearest;

/// A text with places for fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

impl Template {
    /// Reads a template; the error is a sentence about what is wrong with it.
    pub fn new(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            let field = after.split_once('}').filter(|_| brace == "{").map(|(field, after)| (field.trim(), after));
            let Some((field, after)) = field.filter(|(field, _)| !field.is_empty() && !field.contains('{')) else {
                return Err(format!("a single `{brace}` in {text:?}; write `{brace}{brace}` for the character itself"));
            };
            parts.extend((!plain.is_empty()).then(|| Part::Text(std::mem::take(&mut plain))));
            parts.push(Part::Field(field.to_owned()));
            rest = after;
        }
        plain.push_str(rest);
        parts.extend((!plain.is_empty()).then_some(Part::Text(plain)));
        Ok(Self { parts })
    }

    /// The text with the item's fields in their places.
    pub fn fill(&self, fields: &Map<String, Value>) -> Result<String, LineProblem> {
        self.fill_with(fields, None)
    }

    /// The same with one value more, which goes before a field of its name.
    pub fn fill_with(&self, fields: &Map<String, Value>, more: Option<(&str, &str)>) -> Result<String, LineProblem> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Field(name) => match more.filter(|(known, _)| known == name) {
                    Some((_, value)) => text.push_str(value),
                    None => text.push_str(&field(fields, name)?),
                },
            }
        }
        Ok(text)
    }
}

/// A field as text: a string as it is, a number or a truth value as JSON writes it.
pub fn field(fields: &Map<String, Value>, name: &str) -> Result<String, LineProblem> {
    match get(fields, name)? {
        Value::String(text) => Ok(text.clone()),
        value @ (Value::Number(_) | Value::Bool(_)) => Ok(value.to_string()),
        other => Err(LineProblem::WrongKind { field: name.into(), found: kind(other), wanted: "text or a number" }),
    }
}

/// A field that must be there.
pub fn get<'a>(fields: &'a Map<String, Value>, name: &str) -> Result<&'a Value, LineProblem> {
    fields.get(name).ok_or_else(|| {
        let known: Vec<String> = fields.keys().map(|key| format!("`{key}`")).collect();
        let known = if known.is_empty() { "none".into() } else { known.join(", ") };
        let near = nearest(name, fields.keys().map(String::as_str)).map(str::to_owned);
        LineProblem::Missing { field: name.into(), near, known }
    })
}

/// What a value is, in words.
pub fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Map<String, Value> {
        serde_json::from_str(json).unwrap()
    }

    fn filled(template: &str, json: &str) -> String {
        Template::new(template).unwrap().fill(&fields(json)).unwrap()
    }

    #[test]
    fn fields_stand_in_their_places() {
        assert_eq!(filled("Question: {question}\nAnswer:", r#"{"question": "Why?"}"#), "Question: Why?\nAnswer:");
        assert_eq!(filled("{a}{ b }", r#"{"a": 1, "b": true}"#), "1true");
    }

    #[test]
    fn doubled_braces_are_the_characters_and_values_are_not_read_again() {
        assert_eq!(filled("{{{a}}} {{a}}", r#"{"a": "{b}"}"#), "{{b}} {a}");
    }

    #[test]
    fn single_braces_are_refused() {
        for text in ["{", "}", "a } b", "{}", "{a", "{a{b}}"] {
            assert!(Template::new(text).unwrap_err().contains("a single"), "{text}");
        }
    }

    #[test]
    fn an_unknown_field_is_named_with_the_nearest() {
        let problem = Template::new("{queston}").unwrap().fill(&fields(r#"{"question": "Why?"}"#)).unwrap_err();
        assert_eq!(problem.to_string(), "no field `queston` (did you mean `question`?); the item has `question`");
        let problem = Template::new("{a}").unwrap().fill(&fields(r#"{"a": [1]}"#)).unwrap_err();
        assert_eq!(problem.to_string(), "the field `a` is a list, not text or a number");
    }
}
