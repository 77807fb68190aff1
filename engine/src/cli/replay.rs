//! `llama_selfmod replay`: the verdicts of several policies on one run, side by side.

use super::{
    measure::line,
    print,
    render::{quote, shorten},
};
use crate::{
    replay::{replay, Hook, Moment, Replay},
    settings::Settings,
    trace::{self, Answer},
    Error,
};
use std::{fmt::Write, path::Path, process::ExitCode};

/// Columns of a verdict with its reason.
const WIDTH: usize = 44;
/// Columns of a token's text.
const TEXT: usize = 14;

/// Replays and prints.
pub fn run(settings: &Settings, file: &Path, json: bool) -> Result<ExitCode, Error> {
    let trace = trace::read(file).map_err(|error| Error::Input(error.to_string()))?;
    let replay = replay(&trace, settings)?;
    print(&if json { line(&replay)? } else { table(&replay) })
}

fn table(replay: &Replay) -> String {
    let mut text = String::new();
    let several = replay.moments.iter().any(|moment| moment.reply > 1);
    let names = replay.policies.iter().map(|policy| policy.name.as_str());
    let heads: Vec<&str> = ["in the run"].into_iter().chain(names).collect();
    let left = format!("{:>6}  {:TEXT$} {:>5}  {:10}", "token", "text", "p", "hook");
    row(&mut text, &left, &heads);
    let mut reply = 0;
    for moment in &replay.moments {
        if several && moment.reply != reply {
            reply = moment.reply;
            let _ = writeln!(text, "reply {reply}");
        }
        let answers = [&moment.recorded].into_iter().chain(&moment.given);
        let cells: Vec<String> = answers.map(|answer| answer.as_ref().map_or("·".into(), cell)).collect();
        row(&mut text, &what(moment), &cells);
    }
    let _ = writeln!(text, "{} tokens", replay.units);
    for policy in &replay.policies {
        let failures = match policy.failures {
            0 => String::new(),
            failures => format!(", {failures} failed calls"),
        };
        let _ = writeln!(text, "{}: {} answers, {:.1} ms{failures}", policy.name, policy.answers, policy.milliseconds);
        policy.notices.iter().for_each(|notice| text += &format!("  {notice}\n"));
    }
    text
}

/// The moment: which token, and which hook was asked.
fn what(moment: &Moment) -> String {
    let hook = match moment.hook {
        Hook::Logits => "logits",
        Hook::Token => "token",
        Hook::Assessment => "assessment",
    };
    let quoted = shorten(&quote(&moment.text), TEXT);
    let padding = " ".repeat(TEXT.saturating_sub(quoted.chars().count()));
    format!("{:>6}  {quoted}{padding} {:>5.3}  {hook:10}", moment.position, moment.probability)
}

fn cell(answer: &Answer) -> String {
    match answer.reason.as_str() {
        "" => answer.verdict.clone(),
        reason => format!("{} ({reason})", answer.verdict),
    }
}

fn row(text: &mut String, left: &str, cells: &[impl AsRef<str>]) {
    *text += left;
    for cell in cells {
        let cell = shorten(cell.as_ref(), WIDTH);
        let _ = write!(text, "  {cell}{}", " ".repeat(WIDTH.saturating_sub(cell.chars().count())));
    }
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}
