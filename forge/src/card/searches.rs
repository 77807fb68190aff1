//! What searches came to.

use super::Origin;
use super::text::{count, interval, name, some, words};
use measure::statistics::Interval;
use serde::Deserialize;

/// What a card takes from `search.json`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct Search {
    strategy: String,
    /// The most that the ratio of perplexities could be.
    gate: Option<f64>,
    #[serde(default)]
    listed: Vec<Listed>,
    #[serde(default)]
    confirmations: Vec<Confirmation>,
    nearest: Option<Nearest>,
    #[serde(default)]
    notes: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct Listed {
    label: String,
    measured: Option<Ratio>,
    fate: String,
}

/// A measurement on text that the search did not see.
#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Confirmation {
    label: String,
    held: Ratio,
    /// Without a limit: the runner-up.
    against: Option<Versus>,
    shown: bool,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Versus {
    label: String,
    /// The winner's perplexity among that of the other one.
    ratio: Ratio,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
struct Nearest {
    label: String,
    more_tokens: Option<u64>,
}

/// A perplexity among that of the base.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
struct Ratio {
    ratio: f64,
    low: f64,
    high: f64,
    windows: u64,
}

/// The section on searches, if there are any.
pub(super) fn section(all: &[(Origin, Search)]) -> String {
    let each: Vec<String> = all.iter().map(|(origin, search)| one(origin, search)).collect();
    if each.is_empty() { String::new() } else { format!("## Search\n\n{}", each.join("\n")) }
}

fn one(origin: &Origin, search: &Search) -> String {
    let measured: Vec<&Ratio> = search.listed.iter().filter_map(|listed| listed.measured.as_ref()).collect();
    let gate = search.gate.map_or("no limit was set".into(), |gate| {
        format!("perplexity could be at most {gate:.4} times that of the base, by the upper end of the interval")
    });
    let mut sentences = vec![format!(
        "The stage {} looked at {}, {} of them measured, by the strategy {}; {gate}.",
        name(&origin.name),
        some(search.listed.len() as u64, "candidate"),
        count(measured.len() as u64),
        name(&search.strategy)
    )];
    let winner = search.listed.iter().find(|listed| listed.fate == "winner");
    match winner {
        None => sentences.push("It has no winner: of no candidate it is shown that it holds to that.".into()),
        Some(winner) => {
            let figure = winner.measured.as_ref().map_or("not measured there".into(), ratio);
            sentences.push(format!("Its winner is {}: {figure}, in the search.", name(&winner.label)));
            match search.confirmations.iter().rfind(|confirmation| confirmation.label == winner.label) {
                None => sentences.push(
                    "It was not measured again on other text, so the figure is that of the best of several and looks better \
                     than it is."
                        .into(),
                ),
                Some(held) => sentences.push(confirmed(held)),
            }
        }
    }
    if let (None, Some(nearest)) = (winner, &search.nearest) {
        let more = nearest.more_tokens.map_or("no number of tokens would show it".into(), |tokens| {
            format!("about {} more would show it, if it is real", some(tokens, "token"))
        });
        sentences.push(format!("Nearest came {}; {}.", name(&nearest.label), words(&more)));
    }
    sentences.extend(
        search.notes.iter().map(|note| format!("A remark of the search: {}.", words(note.trim_end_matches('.')))),
    );
    sentences.join("\n") + "\n"
}

/// What text that the search did not see says of the winner.
fn confirmed(held: &Confirmation) -> String {
    let is = if held.shown { "shown" } else { "not shown" };
    let finding = match &held.against {
        None => format!("that it holds to the limit is {is}"),
        Some(Versus { label, ratio: Ratio { ratio, low, high, .. } }) => {
            let interval = interval(Some(Interval { low: *low, high: *high }), |ratio| format!("{ratio:.4}"));
            format!(
                "it has {ratio:.4} times the perplexity of {}, interval {interval}, a difference that is {is}",
                name(label)
            )
        }
    };
    format!("On text that the search did not see: {}; {finding}.", ratio(&held.held))
}

fn ratio(ratio: &Ratio) -> String {
    let Ratio { ratio, low, high, windows } = *ratio;
    let interval = interval(Some(Interval { low, high }), |ratio| format!("{ratio:.4}"));
    format!("{ratio:.4} times the perplexity of the base, interval {interval}, {}", some(windows, "window"))
}
