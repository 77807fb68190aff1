//! What a stage reads, with digests: from references to files.

use crate::bench::{Failure, Watch};
use crate::recipe::files::file_name;
use crate::recipe::{Need, Origin, Recipe, Source, Wants};
use crate::stages;
use crate::store::{Artifact, BuildDefinition, Made, SOURCE, Store};
use measure::{did_you_mean, nearest};
use std::path::{Path, PathBuf};

/// A file or folder that a stage reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Read {
    /// The parameter.
    pub(crate) field: &'static str,
    /// The reference, as the recipe has it.
    pub(crate) reference: String,
    /// Its name among the dependencies.
    pub(crate) name: String,
    /// Its own name.
    pub(crate) file: String,
    pub(crate) path: PathBuf,
    pub(crate) sha256: String,
    /// The address on the hub that an input came from.
    pub(crate) source: Option<String>,
}

impl Read {
    fn as_dependency(&self) -> Artifact {
        let artifact = Artifact::new(&self.name, self.sha256.clone()).with("for", self.field).with("file", &self.file);
        match &self.source {
            Some(source) => artifact.with(SOURCE, source),
            None => artifact,
        }
    }
}

/// All that a stage reads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Reads(pub(crate) Vec<Read>);

impl Reads {
    /// What a parameter means, which is one thing.
    pub(crate) fn one(&self, field: &str) -> Result<&Read, Failure> {
        self.maybe(field).ok_or_else(|| Failure::new(format!("`{field}` is missing")))
    }

    /// What a parameter means, if it is given.
    pub(crate) fn maybe(&self, field: &str) -> Option<&Read> {
        self.0.iter().find(|read| read.field == field)
    }

    /// The models, each once: first the one that the others are paired with.
    pub(crate) fn paired(&self) -> Vec<&Read> {
        let mut models: Vec<&Read> = self.maybe("against").into_iter().collect();
        for model in self.all("models") {
            if models.iter().all(|other| other.path != model.path) {
                models.push(model);
            }
        }
        models
    }

    /// All that a parameter means.
    pub(crate) fn all<'a>(&'a self, field: &'a str) -> impl Iterator<Item = &'a Read> {
        self.0.iter().filter(move |read| read.field == field)
    }
}

/// A stage whose references are files.
pub(super) struct Resolved {
    pub(super) reads: Reads,
    pub(super) definition: BuildDefinition,
}

/// Finds and hashes what a stage reads. `places` are the inputs' files, `made` the stages before it.
pub(super) fn resolve(
    recipe: &Recipe,
    place: usize,
    places: &[Option<PathBuf>],
    store: &Store,
    made: &[Option<Made>],
    watch: &dyn Watch,
) -> Result<Resolved, Failure> {
    let stage = recipe.stages.get(place).ok_or_else(|| Failure::new("no such stage"))?;
    let mut reads = Vec::new();
    for need in &stage.needs {
        match &need.origin {
            Origin::Input(input) => {
                let path = places.get(*input).and_then(Option::as_deref);
                reads.push(self::input(recipe, *input, need, path, store, watch)?);
            }
            Origin::Stage { stage: before, file } => {
                let made = made.get(*before).and_then(Option::as_ref);
                let made =
                    made.ok_or_else(|| Failure::new(format!("the stage of `{}` is not done", need.reference.0)))?;
                let main = recipe.outputs(*before).map(|outputs| outputs.main.clone());
                reads.extend(output(need, file.as_deref(), made, main)?);
            }
        }
    }
    for (field, name, path) in stages::hidden(&stage.kind, &recipe.folder) {
        let sha256 = if path.is_dir() { store.digest_folder(&path, watch)? } else { store.digest(&path, watch)? };
        let file = file_name(&path);
        reads.push(Read { field, reference: name.clone(), name, file, path, sha256, source: None });
    }
    let mut dependencies: Vec<Artifact> = reads.iter().map(Read::as_dependency).collect();
    for before in recipe.before(place) {
        if let (Some(Some(made)), Some(stage)) = (made.get(before), recipe.stages.get(before)) {
            dependencies.push(made.statement.as_dependency(&stage.name)?);
        }
    }
    let parameters = serde_json::to_value(&stage.kind).map_err(|error| Failure::new(error.to_string()))?;
    let definition = BuildDefinition::new(stage.kind.name(), stages::VERSION, parameters, dependencies);
    Ok(Resolved { reads: Reads(reads), definition })
}

