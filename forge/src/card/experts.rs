//! Which experts were taken out, and what experts did.

use super::text::{count, name, some, table, words};
use super::{Measured, Origin};
use crate::bench::{Layer, Profile};
use crate::recipe::By;
use crate::stages::Chosen;

/// At most so many layers are listed, and so many experts of each.
const MOST: usize = 64;

/// The section on experts, if there is anything to say.
pub(super) fn section(measured: &Measured) -> String {
    if measured.pruned.is_empty() && measured.profiles.is_empty() {
        return String::new();
    }
    let mut text = String::from("## Experts\n");
    measured.pruned.iter().for_each(|(origin, all)| text.push_str(&pruned(origin, all)));
    measured.profiles.iter().for_each(|(origin, found)| text.push_str(&profile(origin, found)));
    text
}

fn pruned(origin: &Origin, all: &[Chosen]) -> String {
    let mut text = String::new();
    for chosen in all {
        let by = match chosen.by {
            By::Saliency => "by the mean of the gate's weight times the norm of the expert's output (saliency)",
            By::Total => "by the sum, over the text, of the gate's weight times the norm of the expert's output",
            By::Count => "by how many tokens went through them",
            By::Random => "by chance",
            By::First => "because they came first",
        };
        text.push_str(&format!(
            "\nIn {}, {} of {} experts of each layer were kept, {by}. Stage {}.\n",
            name(&chosen.model),
            count(chosen.experts.into()),
            count(chosen.of.into()),
            name(&origin.name)
        ));
        let removed: Vec<String> = chosen.kept.iter().take(MOST).map(|kept| removed(kept, chosen.of)).collect();
        let listed = removed.iter().enumerate().map(|(at, removed)| {
            let layer = chosen.layers.get(at).map_or(at as u64, |layer| u64::from(*layer));
            format!("{layer}: {removed}")
        });
        let listed: Vec<String> = listed.collect();
        let left = chosen.kept.len().saturating_sub(MOST);
        let more = if left == 0 { String::new() } else { format!("; and {left} layers more") };
        text.push_str(&format!("Removed, layer by layer: {}{more}.\n", listed.join("; ")));
    }
    text
}

/// The experts of a layer that are not kept.
fn removed(kept: &[u32], of: u32) -> String {
    let mut removed = (0..of).filter(|expert| !kept.contains(expert));
    let listed: Vec<String> = removed.by_ref().take(MOST).map(|expert| expert.to_string()).collect();
    match (listed.is_empty(), removed.next()) {
        (true, _) => "none".into(),
        (_, None) => listed.join(", "),
        (_, Some(_)) => format!("{} and more", listed.join(", ")),
    }
}

fn profile(origin: &Origin, profile: &Profile) -> String {
    let text = origin
        .text
        .as_ref()
        .map_or("a text".into(), |(file, sha256)| format!("{} (SHA-256 {})", name(file), name(sha256)));
    let rows: Vec<Vec<String>> = profile.layers.iter().take(MOST).map(row).collect();
    let table = table(&["layer", "experts", "least used", "most used", "without a token"], &rows);
    let left = profile.layers.len().saturating_sub(MOST);
    let more = if left == 0 { String::new() } else { format!("\nAnd {}.\n", words(&format!("{left} layers more"))) };
    format!(
        "\n### What experts do on {text}\n\n{} through {} each. These are counts of this text alone and say nothing of another. \
         Stage {}.\n\n{table}{more}",
        some(profile.tokens, "token"),
        some(profile.used.into(), "expert"),
        name(&origin.name)
    )
}

fn row(layer: &Layer) -> Vec<String> {
    let all = layer.counts.iter().fold(0_u64, |sum, tokens| sum.saturating_add(*tokens));
    let part =
        |tokens: Option<&u64>| tokens.map_or("–".into(), |tokens| format!("{} of {}", count(*tokens), count(all)));
    let unused = layer.counts.iter().filter(|tokens| **tokens == 0).count();
    vec![
        layer.layer.to_string(),
        count(layer.counts.len() as u64),
        part(layer.counts.iter().min()),
        part(layer.counts.iter().max()),
        count(unused as u64),
    ]
}
