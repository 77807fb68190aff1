//! What can be wrong with a recipe.

use super::names::listed;
use measure::{did_you_mean, nearest};
use serde::de::{Expected, Unexpected};
use std::fmt::Display;
use std::path::PathBuf;

/// One thing that is wrong with a recipe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Its line, from 1; `None` where no line is to blame.
    pub line: Option<usize>,
    /// What is wrong and what would be right.
    pub words: String,
}

impl Problem {
    pub(super) fn at(line: usize, words: impl Into<String>) -> Self {
        Self { line: Some(line), words: words.into() }
    }

    /// The same problem at this line, unless it has one that is nearer to it.
    pub(super) fn or_at(mut self, line: usize) -> Self {
        self.line.get_or_insert(line);
        self
    }
}

impl Display for Problem {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        match self.line {
            Some(line) => write!(formatter, "line {line}: {}", self.words),
            None => formatter.write_str(&self.words),
        }
    }
}

impl std::error::Error for Problem {}

/// Serde's messages in words of people who write recipes.
impl serde::de::Error for Problem {
    fn custom<T: Display>(words: T) -> Self {
        Self { line: None, words: words.to_string() }
    }

    fn invalid_type(found: Unexpected, wanted: &dyn Expected) -> Self {
        Self::custom(format!("{} where {} is needed", value(found), type_words(wanted)))
    }

    fn invalid_value(found: Unexpected, wanted: &dyn Expected) -> Self {
        Self::custom(format!("{} where {} is needed", value(found), type_words(wanted)))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let near = did_you_mean(nearest(variant, known.iter().copied()));
        Self::custom(format!("`{variant}` is none of {}{near}", listed(known)))
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        let near = did_you_mean(nearest(field, known.iter().copied()));
        Self::custom(format!("there is no key `{field}` here{near}; keys are {}", listed(known)))
    }

    fn missing_field(field: &'static str) -> Self {
        Self::custom(format!("the key `{field}` is missing"))
    }

    fn duplicate_field(field: &'static str) -> Self {
        Self::custom(format!("`{field}` is given twice, under two names"))
    }
}

fn value(found: Unexpected) -> String {
    match found {
        Unexpected::Bool(value) => format!("`{value}`"),
        Unexpected::Unsigned(value) => format!("`{value}`"),
        Unexpected::Signed(value) => format!("`{value}`"),
        Unexpected::Float(value) => format!("`{value}`"),
        Unexpected::Str(text) => format!("{text:?}"),
        Unexpected::Seq => "a list".into(),
        Unexpected::Map => "a table".into(),
        other => other.to_string(),
    }
}

/// What is needed, for who does not know Rust's types.
fn type_words(wanted: &dyn Expected) -> String {
    let words = wanted.to_string();
    match words.as_str() {
        "u32" | "u64" | "usize" => "a whole number from 0 on".into(),
        "f32" | "f64" => "a number".into(),
        "a boolean" => "`true` or `false`".into(),
        "a string" => "a text in quotes".into(),
        "a sequence" => "a list".into(),
        other if other.starts_with("struct ") => "a table".into(),
        _ => words,
    }
}

/// Why a recipe cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    /// The file cannot be read.
    #[error("cannot read the recipe `{}`: {source}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is no text.
    #[error("`{}` is no recipe: it is not UTF-8 text", .path.display())]
    NotUtf8 {
        /// The file.
        path: PathBuf,
    },
    /// The file says what no recipe says.
    #[error("{}", several(.path, .problems))]
    Problems {
        /// The file.
        path: PathBuf,
        /// All that was found, by line.
        problems: Vec<Problem>,
    },
}

fn several(path: &std::path::Path, problems: &[Problem]) -> String {
    let lines: Vec<String> = problems
        .iter()
        .map(|problem| match problem.line {
            Some(line) => format!("{}:{line}: {}", path.display(), problem.words),
            None => format!("{}: {}", path.display(), problem.words),
        })
        .collect();
    lines.join("\n")
}
