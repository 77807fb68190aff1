//! The JSON schema of a plugin's settings: whether a setting fits, and the schema in words.
//!
//! Of JSON Schema it knows what settings are made of: types, enumerations, ranges, lengths, lists, objects, references within
//! the schema, and alternatives. What else a schema says is the plugin's own to check. The crate `jsonschema` knows all
//! of it, and with what it brings along takes longer to compile than the rest of the engine (80 s on two cores).

use serde_json::{Map, Value};

/// How deep references and lists are followed.
const DEEPEST: usize = 32;

/// A schema that is an object.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    root: Value,
}

impl Schema {
    /// Reads the text; an error goes on from "a settings schema that".
    pub fn read(text: &str) -> Result<Self, String> {
        match serde_json::from_str(text) {
            Ok(root @ Value::Object(_)) => Ok(Self { root }),
            Ok(_) => Err("is no JSON object".into()),
            Err(error) => Err(format!("is no JSON: {error}")),
        }
    }

    /// As it came.
    #[cfg(feature = "cli")]
    pub fn root(&self) -> &Value {
        &self.root
    }

    fn properties(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.root.get("properties").and_then(Value::as_object).into_iter().flatten()
    }

    /// The settings there are.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.properties().map(|(name, _)| name.as_str())
    }

    /// Whether it is one of the settings. A schema can say that it takes others too.
    pub fn knows(&self, name: &str) -> bool {
        let takes_others = self.root.get("additionalProperties").is_some_and(|others| *others != Value::Bool(false));
        takes_others || self.names().any(|known| known == name)
    }

    /// The first setting that has to be given and is not.
    pub fn missing<'a>(&'a self, settings: &Map<String, Value>) -> Option<&'a str> {
        let required = self.root.get("required").and_then(Value::as_array).into_iter().flatten();
        required.filter_map(Value::as_str).find(|name| !settings.contains_key(*name))
    }

    /// Whether `value` is one for this setting.
    pub fn fits(&self, name: &str, value: &Value) -> bool {
        self.properties().find(|(known, _)| *known == name).is_none_or(|(_, schema)| self.allows(schema, value, 0))
    }

    /// What a setting has to be: "a number, 0 to 1".
    pub fn expected(&self, name: &str) -> String {
        self.properties().find(|(known, _)| *known == name).map_or_else(String::new, |(_, schema)| self.kind(schema))
    }

    /// One line for each setting: name, type, range, default, description.
    pub fn describe(&self) -> String {
        let width = self.names().map(|name| name.chars().count()).max().unwrap_or(0);
        let line = |(name, schema): (&String, &Value)| {
            let mut line = format!("\n  {name:width$}  {}", self.kind(schema));
            if let Some(default) = schema.get("default") {
                line += &format!(", default {}", shown(default));
            }
            if let Some(description) = schema.get("description").and_then(Value::as_str) {
                line += &format!(": {}", description.replace('\n', " "));
            }
            line
        };
        self.properties().map(line).collect()
    }

    /// What a reference leads to.
    fn resolved<'a>(&'a self, schema: &'a Value) -> &'a Value {
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|place| place.strip_prefix('#'));
        target.and_then(|place| self.root.pointer(place)).unwrap_or(schema)
    }

    fn allows(&self, schema: &Value, value: &Value, depth: usize) -> bool {
        let schema = self.resolved(schema);
        let Some(rules) = schema.as_object() else { return *schema != Value::Bool(false) };
        if depth == DEEPEST {
            return true;
        }
        let inner = |schema: &Value, value: &Value| self.allows(schema, value, depth + 1);
        rules.iter().all(|(rule, says)| match (rule.as_str(), says) {
            ("type", Value::String(name)) => is_of_type(value, name),
            ("type", Value::Array(names)) => names.iter().filter_map(Value::as_str).any(|name| is_of_type(value, name)),
            ("enum", Value::Array(values)) => values.contains(value),
            ("const", only) => only == value,
            ("anyOf" | "oneOf", Value::Array(schemas)) => schemas.iter().any(|schema| inner(schema, value)),
            ("allOf", Value::Array(schemas)) => schemas.iter().all(|schema| inner(schema, value)),
            ("items", items) => value.as_array().is_none_or(|values| values.iter().all(|value| inner(items, value))),
            ("properties", Value::Object(properties)) => value.as_object().is_none_or(|object| {
                object.iter().all(|(name, value)| properties.get(name).is_none_or(|schema| inner(schema, value)))
            }),
            ("required", Value::Array(names)) => value
                .as_object()
                .is_none_or(|object| names.iter().filter_map(Value::as_str).all(|name| object.contains_key(name))),
            ("additionalProperties", Value::Bool(false)) => value.as_object().is_none_or(|object| {
                let known = rules.get("properties").and_then(Value::as_object);
                object.keys().all(|name| known.is_some_and(|known| known.contains_key(name)))
            }),
            (rule, Value::Number(limit)) => {
                let limit = limit.as_f64().unwrap_or(f64::NAN);
                match (rule, value) {
                    ("minimum", Value::Number(x)) => x.as_f64().is_some_and(|x| x >= limit),
                    ("maximum", Value::Number(x)) => x.as_f64().is_some_and(|x| x <= limit),
                    ("exclusiveMinimum", Value::Number(x)) => x.as_f64().is_some_and(|x| x > limit),
                    ("exclusiveMaximum", Value::Number(x)) => x.as_f64().is_some_and(|x| x < limit),
                    ("minLength", Value::String(text)) => text.chars().count() as f64 >= limit,
                    ("maxLength", Value::String(text)) => text.chars().count() as f64 <= limit,
                    ("minItems", Value::Array(values)) => values.len() as f64 >= limit,
                    ("maxItems", Value::Array(values)) => values.len() as f64 <= limit,
                    _ => true,
                }
            }
            _ => true,
        })
    }

    /// Type and range in words.
    fn kind(&self, schema: &Value) -> String {
        self.kind_at(schema, 0)
    }

    fn kind_at(&self, schema: &Value, depth: usize) -> String {
        let schema = self.resolved(schema);
        if depth == DEEPEST {
            return "any value".into();
        }
        let list = |name: &str| schema.get(name).and_then(Value::as_array);
        if let Some(values) = list("enum") {
            return one_of(values.iter().map(shown));
        }
        if let Some(value) = schema.get("const") {
            return shown(value);
        }
        if let Some(schemas) = list("oneOf").or(list("anyOf")) {
            return one_of(schemas.iter().map(|schema| self.kind_at(schema, depth + 1)));
        }
        let names: Vec<&str> = match schema.get("type") {
            Some(Value::String(name)) => vec![name],
            Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
            _ => return "any value".into(),
        };
        let name = |name: &&str| match *name {
            "number" => "a number".into(),
            "integer" => "a whole number".into(),
            "boolean" => "true or false".into(),
            "string" => "a text".into(),
            "array" => match schema.get("items") {
                Some(items) => format!("a list, each {}", self.kind_at(items, depth + 1)),
                None => "a list".into(),
            },
            "object" => "an object".into(),
            other => other.to_string(),
        };
        one_of(names.iter().map(name)) + range(schema).as_str()
    }
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "number" => value.is_number(),
        // 3.0 is one too.
        "integer" => value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        _ => true,
    }
}

