//! Licences, as files and recipes name them. They are shown and not judged.

use super::Facts;
use super::text::{name, names, table, words};
use serde_json::{Map, Value};

/// Identifiers that the hub takes for `license` (its documentation, "Licenses"); all others are `other` with a name.
const KNOWN: [&str; 77] = [
    "apache-2.0",
    "mit",
    "openrail",
    "bigscience-openrail-m",
    "creativeml-openrail-m",
    "bigscience-bloom-rail-1.0",
    "bigcode-openrail-m",
    "afl-3.0",
    "artistic-2.0",
    "bsl-1.0",
    "bsd",
    "bsd-2-clause",
    "bsd-3-clause",
    "bsd-3-clause-clear",
    "c-uda",
    "cc",
    "cc0-1.0",
    "cc-by-2.0",
    "cc-by-2.5",
    "cc-by-3.0",
    "cc-by-4.0",
    "cc-by-sa-3.0",
    "cc-by-sa-4.0",
    "cc-by-nc-2.0",
    "cc-by-nc-3.0",
    "cc-by-nc-4.0",
    "cc-by-nd-4.0",
    "cc-by-nc-nd-3.0",
    "cc-by-nc-nd-4.0",
    "cc-by-nc-sa-2.0",
    "cc-by-nc-sa-3.0",
    "cc-by-nc-sa-4.0",
    "cdla-sharing-1.0",
    "cdla-permissive-1.0",
    "cdla-permissive-2.0",
    "wtfpl",
    "ecl-2.0",
    "epl-1.0",
    "epl-2.0",
    "etalab-2.0",
    "eupl-1.1",
    "agpl-3.0",
    "gfdl",
    "gpl",
    "gpl-2.0",
    "gpl-3.0",
    "lgpl",
    "lgpl-2.1",
    "lgpl-3.0",
    "isc",
    "lppl-1.3c",
    "ms-pl",
    "mpl-2.0",
    "odc-by",
    "odbl",
    "openrail++",
    "osl-3.0",
    "postgresql",
    "ofl-1.1",
    "ncsa",
    "unlicense",
    "zlib",
    "pddl",
    "lgpl-lr",
    "deepfloyd-if-license",
    "llama2",
    "llama3",
    "llama3.1",
    "llama3.2",
    "llama3.3",
    "llama4",
    "gemma",
    "eupl-1.2",
    "apple-ascl",
    "apple-amlr",
    "unknown",
    "other",
];

/// Puts the licence into the front matter: the recipe's, or the one that all files name.
pub(super) fn front(facts: &Facts, front: &mut Map<String, Value>) {
    let (licence, own_name, link) = match (&facts.license, common(facts)) {
        (Some(licence), _) => (licence.clone(), None, None),
        (None, Some(says)) => says,
        (None, None) => return,
    };
    let id = licence.trim().to_ascii_lowercase();
    if KNOWN.contains(&id.as_str()) && id != "other" {
        front.insert("license".into(), id.into());
    } else {
        front.insert("license".into(), "other".into());
        front.insert("license_name".into(), slug(own_name.as_deref().unwrap_or(&licence)).into());
        front.insert("license_link".into(), link.map_or(Value::Null, Value::String));
    }
}

/// A name as the hub wants it: small letters, digits, `-` and `.`.
fn slug(text: &str) -> String {
    let text = text.to_ascii_lowercase();
    let parts = text.split(|character: char| !(character.is_ascii_alphanumeric() || character == '.'));
    let slug = parts.filter(|part| !part.is_empty()).take(12).collect::<Vec<_>>().join("-");
    if slug.is_empty() { "unnamed".into() } else { slug }
}

type Says = (String, Option<String>, Option<String>);

/// The licence that all models name, if they name one.
fn common(facts: &Facts) -> Option<Says> {
    let mut all = facts
        .models
        .iter()
        .filter_map(|model| model.says.as_ref())
        .map(|says| Some((says.license.clone()?, says.license_name.clone(), says.license_link.clone())));
    let first = all.next()??;
    all.all(|other| other.as_ref() == Some(&first)).then_some(first)
}

