//! Several figures of two systems as a table, a row each.

use super::pair::items;
use super::plain::pad;
use super::summary::LONGEST_FIGURE;
use super::text::{COLUMNS, LONGEST_NAME, baseline, difference, p_value, system, verdict};
use super::{Comparison, Contrast, Measure, More, Verdict, cut, plain};
use std::fmt::{self, Formatter};
use unicode_width::UnicodeWidthStr;

/// Columns of the table.
const TITLES: [&str; 6] = ["figure", "baseline", "system", "difference", "p", "verdict"];

/// Titles of columns whose numbers end at the right.
const RIGHT: [&str; 2] = ["baseline", "system"];

/// Writes a table for each system that is compared with the first.
pub(super) fn write(comparison: &Comparison, f: &mut Formatter) -> fmt::Result {
    let mut systems: Vec<(&String, Vec<&Contrast>)> = Vec::new();
    for contrast in &comparison.contrasts {
        match systems.iter_mut().find(|(name, _)| **name == contrast.system) {
            Some((_, contrasts)) => contrasts.push(contrast),
            None => systems.push((&contrast.system, vec![contrast])),
        }
    }
    let holm = if comparison.contrasts.len() > 1 { ", p after Holm" } else { "" };
    for (name, contrasts) in systems {
        let number = contrasts.iter().map(|contrast| contrast.items).max().unwrap_or(0);
        writeln!(f, "{}: {}, paired{holm}", cut(&comparison.task, 30), items(number))?;
        writeln!(f, "  baseline  {}", cut(&contrasts[0].baseline, LONGEST_NAME))?;
        writeln!(f, "  system    {}", cut(name, LONGEST_NAME))?;
        let rows: Vec<[String; 6]> =
            std::iter::once(TITLES.map(Into::into)).chain(contrasts.iter().map(|contrast| row(contrast))).collect();
        write_rows(&rows, f)?;
        if contrasts.iter().any(|contrast| matches!(contrast.verdict, Verdict::NotShown { more: Some(_) })) {
            writeln!(f, "    + items: about so many more would show the difference, if it is real")?;
        }
    }
    Ok(())
}

fn write_rows(rows: &[[String; 6]], f: &mut Formatter) -> fmt::Result {
    let widths: [usize; 6] = std::array::from_fn(|at| rows.iter().map(|row| row[at].width()).max().unwrap_or(0));
    for row in rows {
        let cells = row.iter().zip(widths).zip(TITLES).map(|((cell, width), title)| match RIGHT.contains(&title) {
            true => format!("{cell:>width$}"),
            false => pad(cell, width),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        writeln!(f, "    {}", cut(line.trim_end(), COLUMNS - 4))?;
    }
    Ok(())
}

fn row(contrast: &Contrast) -> [String; 6] {
    let name = match &contrast.measure {
        Measure::Figure(name) => cut(&plain(name), LONGEST_FIGURE),
        _ => String::new(),
    };
    let more = match contrast.verdict {
        Verdict::NotShown { more: Some(More::Items(number)) } => format!(", +{}", items(number)),
        _ => String::new(),
    };
    [
        name,
        baseline(contrast),
        system(contrast),
        difference(contrast),
        p_value(contrast.p_adjusted),
        format!("{}{more}", verdict(contrast.verdict)),
    ]
}
