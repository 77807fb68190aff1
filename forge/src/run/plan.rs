//! What a run would do.

use super::observer::Told;
use super::resolve::resolve;
use super::{Forge, ForgeError};
use crate::bench::Failure;
use crate::recipe::files::file_name;
use crate::recipe::{Origin, Recipe, Source, Stage};
use crate::size::bytes;
use crate::stages;
use crate::store::{Made, Statement};
use gguf::Header;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;

/// What a run would do, stage by stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The recipe's file name.
    pub recipe: String,
    /// One for each stage, in their order.
    pub stages: Vec<Planned>,
}

/// What a run would do with one stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// The stage.
    pub name: String,
    /// Its kind.
    pub kind: &'static str,
    /// Whether it is done.
    pub state: State,
    /// What it makes or has made, with bytes as far as they are known. Empty: only its run tells.
    pub outputs: Vec<(String, Option<u64>)>,
}

/// The state of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Made, in the folder with this name.
    Done(String),
    /// To be made, in the folder with this name.
    Runs(String),
    /// To be made; a stage before it has to be made first.
    Waits,
    /// It would be refused.
    Refused(Failure),
}

impl Forge<'_> {
    /// What a run would do. Reads and hashes inputs, and changes nothing.
    pub fn plan(&self, from: Option<&str>) -> Result<Plan, ForgeError> {
        self.stand(from).map(|(plan, _)| plan)
    }

    /// What a run would do, and what is made.
    pub(crate) fn stand(&self, from: Option<&str>) -> Result<(Plan, Vec<Option<Made>>), ForgeError> {
        let anew = self.anew(from)?;
        let mut made: Vec<Option<Made>> = Vec::new();
        let mut stages = Vec::new();
        let mut headers: Vec<BTreeMap<String, Header>> = Vec::new();
        for (place, stage) in self.recipe.stages.iter().enumerate() {
            let (state, found) = self.state(place, stage, anew.contains(&place), &made);
            let outputs = match &found {
                Some(made) => sizes(made.folder.out(), &made.statement),
                None => self.predicted(place, &made, &mut headers),
            };
            headers.resize_with(place + 1, BTreeMap::new);
            stages.push(Planned { name: stage.name.clone(), kind: stage.kind.name(), state, outputs });
            made.push(found);
        }
        self.store.remember();
        let recipe = file_name(&self.recipe.path);
        Ok((Plan { recipe, stages }, made))
    }

    fn state(&self, place: usize, stage: &Stage, anew: bool, made: &[Option<Made>]) -> (State, Option<Made>) {
        if self.recipe.before(place).iter().any(|before| made.get(*before).is_none_or(Option::is_none)) {
            return (State::Waits, None);
        }
        let places = self.places();
        let unfetched = stage.needs.iter().find_map(|need| match need.origin {
            Origin::Input(input) => places.get(input).is_none_or(Option::is_none).then_some(input),
            Origin::Stage { .. } => None,
        });
        if unfetched.is_some() {
            return (State::Waits, None);
        }
        let told = Told { observer: self.observer, name: &stage.name };
        let resolved = resolve(self.recipe, place, &places, self.store, made, &told);
        let key = resolved.and_then(|resolved| resolved.definition.key());
        let folder = match key {
            Ok(key) => self.store.folder(&key, &stage.name),
            Err(failure) => return (State::Refused(failure), None),
        };
        if anew || !folder.is_complete() {
            return (State::Runs(folder.name()), None);
        }
        let checked = self.store.check(&folder, None, &told);
        match (checked.statement, checked.findings.as_slice()) {
            (Some(statement), []) => (State::Done(folder.name()), Some(Made { folder, statement })),
            (_, findings) => (State::Refused(super::damaged(stage, findings)), None),
        }
    }

    /// Files of inputs that are on this machine.
    pub(super) fn places(&self) -> Vec<Option<PathBuf>> {
        places(self.recipe, |address| self.remote.have(address))
    }

    /// What a stage will have made, with sizes where these follow from headers: those of files that are there, and of what stages
    /// before will make.
    fn predicted(
        &self,
        place: usize,
        made: &[Option<Made>],
        headers: &mut Vec<BTreeMap<String, Header>>,
    ) -> Vec<(String, Option<u64>)> {
        let (Some(outputs), Some(stage)) = (self.recipe.outputs(place), self.recipe.stages.get(place)) else {
            return Vec::new();
        };
        let model = stage.needs.iter().find(|need| need.field == "model");
        let model = model.and_then(|need| self.header(&need.origin, made, headers));
        let found = model.map(|model| stages::headers(&stage.kind, &model, self.bench)).unwrap_or_default();
        let own: BTreeMap<String, Header> = outputs.main.iter().cloned().zip(found).collect();
        let size = |name: &str| own.get(name).map(Header::file_size);
        let sizes = outputs.all().map(|name| (name.to_owned(), size(name))).collect();
        headers.resize_with(place, BTreeMap::new);
        headers.push(own);
        sizes
    }

    /// The header of the one file that is meant, as far as it is known.
    fn header(&self, origin: &Origin, made: &[Option<Made>], headers: &[BTreeMap<String, Header>]) -> Option<Header> {
        let (stage, file) = match origin {
            Origin::Input(input) => return Header::read(self.places().get(*input)?.as_ref()?).ok(),
            Origin::Stage { stage, file: Some(file) } => (*stage, file.clone()),
            Origin::Stage { stage, file: None } => match self.recipe.outputs(*stage)?.main.as_slice() {
                [one] => (*stage, one.clone()),
                _ => return None,
            },
        };
        match made.get(stage)? {
            Some(made) => Header::read(made.folder.out().join(file)).ok(),
            None => headers.get(stage)?.get(&file).cloned(),
        }
    }
}

