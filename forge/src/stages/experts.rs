//! Experts in a model's file: the only place of stages that reads and writes GGUF.

use crate::bench::{Failure, Watch};
use gguf::{DEFAULT_BUFFER, FileError, Header};
use std::fmt::Display;
use std::path::Path;

/// What a file says of its experts.
pub(super) struct Experts {
    header: Header,
    /// The numbers of layers that have some.
    pub(super) layers: Vec<u32>,
    /// How many each of them has.
    pub(super) experts: u32,
}

impl Experts {
    /// What `model` says of its experts.
    pub(super) fn of(model: &Path) -> Result<Self, Failure> {
        let header = Header::read(model).map_err(|error| Failure::new(error.to_string()))?;
        let found = gguf::Experts::of(&header).map_err(|error| refused(model, error))?;
        Ok(Self { layers: found.layers().to_vec(), experts: found.count(), header })
    }

    /// Bytes of the file with so many experts a layer.
    pub(super) fn size(&self, experts: u32) -> Option<u64> {
        let keep = vec![(0..experts).collect::<Vec<u32>>(); self.layers.len()];
        gguf::plan(&self.header, &keep).ok().map(|plan| plan.header().file_size())
    }

    /// Copies `model` to `out` with these experts of each layer alone.
    pub(super) fn write(&self, model: &Path, keep: &[Vec<u32>], out: &Path, watch: &dyn Watch) -> Result<(), Failure> {
        let plan = gguf::plan(&self.header, keep).map_err(|error| refused(model, error))?;
        let progress = |done, total| {
            watch.progress(done, total, "bytes");
            !watch.cancelled()
        };
        plan.write(model, out, DEFAULT_BUFFER, progress).map_err(|error| match error {
            FileError::Stopped(_) => Failure::Cancelled,
            FileError::Full { path, .. } => Failure::Full(path.parent().unwrap_or(&path).into()),
            error => Failure::new(error.to_string()),
        })
    }
}

fn refused(model: &Path, error: impl Display) -> Failure {
    Failure::new(format!("`{}`: {error}", model.display()))
}
