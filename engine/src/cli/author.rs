//! The subcommands for authors of plugins and scripts: `new` and `check`.

use super::{
    output::{self, print, print_painted, visible},
    render::Look,
};
use crate::Error;
use crate::author::{
    conformance::{Finding, duration},
    new::{self, Beginning},
    supervise::{self, Line, Work},
};
use crate::files;
use crate::hooks::{
    Knob,
    native::{FileKind, file_kind},
    script::{
        self, ScriptError,
        check::{Cost, Report, Warning},
    },
};
use plugin_api::Role;
use std::{
    io::{Read, Write},
    path::Path,
    process::{Command, ExitCode},
};

/// A first plugin or policy, in the current folder.
pub fn new(beginning: Beginning, name: &str) -> Result<ExitCode, Error> {
    print(&new::write(beginning, name, Path::new(""))?)
}

/// Says what is wrong with a plugin or a script; what it is, its content tells. Exit code 0 where nothing is, 1 where
/// something is.
pub fn check(file: &Path, look: Look) -> Result<ExitCode, Error> {
    let mut start = Vec::new();
    files::open(file)?
        .take(256)
        .read_to_end(&mut start)
        .map_err(|error| Error::Input(format!("`{}` cannot be read: {error}", file.display())))?;
    match file_kind(&start) {
        FileKind::Library => check_library(file, look),
        FileKind::Text => check_script(file, look),
        FileKind::Other(found) => {
            Err(Error::Input(format!("`{}` is neither a compiled plugin nor a script; it is {found}", file.display())))
        }
    }
}

/// The part of `check` that runs in a process of its own.
pub fn work(work: &Work) -> Result<ExitCode, Error> {
    supervise::work(work).map(|()| ExitCode::SUCCESS)
}

fn check_library(file: &Path, look: Look) -> Result<ExitCode, Error> {
    let program = std::env::current_exe()
        .map_err(|error| Error::Failure(format!("the program does not find itself to run the checks: {error}")))?;
    let worker = |work: &Work| {
        let mut command = Command::new(&program);
        command.arg("check").arg(&work.library).arg("--work").arg(work.to_words());
        command
    };
    let mut output = output::stdout();
    let paint = look.paint(&output);
    let (mut checks, mut failed, mut warned, mut plugin) = (0, 0, 0, 0);
    let mut broken = None;
    supervise::check(&worker, file, &mut |line: &Line| {
        let mut text = String::new();
        if line.plugin != plugin {
            plugin = line.plugin;
            text.push('\n');
        }
        let (mark, detail) = match &line.finding {
            Finding::Nothing => return,
            Finding::Passed(detail) => ("ok     ".to_owned(), detail),
            Finding::Warning(detail) => {
                warned += 1;
                ("warning".to_owned(), detail)
            }
            Finding::Skipped(detail) => ("skipped".to_owned(), detail),
            Finding::Failed(detail) => {
                failed += 1;
                (paint.red("FAILED "), detail)
            }
        };
        checks += 1;
        let detail = format!("{:<36}{}", line.title, visible(detail));
        text += &format!("{mark}  {}\n", detail.trim_end());
        broken = output.write_all(text.as_bytes()).err().or(broken.take());
    })?;
    let checks = format!("{checks} check{}", if checks == 1 { "" } else { "s" });
    let sum = match (failed, warned) {
        (0, 0) => format!("{checks}, all passed"),
        (0, warned) => format!("{checks}, none failed, {warned} with a warning"),
        (failed, _) => format!("{checks}, {failed} failed"),
    };
    print(&format!("\n{sum}\n"))?;
    Ok(ExitCode::from(u8::from(failed > 0)))
}

fn check_script(file: &Path, look: Look) -> Result<ExitCode, Error> {
    let report = script::check(file, "{}");
    let paint = look.paint(&output::stdout());
    if let Some(fault) = &report.fault {
        if !matches!(fault, ScriptError::Faulty(_)) {
            return Err(Error::Input(fault.to_string()));
        }
        print_painted(&format!("{} {}\n", paint.red("FAILED"), visible(&fault.to_string())))?;
        return Ok(ExitCode::FAILURE);
    }
    print(&script_report(&report))
}

/// What a script is, what looks like a slip, what can be set, and what each function costs.
fn script_report(report: &Report) -> String {
    let role = match report.role {
        Some(Role::Fusion) => "fusion",
        _ => "policy",
    };
    let summary = if report.summary.is_empty() { String::new() } else { format!(": {}", report.summary) };
    let mut text = format!("ok       {role} `{}`{summary}\n", report.file);
    for Warning { line, message } in &report.warnings {
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        text += &format!("warning  {place}{message}\n");
    }
    for Knob { name, default, minimum, maximum, .. } in &report.knobs {
        text += &format!("knob     {name} = {default}, from {minimum} to {maximum}\n");
    }
    if !report.costs.is_empty() {
        text += &format!("\n{:<34} {:>10} {:>12}\n", "", "operations", "a call");
    }
    for Cost { function, units, operations, median, .. } in &report.costs {
        let rows = units.map(|units| format!(" on rows of {units} units")).unwrap_or_default();
        text += &format!("{:<34} {operations:>10} {:>12}\n", format!("{function}{rows}"), duration(*median));
    }
    visible(&text)
}
