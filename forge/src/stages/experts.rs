//! Experts in a model's file: where stages read and write GGUF.

use crate::bench::{Failure, Watch};
use gguf::{DEFAULT_BUFFER, Experts, FileError, Header, Plan};
use std::path::{Path, PathBuf};

/// The header of a model's file.
pub(crate) fn header(model: &Path) -> Result<Header, Failure> {
    Header::read(model).map_err(failure)
}

/// The experts of a model's file.
pub(crate) fn of(model: &Path) -> Result<Experts, Failure> {
    Experts::of(&header(model)?).map_err(|error| Failure::new(format!("`{}`: {error}", model.display())))
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
