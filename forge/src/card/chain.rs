//! The stages that led to a card, by their statements.

use super::text::{name, short, table};
use crate::bench::Failure;
use crate::recipe::Recipe;
use crate::store::{Artifact, Folder, Statement};
use serde_json::Value;
use std::path::{Path, PathBuf};

/// Stages in the recipe's order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chain(pub(crate) Vec<Step>);

/// A stage that was run.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) key: String,
    pub(crate) parameters: Value,
    /// What it read, without statements.
    pub(crate) reads: Vec<Artifact>,
    pub(crate) made: Vec<Artifact>,
    /// The program, without the digest of its file, which differs from machine to machine.
    pub(crate) builder: String,
    pub(crate) folder: Folder,
}

/// A statement that is wanted: the stage's name, and the chain digest that a later stage names.
struct Wanted {
    stage: String,
    folder: Option<Folder>,
    chain: Option<String>,
    root: PathBuf,
}

impl Chain {
    /// Finds all stages that led to these: names and folders of stages that are done.
    pub(crate) fn find(direct: Vec<(String, Folder)>, recipe: &Recipe) -> Result<Self, Failure> {
        let root = |folder: &Path| folder.parent().unwrap_or(folder).to_owned();
        let mut wanted: Vec<Wanted> = direct
            .into_iter()
            .map(|(stage, folder)| Wanted { stage, root: root(folder.path()), folder: Some(folder), chain: None })
            .collect();
        let mut steps: Vec<Step> = Vec::new();
        while let Some(next) = wanted.pop() {
            if steps.iter().any(|step| step.name == next.stage) {
                continue;
            }
            let (folder, statement) = next.found()?;
            for dependency in &statement.definition().resolved_dependencies {
                if let Some(stage) = dependency.statement_of() {
                    let chain = Some(dependency.digest.sha256.clone());
                    wanted.push(Wanted { stage: stage.into(), folder: None, chain, root: next.root.clone() });
                }
            }
            steps.push(Step::new(next.stage, folder, &statement)?);
        }
        steps.sort_by_key(|step| (recipe.stage(&step.name), step.name.clone()));
        Ok(Self(steps))
    }

    /// The stage with this name.
    pub(crate) fn step(&self, name: &str) -> Option<&Step> {
        self.0.iter().find(|step| step.name == name)
    }

    /// The stages that a file went through, the last one first, with its name at each.
    pub(super) fn lineage(&self, sha256: &str) -> Vec<(&Step, &str)> {
        let mut lineage: Vec<(&Step, &str)> = Vec::new();
        let mut digest = sha256;
        // A stage that changed nothing has the digest of what it read; each stage counts once.
        let next = |lineage: &[(&Step, &str)], digest: &str| {
            let left = self.0.iter().rev().filter(|step| lineage.iter().all(|(known, _)| known.name != step.name));
            left.into_iter().find_map(|step| Some((step, step.file(digest)?)))
        };
        while let Some((step, file)) = next(&lineage, digest) {
            lineage.push((step, file));
            let Some(before) = step.model() else { break };
            digest = &before.digest.sha256;
        }
        lineage
    }

    /// The section on how the files were made.
    pub(super) fn section(&self) -> String {
        let mut text = String::from("## How it was made\n\n");
        if self.0.is_empty() {
            text.push_str("The files were given to the recipe as they are.\n\n");
        } else {
            let rows: Vec<Vec<String>> = self.0.iter().map(Step::row).collect();
            text.push_str(&table(&["stage", "kind", "key", "read", "by"], &rows));
            text.push_str(
                "\nDigests and keys are the first 12 digits of SHA-256; the statements have all of them.\n\n",
            );
        }
        let inputs = self.inputs();
        if !inputs.is_empty() {
            text.push_str(&table(&["input", "file", "SHA-256"], &inputs));
            text.push('\n');
        }
        text.push_str(
            "Every stage left a statement (in-toto, SLSA provenance) with the digests of what it read and made and of the \
             statements before it. Such a chain shows that files belong together. It does not show that a benchmark was \
             honest: whoever runs it can write it. Run the recipe yourself, or check a store that you were given:\n\n\
             ```sh\nllama_selfmod forge RECIPE.toml --verify\n```\n",
        );
        text
    }

