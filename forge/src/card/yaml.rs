//! YAML of values: blocks for people to read, and every text in quotation marks, so that none can be taken for something else.

use super::text::line;
use serde_json::{Map, Value};

/// Writes a table of values as YAML. A value `null`, an empty list and an empty table are left out.
pub(super) fn write(map: &Map<String, Value>) -> String {
    let mut text = String::new();
    table(map, 0, "", &mut text);
    text
}

fn table(map: &Map<String, Value>, depth: usize, first: &str, text: &mut String) {
    let mut before = first;
    let pad = "  ".repeat(depth);
    for (key, value) in map.iter().filter(|(_, value)| !is_empty(value)) {
        text.push_str(if before.is_empty() { &pad } else { before });
        before = "";
        text.push_str(key);
        text.push(':');
        match value {
            Value::Object(map) => {
                text.push('\n');
                table(map, depth + 1, "", text);
            }
            Value::Array(list) => {
                text.push('\n');
                for item in list {
                    let dash = format!("{}- ", "  ".repeat(depth));
                    match item {
                        Value::Object(map) => table(map, depth + 1, &dash, text),
                        other => text.push_str(&format!("{dash}{}\n", scalar(other))),
                    }
                }
            }
            other => text.push_str(&format!(" {}\n", scalar(other))),
        }
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => map.values().all(is_empty),
        _ => false,
    }
}

/// A text as JSON, which is YAML; numbers as they are.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => Value::String(line(text)).to_string(),
        other => other.to_string(),
    }
}

/// A figure with so many digits behind the point. YAML 1.1 takes `1e-7` for a text.
pub(super) fn figure(value: f64, digits: i32) -> Value {
    let scale = 10_f64.powi(digits);
    let rounded = (value * scale).round() / scale;
    if rounded.is_finite() && rounded.abs() < 1e12 { rounded.into() } else { Value::Null }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn values_are_blocks_and_texts_stand_in_quotation_marks() {
        let value = json!({
            "license": "no", "none": null, "tags": ["gguf", "a: b # c"], "empty": [],
            "list": [{ "name": "x\n---\ny", "of": { "value": 1.5 } }, { "name": "\"" }],
        });
        let text = write(value.as_object().unwrap());
        let expected = "license: \"no\"\ntags:\n- \"gguf\"\n- \"a: b # c\"\nlist:\n- name: \"x --- y\"\n  of:\n    value: 1.5\n\
                        - name: \"\\\"\"\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn figures_are_numbers_in_every_yaml() {
        assert_eq!(figure(2.345_678, 4).to_string(), "2.3457");
        assert_eq!(figure(1e-9, 4).to_string(), "0.0");
        assert_eq!(figure(f64::INFINITY, 4), Value::Null);
    }
}
