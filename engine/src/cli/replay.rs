//! `llama_selfmod replay`: the verdicts of several policies on one run, side by side.

use super::{
    measure::line,
    output::{print, print_json, visible},
    render::{columns, page_width, quote, shorten},
};
use crate::{
    Error,
    replay::{Hook, Moment, Replay, replay},
    settings::Settings,
    trace::{self, Answer},
};
use std::{fmt::Write, path::Path, process::ExitCode};

/// Columns that a policy has at least, however narrow the terminal.
const LEAST: usize = 20;
/// Columns of a token's text on a terminal.
const TEXT: usize = 12;

/// Replays and prints.
pub fn run(settings: &Settings, file: &Path, json: bool) -> Result<ExitCode, Error> {
    let trace = trace::read(file).map_err(|error| Error::Input(error.to_string()))?;
    let replay = replay(&trace, settings)?;
    if json { print_json(&line(&replay)?) } else { print(&table(&replay, page_width())) }
}

/// In lines of `width` columns, if that leaves each policy [`LEAST`]; what is longer is cut.
fn table(replay: &Replay, width: usize) -> String {
    let moments = &replay.moments;
    let texts: Vec<String> = moments.iter().map(|moment| quote(&moment.text)).collect();
    let text_width = texts.iter().map(|text| columns(text)).max().unwrap_or(0).max("text".len());
    let text_width = if width == usize::MAX { text_width } else { text_width.min(TEXT) };
    let heads = ["in the run"].into_iter().chain(replay.policies.iter().map(|policy| policy.name.as_str()));
    let heads: Vec<String> = heads.map(visible).collect();
    let rows: Vec<Vec<String>> = moments.iter().map(cells).collect();
    let left = format!("token  {:text_width$}     p  hook  ", "text");
    let widths = widths(&heads, &rows, width.saturating_sub(columns(&left)));
    let mut table = String::new();
    put_row(&mut table, &left, &heads, &widths);
    let several = moments.iter().any(|moment| moment.reply > 1);
    let mut reply = 0;
    for ((moment, text), cells) in moments.iter().zip(&texts).zip(&rows) {
        if several && moment.reply != reply {
            reply = moment.reply;
            let _ = writeln!(table, "reply {reply}");
        }
        let text = padded(text, text_width);
        let left = format!("{:>5}  {text}  {:.2}  {}", moment.position, moment.probability, word(moment.hook));
        put_row(&mut table, &left, cells, &widths);
    }
    let _ = writeln!(table, "{} tokens", replay.units);
    for policy in &replay.policies {
        let failures = match policy.failures {
            0 => String::new(),
            failures => format!(", {failures} failed calls"),
        };
        let _ = writeln!(table, "{}: {} answers, {:.1} ms{failures}", policy.name, policy.answers, policy.milliseconds);
        policy.notices.iter().for_each(|notice| table += &format!("  {}\n", visible(notice)));
    }
    table
}

/// Which hook was asked, in six columns.
fn word(hook: Hook) -> &'static str {
    match hook {
        Hook::Logits => "logits",
        Hook::Token => "token ",
        Hook::Assessment => "assess",
    }
}

/// What the run answered, and what each policy did.
fn cells(moment: &Moment) -> Vec<String> {
    let answers = [&moment.recorded].into_iter().chain(&moment.given);
    answers.map(|answer| answer.as_ref().map_or("·".into(), cell)).collect()
}

/// On one line, whatever a policy or a file says.
fn cell(answer: &Answer) -> String {
    let cell = match answer.reason.as_str() {
        "" => answer.verdict.clone(),
        reason => format!("{} ({reason})", answer.verdict),
    };
    visible(&cell).replace('\n', "⏎")
}

