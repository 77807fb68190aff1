//! From Rhai's errors to a message that shows the place and guesses at what was meant.

use std::fmt;

use rhai::{Dynamic, EvalAltResult, ParseError, ParseErrorType, Position};

use super::limits;
use super::{patterns, rows, surface, verdicts};

/// What is wrong with a script, and where. Displayed over several lines, with the source line and a caret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The script's file name.
    pub file: String,
    /// From 1; `None` when the fault has no place.
    pub line: Option<usize>,
    /// In characters, from 1.
    pub column: Option<usize>,
    /// The source line at fault.
    pub source_line: String,
    /// What is wrong, as a sentence without its end.
    pub message: String,
    /// What was being done when it showed.
    pub context: String,
    /// True where it lies in the number of members or units: right with one ensemble, wrong with another.
    pub depends_on_ensemble: bool,
}

/// A script's error that depends on how many members or units there are. The samples have few of both, so there it is none.
#[derive(Clone)]
struct EnsembleFault(String);

/// Makes such an error.
pub(super) fn ensemble_fault(message: String) -> Box<EvalAltResult> {
    EvalAltResult::ErrorRuntime(Dynamic::from(EnsembleFault(message)), Position::NONE).into()
}

impl Diagnosis {
    pub(super) fn new(file: &str, source: &str, position: Position, message: String) -> Box<Self> {
        let lines = source.lines().count();
        // A script that ends too early is at fault after its last character.
        let line = position.line().map(|line| line.clamp(1, lines.max(1)));
        let source_line = line.and_then(|line| source.lines().nth(line - 1)).unwrap_or_default().to_owned();
        let column = line.map(|_| position.position().unwrap_or(1).clamp(1, source_line.chars().count() + 1));
        Box::new(Self {
            file: file.into(),
            line,
            column,
            source_line,
            message,
            context: String::new(),
            depends_on_ensemble: false,
        })
    }

    pub(super) fn of_parse_error(file: &str, source: &str, error: &ParseError) -> Box<Self> {
        Self::new(file, source, error.position(), parse_message(error.err_type(), source))
    }

    pub(super) fn of_run_error(file: &str, source: &str, error: EvalAltResult) -> Box<Self> {
        let (error, position) = innermost(error);
        if let EvalAltResult::ErrorRuntime(what, _) = &error
            && let Some(fault) = what.read_lock::<EnsembleFault>()
        {
            let mut diagnosis = Self::new(file, source, position, fault.0.clone());
            diagnosis.depends_on_ensemble = true;
            return diagnosis;
        }
        Self::new(file, source, position, run_message(error, source))
    }

    /// Puts a fault that has no place of its own at `position`.
    pub(super) fn or_at(self: Box<Self>, source: &str, position: Position) -> Box<Self> {
        match self.line {
            Some(_) => self,
            None => Self::new(&self.file, source, position, self.message),
        }
    }

    /// Says what was being done.
    pub(super) fn while_doing(mut self: Box<Self>, context: impl Into<String>) -> Box<Self> {
        self.context = context.into();
        self
    }

    /// One line, without the file: for a hook that failed while text was written.
    pub fn sentence(&self) -> String {
        match (self.line, self.column) {
            (Some(line), Some(column)) => format!("line {line}, column {column}: {}", self.message),
            _ => self.message.clone(),
        }
    }
}

impl fmt::Display for Diagnosis {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`{}`", self.file)?;
        if let (Some(line), Some(column)) = (self.line, self.column) {
            let number = format!("{line:>4}");
            let gutter = " ".repeat(number.len());
            // Tabs stay tabs, so that the caret stands under its character whatever their width.
            let indent: String =
                self.source_line.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
            writeln!(formatter, ", line {line}, column {column}: {}", self.message)?;
            write!(formatter, "{number} | {}\n{gutter} | {indent}^", self.source_line)?;
        } else {
            write!(formatter, ": {}", self.message)?;
        }
        if !self.context.is_empty() {
            write!(formatter, "\n     while {}", self.context)?;
        }
        Ok(())
    }
}