/// Files of inputs, those of the hub as far as they are here.
pub(super) fn places(recipe: &Recipe, have: impl Fn(&str) -> Option<PathBuf>) -> Vec<Option<PathBuf>> {
    let place = |source: &Source| match source {
        Source::Local(path) => Some(path.clone()),
        Source::Hub(address) => have(address),
    };
    recipe.inputs.iter().map(|input| place(&input.source)).collect()
}

fn sizes(out: PathBuf, statement: &Statement) -> Vec<(String, Option<u64>)> {
    let size = |name: &str| std::fs::metadata(out.join(name)).ok().map(|metadata| metadata.len());
    statement.subject.iter().map(|subject| (subject.name.clone(), size(&subject.name))).collect()
}

impl Display for Plan {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        let done = self.stages.iter().filter(|stage| matches!(stage.state, State::Done(_))).count();
        let all = self.stages.len();
        writeln!(formatter, "{}: {all} stages, {done} done, {} to run", self.recipe, all - done)?;
        let width = self.stages.iter().map(|stage| stage.name.chars().count()).max().unwrap_or(0);
        for stage in &self.stages {
            let (word, folder) = match &stage.state {
                State::Done(folder) => ("done", folder.as_str()),
                State::Runs(folder) => ("run ", folder.as_str()),
                State::Waits => ("wait", "after what it reads"),
                State::Refused(_) => ("stop", ""),
            };
            writeln!(formatter, "{}", format!("  {word}  {:width$}  {folder}", stage.name).trim_end())?;
            if let State::Refused(failure) = &stage.state {
                writeln!(formatter, "        {}", failure.to_string().replace('\n', "\n        "))?;
                continue;
            }
            for (name, size) in &stage.outputs {
                let size = size.map_or(String::new(), |size| match size {
                    0..1000 => format!("  {}", bytes(size)),
                    _ => format!("  {size} bytes ({})", bytes(size)),
                });
                writeln!(formatter, "        {name}{size}")?;
            }
        }
        Ok(())
    }
}
