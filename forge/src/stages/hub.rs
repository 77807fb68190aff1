//! Stages that reach the hub: `fetch`, `publish`.

use super::Work;
use crate::bench::Failure;
use crate::recipe::{Fetch, Publish, address_file, files};
use crate::remote::Upload;
use crate::store::files_below;
use serde_json::json;
use std::path::PathBuf;

pub(super) fn fetch(stage: &Fetch, work: &Work) -> Result<(), Failure> {
    let from = work.remote.fetch(&stage.file, work.watch)?;
    let to = work.out.join(address_file(&stage.file));
    // The cache's file is other programs' too; a file system that can shares the blocks.
    std::fs::copy(&from, &to).map_err(|error| Failure::write(&to, &error))?;
    Ok(())
}

pub(super) fn publish(stage: &Publish, work: &Work) -> Result<(), Failure> {
    let mut sent: Vec<(String, PathBuf)> = Vec::new();
    for read in work.reads.all("files") {
        if read.path.is_dir() {
            sent.extend(files_below(&read.path)?.into_iter().map(|file| (file.clone(), read.path.join(file))));
        } else {
            sent.push((read.file.clone(), read.path.clone()));
        }
    }
    sent.sort();
    let twice = sent.windows(2).find(|pair| matches!(pair, [one, other] if one.0 == other.0));
    if let Some([(name, _), ..]) = twice {
        return Err(Failure::new(format!("two files would both be `{name}` there: name files one by one in `files`")));
    }
    let borrowed: Vec<(String, &std::path::Path)> =
        sent.iter().map(|(name, path)| (name.clone(), path.as_path())).collect();
    let upload =
        Upload { repo: &stage.repo, private: stage.private, branch: stage.branch.as_deref(), files: &borrowed };
    let address = work.remote.publish(&upload, work.watch)?;
    let names: Vec<&String> = sent.iter().map(|(name, _)| name).collect();
    work.write_json(files::PUBLISHED, &json!({ "address": address, "files": names }))
}
