//! `run`: any command. What it reads is hashed; what it is, is not.

use super::{Work, process};
use crate::bench::Failure;
use crate::recipe::Run;
use std::process::Command;

pub(super) fn run(stage: &Run, work: &Work) -> Result<(), Failure> {
    let parts: Vec<String> = stage.command.iter().map(|part| filled(part, work)).collect();
    let [program, rest @ ..] = parts.as_slice() else { return Err(Failure::new("`command` is empty")) };
    work.watch.log(&parts.join(" "));
    let mut command = Command::new(program);
    command.args(rest).current_dir(&work.recipe.folder);
    let status = process::run(command, work)?;
    process::fault(program, status, work.log).map_or(Ok(()), Err)
}

/// A part of a command with paths in place of `{in.NAME}` and `{out}`.
fn filled(part: &str, work: &Work) -> String {
    let places = work.reads.all("inputs").map(|read| (format!("{{in.{}}}", read.reference), read.path.as_path()));
    let places: Vec<_> = places.chain([("{out}".to_owned(), work.out)]).collect();
    let (mut filled, mut rest) = (String::new(), part);
    // From left to right, so that nothing in a path is taken for a place.
    while let Some(at) = rest.find('{') {
        let (before, from) = rest.split_at(at);
        filled.push_str(before);
        match places.iter().find_map(|(place, path)| Some((from.strip_prefix(place.as_str())?, path))) {
            Some((after, path)) => {
                filled.push_str(&path.to_string_lossy());
                rest = after;
            }
            None => {
                filled.push('{');
                rest = from.strip_prefix('{').unwrap_or_default();
            }
        }
    }
    filled + rest
}