fn one_of(words: impl Iterator<Item = String>) -> String {
    let words: Vec<String> = words.collect();
    match &words[..] {
        [] => "any value".into(),
        [word] => word.clone(),
        [before @ .., last] => format!("{} or {last}", before.join(", ")),
    }
}

/// ", 0 to 1" and the like; empty without limits.
fn range(schema: &Value) -> String {
    let limit = |name: &str| schema.get(name).filter(|limit| limit.is_number()).map(shown);
    let ends = (limit("minimum"), limit("maximum"), limit("exclusiveMinimum"), limit("exclusiveMaximum"));
    match ends {
        (Some(low), Some(high), None, None) => format!(", {low} to {high}"),
        (Some(low), None, None, None) => format!(", {low} or more"),
        (low, high, above, below) => {
            let words = [("at least", low), ("above", above), ("at most", high), ("below", below)];
            words.into_iter().filter_map(|(word, limit)| Some(format!(", {word} {}", limit?))).collect()
        }
    }
}

/// A value for people. An `f32` that became an `f64` on its way, as defaults do, gets its own digits back.
fn shown(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if f64::from(number as f32) == number => (number as f32).to_string(),
        _ => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn schema() -> Schema {
        let mode = json!({"oneOf": [{"const": "soft", "type": "string"}, {"const": "hard", "type": "string"}]});
        let root = json!({
            "properties": {
                "alpha": {"type": "number", "minimum": 0.0, "maximum": 1.0, "default": 0.1f32, "description": "share"},
                "gate": {"type": ["number", "null"], "default": null},
                "width": {"type": "number", "exclusiveMinimum": 0, "maximum": 9},
                "count": {"type": "integer", "minimum": 1},
                "words": {"type": "array", "items": {"type": "string", "minLength": 1}, "maxItems": 2},
                "mode": {"$ref": "#/$defs/Mode"},
            },
            "required": ["count"],
            "$defs": {"Mode": mode},
        });
        Schema::read(&root.to_string()).unwrap()
    }

    #[test]
    fn values_fit_by_type_range_and_items() {
        let schema = schema();
        for (name, good, bad) in [
            ("alpha", vec![json!(0), json!(1.0)], vec![json!(1.1), json!(-1), json!("0.5"), json!(null)]),
            ("gate", vec![json!(null), json!(-7.5)], vec![json!(true)]),
            ("width", vec![json!(9), json!(1e-9)], vec![json!(0), json!(9.5)]),
            ("count", vec![json!(1), json!(2.0)], vec![json!(0), json!(1.5)]),
            ("words", vec![json!([]), json!(["a", "b"])], vec![json!([1]), json!(["a", "b", "c"]), json!([""])]),
            ("mode", vec![json!("soft")], vec![json!("loud")]),
        ] {
            good.iter().for_each(|value| assert!(schema.fits(name, value), "{name} {value}"));
            bad.iter().for_each(|value| assert!(!schema.fits(name, value), "{name} {value}"));
        }
    }

    #[test]
    fn a_schema_is_told_in_one_line_a_setting() {
        let lines = schema().describe();
        for line in [
            "  alpha  a number, 0 to 1, default 0.1: share",
            "  gate   a number or null, default null",
            "  width  a number, above 0, at most 9",
            "  count  a whole number, 1 or more",
            "  words  a list, each a text",
            "  mode   \"soft\" or \"hard\"",
        ] {
            assert!(lines.lines().any(|told| told == line), "{line:?} is not in {lines}");
        }
    }

    #[test]
    fn names_are_known_as_the_schema_says() {
        assert!(schema().knows("alpha") && !schema().knows("beta"));
        assert!(Schema::read(r#"{"additionalProperties":true}"#).unwrap().knows("beta"));
        assert_eq!(schema().missing(&Map::new()), Some("count"));
        let guess = |name| crate::near::guess(name, schema().names());
        assert_eq!(guess("alhpa"), "; did you mean `alpha`?");
        assert_eq!(guess("zeta"), ".");
    }

    #[test]
    fn a_schema_that_leads_to_itself_ends() {
        let schema = Schema::read(
            r##"{"properties":{"a":{"$ref":"#/properties/b"},"b":{"anyOf":[{"$ref":"#/properties/b"}]}}}"##,
        );
        let schema = schema.unwrap();
        assert!(schema.fits("a", &json!(1)));
        assert!(schema.describe().contains("any value"));
    }

    #[test]
    fn what_is_no_schema_says_so() {
        assert_eq!(Schema::read("[]").unwrap_err(), "is no JSON object");
        assert!(Schema::read("{").unwrap_err().starts_with("is no JSON: "));
    }
}
