//! Schemas whose objects have the properties that are named, and no others.
//!
//! By JSON schema an object may have any further property unless `additionalProperties` says otherwise. A function has no use for
//! arguments that it does not know, and small models invent them until the reply is full. OpenAI's strict functions and
//! llama.cpp close such objects.

use serde_json::{Map, Value};
use std::collections::HashSet;
use std::ptr;

/// The schema with all objects closed that have `properties` and say nothing of others.
///
/// Schemas that hold together for one value (`allOf`, or `properties` beside a `$ref`) each name a part of its properties: they
/// stay as they are, since closed they would exclude one another.
pub(crate) fn closed(mut schema: Value) -> Value {
    let parts = parts(&schema);
    close(&mut schema, &parts);
    schema
}

/// Addresses of the schemas that hold together with another one.
fn parts(root: &Value) -> HashSet<*const Value> {
    let mut all = vec![root];
    let mut next = 0;
    while let Some(schema) = all.get(next).copied() {
        all.extend(schema.as_object().into_iter().flatten().flat_map(|(key, value)| children(key, value)));
        next += 1;
    }
    let mut parts = HashSet::new();
    all.retain(|schema| schema.as_object().is_some_and(is_combined));
    while let Some(schema) = all.pop() {
        if let (Value::Object(keys), true) = (schema, parts.insert(ptr::from_ref(schema))) {
            let lists = ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|key| keys.get(key)?.as_array());
            all.extend(lists.flatten());
            all.extend(target(root, keys));
        }
    }
    parts
}

/// Whether a value must fit several schemas here that may each name properties.
fn is_combined(keys: &Map<String, Value>) -> bool {
    let single = ["properties", "anyOf", "oneOf", "$ref"].into_iter().filter(|&key| keys.contains_key(key)).count();
    single + keys.get("allOf").and_then(Value::as_array).map_or(0, Vec::len) > 1
}

/// The schema that a `$ref` within the same document is about.
fn target<'a>(root: &'a Value, keys: &Map<String, Value>) -> Option<&'a Value> {
    root.pointer(keys.get("$ref")?.as_str()?.strip_prefix('#')?)
}

fn close(schema: &mut Value, parts: &HashSet<*const Value>) {
    let is_part = parts.contains(&ptr::from_ref(schema));
    let Value::Object(keys) = schema else { return };
    // A new key may move the values: first those below, which are known by their addresses.
    for (key, value) in keys.iter_mut() {
        children_mut(key, value).into_iter().for_each(|child| close(child, parts));
    }
    if !is_part && is_complete(keys) {
        keys.insert("additionalProperties".to_owned(), Value::Bool(false));
    }
}

/// Whether an object names all properties that it asks for, and says nothing of others.
fn is_complete(keys: &Map<String, Value>) -> bool {
    let Some(Value::Object(properties)) = keys.get("properties") else { return false };
    let is_known = |name: &Value| name.as_str().is_some_and(|name| properties.contains_key(name));
    let required = keys.get("required").and_then(Value::as_array);
    let others = ["additionalProperties", "unevaluatedProperties", "minProperties"];
    !others.into_iter().any(|key| keys.contains_key(key)) && required.is_none_or(|names| names.iter().all(is_known))
}

/// The schemas in the value of a keyword.
fn children<'a>(key: &str, value: &'a Value) -> Vec<&'a Value> {
    match (key, value) {
        ("properties" | "$defs" | "definitions", Value::Object(named)) => named.values().collect(),
        ("allOf" | "anyOf" | "oneOf" | "prefixItems" | "items", Value::Array(list)) => list.iter().collect(),
        ("items" | "additionalProperties", one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    }
}

