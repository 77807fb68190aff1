//! Experts in a model's file: the only place of stages that reads and writes GGUF.

use crate::bench::{Failure, Watch};
use std::path::Path;

/// What a file says of its experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Experts {
    /// Layers that have some.
    pub(super) layers: usize,
    /// How many each of them has.
    pub(super) experts: u32,
    /// How many a token goes through.
    pub(super) used: u32,
}

/// What `model` says of its experts. (To be written when the crate `gguf` is.)
pub(super) fn of(model: &Path) -> Result<Experts, Failure> {
    Err(Failure::new(format!("`{}`: experts cannot be read yet", model.display())))
}

/// Copies `model` to `out` with these experts of each layer alone. (To be written when the crate `gguf` is.)
pub(super) fn write(model: &Path, keep: &[Vec<u32>], out: &Path, watch: &dyn Watch) -> Result<(), Failure> {
    let _ = (keep, out, watch);
    Err(Failure::new(format!("`{}`: experts cannot be taken out yet", model.display())))
}
