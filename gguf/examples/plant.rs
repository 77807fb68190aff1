//! Plants useless experts in a mixture of experts: `plant SOURCE OUT [--experts N] [--router never|some] [--seed N]`.

use llama_selfmod_gguf::plant::{Router, plant};
use std::process::ExitCode;

const USAGE: &str = "usage: plant SOURCE OUT [--experts N] [--router never|some] [--seed N]";

fn main() -> ExitCode {
    match run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

fn run(mut args: impl Iterator<Item = String>) -> Result<(), String> {
    let (mut paths, mut experts, mut router, mut seed) = (Vec::new(), 2, Router::Never, 1);
    while let Some(arg) = args.next() {
        let mut value = || args.next().ok_or(USAGE);
        match arg.as_str() {
            "--experts" => experts = value()?.parse().map_err(|_| USAGE)?,
            "--seed" => seed = value()?.parse().map_err(|_| USAGE)?,
            "--router" => {
                router = match value()?.as_str() {
                    "never" => Router::Never,
                    "some" => Router::Sometimes,
                    _ => return Err(USAGE.into()),
                }
            }
            _ => paths.push(arg),
        }
    }
    let [source, out] = paths.as_slice() else { return Err(USAGE.into()) };
    plant(source, out, experts, router, seed).map_err(|error| error.to_string())
}
