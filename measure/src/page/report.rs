//! Sections of the page: one system's results, and a comparison.

use super::bars::{Figure, bars, points};
use super::heat::minus;
use super::items::{MOST_ITEMS, side_by_side, text};
use crate::compare::{
    Accuracy, Bits, Comparison, Contrast, Estimate, Figures, Measure, Summary, Verdict, figure_digits, grouped,
    named_p_value, signed, summary, verdict,
};
use crate::open::{self, Better};
use crate::results::{Item, Measured, Results};
use crate::statistics::Interval;
use maud::{Markup, html};
use std::collections::HashMap;

/// One system's results.
pub(super) fn results(results: &Results) -> Markup {
    let header = &results.header;
    let wrong: Vec<&Item> = results.items.iter().filter(|item| item.right.is_some() && !item.is_right()).collect();
    let failed: Vec<&Item> = results.items.iter().filter(|item| item.error.is_some()).collect();
    let is_open = header.measured == Measured::Figures;
    let texts: Vec<&Item> = results.items.iter().filter(|item| is_open && item.error.is_none()).collect();
    html! {
        h2 { (text(&header.task)) ": " (text(&header.system.name)) }
        (figure(results))
        @for note in &results.notes { p class="note" { (text(note)) } }
        (facts(results))
        (listed("could not be judged", &failed, |item| side_by_side(&item.id, "item", &[(&header.system.name, item)])))
        (listed("wrong", &wrong, |item| side_by_side(&item.id, "item", &[(&header.system.name, item)])))
        (listed("texts", &texts, |item| side_by_side(&item.id, "text", &[(&header.system.name, item)])))
    }
}

/// The figures of one system, as bars.
fn figure(results: &Results) -> Markup {
    let name = &results.header.system.name;
    match summary(results) {
        Summary::Accuracy { items, accuracy: found, normalised } => {
            let by_bytes = normalised.map(|found| accuracy(&format!("{name}, per byte"), &found, items));
            let figures: Vec<Figure> = [accuracy(name, &found, items)].into_iter().chain(by_bytes).collect();
            bars(&figures, "accuracy in percent", 100.0)
        }
        Summary::Bits { bits, .. } => bars(&[rate(name, &bits)], "bits per byte", 0.0),
        Summary::Figures { figures, .. } => html! {
            @for (figure, found) in figures {
                @let what = figure_name(&figure);
                h3 { (text(&what)) }
                (bars(&[estimate(name, &found)], &text(&what), 0.0))
            }
        },
    }
}

/// A comparison of results.
pub(super) fn comparison(comparison: &Comparison, results: &[Results]) -> Markup {
    let by_id: Vec<HashMap<&str, &Item>> =
        results.iter().map(|results| results.items.iter().map(|item| (item.id.as_str(), item)).collect()).collect();
    // Contrasts stand measure by measure, and in each measure in the order of the results.
    let mut measures: Vec<Vec<&Contrast>> = Vec::new();
    for contrast in &comparison.contrasts {
        match measures.last_mut() {
            Some(contrasts) if contrasts[0].measure == contrast.measure => contrasts.push(contrast),
            _ => measures.push(vec![contrast]),
        }
    }
    html! {
        h2 { (text(&comparison.task)) ", paired" }
        @for contrasts in &measures {
            h3 { (text(&measure_name(&contrasts[0].measure))) }
            (alone(contrasts))
            h3 { "Difference to " (text(&contrasts[0].baseline)) }
            (points(&contrasts.iter().map(|contrast| difference(contrast)).collect::<Vec<_>>(), "differences with intervals"))
            p class="note" { "Filled: shown. Hollow: not shown." }
        }
        pre { (comparison.to_string()) }
        @for contrasts in &measures {
            @for (at, contrast) in contrasts.iter().enumerate() {
                @if let (Some(first), Some(second)) = (by_id.first(), by_id.get(at + 1)) { (changed(contrast, first, second)) }
            }
        }
        @for results in results { (facts(results)) }
    }
}

fn measure_name(measure: &Measure) -> String {
    match measure {
        Measure::Right => "Right answers, percent".into(),
        Measure::RightNormalised => "Right choices by log-likelihood per byte, percent".into(),
        Measure::BitsPerByte => "Bits per byte; fewer is better".into(),
        Measure::Figure(name) => figure_name(name),
    }
}

/// A figure's name with what is known of it. The name is a file's.
fn figure_name(name: &str) -> String {
    let meaning = open::figure(name).map(|figure| format!(": {}", figure.meaning)).unwrap_or_default();
    let better = match open::direction(name) {
        Some(Better::More) => "; more is better",
        Some(Better::Less) => "; less is better",
        None => "",
    };
    format!("{name}{meaning}{better}")
}

/// Bars of all systems: the baseline once, or once a system where they share other items.
fn alone(contrasts: &[&Contrast]) -> Markup {
    let mut figures: Vec<Figure> = Vec::new();
    for contrast in contrasts {
        let [baseline, system] = match &contrast.figures {
            Figures::Accuracy { baseline, system, .. } => [(&contrast.baseline, baseline), (&contrast.system, system)]
                .map(|(name, found)| accuracy(name, found, contrast.items)),
            Figures::Bits { baseline, system, .. } => {
                [rate(&contrast.baseline, baseline), rate(&contrast.system, system)]
            }
            Figures::Ratio { baseline, system, .. } => {
                [estimate(&contrast.baseline, baseline), estimate(&contrast.system, system)]
            }
        };
        if !figures.iter().any(|figure| figure.label == baseline.label && figure.words == baseline.words) {
            figures.push(baseline);
        }
        figures.push(system);
    }
    let measure = &contrasts[0].measure;
    let end = if matches!(measure, Measure::Right | Measure::RightNormalised) { 100.0 } else { 0.0 };
    bars(&figures, &text(&measure_name(measure)), end)
}

