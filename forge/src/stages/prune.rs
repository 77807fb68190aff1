//! `prune`: models with fewer experts, as many in every layer.

use super::choice::{Ranking, covering};
use super::{Work, experts, read_json};
use crate::bench::{Failure, Layer, Profile};
use crate::recipe::files::{self, pruned, stem};
use crate::recipe::{By, Prune};
use gguf::Experts;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// The experts that each of these layers keeps, by their places in the model before.
    pub kept: Vec<Vec<u32>>,
}

pub(super) fn prune(stage: &Prune, work: &Work) -> Result<(), Failure> {
    let model = work.reads.one("model")?;
    let profile = work.reads.maybe("profile").map(|read| read_json::<Profile>(&read.path)).transpose()?;
    let has = experts::of(&model.path)?;
    let ranking = match (&profile, stage.by) {
        (Some(profile), by) if by.is_measured() => {
            is_of(profile, &has, &model.file)?;
            Ranking::of_profile(profile, stage.by)?
        }
        _ => Ranking::without_profile(has.layers().len(), has.count(), stage.by, stage.seed),
    };
    let numbers = match (stage.coverage, &profile) {
        (Some(part), Some(profile)) => {
            vec![(covering(profile, &ranking, stage.by, part), files::covering(stem(&model.file)))]
        }
        _ => stage.experts.0.iter().map(|number| (*number, pruned(stem(&model.file), *number))).collect(),
    };
    if let Some((few, _)) = numbers.iter().find(|(number, _)| *number < has.used()) {
        return Err(Failure::new(format!(
            "{few} experts are too few: every token of `{}` goes through {}",
            model.file,
            has.used()
        )));
    }
    let mut chosen = Vec::new();
    for (number, name) in numbers {
        work.go_on()?;
        let mut kept = ranking.keep(number)?;
        if let Some(profile) = profile.as_ref().filter(|_| stage.by.is_measured()) {
            kept = expand(kept, profile, has.layers(), number)?;
        }
        work.watch.log(&format!("{number} of {} experts: {name}", has.count()));
        experts::write(&model.path, &kept, &work.out.join(&name), work.watch)?;
        chosen.push(Chosen {
            model: name,
            experts: number,
            of: has.count(),
            by: stage.by,
            layers: has.layers().to_vec(),
            kept,
        });
    }
    work.write_json(files::EXPERTS, &chosen)
}

/// Refuses a profile of another model.
pub(super) fn is_of(profile: &Profile, has: &Experts, model: &str) -> Result<(), Failure> {
    let is_own = |layer: &Layer| has.layers().contains(&layer.layer) && layer.counts.len() == has.count() as usize;
    if profile.layers.iter().all(is_own) {
        return Ok(());
    }
    Err(Failure::new(format!("the profile is not one of `{model}`: profile the same model")))
}

/// The experts that stay in each layer that has some, from those of the layers of a profile. Layers that predict further tokens
/// are not run with a text, so no profile has them: there the first ones stay.
pub(super) fn expand(
    kept: Vec<Vec<u32>>,
    profile: &Profile,
    layers: &[u32],
    number: u32,
) -> Result<Vec<Vec<u32>>, Failure> {
    let mut known: BTreeMap<u32, Vec<u32>> = profile.layers.iter().map(|layer| layer.layer).zip(kept).collect();
    let all = layers.iter().map(|layer| known.remove(layer).unwrap_or_else(|| (0..number).collect())).collect();
    match known.into_keys().next() {
        None => Ok(all),
        Some(layer) => {
            Err(Failure::new(format!("the profile has a layer {layer}, and the model has no experts there")))
        }
    }
}