/// As [`children`].
fn children_mut<'a>(key: &str, value: &'a mut Value) -> Vec<&'a mut Value> {
    match (key, value) {
        ("properties" | "$defs" | "definitions", Value::Object(named)) => named.values_mut().collect(),
        ("allOf" | "anyOf" | "oneOf" | "prefixItems" | "items", Value::Array(list)) => list.iter_mut().collect(),
        ("items" | "additionalProperties", one @ Value::Object(_)) => vec![one],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use llama_selfmod_constrain as constrain;
    use serde_json::json;

    /// An object with the property `a`, closed.
    fn shut() -> Value {
        json!({ "properties": { "a": {} }, "additionalProperties": false })
    }

    /// The same, open.
    fn open() -> Value {
        json!({ "properties": { "a": {} } })
    }

    #[test]
    fn objects_that_name_their_properties_are_closed_wherever_they_stand() {
        for (given, wanted) in [
            (open(), shut()),
            (json!({ "type": "array", "items": open() }), json!({ "type": "array", "items": shut() })),
            (json!({ "prefixItems": [open()] }), json!({ "prefixItems": [shut()] })),
            (json!({ "anyOf": [open(), { "type": "null" }] }), json!({ "anyOf": [shut(), { "type": "null" }] })),
            (json!({ "oneOf": [open()] }), json!({ "oneOf": [shut()] })),
            (json!({ "allOf": [open()] }), json!({ "allOf": [shut()] })),
            (
                json!({ "$ref": "#/$defs/b", "$defs": { "b": open() } }),
                json!({ "$ref": "#/$defs/b", "$defs": { "b": shut() } }),
            ),
            (json!({ "definitions": { "b": open() } }), json!({ "definitions": { "b": shut() } })),
            (json!({ "additionalProperties": open() }), json!({ "additionalProperties": shut() })),
            (
                json!({ "properties": { "properties": open() }, "required": ["properties"] }),
                json!({ "properties": { "properties": shut() }, "required": ["properties"], "additionalProperties": false }),
            ),
            (json!({ "properties": {} }), json!({ "properties": {}, "additionalProperties": false })),
        ] {
            assert_eq!(closed(given), wanted);
        }
    }

    #[test]
    fn what_says_something_of_other_properties_or_asks_for_them_is_left_as_it_is() {
        for given in [
            json!({ "type": "object" }),
            json!({ "properties": { "a": {} }, "additionalProperties": true }),
            json!({ "properties": { "a": {} }, "additionalProperties": { "type": "string" } }),
            json!({ "properties": { "a": {} }, "required": ["b"] }),
            json!({ "properties": {}, "minProperties": 1 }),
            json!({ "enum": [{ "properties": {} }], "default": { "properties": {} } }),
            json!(true),
        ] {
            assert_eq!(closed(given.clone()), given);
        }
    }

    #[test]
    fn schemas_that_hold_together_still_allow_each_others_properties() {
        let b = json!({ "properties": { "b": { "properties": { "c": {} } } } });
        let definitions = json!({ "one": open(), "two": { "$ref": "#/$defs/one" }, "three": open() });
        for given in [
            json!({ "allOf": [open(), b] }),
            json!({ "allOf": [{ "$ref": "#/$defs/two" }, b] }),
            json!({ "$ref": "#/$defs/two", "properties": b["properties"] }),
            json!({ "anyOf": [open()], "properties": b["properties"] }),
        ] {
            let mut given = given;
            given["$defs"] = definitions.clone();
            let closed = closed(given);
            let text = closed.to_string();
            assert!(text.contains(r#"{"properties":{"c":{}},"additionalProperties":false}"#), "{text}");
            assert_eq!(closed["$defs"]["three"], shut());
            let mut pieces: Vec<Vec<u8>> = (0..=255).map(|byte| vec![byte]).collect();
            pieces.push(Vec::new());
            let units = constrain::Units::new(&pieces, 256).unwrap();
            let fits = |text: &str| {
                let mut state = units.open(&constrain::Constraint::Schema(closed.clone())).unwrap();
                text.bytes().all(|byte| state.push(u32::from(byte)).is_ok()) && state.may_end()
            };
            assert!(fits(r#"{"a": 1, "b": {"c": 2}}"#) || fits(r#"{"b": {"c": 2}, "a": 1}"#), "{text}");
            assert!(!fits(r#"{"a": 1, "b": {"d": 2}}"#) && !fits(r#"{"b": {"d": 2}, "a": 1}"#), "{text}");
        }
    }

    #[test]
    fn references_in_a_circle_come_to_an_end() {
        let circle = json!({ "$ref": "#/$defs/a", "$defs": { "a": { "allOf": [{ "$ref": "#/$defs/b" }, { "$ref": "#" }] },
            "b": { "anyOf": [{ "$ref": "#/$defs/a" }, { "$ref": "#/$defs/none" }, { "$ref": "https://example.com" }] } } });
        assert_eq!(closed(circle.clone()), circle);
    }
}
