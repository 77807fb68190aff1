//! What models made of tasks.

use super::text::{change, count, interval, line, name, p_value, signed, some, table, words};
use super::{Facts, Origin};
use measure::compare::{Comparison, Contrast, Figures, Measure, More, Summary, Verdict, compare, summary};
use measure::results::Results;

/// The section on one evaluation: the first result is the one that others are paired with, if there is a pair.
pub(super) fn section(origin: &Origin, all: &[Results], facts: &Facts) -> String {
    let Some(first) = all.first() else { return String::new() };
    let header = &first.header;
    let digest =
        header.items.sha256.as_ref().map_or("without a digest".into(), |sha256| format!("SHA-256 {}", name(sha256)));
    let mut text = format!(
        "\n### {}\n\n{} in the task, {digest}. Seed {}. Stage {}.\n\n",
        words(&header.task),
        some(header.items.number, "item"),
        header.seed,
        name(&origin.name)
    );
    let rows: Vec<Vec<String>> = all.iter().flat_map(rows).collect();
    text.push_str(&table(&["system", "figure", "value", "interval", "of"], &rows));
    text.push('\n');
    match (&origin.against, all.len()) {
        (Some(_), 2..) => match compare(all) {
            Ok(comparison) => text.push_str(&differences(&comparison)),
            Err(error) => text.push_str(&format!("Not compared: {}.\n", words(&error.to_string()))),
        },
        (_, 1) => text.push_str("One system alone: nothing to compare it with.\n"),
        _ => text.push_str("No pair, so no difference is shown.\n"),
    }
    for own in all {
        let strangers = own.header.system.members.iter();
        for stranger in strangers.filter(|member| facts.models.iter().all(|model| model.sha256 != member.sha256)) {
            let file = stranger.file.rsplit(['/', '\\']).next().unwrap_or_default();
            text.push_str(&format!(
                "\nThe model {} is not among the files here: SHA-256 {}.\n",
                name(file),
                name(&stranger.sha256)
            ));
        }
        // Where the file lies is nobody's business.
        let folder = own.path.parent().map(|folder| format!("{}/", folder.display())).unwrap_or_default();
        own.notes.iter().for_each(|note| text.push_str(&format!("\n{}.\n", words(&note.replace(&folder, "")))));
    }
    text
}

fn rows(results: &Results) -> Vec<Vec<String>> {
    let system = name(&results.header.system.name);
    let row =
        |figure: String, value: String, interval: String, of: String| vec![system.clone(), figure, value, interval, of];
    match summary(results) {
        Summary::Accuracy { items, accuracy, normalised } => {
            let all = [("right", Some(accuracy)), ("right, by log-likelihood per byte", normalised)];
            all.into_iter()
                .filter_map(|(figure, accuracy)| {
                    let accuracy = accuracy?;
                    let of = match accuracy.errors {
                        0 => some(items, "item"),
                        errors => {
                            format!("{}; {} could not be judged and count as wrong", some(items, "item"), count(errors))
                        }
                    };
                    let value = format!("{} ({})", count(accuracy.right), part(accuracy.accuracy));
                    Some(row(figure.into(), value, interval(Some(accuracy.interval), part), of))
                })
                .collect()
        }
        Summary::Bits { bits, blocks, bytes, errors } => {
            let left_out = if errors == 0 { String::new() } else { format!("; {} left out", some(errors, "item")) };
            let of = format!("{} in {}{left_out}", some(bytes, "byte"), some(blocks, "block"));
            let interval = interval(bits.interval, |bits| format!("{bits:.4}"));
            vec![row("bits a byte".into(), format!("{:.4}", bits.bits_per_byte), interval, of)]
        }
        Summary::Figures { figures, .. } => figures
            .into_iter()
            .map(|(figure, estimate)| {
                let interval = interval(estimate.interval, |value| format!("{value:.4}"));
                row(words(&figure), format!("{:.4}", estimate.value), interval, some(estimate.items, "item"))
            })
            .collect(),
    }
}

fn part(part: f64) -> String {
    format!("{:.1} %", part * 100.0)
}

fn differences(comparison: &Comparison) -> String {
    let rows: Vec<Vec<String>> = comparison.contrasts.iter().map(difference).collect();
    let mut text = table(&["system", "against", "figure", "difference", "interval", "p", "p (Holm)", "finding"], &rows);
    text.push_str("\np is that of McNemar's exact test for right answers, with Newcombe's interval, and of a bootstrap elsewhere.\n");
    comparison.notes.iter().for_each(|note| text.push_str(&format!("\n{}.\n", words(note))));
    text
}

fn difference(contrast: &Contrast) -> Vec<String> {
    let points = |part: f64| format!("{} points", signed(part * 100.0, 1));
    let number = |value: f64| signed(value, 4);
    let (difference, interval) = match &contrast.figures {
        Figures::Accuracy { difference, interval: found, gained, lost, .. } => (
            format!(
                "{} ({} gained, {} lost of {})",
                points(*difference),
                count(*gained),
                count(*lost),
                count(contrast.items)
            ),
            interval(Some(*found), points),
        ),
        Figures::Bits { difference, interval: found, baseline, .. } => {
            let relative =
                if baseline.bits_per_byte > 0.0 { change(difference / baseline.bits_per_byte) } else { "–".into() };
            (format!("{} ({relative})", number(*difference)), interval(*found, number))
        }
        Figures::Ratio { difference, interval: found, .. } => (number(*difference), interval(*found, number)),
    };
    let figure = match &contrast.measure {
        Measure::Right => "right".into(),
        Measure::RightNormalised => "right, by log-likelihood per byte".into(),
        Measure::BitsPerByte => "bits a byte".into(),
        Measure::Figure(figure) => words(&line(figure)),
    };
    let [p, adjusted] = [contrast.p, contrast.p_adjusted].map(p_value);
    vec![
        name(&contrast.system),
        name(&contrast.baseline),
        figure,
        difference,
        interval,
        p,
        adjusted,
        verdict(contrast.verdict),
    ]
}

fn verdict(verdict: Verdict) -> String {
    match verdict {
        Verdict::Better => "shown: better".into(),
        Verdict::Worse => "shown: worse".into(),
        Verdict::Differs => "shown".into(),
        Verdict::NotShown { more: None } => "not shown".into(),
        Verdict::NotShown { more: Some(more) } => {
            let more = match more {
                More::Items(items) => some(items, "item"),
                More::Bytes(bytes) => some(bytes, "byte"),
            };
            format!("not shown; about {more} more would show it, if it is real")
        }
    }
}
