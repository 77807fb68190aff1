//! A comparison as a terminal shows it, in at most 100 columns.

use super::pair::items;
use super::plain::pad;
use super::{Accuracy, Bits, Comparison, Contrast, Estimate, Figures, Measure, More, Verdict, cut, table};
use crate::statistics::{FEWEST_BLOCKS, Interval};
pub(crate) use crate::text::grouped;
use std::fmt::{self, Display, Formatter};
use unicode_width::UnicodeWidthStr;

/// Columns of a line.
pub(super) const COLUMNS: usize = 100;

/// Columns of a system's name.
pub(super) const LONGEST_NAME: usize = 44;

/// Items from which on a percentage has a digit after the point.
const MANY_ITEMS: u64 = 200;

impl Display for Comparison {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        if self.contrasts.iter().any(|contrast| matches!(contrast.measure, Measure::Figure(_))) {
            table::write(self, f)?;
        } else {
            self.write_contrasts(f)?;
        }
        self.notes.iter().try_for_each(|note| wrap(f, note))
    }
}

impl Comparison {
    /// Writes each contrast on lines of its own.
    fn write_contrasts(&self, f: &mut Formatter) -> fmt::Result {
        let names = self.contrasts.iter().flat_map(|contrast| [&contrast.baseline, &contrast.system]);
        let width = names.map(|name| name.width().min(LONGEST_NAME)).max().unwrap_or(0);
        let mut shown: Option<&Contrast> = None;
        for contrast in &self.contrasts {
            // The baseline's line again only where its figures are others.
            let same = |last: &Contrast| last.measure == contrast.measure && baseline(last) == baseline(contrast);
            if !shown.is_some_and(same) {
                self.head(f, contrast)?;
                writeln!(f, "  {}   {}", name(&contrast.baseline, width), baseline(contrast))?;
            }
            writeln!(f, "  {}   {}", name(&contrast.system, width), system(contrast))?;
            writeln!(f, "    {}", line(contrast, self.contrasts.len() > 1))?;
            if let Some(hint) = self.hint(contrast) {
                writeln!(f, "    {hint}")?;
            }
            shown = Some(contrast);
        }
        Ok(())
    }

    fn head(&self, f: &mut Formatter, contrast: &Contrast) -> fmt::Result {
        let by = match &contrast.measure {
            Measure::Right => "",
            Measure::RightNormalised => ", choices by log-likelihood per byte",
            Measure::BitsPerByte => ", bits per byte",
            Measure::Figure(_) => "",
        };
        let size = match &contrast.figures {
            Figures::Accuracy { .. } | Figures::Ratio { .. } => items(contrast.items),
            Figures::Bits { bytes, blocks, .. } => format!("{} bytes in {} blocks", grouped(*bytes), grouped(*blocks)),
        };
        writeln!(f, "{}: {size}, paired{by}", cut(&self.task, 30))
    }

    /// What it would take to show the difference.
    fn hint(&self, contrast: &Contrast) -> Option<String> {
        let Verdict::NotShown { more } = contrast.verdict else { return None };
        let amount = match (more, &contrast.figures) {
            (Some(More::Items(number)), _) => {
                format!("about {} more {}", grouped(number), if number == 1 { "item" } else { "items" })
            }
            (Some(More::Bytes(bytes)), _) => format!("about {} more bytes of text", grouped(bytes)),
            (None, Figures::Bits { interval: None, .. } | Figures::Ratio { interval: None, .. }) => {
                return Some(format!("fewer than {FEWEST_BLOCKS} blocks: too few for an interval"));
            }
            (None, Figures::Accuracy { gained: 0, lost: 0, .. }) => return Some("no item changed sides".into()),
            (None, Figures::Accuracy { .. }) => {
                return Some("as many gained as lost: no number of items would show it".into());
            }
            (None, Figures::Bits { .. } | Figures::Ratio { .. }) => {
                return Some("no difference at all: no amount of text would show one".into());
            }
        };
        let of = match more {
            Some(More::Items(_)) if self.task_items > contrast.items => {
                format!("; the task has {}", grouped(self.task_items))
            }
            _ => String::new(),
        };
        Some(format!("{amount} would show it if the difference is real{of}"))
    }
}

fn name(name: &str, width: usize) -> String {
    pad(&cut(name, width), width)
}

pub(super) fn baseline(contrast: &Contrast) -> String {
    match &contrast.figures {
        Figures::Accuracy { baseline, .. } => accuracy(baseline, contrast.items),
        Figures::Bits { baseline, .. } => bits(baseline),
        Figures::Ratio { baseline, .. } => estimate(baseline),
    }
}

