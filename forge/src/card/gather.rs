//! Reads what a card is made of: the models' headers, the statements, and what stages measured.

use super::{Chain, Facts, Measured, Model, Origin};
use crate::bench::Failure;
use crate::recipe::{Card, Recipe, stem};
use crate::run::{Read, Reads};
use crate::store::files_below;
use measure::results::{Results, read};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Reads all that the card says.
pub(crate) fn gather(card: &Card, reads: &Reads, recipe: &Recipe) -> Result<Facts, Failure> {
    let direct = reads.0.iter().filter_map(|read| made(read, recipe)).collect();
    let chain = Chain::find(direct, recipe)?;
    let models = reads.all("models").map(|model| Model::read(&model.file, &model.sha256, &model.path));
    let models = models.collect::<Result<_, _>>()?;
    let mut measured = Measured::default();
    for result in reads.all("results") {
        let name = stage(&result.reference, recipe).unwrap_or_else(|| result.reference.clone());
        let (folder, files) = files(&result.path)?;
        measured.read(origin(name, &chain), &folder, &files)?;
    }
    // What was taken out and chosen is said whether or not the recipe names the stage.
    for step in &chain.0 {
        let file = match step.kind.as_str() {
            "prune" => "experts.json",
            "search" => "search.json",
            _ => continue,
        };
        if !measured.has(&step.name) {
            measured.read(origin(step.name.clone(), &chain), &step.folder.join("out"), &[file.into()])?;
        }
    }
    Ok(Facts {
        title: card.title.clone(),
        repo: card.repo.clone(),
        license: card.license.clone(),
        base: card.base.0.clone(),
        models,
        measured,
        chain,
        team: None,
    })
}

/// The stage that a reference names, if it is one.
fn stage(reference: &str, recipe: &Recipe) -> Option<String> {
    let name = reference.split('/').next()?;
    recipe.stage(name).map(|_| name.to_owned())
}

/// The stage that made what is read, and its folder.
fn made(read: &Read, recipe: &Recipe) -> Option<(String, PathBuf)> {
    let stage = stage(&read.reference, recipe)?;
    let ending = format!("-{stage}");
    let folder = read.path.ancestors().find(|folder| {
        let is_named = folder.file_name().is_some_and(|name| name.to_string_lossy().ends_with(&ending));
        is_named && read.path.starts_with(folder.join("out"))
    })?;
    Some((stage, folder.to_owned()))
}

fn origin(name: String, chain: &Chain) -> Origin {
    let step = chain.step(&name);
    let text = step.and_then(|step| step.read("text")).map(|(file, sha256)| (file.to_owned(), sha256.to_owned()));
    let against = step.and_then(|step| step.read("against")).map(|(file, _)| file.to_owned());
    Origin { name, text, against }
}

/// The files of a result, from a folder: all of it, or one.
fn files(path: &Path) -> Result<(PathBuf, Vec<String>), Failure> {
    if path.is_dir() {
        return Ok((path.to_owned(), files_below(path)?));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
    Ok((path.parent().unwrap_or(path).to_owned(), name.into_iter().collect()))
}

impl Measured {
    /// Whether the experts or the search of a stage were read.
    fn has(&self, stage: &str) -> bool {
        let pruned = self.pruned.iter().map(|(origin, _)| origin);
        pruned.chain(self.searches.iter().map(|(origin, _)| origin)).any(|origin| origin.name == stage)
    }

    /// Reads files that stages write; others say nothing to a card.
    fn read(&mut self, origin: Origin, folder: &Path, files: &[String]) -> Result<(), Failure> {
        let mut results: Vec<Results> = Vec::new();
        for file in files {
            let path = folder.join(file);
            match file.as_str() {
                "perplexity.json" => self.perplexities.push((origin.clone(), json(&path)?)),
                "profile.json" => self.profiles.push((origin.clone(), json(&path)?)),
                "experts.json" => self.pruned.push((origin.clone(), json(&path)?)),
                "search.json" => self.searches.push((origin.clone(), json(&path)?)),
                results_of if results_of.ends_with(".jsonl") => {
                    let advice = "name files of results one by one in `results`";
                    results.push(read(&path).map_err(|error| Failure::new(format!("{error}; {advice}")))?);
                }
                _ => {}
            }
        }
        if !results.is_empty() {
            // The first is the one that others are paired with.
            let first = origin.against.as_deref().map(stem);
            results.sort_by_key(|results| {
                let name = results.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                (first != Some(stem(&name)), name)
            });
            self.evals.push((origin, results));
        }
        Ok(())
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::read(path, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| {
        Failure::new(format!("`{}` is not what a stage writes: {error}; leave it out of `results`", path.display()))
    })
}