    /// What no stage made: rows of a table, each once.
    fn inputs(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        for read in self.0.iter().flat_map(|step| &step.reads) {
            let is_made = read.name.split_once('/').is_some_and(|(stage, _)| self.step(stage).is_some())
                || self.step(&read.name).is_some();
            let file = read.source().or(read.annotations.get("file").map(String::as_str)).unwrap_or_default();
            let row = vec![name(&read.name), name(file), name(&read.digest.sha256)];
            if !is_made && !rows.contains(&row) {
                rows.push(row);
            }
        }
        rows
    }
}

impl Wanted {
    fn found(&self) -> Result<(Folder, Statement), Failure> {
        if let Some(folder) = &self.folder {
            return Ok((folder.clone(), folder.statement()?));
        }
        let entries = std::fs::read_dir(&self.root).map_err(|error| Failure::read(&self.root, &error))?;
        for entry in entries {
            let folder = Folder::at(entry.map_err(|error| Failure::read(&self.root, &error))?.path());
            // A folder of an earlier recipe has another digest.
            if folder.stage() == self.stage
                && let Ok(statement) = folder.statement()
                && Some(statement.chain()?) == self.chain
            {
                return Ok((folder, statement));
            }
        }
        Err(Failure::new(format!(
            "the statement of `{0}` that later ones name is not in the store: `--from {0}` makes it again",
            self.stage
        )))
    }
}

impl Step {
    fn new(stage: String, folder: Folder, statement: &Statement) -> Result<Self, Failure> {
        let definition = statement.definition();
        let builder = statement.run().map(|run| {
            let program = run.builder.id.split(", sha256").next().unwrap_or_default();
            let parts = run.builder.version.iter().map(|(part, version)| format!("{part} {version}"));
            std::iter::once(program.to_owned()).chain(parts).collect::<Vec<_>>().join(", ")
        });
        let reads = definition.resolved_dependencies.iter().filter(|read| read.statement_of().is_none());
        Ok(Self {
            name: stage,
            kind: statement.stage_kind().into(),
            key: definition.key()?,
            parameters: definition.external_parameters.clone(),
            reads: reads.cloned().collect(),
            made: statement.subject.clone(),
            builder: builder.unwrap_or_default(),
            folder,
        })
    }

    /// The model that it changed.
    fn model(&self) -> Option<&Artifact> {
        self.reads.iter().find(|read| matches!(read.parameter(), Some("model" | "from")))
    }

    /// The address on the hub that its model came from.
    pub(super) fn source(&self) -> Option<&str> {
        match self.kind.as_str() {
            "fetch" => self.parameters.get("file")?.as_str(),
            _ => self.model()?.source(),
        }
    }

    /// The file and digest of what a parameter meant.
    pub(super) fn read(&self, parameter: &str) -> Option<(&str, &str)> {
        let read = self.reads.iter().find(|read| read.parameter() == Some(parameter))?;
        Some((read.annotations.get("file").unwrap_or(&read.name), &read.digest.sha256))
    }

    /// The name of the file with this digest that the stage made.
    fn file(&self, sha256: &str) -> Option<&str> {
        self.made.iter().find(|made| made.digest.sha256 == sha256).map(|made| made.name.as_str())
    }

    fn row(&self) -> Vec<String> {
        let reads: Vec<String> =
            self.reads.iter().map(|read| format!("{} {}", name(&read.name), short(&read.digest.sha256))).collect();
        let reads = if reads.is_empty() { "–".into() } else { reads.join(", ") };
        vec![name(&self.name), name(&self.kind), short(&self.key), reads, name(&self.builder)]
    }
}

impl Artifact {
    /// The parameter that named it.
    fn parameter(&self) -> Option<&str> {
        self.annotations.get("for").map(String::as_str)
    }
}
