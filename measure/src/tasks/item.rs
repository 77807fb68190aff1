//! Items: what one line of a file asks, and what is right.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::choices::{self, Choice};
use super::definition::{Definition, Kind};
use super::error::{LineProblem, TaskError};
use super::grade::Rule;
use super::lines::Line;
use super::template::field;

/// One question of a task.
#[derive(Debug, Clone)]
pub struct Item {
    /// The item's name: its `id` or `task_id`, else its line. It pairs the results of two runs.
    pub id: String,
    /// The whole prompt, with the examples before the question.
    pub prompt: String,
    /// What is right.
    pub right: Right,
    /// The line's fields.
    pub fields: Map<String, Value>,
}

/// What is right for an item.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Right {
    /// An answer that the task's rule must find.
    Answer(String),
    /// The choice at a place.
    Choice {
        /// All choices.
        choices: Vec<Choice>,
        /// The place of the right one.
        place: usize,
    },
    /// Tests that must pass.
    Tests,
    /// Nothing: the prompt is continued, and no continuation is wrong.
    Open,
}

/// Reads the items of a file. `shots` is what stands before each question.
pub fn read(lines: Vec<Line>, definition: &Definition, shots: &Examples, file: &str) -> Result<Vec<Item>, TaskError> {
    let mut lines_of: HashMap<String, usize> = HashMap::new();
    let mut items = Vec::with_capacity(lines.len());
    for (line, fields) in lines {
        let item =
            item(line, fields, definition, shots).and_then(|item| match lines_of.insert(item.id.clone(), line) {
                Some(first) => Err(LineProblem::SameId { id: item.id, first }),
                None => Ok(item),
            });
        items.push(item.map_err(|problem| TaskError::Line { file: file.into(), line, problem })?);
    }
    Ok(items)
}

fn item(line: usize, mut fields: Map<String, Value>, task: &Definition, shots: &Examples) -> Result<Item, LineProblem> {
    choices::flatten(&mut fields);
    let question = task.prompt.fill(&fields)?;
    if shots.questions.contains(&question) {
        return Err(LineProblem::Example);
    }
    let right = right(&fields, task)?;
    if let Right::Choice { choices, .. } = &right {
        // One form for all, so that AI2's file and the hub's have one digest.
        let pair = |choice: &Choice| serde_json::json!({"label": choice.label, "text": choice.text});
        fields.insert(task.choices.clone(), choices.iter().map(pair).collect());
    }
    if task.kind == Kind::Code {
        // Every field that the program needs must be there, or an item fails when it is graded.
        task.program.fill_with(&fields, Some(("completion", "")))?;
    }
    Ok(Item { id: id(line, &fields)?, prompt: format!("{}{question}", shots.text), right, fields })
}

fn id(line: usize, fields: &Map<String, Value>) -> Result<String, LineProblem> {
    match ["id", "task_id"].into_iter().find(|key| fields.contains_key(*key)) {
        Some(key) => field(fields, key),
        None => Ok(line.to_string()),
    }
}

fn right(fields: &Map<String, Value>, task: &Definition) -> Result<Right, LineProblem> {
    match task.kind {
        Kind::Code => return Ok(Right::Tests),
        Kind::Open => return Ok(Right::Open),
        Kind::Generate | Kind::Choices | Kind::Perplexity => {}
    }
    let answer = task.expected.fill(fields)?;
    if task.kind == Kind::Choices {
        let choices = choices::read(fields, &task.choices)?;
        let place = choices::right(&choices, &answer)?;
        return Ok(Right::Choice { choices, place });
    }
    let none = |reason| LineProblem::NoAnswer { answer: answer.clone(), reason };
    let part = match &task.expected_after {
        Some(marker) => answer
            .rsplit_once(marker.as_str())
            .map(|(_, part)| part)
            .ok_or_else(|| none(format!("it lacks `{marker}`")))?,
        None => &answer,
    };
    match &task.rule {
        // The right answer stands in the item as such; markers and patterns are for what models write.
        Rule::LastNumber { .. } => Rule::LastNumber { after: None }.find(part).map(Right::Answer).map_err(none),
        Rule::Exact { .. } | Rule::Pattern(_) => {
            Rule::Exact { after: None }.find(part).map(Right::Answer).map_err(none)
        }
    }
}

/// Solved examples, as text.
#[derive(Debug, Clone, Default)]
pub struct Examples {
    text: String,
    questions: Vec<String>,
}

impl Examples {
    /// Makes the text of the examples that a task names.
    pub fn new(lines: Vec<Line>, task: &Definition, file: &str) -> Result<Self, TaskError> {
        let Some(shots) = &task.shots else { return Ok(Self::default()) };
        let most = shots.number.unwrap_or(lines.len());
        if most > lines.len() {
            let problem = format!("`shots.number` is {most}, and `{file}` has {} examples", lines.len());
            return Err(TaskError::Definition { file: task.name.clone(), problem });
        }
        let mut examples = Self::default();
        for (line, mut fields) in lines.into_iter().take(most) {
            choices::flatten(&mut fields);
            let question = task.prompt.fill(&fields).and_then(|question| {
                let answer = match right(&fields, task)? {
                    Right::Choice { choices, place } => choices[place].continuation.clone(),
                    Right::Answer(_) | Right::Tests | Right::Open => shots.answer.fill(&fields)?,
                };
                examples.text += &format!("{question}{answer}{}", shots.separator);
                Ok(question)
            });
            examples.questions.push(question.map_err(|problem| TaskError::Line {
                file: file.into(),
                line,
                problem,
            })?);
        }
        Ok(examples)
    }

    /// The examples' text, for the digest of the definition.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Fields in one order, whatever the file's, so that both forms of ARC and any writer of JSON give one digest.
pub fn canonical(fields: &Map<String, Value>) -> String {
    fn write(value: &Value, text: &mut String) {
        match value {
            Value::Object(fields) => {
                let mut keys: Vec<&String> = fields.keys().collect();
                keys.sort();
                text.push('{');
                for key in keys {
                    *text += &format!("{}:", Value::from(key.as_str()));
                    write(&fields[key], text);
                    text.push(',');
                }
                text.push('}');
            }
            Value::Array(list) => {
                text.push('[');
                for value in list {
                    write(value, text);
                    text.push(',');
                }
                text.push(']');
            }
            other => *text += &other.to_string(),
        }
    }
    let mut text = String::new();
    write(&Value::Object(fields.clone()), &mut text);
    text
}