fn accuracy(name: &str, found: &Accuracy, items: u64) -> Figure {
    let interval = found.interval.scaled(100.0);
    let Interval { low, high } = interval;
    let percent = found.accuracy * 100.0;
    Figure {
        label: name.into(),
        value: percent,
        interval: Some(interval),
        words: format!("{percent:.1} %  [{low:.1}, {high:.1}]  {} of {}", grouped(found.right), grouped(items)),
        shown: true,
    }
}

fn rate(name: &str, bits: &Bits) -> Figure {
    let interval = bits.interval.map(|Interval { low, high }| format!("  [{low:.4}, {high:.4}]")).unwrap_or_default();
    Figure {
        label: name.into(),
        value: bits.bits_per_byte,
        interval: bits.interval,
        words: format!("{:.4}{interval}", bits.bits_per_byte),
        shown: true,
    }
}

fn estimate(name: &str, found: &Estimate) -> Figure {
    let digits = figure_digits(found.value);
    let interval = found.interval.map(|Interval { low, high }| format!("  [{low:.digits$}, {high:.digits$}]"));
    Figure {
        label: name.into(),
        value: found.value,
        interval: found.interval,
        words: format!("{:.digits$}{}", found.value, interval.unwrap_or_default()),
        shown: true,
    }
}

fn difference(contrast: &Contrast) -> Figure {
    let (value, interval, digits, unit) = match &contrast.figures {
        Figures::Accuracy { difference, interval, .. } => {
            (difference * 100.0, Some(interval.scaled(100.0)), 1, " points")
        }
        Figures::Bits { difference, interval, .. } => (*difference, *interval, 4, ""),
        Figures::Ratio { baseline, system, difference, interval } => {
            (*difference, *interval, figure_digits(baseline.value.abs().max(system.value.abs())), "")
        }
    };
    let verdict = verdict(contrast.verdict);
    let shown = !matches!(contrast.verdict, Verdict::NotShown { .. });
    let words =
        format!("{}{unit}, {}: {verdict}", minus(&signed(value, digits)), named_p_value("p", contrast.p_adjusted));
    Figure { label: contrast.system.clone(), value, interval, words, shown }
}

/// Items that one system got right and the other did not, side by side.
fn changed(contrast: &Contrast, first: &HashMap<&str, &Item>, second: &HashMap<&str, &Item>) -> Markup {
    let show = |gained: bool| {
        let changes: Vec<_> = contrast.changed.iter().filter(|change| change.gained == gained).collect();
        listed(if gained { "gained" } else { "lost" }, &changes, |change| {
            let id = change.id.as_str();
            let answers: Vec<(&str, &Item)> = [(&contrast.baseline, first.get(id)), (&contrast.system, second.get(id))]
                .into_iter()
                .filter_map(|(name, item)| Some((name.as_str(), *item?)))
                .collect();
            side_by_side(id, if gained { "gained" } else { "lost" }, &answers)
        })
    };
    html! {
        @if !contrast.changed.is_empty() {
            h3 { "Changed sides: " (text(&contrast.baseline)) " against " (text(&contrast.system)) ", " (text(&measure_name(&contrast.measure))) }
            (show(true))
            (show(false))
        }
    }
}

/// A list that says how many it leaves out.
fn listed<T>(what: &str, all: &[T], show: impl Fn(&T) -> Markup) -> Markup {
    html! {
        @if !all.is_empty() {
            p { (grouped(all.len() as u64)) " " (what) @if all.len() > MOST_ITEMS { "; the first " (MOST_ITEMS) ":" } }
            @for one in all.iter().take(MOST_ITEMS) { (show(one)) }
        }
    }
}

/// What a system is made of, and what it was asked.
fn facts(results: &Results) -> Markup {
    let header = &results.header;
    let system = &header.system;
    html! {
        details {
            summary { "What " (text(&system.name)) " is, and what it was asked" }
            table class="facts" {
                @for member in &system.members {
                    tr { th { "model" } td { (text(&member.name)) ", weight " (member.weight) ", " code { (text(&member.file)) } " " code { (text(&member.sha256)) } } }
                }
                @if !system.fusion.is_empty() { tr { th { "fusion" } td { (text(&system.fusion)) } } }
                @if !system.policies.is_empty() { tr { th { "policies" } td { (text(&system.policies.join(", "))) } } }
                @if !system.settings.is_null() { tr { th { "settings" } td { code { (text(&system.settings.to_string())) } } } }
                tr { th { "items" } td { (grouped(results.items.len() as u64)) " of " (grouped(header.items.number)) @if let Some(sha256) = &header.items.sha256 { " " code { (text(sha256)) } } } }
                tr { th { "seed" } td { (header.seed) } }
                tr { th { "program" } td { (text(&header.program.version)) " " (text(&header.program.build)) } }
                tr { th { "file" } td { code { (text(&results.path.to_string_lossy())) } } }
            }
        }
    }
}
