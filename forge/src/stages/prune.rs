//! `prune`: models with fewer experts, as many in every layer.

use super::Work;
use super::choice::{Ranking, covering};
use super::experts::Experts;
use crate::bench::{Failure, Profile};
use crate::recipe::{By, Prune, covered, pruned, stem};
use crate::run::Reads;
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What `experts.json` says of one model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The model's file name.
    pub model: String,
    /// How many experts each layer keeps.
    pub experts: u32,
    /// How many it had.
    pub of: u32,
    /// What they were ranked by.
    pub by: By,
    /// The numbers of layers that have experts.
    pub layers: Vec<u32>,
    /// The experts of each of these layers, by their places in the model before.
    pub kept: Vec<Vec<u32>>,
}

pub(super) fn prune(stage: &Prune, work: &Work) -> Result<(), Failure> {
    let model = work.reads.one("model")?;
    let profile = work.reads.maybe("profile").map(|read| read_profile(&read.path)).transpose()?;
    let has = Experts::of(&model.path)?;
    let ranking = match (&profile, stage.by) {
        (Some(profile), By::Saliency | By::Count) => Ranking::of_profile(profile, stage.by, &has.layers, has.experts)?,
        _ => Ranking::without_profile(has.layers.len(), has.experts, stage.by, stage.seed),
    };
    let mut chosen = Vec::new();
    for (number, name) in numbers(stage, profile.as_ref(), stem(&model.file)) {
        work.go_on()?;
        let kept = ranking.keep(number)?;
        work.watch.log(&format!("{number} of {} experts: {name}", has.experts));
        has.write(&model.path, &kept, &work.out.join(&name), work.watch)?;
        chosen.push(Chosen {
            model: name,
            experts: number,
            of: has.experts,
            by: stage.by,
            layers: has.layers.clone(),
            kept,
        });
    }
    work.write_json("experts.json", &chosen)
}

/// Sizes of the files, where their numbers of experts are known.
pub(super) fn sizes(stage: &Prune, reads: &Reads) -> Vec<(String, u64)> {
    let model = reads.maybe("model");
    let Some((model, has)) = model.and_then(|model| Some((model, Experts::of(&model.path).ok()?))) else {
        return Vec::new();
    };
    let profile = reads.maybe("profile").and_then(|read| read_profile(&read.path).ok());
    let numbers = numbers(stage, profile.as_ref(), stem(&model.file));
    numbers.into_iter().filter_map(|(number, name)| Some((name, has.size(number)?))).collect()
}

/// How many experts are kept, and the names of the files.
fn numbers(stage: &Prune, profile: Option<&Profile>, stem: &str) -> Vec<(u32, String)> {
    match stage.coverage {
        None => stage.experts.0.iter().map(|number| (*number, pruned(stem, *number))).collect(),
        Some(part) => profile.map(|profile| (covering(profile, stage.by, part), covered(stem))).into_iter().collect(),
    }
}

fn read_profile(path: &Path) -> Result<Profile, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::read(path, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::new(format!("`{}` is no profile: {error}", path.display())))
}
