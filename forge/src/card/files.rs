//! The files of a card, and how they are run.

use super::text::{count, line, name, table};
use super::{Facts, Model};

/// The file of a pack that names its members; models that decode together are run by their folder.
const TEAM: &str = "team.toml";

/// How to run the first model, and the table of all files.
pub(super) fn section(facts: &Facts) -> String {
    let rows: Vec<Vec<String>> = facts.models.iter().map(|model| row(model, facts)).collect();
    let files = table(&["file", "type", "bytes", "experts of a layer", "SHA-256"], &rows);
    let run = command(facts).map(|command| format!("```sh\n{command}\n```\n\n")).unwrap_or_default();
    format!("{run}## Files\n\n{files}")
}

fn row(model: &Model, facts: &Facts) -> Vec<String> {
    let says = model.says.as_ref();
    let experts = says.map_or(0, |says| says.experts);
    let experts = match (experts, before(model, facts)) {
        (0, _) => "–".into(),
        (experts, Some(of)) if u64::from(of) != experts => format!("{} of {}", count(experts), count(of.into())),
        (experts, _) => count(experts),
    };
    let kind = says.map_or("–", |says| &says.kind);
    vec![name(&model.file), kind.into(), count(model.size), experts, name(&model.sha256)]
}

/// How many experts a layer had before any were taken out.
fn before(model: &Model, facts: &Facts) -> Option<u32> {
    let lineage = facts.chain.lineage(&model.sha256);
    lineage.iter().rev().find_map(|(step, file)| {
        let (_, chosen) = facts.measured.pruned.iter().find(|(origin, _)| origin.name == step.name)?;
        chosen.iter().find(|chosen| chosen.model == *file).map(|chosen| chosen.of)
    })
}

/// The command that runs the first model, for a shell.
fn command(facts: &Facts) -> Option<String> {
    if facts.models.iter().any(|model| model.file == TEAM) {
        return Some("llama_selfmod --team .".into());
    }
    let models: Vec<&Model> = facts.models.iter().filter(|model| model.says.is_some()).collect();
    let first = models.first()?;
    if let Some(repo) = facts.repo.as_ref().filter(|repo| super::model::is_repository(repo)) {
        return Some(format!("llama_selfmod -hf {repo}:{}", selection(first, &models)?));
    }
    if is_plain(&first.file) {
        return Some(format!("llama_selfmod --models {}", first.file));
    }
    // A name that is not shown as it is cannot be typed.
    let quoted = first.file.replace('\'', "'\\''");
    (line(&first.file) == first.file).then(|| format!("llama_selfmod --models './{quoted}'"))
}

/// What selects a model in its repository: its type if that stands in its name alone, else its name.
fn selection<'a>(model: &'a Model, all: &[&Model]) -> Option<&'a str> {
    let kind = &model.says.as_ref()?.kind;
    let has_type = |other: &&&Model| other.file.to_ascii_lowercase().contains(&kind.to_ascii_lowercase());
    let ends = model.file.to_ascii_lowercase().ends_with(&format!("{}.gguf", kind.to_ascii_lowercase()));
    if ends && all.iter().filter(has_type).count() == 1 {
        Some(kind)
    } else {
        is_plain(&model.file).then_some(&model.file)
    }
}

/// Whether a shell and an address take a name as it is.
fn is_plain(name: &str) -> bool {
    !name.starts_with('-')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
}
