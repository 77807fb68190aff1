//! `eval`: a task's items answered by models, and compared.

use super::Work;
use crate::bench::{self, Failure};
use crate::recipe::{Eval, files};
use measure::compare::compare;
use measure::results::{Results, read};
use serde_json::Value;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

pub(super) fn eval(stage: &Eval, work: &Work) -> Result<(), Failure> {
    let mut results: Vec<Results> = Vec::new();
    for model in work.reads.paired() {
        work.go_on()?;
        let name = files::results(files::stem(&model.file));
        let path = work.out.join(&name);
        if path.exists() {
            return Err(Failure::new(format!("two models would both write `{name}`: rename one of their files")));
        }
        work.watch.log(&format!("{} on {}", model.file, stage.task));
        let task = task_file(&stage.task, &work.recipe.folder);
        let task = task.as_deref().map_or(stage.task.clone().into(), Path::to_string_lossy);
        let raw = work.out.join(format!(".{name}"));
        work.bench.eval(bench::Eval { model: &model.path, task: &task, limit: stage.limit, out: &raw }, work.watch)?;
        keep_lasting(&raw, &path)?;
        std::fs::remove_file(&raw).map_err(|error| Failure::write(&raw, &error))?;
        results.push(read(&path).map_err(|error| Failure::new(error.to_string()))?);
    }
    if results.len() > 1 && stage.against.is_some() {
        let comparison = compare(&results).map_err(|error| Failure::new(error.to_string()))?;
        work.write_json(files::COMPARISON, &comparison)?;
    }
    Ok(())
}

/// Copies results without what differs from run to run: times, and folders of this machine.
fn keep_lasting(from: &Path, to: &Path) -> Result<(), Failure> {
    let read = |error| Failure::read(from, &error);
    let write = |error| Failure::write(to, &error);
    let lines = BufReader::new(File::open(from).map_err(read)?).lines();
    let mut file = BufWriter::new(File::create(to).map_err(write)?);
    for line in lines {
        let line = line.map_err(read)?;
        let mut value: Value =
            serde_json::from_str(&line).map_err(|error| Failure::new(format!("a result is no JSON: {error}")))?;
        if let Some(line) = value.as_object_mut() {
            line.shift_remove("seconds");
        }
        let members = value.pointer_mut("/system/members").and_then(Value::as_array_mut);
        for member in members.into_iter().flatten() {
            let name = member.get("file").and_then(Value::as_str).map(file_name);
            if let (Some(name), Some(file)) = (name, member.get_mut("file")) {
                *file = name.into();
            }
        }
        writeln!(file, "{value}").map_err(write)?;
    }
    file.flush().map_err(write)
}

fn file_name(path: &str) -> String {
    Path::new(path).file_name().map_or_else(|| path.into(), |name| name.to_string_lossy().into_owned())
}

/// A task that is a file.
fn task_file(task: &str, folder: &Path) -> Option<PathBuf> {
    task.ends_with(".toml").then(|| folder.join(task))
}

/// The files of a task that is not built in: its own, its items and its examples.
pub(super) fn task_files(task: &str, folder: &Path) -> Vec<(&'static str, String, PathBuf)> {
    let Some(path) = task_file(task, folder) else { return Vec::new() };
    let table: toml::Table = std::fs::read_to_string(&path).ok().and_then(|text| text.parse().ok()).unwrap_or_default();
    let beside = path.parent().unwrap_or(folder).to_owned();
    let shots = table.get("shots").and_then(|shots| shots.get("file"));
    let named = [table.get("items"), table.get("text"), shots].into_iter().flatten().filter_map(toml::Value::as_str);
    let named = named.map(|file| ("task", file.to_owned(), beside.join(file)));
    std::iter::once(("task", task.to_owned(), path.clone())).chain(named).collect()
}
