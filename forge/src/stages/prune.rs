//! `prune`: models with fewer experts, as many in every layer.

use super::choice::{Ranking, covering};
use super::{Work, experts};
use crate::bench::{Failure, Profile};
use crate::recipe::{By, Prune, pruned, stem};
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
    /// The experts of each layer, by their places in the model before.
    pub kept: Vec<Vec<u32>>,
}

pub(super) fn prune(stage: &Prune, work: &Work) -> Result<(), Failure> {
    let model = work.reads.one("model")?;
    let profile = work.reads.maybe("profile").map(|read| read_profile(&read.path)).transpose()?;
    let has = experts::of(&model.path)?;
    let ranking = match (&profile, stage.by) {
        (Some(profile), By::Saliency | By::Count) => {
            let fits = profile.layers.len() == has.layers
                && profile.layers.iter().all(|layer| layer.counts.len() == has.experts as usize);
            if !fits {
                return Err(Failure::new(format!(
                    "the profile is not one of `{}`: profile the same model",
                    model.file
                )));
            }
            Ranking::of_profile(profile, stage.by)?
        }
        _ => Ranking::without_profile(has.layers, has.experts, stage.by, stage.seed),
    };
    let numbers = match (stage.coverage, &profile) {
        (Some(part), Some(profile)) => {
            vec![(covering(profile, &ranking, stage.by, part), format!("{}-pruned.gguf", stem(&model.file)))]
        }
        _ => stage.experts.0.iter().map(|number| (*number, pruned(stem(&model.file), *number))).collect(),
    };
    if let Some((few, _)) = numbers.iter().find(|(number, _)| *number < has.used) {
        return Err(Failure::new(format!(
            "{few} experts are too few: every token of `{}` goes through {}",
            model.file, has.used
        )));
    }
    let mut chosen = Vec::new();
    for (number, name) in numbers {
        work.go_on()?;
        let kept = ranking.keep(number)?;
        work.watch.log(&format!("{number} of {} experts: {name}", has.experts));
        experts::write(&model.path, &kept, &work.out.join(&name), work.watch)?;
        chosen.push(Chosen { model: name, experts: number, of: has.experts, by: stage.by, kept });
    }
    work.write_json("experts.json", &chosen)
}

fn read_profile(path: &Path) -> Result<Profile, Failure> {
    let bytes = std::fs::read(path).map_err(|error| Failure::read(path, &error))?;
    serde_json::from_slice(&bytes).map_err(|error| Failure::new(format!("`{}` is no profile: {error}", path.display())))
}
