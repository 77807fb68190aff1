//! Reads what a card is made of: the models' headers, the statements, and what stages measured.

use super::{Chain, Facts, Measured, Model, Origin};
use crate::bench::Failure;
use crate::recipe::files::{self, file_name, stem};
use crate::recipe::{Card, Recipe};
use crate::run::{Read, Reads};
use crate::stages::read_json;
use crate::store::{Folder, files_below};
use measure::results::{Results, read};
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};

/// Reads all that the card says.
pub(crate) fn gather(card: &Card, reads: &Reads, recipe: &Recipe) -> Result<Facts, Failure> {
    let direct = reads.0.iter().filter_map(|read| made(read, recipe)).collect();
    let chain = Chain::find(direct, recipe)?;
    let models = reads.all("models").map(Model::read);
    let models = models.collect::<Result<_, _>>()?;
    let mut measured = Measured::default();
    for result in reads.all("results") {
        let name = stage(&result.reference, recipe).unwrap_or_else(|| result.reference.clone());
        let (folder, made) = files_of(&result.path)?;
        measured.read(origin(name, &chain), &folder, &made)?;
    }
    // What was taken out and chosen is said whether or not the recipe names the stage.
    for step in &chain.0 {
        let file = match step.kind.as_str() {
            "prune" => files::EXPERTS,
            "search" => files::SEARCH,
            _ => continue,
        };
        if !measured.has(&step.name) {
            measured.read(origin(step.name.clone(), &chain), &step.folder.out(), &[file.into()])?;
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
fn made(read: &Read, recipe: &Recipe) -> Option<(String, Folder)> {
    let stage = stage(&read.reference, recipe)?;
    let folders = read.path.ancestors().map(|path| Folder::at(path.into()));
    let folder = folders.into_iter().find(|folder| folder.stage() == stage && read.path.starts_with(folder.out()))?;
    Some((stage, folder))
}

fn origin(name: String, chain: &Chain) -> Origin {
    let step = chain.step(&name);
    let text = step.and_then(|step| step.read("text")).map(|(file, sha256)| (file.to_owned(), sha256.to_owned()));
    let against = step.and_then(|step| step.read("against")).map(|(file, _)| file.to_owned());
    Origin { name, text, against }
}

/// The files of a result, from a folder: all of it, or one.
fn files_of(path: &Path) -> Result<(PathBuf, Vec<String>), Failure> {
    if path.is_dir() {
        return Ok((path.to_owned(), files_below(path)?));
    }
    Ok((path.parent().unwrap_or(path).to_owned(), vec![file_name(path)]))
}

impl Measured {
    /// Whether the experts or the search of a stage were read.
    fn has(&self, stage: &str) -> bool {
        let pruned = self.pruned.iter().map(|(origin, _)| origin);
        pruned.chain(self.searches.iter().map(|(origin, _)| origin)).any(|origin| origin.name == stage)
    }

    /// Reads files that stages write; others say nothing to a card.
    fn read(&mut self, origin: Origin, folder: &Path, made: &[String]) -> Result<(), Failure> {
        let mut results: Vec<Results> = Vec::new();
        for file in made {
            let path = folder.join(file);
            match file.as_str() {
                files::PERPLEXITY => self.perplexities.push((origin.clone(), json(&path)?)),
                files::PROFILE => self.profiles.push((origin.clone(), json(&path)?)),
                files::EXPERTS => self.pruned.push((origin.clone(), json(&path)?)),
                files::SEARCH => self.searches.push((origin.clone(), json(&path)?)),
                results_of if results_of.ends_with(files::RESULTS) => {
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
                let name = file_name(&results.path);
                (first != Some(stem(&name)), name)
            });
            self.evals.push((origin, results));
        }
        Ok(())
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    read_json(path).map_err(|failure| Failure::new(format!("{failure}; leave it out of `results`")))
}
