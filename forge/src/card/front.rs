//! What stands before the text: metadata in YAML, as the hub reads it.

use super::model::{is_repository, repository};
use super::text::line;
use super::yaml::{self, figure};
use super::{Facts, licence};
use crate::recipe::files::stem;
use measure::compare::{Summary, summary};
use serde_json::{Map, Value, json};

/// Stages after which a model is more than another type of its base.
const CHANGE_WEIGHTS: [&str; 3] = ["prune", "search", "run"];

/// The front matter, without the lines `---`.
pub(super) fn matter(facts: &Facts) -> String {
    let mut front = Map::new();
    licence::front(facts, &mut front);
    let bases = bases(facts);
    let relation = relation(facts).filter(|_| !bases.is_empty());
    front.insert("base_model".into(), bases.into());
    front.insert("base_model_relation".into(), relation.into());
    if facts.models.iter().any(|model| model.says.is_some()) {
        front.insert("library_name".into(), "gguf".into());
    }
    front.insert("tags".into(), tags(facts).into());
    front.insert("model-index".into(), results(facts).into());
    yaml::write(&front)
}

/// Repositories on the hub that the models come from: as the recipe says, as the files say, or where they were fetched.
fn bases(facts: &Facts) -> Vec<String> {
    let given = facts.base.iter().map(|base| repository(base.trim()));
    let said = facts.models.iter().filter_map(|model| model.says.as_ref()).flat_map(|says| says.from.iter().cloned());
    let fetched = facts.models.iter().flat_map(|model| {
        let steps = facts.chain.lineage(&model.sha256).into_iter().filter_map(|(step, _)| step.source());
        model.source.as_deref().into_iter().chain(steps).map(repository)
    });
    let on_hub = |all: Vec<String>| all.into_iter().filter(|base| is_repository(base)).collect::<Vec<_>>();
    let lists = [given.collect(), said.collect(), fetched.collect()].map(on_hub);
    let mut bases: Vec<String> = Vec::new();
    for base in lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default() {
        if !bases.contains(&base) {
            bases.push(base);
        }
    }
    bases
}

/// What the models are to their bases, where that is known.
fn relation(facts: &Facts) -> Option<&'static str> {
    let models: Vec<_> = facts.models.iter().filter(|model| model.says.is_some()).collect();
    let kinds =
        |sha256: &str| facts.chain.lineage(sha256).into_iter().map(|(step, _)| step.kind.as_str()).collect::<Vec<_>>();
    let is_quantized = |sha256: &str| {
        let kinds = kinds(sha256);
        kinds.contains(&"quantize") && !kinds.iter().any(|kind| CHANGE_WEIGHTS.contains(kind))
    };
    let is_merge = |says: Option<&super::model::Says>| says.is_some_and(|says| says.is_merge);
    if models.is_empty() {
        None
    } else if facts.base.is_empty() && models.iter().all(|model| is_merge(model.says.as_ref())) {
        Some("merge")
    } else {
        models.iter().all(|model| is_quantized(&model.sha256)).then_some("quantized")
    }
}

fn tags(facts: &Facts) -> Vec<&'static str> {
    let says = || facts.models.iter().filter_map(|model| model.says.as_ref());
    let is_pruned =
        |model: &super::Model| facts.chain.lineage(&model.sha256).iter().any(|(step, _)| step.kind == "prune");
    let tags = [
        ("gguf", says().next().is_some()),
        ("moe", says().any(|says| says.experts > 0)),
        ("pruned", facts.models.iter().any(is_pruned)),
        ("llama_selfmod", true),
    ];
    tags.into_iter().filter(|(_, has)| *has).map(|(tag, _)| tag).collect()
}

/// Results of the models that the card is of, as `model-index` has them.
fn results(facts: &Facts) -> Vec<Value> {
    let of = facts.models.iter().map(|model| {
        let mut results = Vec::new();
        for (origin, found) in &facts.measured.perplexities {
            let digest = origin.text.as_ref().map(|(_, sha256)| sha256);
            let dataset = json!({
                "type": slug(stem(&found.text)),
                "name": found.text,
                "args": { "sha256": digest, "context": found.context, "skip": found.skip },
            });
            for own in found.models.iter().filter(|own| own.sha256 == model.sha256) {
                let metric = json!({
                    "type": "perplexity",
                    "name": "Perplexity",
                    "value": figure(own.perplexity, 4),
                    "args": {
                        "tokens": own.tokens,
                        "windows": own.windows.len(),
                        "low": own.interval.map(|interval| figure(interval.low, 4)),
                        "high": own.interval.map(|interval| figure(interval.high, 4)),
                    },
                });
                results.extend(result(&dataset, metric));
            }
        }
        for own in facts.measured.evals.iter().flat_map(|(_, results)| results) {
            let is_own = matches!(own.header.system.members.as_slice(), [one] if one.sha256 == model.sha256);
            if let (true, Summary::Accuracy { items, accuracy, .. }) = (is_own, summary(own)) {
                let digest = &own.header.items.sha256;
                let task = &own.header.task;
                let dataset = json!({ "type": slug(task), "name": task, "args": { "sha256": digest } });
                let metric = json!({
                    "type": "accuracy",
                    "name": "Accuracy",
                    "value": figure(accuracy.accuracy, 4),
                    "args": {
                        "items": items,
                        "low": figure(accuracy.interval.low, 4),
                        "high": figure(accuracy.interval.high, 4),
                    },
                });
                results.extend(result(&dataset, metric));
            }
        }
        json!({ "name": stem(&model.file), "results": results })
    });
    of.filter(|entry| entry.get("results").and_then(Value::as_array).is_some_and(|results| !results.is_empty()))
        .collect()
}

/// A result as the hub takes it: with a value.
fn result(dataset: &Value, metric: Value) -> Option<Value> {
    let has_value = metric.get("value").is_some_and(Value::is_number);
    has_value.then(|| json!({ "task": { "type": "text-generation" }, "dataset": dataset, "metrics": [metric] }))
}

/// A data set's name as the hub's identifiers are written.
fn slug(text: &str) -> String {
    let text = line(text);
    let fits = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    let slug: String = text.chars().map(|character| if fits(character) { character } else { '-' }).collect();
    let slug = slug.trim_matches(['-', '.']);
    if slug.is_empty() { "text".into() } else { slug.into() }
}
