//! What each kind of stage does: from files that it reads to files in `out/`.
//!
//! A stage is a function of what it is given. It writes into `out/` alone, keeps nothing in memory that grows with a file,
//! and puts no time, machine or path into its outputs, so that two runs give the same bytes.

mod card;
mod choice;
mod command;
mod convert;
mod eval;
mod experts;
mod guess;
mod hub;
mod models;
mod perplexity;
mod process;
mod prune;
mod search;
mod sizes;

pub use perplexity::{Difference, Measured, Perplexities};
pub use prune::Chosen;
pub(crate) use sizes::headers;

use crate::bench::{Bench, Failure, Watch};
use crate::recipe::{Kind, Recipe};
use crate::remote::Remote;
use crate::run::Reads;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// What a stage is given.
pub(crate) struct Work<'a> {
    pub(crate) recipe: &'a Recipe,
    pub(crate) reads: &'a Reads,
    pub(crate) bench: &'a dyn Bench,
    pub(crate) remote: &'a dyn Remote,
    pub(crate) watch: &'a dyn Watch,
    /// An empty folder.
    pub(crate) out: &'a Path,
    /// The log, for child processes.
    pub(crate) log: &'a Path,
}

/// The version of what stages do. If one does something else with the same parameters it gets another, and what was made by the
/// old one is made again.
pub(crate) const VERSION: u32 = 1;

/// Files that a stage reads though no reference names them: the parameter, a name that is the same on all machines, and the
/// file or folder.
pub(crate) fn hidden(kind: &Kind, folder: &Path) -> Vec<(&'static str, String, PathBuf)> {
    match kind {
        Kind::Convert(convert) => convert::code(convert, folder),
        Kind::Eval(eval) => eval::task_files(&eval.task, folder),
        Kind::Pack(pack) => models::policy_files(&pack.policies, folder),
        _ => Vec::new(),
    }
}

/// Does a stage's work.
pub(crate) fn work(kind: &Kind, work: &Work) -> Result<(), Failure> {
    match kind {
        Kind::Fetch(fetch) => hub::fetch(fetch, work),
        Kind::Convert(convert) => convert::convert(convert, work),
        Kind::Quantize(quantize) => models::quantize(quantize, work),
        Kind::Imatrix(imatrix) => models::imatrix(imatrix, work),
        Kind::Perplexity(perplexity) => perplexity::perplexity(perplexity, work),
        Kind::Eval(eval) => eval::eval(eval, work),
        Kind::Profile(profile) => models::profile(profile, work),
        Kind::Prune(prune) => prune::prune(prune, work),
        Kind::Search(search) => search::search(search, work),
        Kind::Pack(pack) => models::pack(pack, work),
        Kind::Card(card) => card::card(card, work),
        Kind::Publish(publish) => hub::publish(publish, work),
        Kind::Run(run) => command::run(run, work),
    }
}

/// The largest file of figures that is read.
const LARGEST: u64 = 64 << 20;

/// Reads what a stage has written by [`Work::write_json`].
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let read = |error| Failure::read(path, &error);
    let file = File::open(path).map_err(read)?;
    if file.metadata().map_err(read)?.len() > LARGEST {
        return Err(Failure::new(format!("`{}` is too large for what a stage writes", path.display())));
    }
    serde_json::from_reader(BufReader::new(file))
        .map_err(|error| Failure::new(format!("`{}` is not what a stage writes: {error}", path.display())))
}

impl Work<'_> {
    /// Ends the stage if the person wants it to end.
    pub(crate) fn go_on(&self) -> Result<(), Failure> {
        if self.watch.cancelled() { Err(Failure::Cancelled) } else { Ok(()) }
    }

    /// Writes a value as JSON that people read.
    pub(crate) fn write_json(&self, name: &str, value: &impl serde::Serialize) -> Result<(), Failure> {
        let path = self.out.join(name);
        let mut text = serde_json::to_vec_pretty(value).map_err(|error| Failure::new(error.to_string()))?;
        text.push(b'\n');
        std::fs::write(&path, text).map_err(|error| Failure::write(&path, &error))
    }
}
