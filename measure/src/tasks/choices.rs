//! Choices as the files of the field write them, and which of them is right.

use serde_json::{Map, Value};

use super::error::LineProblem;
use super::template::{field, get, kind};

/// One answer to choose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// The name by which the item's right answer may call it: `A`, `1`.
    pub label: String,
    /// The answer itself.
    pub text: String,
    /// What is scored after the prompt: a space and the text.
    pub continuation: String,
}

/// Brings both forms of ARC to one: AI2's own files keep question and choices one level down, in `question`.
pub fn flatten(fields: &mut Map<String, Value>) {
    if let Some(Value::Object(question)) = fields.get_mut("question")
        && let Some(stem) = question.remove("stem")
    {
        let rest = std::mem::take(question);
        fields.insert("question".into(), stem);
        for (key, value) in rest {
            fields.entry(key).or_insert(value);
        }
    }
}

/// Reads the field `name`: a list of texts, a list of `{"text", "label"}`, or `{"text": […], "label": […]}`.
pub fn read(fields: &Map<String, Value>, name: &str) -> Result<Vec<Choice>, LineProblem> {
    let value = get(fields, name)?;
    let wrong = |found: &Value| LineProblem::WrongKind {
        field: name.into(),
        found: kind(found),
        wanted: "a list of choices, nor lists of their texts and labels",
    };
    let (texts, labels): (Vec<String>, Vec<String>) = match value {
        Value::Array(list) if list.iter().all(Value::is_string) => (strings(list, name)?, Vec::new()),
        Value::Array(list) => {
            let pair = |one: &Value| {
                let one = one.as_object().ok_or_else(|| wrong(one))?;
                Ok((field(one, "text")?, field(one, "label")?))
            };
            list.iter().map(pair).collect::<Result<Vec<_>, _>>()?.into_iter().unzip()
        }
        Value::Object(lists) => {
            let list = |key| match get(lists, key)? {
                Value::Array(list) => strings(list, name),
                other => Err(wrong(other)),
            };
            (list("text")?, list("label")?)
        }
        other => return Err(wrong(other)),
    };
    let labels = if labels.is_empty() { ('A'..='Z').map(String::from).take(texts.len()).collect() } else { labels };
    if texts.len() != labels.len() || texts.len() < 2 {
        let found = if texts.len() < 2 { "shorter than two" } else { "not as long as its labels" };
        return Err(LineProblem::WrongKind { field: name.into(), found, wanted: "a list of two choices or more" });
    }
    let choice = |(text, label): (String, String)| Choice { continuation: format!(" {text}"), label, text };
    Ok(texts.into_iter().zip(labels).map(choice).collect())
}

fn strings(list: &[Value], field: &str) -> Result<Vec<String>, LineProblem> {
    let text = |value: &Value| match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(LineProblem::WrongKind { field: field.into(), found: kind(other), wanted: "text" }),
    };
    list.iter().map(text).collect()
}

/// Finds the right choice by its label, its text, or its place where one counts in letters and the other in numbers.
pub fn right(choices: &[Choice], answer: &str) -> Result<usize, LineProblem> {
    let answer = answer.trim();
    let place = || match answer.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
        [digit @ b'1'..=b'9'] => Some(usize::from(digit - b'1')),
        _ => None,
    };
    choices
        .iter()
        .position(|choice| choice.label == answer)
        .or_else(|| choices.iter().position(|choice| choice.text.trim() == answer))
        .or_else(|| place().filter(|place| *place < choices.len()))
        .ok_or_else(|| {
            let labels: Vec<&str> = choices.iter().map(|choice| choice.label.as_str()).collect();
            LineProblem::NoSuchChoice { answer: answer.into(), labels: labels.join(", ") }
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Map<String, Value> {
        let mut fields = serde_json::from_str(json).unwrap();
        flatten(&mut fields);
        fields
    }

    #[test]
    fn both_forms_of_arc_and_a_plain_list_are_the_same_choices() {
        let forms = [
            r#"{"question": {"stem": "Q?", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}]}}"#,
            r#"{"question": "Q?", "choices": {"text": ["x", "y"], "label": ["A", "B"]}}"#,
            r#"{"question": "Q?", "choices": ["x", "y"]}"#,
        ];
        for form in forms {
            let fields = fields(form);
            let choices = read(&fields, "choices").unwrap();
            assert_eq!(fields["question"], "Q?", "{form}");
            assert_eq!(choices[1], Choice { label: "B".into(), text: "y".into(), continuation: " y".into() }, "{form}");
        }
    }

    #[test]
    fn the_right_one_is_found_by_label_text_or_place() {
        let choices = read(&fields(r#"{"choices": ["one", "two", "4"]}"#), "choices").unwrap();
        for (answer, place) in [("B", 1), ("2", 1), (" two ", 1), ("4", 2), ("C", 2)] {
            assert_eq!(right(&choices, answer), Ok(place), "{answer}");
        }
        assert_eq!(
            right(&choices, "E").unwrap_err().to_string(),
            "the right answer \"E\" is none of the choices A, B, C"
        );
        assert!(right(&choices, "").is_err());
    }

    #[test]
    fn what_are_no_choices_is_refused() {
        let broken = ["3", "[]", "[\"x\"]", "[1, null]", r#"{"text": ["x", "y"], "label": ["A"]}"#, r#"{"text": "x"}"#];
        for choices in broken {
            assert!(read(&fields(&format!(r#"{{"choices": {choices}}}"#)), "choices").is_err(), "{choices}");
        }
    }
}
