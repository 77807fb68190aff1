//! What a search found, as a table and as a matrix for the page.

use super::{Confirmed, Report};
use crate::cli::{args::SearchArgs, output::visible};
use ::measure::{
    compare::cut,
    page::{Cell, Matrix},
    statistics::Bootstrap,
};
use std::fmt::Write;

/// Teams that are shown.
const SHOWN: usize = 8;

/// Columns of gains that a line has room for.
const COLUMNS: usize = 6;

fn shown(found: Option<Bootstrap>) -> String {
    let Some(Bootstrap { bits_per_byte, interval, .. }) = found else {
        return "too little text for an interval".into();
    };
    let words = if interval.excludes_zero() { "shown" } else { "not shown" };
    format!("{bits_per_byte:+.4} [{:+.4}, {:+.4}] {words}", interval.low, interval.high)
}

/// The gain of a pair over its better member.
fn of_pair(report: &Report, row: usize, column: usize) -> Option<Bootstrap> {
    let pair = [row.min(column), row.max(column)];
    report.found.teams.iter().find(|team| team.members == pair).and_then(|team| team.gain)
}

/// Gains of pairs: above 0 is better, as a heat map shows it.
pub fn matrix(report: &Report) -> Matrix {
    let cell = |row, column| {
        let gain = of_pair(report, row, column)?;
        Some(Cell { value: -gain.bits_per_byte, interval: Some(gain.interval.scaled(-1.0)) })
    };
    let places = 0..report.candidates.len();
    Matrix {
        caption: "What a pair needs less than its better member, in bits per byte".into(),
        rows: report.candidates.clone(),
        columns: report.candidates.clone(),
        values: places.clone().map(|row| places.clone().map(|column| cell(row, column)).collect()).collect(),
        digits: 4,
    }
}

/// The table for a terminal.
pub fn table(report: &Report, args: &SearchArgs) -> String {
    let name = |candidate: usize| visible(&report.candidates[candidate]);
    let mut order: Vec<usize> = (0..report.candidates.len()).collect();
    order.sort_by(|&a, &b| report.found.alone[a].total_cmp(&report.found.alone[b]));
    let columns = &order[..order.len().min(COLUMNS)];
    let mut text = format!("{:<20} {:>8}", "bits per byte", "alone");
    for &column in columns {
        let _ = write!(text, " {:>11}", format!("+ {}", cut(&name(column), 9)));
    }
    text.push('\n');
    for &row in &order {
        let _ = write!(text, "{:<20} {:>8.4}", cut(&name(row), 20), report.found.alone[row]);
        for &column in columns {
            let gain = of_pair(report, row, column).map(|gain| format!("{:+.4}", gain.bits_per_byte));
            let _ = write!(text, " {:>11}", gain.unwrap_or_else(|| "·".into()));
        }
        text.push('\n');
    }
    text += "gains of pairs over their better member, from one pass of each model; below 0 is better\n";
    let names = |members: &[usize]| members.iter().map(|&member| name(member)).collect::<Vec<_>>().join(" + ");
    let mut teams: Vec<_> = report.found.teams.iter().collect();
    teams.sort_by(|a, b| a.bits_per_byte.total_cmp(&b.bits_per_byte));
    if !teams.is_empty() {
        text += "\nbest teams, predicted\n";
    }
    for team in teams.iter().take(SHOWN) {
        let _ = writeln!(text, "{:<44} {:>8.4}   {}", names(&team.members), team.bits_per_byte, shown(team.gain));
    }
    if teams.is_empty() {
        text += "\nno team fits; raise --memory\n";
    }
    let useless: Vec<String> =
        report.found.contributions.iter().filter(|found| !found.helps()).map(|found| name(found.candidate)).collect();
    if !useless.is_empty() {
        let _ = writeln!(text, "\nnot shown to help any team: {}", useless.join(", "));
    }
    if let (Some(mixture), Some(confirmed)) = (&report.mixture, &report.confirmed) {
        let Confirmed { members, bits_per_byte, against, alone, difference, bytes } = confirmed;
        let weights: Vec<String> = mixture.weights.iter().map(|weight| format!("{weight}")).collect();
        let _ = writeln!(
            text,
            "\nbest team: {}\n  fusion {}, weights {}{}",
            visible(&members.join(" + ")),
            mixture.fusion,
            weights.join(", "),
            mixture.alpha.map_or_else(String::new, |alpha| format!(", alpha {alpha}"))
        );
        let _ = writeln!(
            text,
            "  run on {bytes} other bytes: {bits_per_byte:.4}, {} alone {alone:.4}: {}",
            visible(against),
            shown(*difference)
        );
        match &args.output {
            Some(folder) => {
                let _ = writeln!(text, "  packed: use it with `--team {}`", visible(&folder.display().to_string()));
            }
            None => text += "  give -o DIR to keep it as a pack\n",
        }
    }
    text
}
