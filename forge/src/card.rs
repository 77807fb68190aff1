//! Model cards: the `README.md` of a repository on the hub.
//!
//! A card is text made of facts alone, so the same stages give the same bytes. It has no word of praise: every figure
//! stands with its interval and its count, and what is not shown is said. Names come from files that anybody may have made,
//! and none of them becomes markup.

mod chain;
mod evals;
mod experts;
mod files;
mod folder;
mod front;
mod gather;
mod licence;
mod model;
mod perplexities;
mod searches;
mod text;
mod yaml;

pub(crate) use chain::Chain;
pub use folder::of_folder;
pub(crate) use gather::gather;
pub(crate) use model::Model;

use crate::bench::Profile;
use crate::recipe::files::stem;
use crate::stages::{Chosen, Perplexities};
use measure::results::Results;
use searches::Search;

/// All that a card is made of.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// The recipe's title.
    pub(crate) title: Option<String>,
    /// `owner/name` where it will be.
    pub(crate) repo: Option<String>,
    /// The recipe's licence.
    pub(crate) license: Option<String>,
    /// The recipe's base models.
    pub(crate) base: Vec<String>,
    pub(crate) models: Vec<Model>,
    pub(crate) measured: Measured,
    pub(crate) chain: Chain,
    /// What a pack says that no recipe made.
    pub(crate) team: Option<folder::Team>,
}

/// What stages measured, each with where it was.
#[derive(Debug, Clone, Default)]
pub(crate) struct Measured {
    pub(crate) perplexities: Vec<(Origin, Perplexities)>,
    pub(crate) evals: Vec<(Origin, Vec<Results>)>,
    pub(crate) profiles: Vec<(Origin, Profile)>,
    pub(crate) pruned: Vec<(Origin, Vec<Chosen>)>,
    pub(crate) searches: Vec<(Origin, Search)>,
}

/// The stage or input that figures come from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The stage, or the input.
    pub(crate) name: String,
    /// The text's file and its SHA-256, if the stage's statement names one.
    pub(crate) text: Option<(String, String)>,
    /// What others were paired with: its file.
    pub(crate) against: Option<String>,
}

/// Writes the card.
pub(crate) fn render(facts: &Facts) -> String {
    let sections = [
        files::section(facts),
        folder::section(facts.team.as_ref()),
        measured(facts),
        experts::section(&facts.measured),
        searches::section(&facts.measured.searches),
        facts.chain.section(),
        licence::section(facts),
    ];
    let body: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    format!("---\n{}---\n\n# {}\n\n{}", front::matter(facts), text::words(&title(facts)), body.join("\n"))
}

/// The recipe's title, else the first model's name.
fn title(facts: &Facts) -> String {
    let first = facts.models.first();
    let named = first.and_then(|model| model.says.as_ref()?.name.clone());
    let title = facts.title.clone().or(named).or_else(|| first.map(|model| stem(&model.file).to_owned()));
    title.filter(|title| !text::line(title).is_empty()).unwrap_or_else(|| "Models".into())
}

/// The section of all comparisons.
fn measured(facts: &Facts) -> String {
    let Measured { perplexities, evals, .. } = &facts.measured;
    let mut text = String::from("## Measured\n\n");
    if perplexities.is_empty() && evals.is_empty() {
        text.push_str("Nothing: this card is of files whose quality was not measured.\n");
        return text;
    }
    text.push_str(
        "Intervals are of 95 %. Differences are paired: both models had the same windows or items. \"Shown\" is a difference \
         whose interval holds no 0 and whose p-value, by Holm over its table, is below 0.05; all others are \"not shown\". \
         Whoever chose models by these figures would have to measure again on other text.\n",
    );
    perplexities.iter().for_each(|(origin, found)| text.push_str(&perplexities::section(origin, found, facts)));
    evals.iter().for_each(|(origin, found)| text.push_str(&evals::section(origin, found, facts)));
    text
}

#[cfg(test)]
mod tests;