/// The section on licences and where the models come from.
pub(super) fn section(facts: &Facts) -> String {
    let models: Vec<_> = facts.models.iter().filter_map(|model| Some((model, model.says.as_ref()?))).collect();
    let optional = |text: Option<&String>| text.map_or("not named".into(), |text| words(text));
    let rows: Vec<Vec<String>> = models
        .iter()
        .map(|(model, says)| {
            let licence = [&says.license, &says.license_name, &says.license_link].into_iter().flatten();
            let licence: Vec<String> = licence.map(|part| words(part)).collect();
            let licence = if licence.is_empty() { "not named".into() } else { licence.join(", ") };
            let from: Vec<String> = says.from.iter().map(|from| words(from)).collect();
            let from = if from.is_empty() { "not named".into() } else { from.join(", ") };
            vec![name(&model.file), optional(says.name.as_ref()), licence, optional(says.by.as_ref()), from]
        })
        .collect();
    let mut text = String::from(
        "## Licences and origin\n\nWhat the files say of themselves. It is shown here and not judged.\n\n",
    );
    text.push_str(&table(&["file", "model", "licence", "by", "from"], &rows));
    text.push('\n');
    for sentence in sentences(facts) {
        text.push_str(&format!("- {sentence}\n"));
    }
    text
}

fn sentences(facts: &Facts) -> Vec<String> {
    let says: Vec<_> = facts.models.iter().filter_map(|model| Some((model, model.says.as_ref()?))).collect();
    let mut licences: Vec<&str> = says.iter().filter_map(|(_, says)| says.license.as_deref()).collect();
    licences.sort_unstable();
    licences.dedup();
    let silent: Vec<&str> =
        says.iter().filter(|(_, says)| says.license.is_none()).map(|(model, _)| model.file.as_str()).collect();
    let mut sentences = Vec::new();
    if !silent.is_empty() {
        sentences.push(format!(
            "No licence is named in {}: ask its author before you use it.",
            names(silent.iter().copied())
        ));
    }
    if licences.len() > 1 {
        sentences.push(format!("The licences differ: {}. Each file keeps its own.", names(licences.iter().copied())));
    }
    match &facts.license {
        Some(own) => {
            let is_same = |licence: &&str| licence.eq_ignore_ascii_case(own.trim());
            sentences.push(format!("The recipe names the licence {}.", name(own)));
            let other: Vec<&str> = licences.iter().copied().filter(|licence| !is_same(licence)).collect();
            if !other.is_empty() {
                sentences.push(format!("That is not what all files name: {}.", names(other)));
            }
        }
        None if common(facts).is_none() => {
            sentences.push("The recipe names no licence, so the front matter of this card has none.".into());
        }
        None => {}
    }
    sentences.push("Copies that were quantised or pruned say what the file says that they were made of.".into());
    sentences.push("Licences of the texts that were measured on are not known to this program.".into());
    sentences
}

#[cfg(test)]
mod tests {
    use super::super::tests::{facts, model};
    use super::*;

    fn matter(facts: &Facts) -> Value {
        let mut map = Map::new();
        front(facts, &mut map);
        map.into()
    }

    #[test]
    fn the_licence_is_the_one_that_all_files_name() {
        let facts = facts(vec![model("a.gguf", Some("MIT")), model("b.gguf", Some("MIT"))]);
        assert_eq!(matter(&facts), serde_json::json!({ "license": "mit" }));
    }

    #[test]
    fn files_that_differ_give_no_licence_and_the_card_says_so() {
        let facts = facts(vec![model("a.gguf", Some("mit")), model("b.gguf", Some("gpl-3.0"))]);
        assert_eq!(matter(&facts), serde_json::json!({}));
        assert!(section(&facts).contains("The licences differ: `gpl-3.0`, `mit`."));
        assert!(section(&facts).contains("The recipe names no licence"));
    }

    #[test]
    fn a_missing_licence_is_said() {
        let facts = facts(vec![model("a.gguf", Some("mit")), model("b.gguf", None)]);
        assert_eq!(matter(&facts), serde_json::json!({}));
        assert!(section(&facts).contains("No licence is named in `b.gguf`"));
    }

    #[test]
    fn the_recipes_licence_counts_and_a_contradiction_is_said() {
        let mut facts = facts(vec![model("a.gguf", Some("gpl-3.0"))]);
        facts.license = Some("apache-2.0".into());
        assert_eq!(matter(&facts), serde_json::json!({ "license": "apache-2.0" }));
        assert!(section(&facts).contains("That is not what all files name: `gpl-3.0`."));
    }

    #[test]
    fn a_licence_that_the_hub_does_not_know_is_other_with_a_name() {
        let facts = facts(vec![model("a.gguf", Some("My Licence: 2\n"))]);
        assert_eq!(
            matter(&facts),
            serde_json::json!({ "license": "other", "license_name": "my-licence-2", "license_link": null })
        );
    }
}