/// What each column needs, as far as there is room: those that need little leave theirs to the others.
fn widths(heads: &[String], rows: &[Vec<String>], room: usize) -> Vec<usize> {
    let needed = |column: usize| {
        let cells = rows.iter().map(|row| columns(&row[column]));
        cells.chain([columns(&heads[column])]).max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..heads.len()).map(needed).collect();
    let mut order: Vec<usize> = (0..widths.len()).collect();
    order.sort_by_key(|&column| widths[column]);
    let mut room = room;
    for (index, column) in order.into_iter().enumerate() {
        let share = (room / (widths.len() - index)).saturating_sub(BETWEEN.len());
        widths[column] = widths[column].min(share.max(LEAST));
        room = room.saturating_sub(widths[column] + BETWEEN.len());
    }
    widths
}

const BETWEEN: &str = "  ";

fn put_row(table: &mut String, left: &str, cells: &[String], widths: &[usize]) {
    let mut line = left.to_owned();
    for (cell, &width) in cells.iter().zip(widths) {
        line += BETWEEN;
        line += &padded(cell, width);
    }
    *table += line.trim_end();
    table.push('\n');
}

fn padded(text: &str, width: usize) -> String {
    let mut text = shorten(text, width);
    text.extend(std::iter::repeat_n(' ', width.saturating_sub(columns(&text))));
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Column;

    fn example() -> Replay {
        let policy =
            |name: &str| Column { name: name.into(), answers: 1, milliseconds: 0.5, failures: 0, notices: Vec::new() };
        let answer = |verdict: &str| {
            Some(Answer {
                verdict: verdict.into(),
                policy: "calm".into(),
                reason: "小さな猫 and a good deal more".into(),
            })
        };
        let moment = |text: &str, given: [Option<Answer>; 2]| Moment {
            reply: 1,
            position: 12,
            hook: Hook::Assessment,
            text: text.into(),
            probability: 0.25,
            recorded: None,
            given: given.to_vec(),
        };
        let long = answer("retract 3, temperature 0.84, repeat penalty 1.21");
        let moments = vec![
            moment(" an unreasonably long token", [long.clone(), None]),
            moment("小", [long, answer("retract 1")]),
        ];
        Replay { policies: vec![policy("retraction"), policy("calm.rhai")], units: 40, moments }
    }

    #[test]
    fn a_table_fits_a_terminal_and_its_columns_stand_below_each_other() {
        for width in [92, 100, 140] {
            let table = table(&example(), width);
            let lines: Vec<&str> = table.lines().take(3).collect();
            assert!(lines.iter().all(|line| columns(line) <= width), "{width}:\\n{table}");
            assert!(lines[2].contains('…'), "{table}");
            let second = columns(lines[0].split("calm.rhai").next().unwrap());
            assert_eq!(second, columns(lines[1].trim_end_matches('·')), "{table}");
            assert_eq!(second, columns(lines[2].rsplit_once("  retract").unwrap().0) + 2, "{table}");
        }
    }

    #[test]
    fn what_a_policy_says_stays_in_its_row_and_moves_no_cursor() {
        let mut replay = example();
        replay.moments.truncate(1);
        replay.moments[0].given[1] =
            Some(Answer { verdict: "stop".into(), policy: "calm".into(), reason: "one\ntwo\x1b[2J".into() });
        let table = table(&replay, usize::MAX);
        assert!(table.contains("stop (one⏎two[2J)") && !table.contains('\x1b'), "{table}");
        assert_eq!(table.lines().count(), 5, "{table}");
    }

    #[test]
    fn what_a_column_does_not_need_the_others_have() {
        let table = table(&example(), 100);
        // Nothing but `·` stands below the run, so the two policies share its columns.
        assert!(table.contains("retract 3, temperature 0."), "{table}");
        assert!(table.contains("retract 1 (小さな猫 an"), "{table}");
    }

    #[test]
    fn a_policy_keeps_twenty_columns_and_a_pipe_gets_all() {
        let narrow = table(&example(), 10);
        assert!(narrow.contains("retract 3, temperat…"), "{narrow}");
        let whole = table(&example(), usize::MAX);
        assert!(!whole.contains('…'), "{whole}");
    }
}
