//! `forge` and `publish`.

mod bench;
mod imatrix;

use super::{
    args::{ForgeArgs, PublishArgs},
    render::Look,
};
use crate::Error;
use std::process::ExitCode;

/// Runs a recipe.
pub fn run(args: &ForgeArgs, look: Look) -> Result<ExitCode, Error> {
    let _ = (bench::Workshop::new(args.n_gpu_layers, args.threads, args.trust, look, None)?, args);
    Ok(ExitCode::SUCCESS)
}

/// Sends a folder to the hub.
pub fn publish(_args: &PublishArgs, _look: Look) -> Result<ExitCode, Error> {
    Ok(ExitCode::SUCCESS)
}
