//! Stages that are one call of the bench: `quantize`, `imatrix`, `profile`, `pack`.

use super::Work;
use crate::bench::{self, Failure, Text};
use crate::recipe::files::{self, stem, typed};
use crate::recipe::{Imatrix, Pack, Profile, Quantize};
use std::path::{Path, PathBuf};

pub(super) fn quantize(stage: &Quantize, work: &Work) -> Result<(), Failure> {
    let model = work.reads.one("model")?;
    let imatrix = work.reads.maybe("imatrix").map(|read| read.path.as_path());
    for to in &stage.types.0 {
        work.go_on()?;
        let name = typed(stem(&model.file), to);
        work.watch.log(&format!("{} to {to}: {name}", model.file));
        let out = work.out.join(&name);
        work.bench.quantize(&model.path, to, imatrix, &out, work.watch)?;
        log_size(&out, work)?;
    }
    Ok(())
}

pub(super) fn imatrix(stage: &Imatrix, work: &Work) -> Result<(), Failure> {
    let (model, text) = (work.reads.one("model")?, work.reads.one("text")?);
    let text = Text { file: &text.path, context: stage.context, windows: stage.windows, skip: 0 };
    work.bench.imatrix(&model.path, text, &work.out.join(files::IMATRIX), work.watch)
}

pub(super) fn profile(stage: &Profile, work: &Work) -> Result<(), Failure> {
    let (model, text) = (work.reads.one("model")?, work.reads.one("text")?);
    let text = Text { file: &text.path, context: stage.context, windows: stage.windows, skip: 0 };
    let profile = work.bench.profile(&model.path, text, work.watch)?;
    if profile.layers.is_empty() {
        return Err(Failure::new(format!("`{}` has no experts: it is no mixture-of-experts model", model.file)));
    }
    work.write_json(files::PROFILE, &profile)
}

pub(super) fn pack(stage: &Pack, work: &Work) -> Result<(), Failure> {
    let models: Vec<&Path> = work.reads.all("models").map(|read| read.path.as_path()).collect();
    if !stage.weights.is_empty() && stage.weights.len() != models.len() {
        return Err(Failure::new(format!("{} `weights` for {} models", stage.weights.len(), models.len())));
    }
    let weights: Vec<f32> = stage.weights.iter().map(|weight| *weight as f32).collect();
    let policies = stage.policies.iter().map(|policy| match policy_file(policy, &work.recipe.folder) {
        Some(path) => path.to_string_lossy().into_owned(),
        None => policy.clone(),
    });
    let policies: Vec<String> = policies.collect();
    let pack = bench::Pack {
        models: &models,
        weights: &weights,
        fusion: stage.fusion.as_deref(),
        policies: &policies,
        out: work.out,
    };
    work.bench.pack(pack, work.watch)
}

/// Policies that are files, which are hashed like inputs.
pub(super) fn policy_files(policies: &[String], folder: &Path) -> Vec<(&'static str, String, PathBuf)> {
    let files = policies.iter().filter_map(|policy| Some((policy, policy_file(policy, folder)?)));
    files.map(|(policy, path)| ("policies", policy.clone(), path)).collect()
}

fn policy_file(policy: &str, folder: &Path) -> Option<PathBuf> {
    let path = folder.join(policy);
    path.is_file().then_some(path)
}

fn log_size(path: &Path, work: &Work) -> Result<(), Failure> {
    let size = std::fs::metadata(path).map_err(|error| Failure::read(path, &error))?.len();
    work.watch.log(&format!("{size} bytes"));
    Ok(())
}