fn input(
    recipe: &Recipe,
    place: usize,
    need: &Need,
    path: Option<&Path>,
    store: &Store,
    watch: &dyn Watch,
) -> Result<Read, Failure> {
    let name = &need.reference.0;
    let path = path.ok_or_else(|| Failure::new(format!("the input `{name}` is not on this machine")))?;
    if !path.exists() {
        return Err(Failure::new(format!("the input `{name}` is not there: `{}`", path.display())));
    }
    let sha256 = match (path.is_dir(), need.wants) {
        (true, Wants::Folder | Wants::Any) => store.digest_folder(path, watch)?,
        (false, Wants::File | Wants::Files | Wants::Any) => store.digest(path, watch)?,
        (true, _) => {
            return Err(Failure::new(format!("`{}` needs a file, and the input `{name}` is a folder", need.field)));
        }
        (false, _) => {
            return Err(Failure::new(format!("`{}` needs a folder, and the input `{name}` is a file", need.field)));
        }
    };
    let input = recipe.inputs.get(place).map(|input| &input.source);
    Ok(Read {
        field: need.field,
        reference: name.clone(),
        name: name.clone(),
        file: input.map(Source::file).unwrap_or_default(),
        path: path.into(),
        sha256,
        source: input.and_then(Source::address).map(Into::into),
    })
}

/// What a reference to a stage means, now that the stage is made.
fn output(need: &Need, file: Option<&str>, made: &Made, main: Option<Vec<String>>) -> Result<Vec<Read>, Failure> {
    let stage = made.folder.stage();
    let subjects = || made.statement.subject.iter().map(|subject| subject.name.as_str());
    let one = |file: &str| {
        let sha256 = made.statement.digest_of(file).ok_or_else(|| {
            let near = did_you_mean(nearest(file, subjects()));
            let known: Vec<&str> = subjects().collect();
            Failure::new(format!("the stage `{stage}` made no `{file}`{near}; it made {}", known.join(", ")))
        })?;
        Ok(Read {
            field: need.field,
            reference: need.reference.0.clone(),
            name: format!("{stage}/{file}"),
            file: file.rsplit('/').next().unwrap_or(file).into(),
            path: made.folder.out().join(file),
            sha256: sha256.into(),
            source: None,
        })
    };
    if let Some(file) = file {
        return Ok(vec![one(file)?]);
    }
    let main = main.unwrap_or_else(|| subjects().map(Into::into).collect());
    let is_single = made.statement.subject.len() == 1;
    match need.wants {
        Wants::Files => main.iter().map(|file| one(file)).collect(),
        Wants::Any if is_single => main.iter().map(|file| one(file)).collect(),
        Wants::Any | Wants::Folder => {
            let list: Vec<(String, String)> = made
                .statement
                .subject
                .iter()
                .map(|subject| (subject.name.clone(), subject.digest.sha256.clone()))
                .collect();
            let (name, path) = (stage.clone(), made.folder.out());
            let sha256 = Store::digest_list(&list);
            let reference = need.reference.0.clone();
            Ok(vec![Read { field: need.field, reference, name, file: stage, path, sha256, source: None }])
        }
        Wants::File => match main.as_slice() {
            [one_file] => Ok(vec![one(one_file)?]),
            several => Err(Failure::new(format!(
                "the stage `{stage}` made several files; name one in `{}`: {}",
                need.field,
                several.iter().map(|file| format!("`{stage}/{file}`")).collect::<Vec<_>>().join(", ")
            ))),
        },
    }
}
