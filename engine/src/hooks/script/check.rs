//! What an author wants to know of a script before it runs: whether it works, what looks like a slip, what it costs.

use std::collections::HashMap;
use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use plugin_api::Role;
use regex::Regex;

use super::program::{Function, Program, place_of};
use super::{Knobs, ScriptError, diagnose, hooks, labels, parse_settings, probe, read_script};
use crate::hooks::Knob;

/// How often all samples are gone through for a median.
const ROUNDS: usize = 25;
/// Rows as long as those of a large vocabulary, for `on_logits`.
pub const LARGE_ROW: usize = 152_000;

/// What [`check`] found. Plain data, in the order to show it.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// The file's name.
    pub file: String,
    /// Why it would not be loaded; then what follows is incomplete.
    pub fault: Option<ScriptError>,
    /// Fusion or policy.
    pub role: Option<Role>,
    /// The first line of the opening comment.
    pub summary: String,
    /// What loads and is probably a slip.
    pub warnings: Vec<Warning>,
    /// Its knobs, as far as the samples reached them.
    pub knobs: Vec<Knob>,
    /// What each function costs, in the order of a reply; `on_logits` twice.
    pub costs: Vec<Cost>,
}

/// Something that loads and is probably a slip.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// From 1.
    pub line: Option<usize>,
    /// A sentence without its end.
    pub message: String,
}

/// What calls of one function cost on the samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// Its name.
    pub function: &'static str,
    /// For `on_logits` the length of the rows, in units.
    pub units: Option<usize>,
    /// Rhai's operations of the longest call; the limit is 100,000.
    pub operations: u64,
    /// Of a call; the limit is 10 ms.
    pub median: Duration,
    /// How many calls the median is of.
    pub calls: usize,
}

/// Checks a file. `settings` is a JSON object: what `init(cfg)` gets.
pub fn check(path: &Path, settings: &str) -> Report {
    let (label, _) = labels(path);
    match read_script(path) {
        Ok(source) => check_source(&label, &source, settings),
        Err(problem) => {
            let fault = ScriptError::Unreadable { path: path.into(), reason: problem.reason() };
            Report { file: label, fault: Some(fault), ..Report::default() }
        }
    }
}

/// Checks a text. `file` is what the diagnosis calls it.
pub fn check_source(file: &str, source: &str, settings: &str) -> Report {
    let mut report = Report { file: file.into(), ..Report::default() };
    if let Err(fault) = report.run(source, settings) {
        report.fault = Some(fault);
    }
    report
}

impl Report {
    fn run(&mut self, source: &str, settings: &str) -> Result<(), ScriptError> {
        let settings = parse_settings(settings)?;
        let mut program = Program::compile(&self.file, source, Knobs::default()).map_err(ScriptError::Faulty)?;
        self.role = Some(program.role());
        self.summary = program.summary();
        self.warnings = unused_functions(source, &program);
        let state = hooks::init(&program, &settings).map_err(ScriptError::Faulty)?;
        probe::run(&program, state.clone()).map_err(ScriptError::Faulty)?;
        self.knobs = program.knobs().list();
        self.warnings.extend(idle_knobs(source, &self.knobs));

        program.measure();
        for _ in 0..ROUNDS {
            hooks::init(&program, &settings).map(drop).map_err(ScriptError::Faulty)?;
            probe::run(&program, state.clone()).map_err(ScriptError::Faulty)?;
        }
        let small = program.take_calls();
        let large = probe::run_large(&program, state, LARGE_ROW);
        let large_calls = program.take_calls();
        for function in Function::ALL {
            let is_on_rows = function == Function::OnLogits;
            self.costs.extend(cost(function, is_on_rows.then_some(probe::UNITS), &small));
            if is_on_rows && large.is_ok() {
                self.costs.extend(cost(function, Some(LARGE_ROW), &large_calls));
            }
        }
        if let Err(fault) = large {
            let message = format!("on rows of {LARGE_ROW} units `on_logits` fails: {}", fault.message);
            self.warnings.push(Warning { line: fault.line, message });
        }
        Ok(())
    }
}

fn cost(function: Function, units: Option<usize>, calls: &[Call]) -> Option<Cost> {
    let of_function = || calls.iter().filter(|call| call.function == function);
    let mut times: Vec<Duration> = of_function().map(|call| call.time).collect();
    times.sort_unstable();
    let median = *times.get(times.len() / 2)?;
    let operations = of_function().map(|call| call.operations).max()?;
    Some(Cost { function: function.name(), units, operations, median, calls: times.len() })
}

/// One call, as [`Program::measure`] records it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) function: Function,
    pub(super) operations: u64,
    pub(super) time: Duration,
}

/// Functions that nothing calls and whose names are near one that the engine would call.
fn unused_functions(source: &str, program: &Program) -> Vec<Warning> {
    let words = count_words(source);
    let names = Function::ALL.map(Function::name);
    let mut warnings = Vec::new();
    for name in program.function_names() {
        let is_called = words.get(name.as_str()).is_some_and(|count| *count > 1);
        if is_called || names.contains(&name.as_str()) {
            continue;
        }
        if let Some(guess) = diagnose::nearest(&name, names) {
            let line = place_of(source, &format!("fn {name}")).line();
            warnings.push(Warning { line, message: format!("nothing calls `{name}`; did you mean `{guess}`?") });
        }
    }
    warnings
}

/// Knobs that nothing reads, and knobs that no sample reached.
fn idle_knobs(source: &str, knobs: &[Knob]) -> Vec<Warning> {
    static IN_CONSTANT: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"^\s*(?:const|let)\s+(\w+)\s*=\s*knob\s*\(\s*"([^"]*)""#).ok());
    static ANYWHERE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"\bknob\s*\(\s*"([^"]*)""#).ok());
    let words = count_words(source);
    let mut warnings = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let line_of_code = line.split("//").next().unwrap_or_default();
        let mut warn = |message| warnings.push(Warning { line: Some(index + 1), message });
        if let Some(found) = IN_CONSTANT.as_ref().and_then(|regex| regex.captures(line_of_code)) {
            let (variable, name) = (&found[1], &found[2]);
            if words.get(variable) == Some(&1) {
                warn(format!("nothing reads the knob `{name}`: `{variable}` stands nowhere else"));
            }
        }
        for found in ANYWHERE.iter().flat_map(|regex| regex.captures_iter(line_of_code)) {
            let name = &found[1];
            if knobs.iter().all(|knob| knob.name != name) {
                warn(format!(
                    "no sample reached the knob `{name}`, so `/policy` shows it only once text did; put it into a `const`"
                ));
            }
        }
    }
    warnings
}

/// The words of the code with how often each stands there. Comments and plain texts are left out, templates are code.
fn count_words(source: &str) -> HashMap<&str, usize> {
    static PARTS: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r#"(?s)//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|\w+"#).ok());
    let mut words = HashMap::new();
    for found in PARTS.iter().flat_map(|regex| regex.find_iter(source)) {
        if !found.as_str().starts_with(['/', '"']) {
            *words.entry(found.as_str()).or_insert(0) += 1;
        }
    }
    words
}
