//! Areas and thresholds as a terminal shows them, in at most 100 columns.

use super::areas::UNSURE;
use super::{Areas, Table, Thresholds};
use crate::statistics::{FEWEST_BLOCKS, Interval};
use crate::text::grouped;
use std::fmt::{self, Display, Formatter};

impl Display for Areas {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let begins = |table: &Table| format!("an error begins at {}", share(table.errors, table.cases));
        let wrong = |table: &Table| format!("{} wrong", share(table.errors, table.cases));
        writeln!(f, "Areas under the ROC curve, {} replies", grouped(self.replies as u64))?;
        writeln!(f, "\nall tokens: {}", begins(&self.all))?;
        rows(f, &self.all)?;
        writeln!(f, "\ntokens with an entropy above {UNSURE} nats: {}", begins(&self.unsure))?;
        rows(f, &self.unsure)?;
        writeln!(f, "\nreplies by their greatest value: {}", wrong(&self.greatest))?;
        rows(f, &self.greatest)?;
        writeln!(f, "\nreplies by their mean: {}", wrong(&self.mean))?;
        rows(f, &self.mean)
    }
}

fn rows(f: &mut Formatter, table: &Table) -> fmt::Result {
    let Some(areas) = &table.areas else {
        let what = if table.errors == 0 { "no error" } else { "nothing but errors" };
        return writeln!(f, "  {what}, so there is nothing to tell apart");
    };
    let width = areas.iter().map(|area| area.signal.name().chars().count()).max().unwrap_or(0);
    for area in areas {
        let interval = area.interval.map(|Interval { low, high }| format!("  [{low:.3}, {high:.3}]"));
        writeln!(f, "  {:width$}   {:.3}{}", area.signal.name(), area.area, interval.unwrap_or_default())?;
    }
    if areas.iter().any(|area| area.interval.is_none()) {
        writeln!(f, "  errors, or all else, in fewer than {FEWEST_BLOCKS} replies: too few for an interval")?;
    }
    Ok(())
}

impl Display for Thresholds {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        writeln!(f, "Rules that refuse tokens: an error begins at {}", share(self.errors, self.tokens))?;
        let names: Vec<String> = self.rules.iter().map(|found| found.rule.to_string()).collect();
        let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        writeln!(f, "  {:width$}   {:>9}   {:>9}   {:>9}", "", "refused", "of errors", "precision")?;
        for (name, found) in names.iter().zip(&self.rules) {
            let [refused, hit, precision] = [(found.refused, 2), (found.hit, 0), (found.precision, 0)]
                .map(|(share, digits)| percent(share, digits));
            writeln!(f, "  {name:width$}   {refused:>9}   {hit:>9}   {precision:>9}")?;
        }
        Ok(())
    }
}

fn share(part: usize, all: usize) -> String {
    format!("{} of {}", grouped(part as u64), grouped(all as u64))
}

/// A share in percent, "–" where there is nothing to have a share of.
fn percent(share: Option<f64>, digits: usize) -> String {
    share.map_or_else(|| "–".into(), |share| format!("{:.digits$} %", share * 100.0))
}