/// Unwraps what happened inside nested calls. The inner place is the one to mend.
fn innermost(mut error: EvalAltResult) -> (EvalAltResult, Position) {
    let mut position = error.position();
    while let EvalAltResult::ErrorInFunctionCall(_, _, inner, _) | EvalAltResult::ErrorInModule(_, inner, _) = error {
        error = *inner;
        if !error.position().is_none() {
            position = error.position();
        }
    }
    (error, position)
}

fn parse_message(kind: &ParseErrorType, source: &str) -> String {
    match kind {
        ParseErrorType::VariableUndefined(name) => no_variable(name, source),
        ParseErrorType::Reserved(name) => format!("`{name}` is not available to scripts"),
        ParseErrorType::ModuleUndefined(name) => format!("there is no module `{name}`; scripts have none"),
        ParseErrorType::ExprTooDeep => {
            format!("expressions are nested deeper than {}; give the inner ones names", limits::EXPRESSION_DEPTH)
        }
        // Rhai says: reserved keyword 'eval' is disabled.
        other => match other.to_string().strip_suffix("' is disabled").and_then(|text| text.rsplit('\'').next()) {
            Some(name) => format!("`{name}` is not available to scripts"),
            None => other.to_string(),
        },
    }
}

fn run_message(mut error: EvalAltResult, source: &str) -> String {
    error.set_position(Position::NONE);
    match error {
        EvalAltResult::ErrorParsing(kind, _) => parse_message(&kind, source),
        EvalAltResult::ErrorVariableNotFound(name, _) => no_variable(&name, source),
        EvalAltResult::ErrorPropertyNotFound(name, _) => {
            format!("this map has no `{name}`{}", did_you_mean(&name, source))
        }
        EvalAltResult::ErrorDotExpr(text, _) => no_property(&text, source),
        EvalAltResult::ErrorFunctionNotFound(signature, _) => no_function(&signature, source),
        EvalAltResult::ErrorTooManyOperations(_) => {
            format!("more than {} operations in one call; look for a loop that does not end", limits::OPERATIONS)
        }
        EvalAltResult::ErrorTerminated(..) => {
            format!("longer than {} ms in one call; do less at each token", limits::DEADLINE.as_millis())
        }
        EvalAltResult::ErrorStackOverflow(_) => {
            format!("calls are nested deeper than {}; look for a recursion that does not end", limits::CALL_LEVELS)
        }
        EvalAltResult::ErrorDataTooLarge(..) => limits::TOO_LARGE.into(),
        EvalAltResult::ErrorUnboundThis(_) => {
            "`this` is known in the hook functions only; pass on what a function needs".into()
        }
        EvalAltResult::ErrorRuntime(what, _) if what.is_string() => what.to_string(),
        other => other.to_string(),
    }
}

fn no_variable(name: &str, source: &str) -> String {
    let is_top_level_let = source.lines().any(|line| {
        line.strip_prefix("let ").is_some_and(|rest| rest.trim_start().split(is_no_name).next() == Some(name))
    });
    if is_top_level_let {
        return format!("functions cannot see the variable `{name}`; make it a `const`, or keep it in `this`");
    }
    format!("there is no variable `{name}`{}", did_you_mean(name, source))
}

/// Rhai says: Unknown property 'fooo' - a getter is not registered for type 'Verdict'.
fn no_property(text: &str, source: &str) -> String {
    let mut quoted = text.split('\'').skip(1).step_by(2);
    match (text.starts_with("Unknown property"), quoted.next(), quoted.next()) {
        (true, Some(name), Some(kind)) => {
            format!("a value of type {} has no `{name}`{}", plain_type(kind), did_you_mean(name, source))
        }
        _ => text.to_owned(),
    }
}