pub(super) fn system(contrast: &Contrast) -> String {
    match &contrast.figures {
        Figures::Accuracy { system, .. } => accuracy(system, contrast.items),
        Figures::Bits { system, .. } => bits(system),
        Figures::Ratio { system, .. } => estimate(system),
    }
}

fn accuracy(accuracy: &Accuracy, items: u64) -> String {
    format!("{:>5} right   {}", grouped(accuracy.right), percent(accuracy, items))
}

/// An accuracy in percent with its interval.
pub(super) fn percent(accuracy: &Accuracy, items: u64) -> String {
    let digits = usize::from(items >= MANY_ITEMS);
    let Interval { low, high } = accuracy.interval.scaled(100.0);
    format!("{:>4.digits$} %  [{low:.digits$}, {high:.digits$}]", accuracy.accuracy * 100.0)
}

pub(super) fn bits(bits: &Bits) -> String {
    let interval = bits.interval.map(|Interval { low, high }| format!("  [{low:.3}, {high:.3}]")).unwrap_or_default();
    format!("{:>7.4}{interval}", bits.bits_per_byte)
}

fn estimate(estimate: &Estimate) -> String {
    format!("{:.*}", figure_digits(estimate.value), estimate.value)
}

/// Digits after the point of a figure that may be a share or a number of words.
pub(crate) fn figure_digits(value: f64) -> usize {
    match value.abs() {
        size if size < 10.0 => 4,
        size if size < 100.0 => 2,
        _ => 1,
    }
}

/// The line that says what the difference is and whether it is shown.
fn line(contrast: &Contrast, several: bool) -> String {
    let holm = if several { named_p_value(", after Holm", contrast.p_adjusted) } else { String::new() };
    let p = match &contrast.figures {
        Figures::Bits { interval: None, .. } | Figures::Ratio { interval: None, .. } => String::new(),
        _ => format!(", {}{holm}", named_p_value("p", contrast.p)),
    };
    format!("{}{p}: {}", difference(contrast), verdict(contrast.verdict))
}

/// What a verdict is called.
pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Better => "shown, better",
        Verdict::Worse => "shown, worse",
        Verdict::Differs => "shown, differs",
        Verdict::NotShown { .. } => "not shown",
    }
}

/// The difference with its interval.
pub(super) fn difference(contrast: &Contrast) -> String {
    let text = |difference: f64, interval: Option<Interval>, unit: &str, digits: usize| {
        let ends = |Interval { low, high }| format!(" [{}, {}]", signed(low, digits), signed(high, digits));
        format!("{}{unit}{}", signed(difference, digits), interval.map(ends).unwrap_or_default())
    };
    match &contrast.figures {
        Figures::Accuracy { difference, interval, gained, lost, .. } => {
            let digits = usize::from(contrast.items >= MANY_ITEMS);
            let points = text(difference * 100.0, Some(interval.scaled(100.0)), " points", digits);
            format!("{points}, {} gained, {} lost", grouped(*gained), grouped(*lost))
        }
        Figures::Bits { difference, interval, .. } => text(*difference, *interval, " bits per byte", 4),
        Figures::Ratio { baseline, system, difference, interval } => {
            text(*difference, *interval, "", figure_digits(baseline.value.abs().max(system.value.abs())))
        }
    }
}

/// A number with its sign, and none where it rounds to 0.
pub fn signed(value: f64, digits: usize) -> String {
    let text = format!("{value:+.digits$}");
    let is_zero = !text.contains(|digit: char| ('1'..='9').contains(&digit));
    if is_zero && value.is_finite() { text.trim_start_matches(['+', '-']).into() } else { text }
}

/// A p-value with two digits that say something: "0.031", "< 0.001".
pub fn p_value(p: f64) -> String {
    match p {
        p if p < 0.001 => "< 0.001".into(),
        p if p < 0.01 => format!("{p:.4}"),
        p if p < 0.1 => format!("{p:.3}"),
        p => format!("{p:.2}"),
    }
}

/// "p = 0.031".
pub(crate) fn named_p_value(name: &str, p: f64) -> String {
    let text = p_value(p);
    if text.starts_with('<') { format!("{name} {text}") } else { format!("{name} = {text}") }
}

/// Writes a sentence on lines of at most [`COLUMNS`].
fn wrap(f: &mut Formatter, sentence: &str) -> fmt::Result {
    let mut line = String::from("-");
    for word in sentence.split_whitespace().map(|word| cut(word, COLUMNS - 2)) {
        if line.width() + 1 + word.width() > COLUMNS {
            writeln!(f, "{line}")?;
            line = String::from(" ");
        }
        line += " ";
        line += &word;
    }
    writeln!(f, "{line}")
}
