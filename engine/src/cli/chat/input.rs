//! What a person types at the chat's prompt.

use super::commands::COMMANDS;
use crate::cli::output::visible;
use rustyline::{
    Context, Helper,
    completion::Completer,
    highlight::Highlighter,
    hint::Hinter,
    validate::{ValidationContext, ValidationResult, Validator},
};
use std::borrow::Cow;

const FENCE: &str = "\"\"\"";

/// One input, complete.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Nothing but space.
    Nothing,
    /// Something for the ensemble.
    Message(String),
    /// A line that starts with a slash, without it.
    Command(String),
}

/// False while more lines belong to it: after a `\` at the end, or inside a `"""` block.
fn is_complete(typed: &str) -> bool {
    match typed.trim_start().strip_prefix(FENCE) {
        Some(rest) => rest.trim_end().ends_with(FENCE),
        None => !typed.ends_with('\\'),
    }
}

/// Reads what was typed.
pub fn understand(typed: &str) -> Input {
    let trimmed = typed.trim();
    if let Some(rest) = trimmed.strip_prefix(FENCE) {
        let inner = rest.strip_suffix(FENCE).unwrap_or(rest);
        let inner = inner.strip_prefix('\n').unwrap_or(inner);
        let inner = inner.strip_suffix('\n').unwrap_or(inner);
        return if inner.trim().is_empty() { Input::Nothing } else { Input::Message(inner.to_owned()) };
    }
    let joined = trimmed.replace("\\\n", "\n");
    match joined.strip_prefix('/') {
        _ if joined.is_empty() => Input::Nothing,
        Some(command) => Input::Command(command.to_owned()),
        None => Input::Message(joined),
    }
}

/// Knows when an input is complete, and completes commands with the Tab key.
pub struct LineHelper;

impl Validator for LineHelper {
    fn validate(&self, context: &mut ValidationContext) -> rustyline::Result<ValidationResult> {
        Ok(if is_complete(context.input()) { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

impl Completer for LineHelper {
    type Candidate = String;

    fn complete(&self, line: &str, position: usize, _: &Context) -> rustyline::Result<(usize, Vec<String>)> {
        let typed = &line[..position];
        let names = COMMANDS.iter().map(|command| format!("/{}", command.name));
        let mut names: Vec<String> = names.filter(|name| typed.starts_with('/') && name.starts_with(typed)).collect();
        // A command that is used in two ways has two entries.
        names.dedup();
        Ok((0, names))
    }
}

impl Hinter for LineHelper {
    type Hint = String;
}

impl Highlighter for LineHelper {
    /// rustyline counts no columns for control characters, and writes them.
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned(visible(line))
    }
}

impl Helper for LineHelper {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_joined_by_a_backslash_or_inside_a_block() {
        assert!(!is_complete("one\\") && is_complete("one\\\ntwo"));
        assert!(!is_complete("\"\"\"") && !is_complete("\"\"\"\none\\") && is_complete("\"\"\"\none\n\"\"\""));
        assert_eq!(understand("one\\\ntwo"), Input::Message("one\ntwo".into()));
        assert_eq!(understand("\"\"\"\n/one\n two\\\n\"\"\"\n"), Input::Message("/one\n two\\".into()));
    }

    #[test]
    fn a_slash_makes_a_command_and_space_nothing() {
        assert_eq!(understand(" /params temperature 1 "), Input::Command("params temperature 1".into()));
        assert_eq!(understand("  \n "), Input::Nothing);
        assert_eq!(understand("\"\"\" \"\"\""), Input::Nothing);
    }
}