/// Rhai gives the signature: `retrct (i64, &str | ImmutableString | String)`.
fn no_function(signature: &str, source: &str) -> String {
    let (name, arguments) = signature.split_once(" (").unwrap_or((signature, ")"));
    let arguments: Vec<&str> =
        arguments.trim_end_matches(')').split(", ").filter(|kind| !kind.is_empty()).map(plain_type).collect();
    let arguments =
        if signature.ends_with("())") && arguments.is_empty() { "nothing".into() } else { arguments.join(", ") };
    if name.contains(is_no_name) {
        return format!("`{name}` cannot take ({arguments})");
    }
    if known_names().any(|known| known == name) || defines(source, name) {
        return format!("`{name}` cannot be called with ({arguments})");
    }
    format!("there is no function `{name}`{}", did_you_mean(name, source))
}

fn plain_type(kind: &str) -> &str {
    match kind {
        "i64" => "int",
        "f64" => "float",
        "()" | "(" => "nothing",
        "&str | ImmutableString | String" | "string" | "ImmutableString" => "text",
        other => other,
    }
}

fn defines(source: &str, name: &str) -> bool {
    source.lines().any(|line| {
        line.trim_start()
            .strip_prefix("fn ")
            .is_some_and(|rest| rest.trim_start().split(is_no_name).next() == Some(name))
    })
}

fn is_no_name(c: char) -> bool {
    !c.is_alphanumeric() && c != '_'
}

fn known_names<'a>() -> impl Iterator<Item = &'a str> {
    const RHAI: &[&str] =
        &["abs", "ceiling", "contains", "floor", "keys", "len", "log", "max", "min", "push", "round", "this"];
    surface::NAMES.iter().chain(verdicts::NAMES).chain(rows::NAMES).chain(patterns::NAMES).chain(RHAI).copied()
}

/// The nearest name that the script could have meant: one that hosts know, or one that stands in its text elsewhere.
fn did_you_mean(name: &str, source: &str) -> String {
    let words = source.split(is_no_name).filter(|word| !word.is_empty());
    let candidates: Vec<&str> = known_names().chain(words).filter(|candidate| *candidate != name).collect();
    match nearest(name, candidates) {
        Some(guess) => format!("; did you mean `{guess}`?"),
        None => String::new(),
    }
}

/// The candidate that is fewest edits away, if that is few for a word of this length.
pub(super) fn nearest<'a>(name: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = match name.chars().count() {
        0..=2 => return None,
        3..=4 => 1,
        5..=8 => 2,
        _ => 3,
    };
    candidates
        .into_iter()
        .map(|candidate| (edits(name, candidate), candidate))
        .filter(|(edits, _)| *edits <= most)
        .min_by_key(|(edits, _)| *edits)
        .map(|(_, candidate)| candidate)
}

/// Optimal string alignment distance: insertions, deletions, changes, and swaps of neighbours count one each.
fn edits(left: &str, right: &str) -> usize {
    let (left, right): (Vec<char>, Vec<char>) = (left.chars().collect(), right.chars().collect());
    let mut before = vec![0; right.len() + 1];
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for i in 1..=left.len() {
        let mut row = vec![i; right.len() + 1];
        for j in 1..=right.len() {
            let change = last[j - 1] + usize::from(left[i - 1] != right[j - 1]);
            row[j] = change.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && left[i - 1] == right[j - 2] && left[i - 2] == right[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        (before, last) = (last, row);
    }
    last[right.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_swap_of_neighbours_is_one_edit() {
        assert_eq!(edits("retract", "retrcat"), 1);
        assert_eq!(edits("retrct", "retract"), 1);
        assert_eq!(edits("", "abc"), 3);
    }

    #[test]
    fn short_names_are_not_guessed_at_wildly() {
        assert_eq!(nearest("xy", ["xyz"]), None);
        assert_eq!(nearest("abc", ["xyz"]), None);
        assert_eq!(nearest("confidnce", ["confidence", "minimum"]), Some("confidence"));
    }

    #[test]
    fn a_fault_behind_the_last_character_has_its_caret_there() {
        let diagnosis = Diagnosis::new("p.rhai", "fn a() {", Position::new(2, 1), "it ends too early".into());
        assert_eq!(diagnosis.to_string(), "`p.rhai`, line 1, column 1: it ends too early\n   1 | fn a() {\n     | ^");
    }
}
