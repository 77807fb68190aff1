//! What can be wrong with a task and its items, each with the values that a person needs to mend it.

use crate::did_you_mean;
use std::path::PathBuf;
use thiserror::Error;

/// Why a task cannot be used.
#[derive(Debug, Error)]
pub enum TaskError {
    /// No task has this name.
    #[error("no task is called `{name}`{}; built in are {known}, and a file of your own ends in `.toml`", did_you_mean(.near.as_deref()))]
    UnknownTask {
        /// What was asked for.
        name: String,
        /// The nearest name that exists.
        near: Option<String>,
        /// The names of all.
        known: String,
    },
    /// A file cannot be read.
    #[error("cannot read `{}`: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A folder stands where a file is needed.
    #[error("`{}` is a folder; a file is needed", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// The TOML file does not say what a task is.
    #[error("`{file}` is not a task: {problem}")]
    Definition {
        /// The task's file.
        file: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A key that no task has.
    #[error("`{file}`: no task has the key `{key}`{}", did_you_mean(.near.as_deref()))]
    UnknownKey {
        /// The task's file.
        file: String,
        /// The key, with its table.
        key: String,
        /// The nearest key that exists.
        near: Option<String>,
    },
    /// A file of items without an item.
    #[error("`{file}` has no items")]
    NoItems {
        /// The file of items.
        file: String,
    },
    /// A line that is no item.
    #[error("`{file}`, line {line}: {problem}")]
    Line {
        /// The file of items.
        file: String,
        /// Its line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: LineProblem,
    },
    /// The task measures a text and none was given.
    #[error("`{task}` measures a text of yours: name its file with `--data`")]
    NoText {
        /// The task.
        task: String,
    },
    /// A text without a character, or one that is not UTF-8.
    #[error("`{file}` {problem}")]
    Text {
        /// The text's file.
        file: String,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// What is wrong with one line of a file of items.
#[derive(Debug, Error, Clone, PartialEq, Eq)]
pub enum LineProblem {
    /// Bytes that are no UTF-8.
    #[error("not UTF-8 from byte {at} on")]
    NotUtf8 {
        /// Bytes of the line that are valid.
        at: usize,
    },
    /// More bytes than an item may have.
    #[error("longer than {most} MiB, which no item is")]
    TooLong {
        /// The limit, in MiB.
        most: usize,
    },
    /// No JSON.
    #[error("not JSON: {0}")]
    NotJson(String),
    /// JSON, but not an object.
    #[error("not an object `{{…}}` but {0}")]
    NotAnObject(&'static str),
    /// A field that the task needs.
    #[error("no field `{field}`{}; the item has {known}", did_you_mean(.near.as_deref()))]
    Missing {
        /// The field.
        field: String,
        /// The nearest field that the item has.
        near: Option<String>,
        /// The fields that it has.
        known: String,
    },
    /// A field of another kind than the task needs.
    #[error("the field `{field}` is {found}, not {wanted}")]
    WrongKind {
        /// The field.
        field: String,
        /// What it is.
        found: &'static str,
        /// What it must be.
        wanted: &'static str,
    },
    /// An id that an earlier line has.
    #[error("the id `{id}` is that of line {first} too")]
    SameId {
        /// The id.
        id: String,
        /// The line that has it first.
        first: usize,
    },
    /// The right answer is not what the task's rule finds answers to be.
    #[error("the right answer {answer:?} is none by the task's own rule: {reason}")]
    NoAnswer {
        /// The answer.
        answer: String,
        /// Why it is none.
        reason: String,
    },
    /// The right choice is none of the choices.
    #[error("the right answer {answer:?} is none of the choices {labels}")]
    NoSuchChoice {
        /// The answer.
        answer: String,
        /// The labels of the choices.
        labels: String,
    },
    /// An example that is asked for too.
    #[error("this item is an example in the prompt too, so its answer would be given away")]
    Example,
}
