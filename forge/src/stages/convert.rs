//! `convert`: the person's own llama.cpp makes a GGUF file of a folder of the hub's form.

use super::{Work, process};
use crate::bench::Failure;
use crate::recipe::Convert;
use crate::recipe::files::{file_name, stem, typed};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders beside the converter that it takes code from.
const BESIDE: [&str; 2] = ["conversion", "gguf-py"];

/// The converter's code, which is hashed like any input.
pub(super) fn code(stage: &Convert, folder: &Path) -> Vec<(&'static str, String, PathBuf)> {
    let script = folder.join(&stage.script);
    let beside = BESIDE.into_iter().filter_map(|name| {
        let path = script.parent()?.join(name);
        path.is_dir().then(|| ("script", name.to_owned(), path))
    });
    let name = file_name(&script);
    let beside: Vec<_> = beside.collect();
    // A missing one is told by the stage, in better words.
    let own = script.is_file().then(|| ("script", name, script.clone()));
    own.into_iter().chain(beside).collect()
}

pub(super) fn convert(stage: &Convert, work: &Work) -> Result<(), Failure> {
    let script = work.recipe.folder.join(&stage.script);
    if !script.is_file() {
        return Err(Failure::new(format!(
            "there is no converter `{}`: clone https://github.com/ggml-org/llama.cpp and let `script` name its \
             `convert_hf_to_gguf.py`",
            script.display()
        )));
    }
    let from = work.reads.one("from")?;
    let out = work.out.join(typed(stem(&from.file), &stage.to));
    let mut command = Command::new(&stage.python);
    command.arg(&script).arg("--outfile").arg(&out).arg("--outtype").arg(&stage.to).arg(&from.path);
    // Files of bytecode beside the converter would change what is hashed.
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(&work.recipe.folder);
    work.watch.log(&format!("{command:?}"));
    let status = process::run(command, work)?;
    process::fault(&script.display().to_string(), status, work.log).map_or(Ok(()), Err)
}
