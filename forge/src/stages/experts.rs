//! Experts in a model's file: where stages read and write GGUF.

use crate::bench::{Failure, Watch};
use gguf::{DEFAULT_BUFFER, FileError, Header, Plan};
use std::path::{Path, PathBuf};

/// What a file says of its experts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Experts {
    /// Numbers of the layers that have some.
    pub(crate) layers: Vec<u32>,
    /// How many each of them has.
    pub(crate) experts: u32,
    /// How many a token goes through.
    pub(crate) used: u32,
}

/// The header of a model's file.
pub(crate) fn header(model: &Path) -> Result<Header, Failure> {
    Header::read(model).map_err(failure)
}

/// What `model` says of its experts.
pub(crate) fn of(model: &Path) -> Result<Experts, Failure> {
    let experts =
        gguf::Experts::of(&header(model)?).map_err(|error| Failure::new(format!("`{}`: {error}", model.display())))?;
    Ok(Experts { layers: experts.layers().to_vec(), experts: experts.count(), used: experts.used() })
}

/// What a file with this header becomes with these experts of each layer alone.
pub(crate) fn plan(header: &Header, keep: &[Vec<u32>]) -> Result<Plan, Failure> {
    gguf::plan(header, keep).map_err(|error| Failure::new(error.to_string()))
}

/// Copies `model` to `out` with these experts of each layer alone.
pub(crate) fn write(model: &Path, keep: &[Vec<u32>], out: &Path, watch: &dyn Watch) -> Result<(), Failure> {
    let plan = plan(&header(model)?, keep)?;
    let mut told = |done, total| {
        watch.progress(done, total, "bytes");
        !watch.cancelled()
    };
    plan.write(model, out, DEFAULT_BUFFER, &mut told).map_err(failure)
}

fn failure(error: FileError) -> Failure {
    match error {
        FileError::Full { path, .. } => Failure::Full(path.parent().map_or_else(PathBuf::new, Path::to_path_buf)),
        FileError::Stopped(_) => Failure::Cancelled,
        error => Failure::new(error.to_string()),
    }
}
