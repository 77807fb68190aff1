//! Runs recipes: what is done stays, what is not is made, one stage after the other.

mod error;
mod observer;
mod plan;
mod recorder;
mod resolve;
mod verify;

pub use error::{ForgeError, StageError};
pub use observer::{Event, Observer, Silent};
pub use plan::{Plan, Planned, State};
pub(crate) use resolve::{Read, Reads};
pub use verify::{Verification, verify};

use crate::bench::{Bench, Failure};
use crate::clock;
use crate::recipe::{Outputs, Recipe, Source, Stage};
use crate::remote::Remote;
use crate::stages::{self, Work};
use crate::store::{Artifact, HISTORY, LOG, Made, Metadata, RunDetails, Scratch, Signer, Statement, Store};
use measure::{did_you_mean, nearest};
use observer::Told;
use recorder::Recorder;
use resolve::{Resolved, resolve};
use std::path::PathBuf;
use std::time::Instant;

/// A recipe, where its stages are kept, and who does the work.
pub struct Forge<'a> {
    /// What is to be made.
    pub recipe: &'a Recipe,
    /// The store that it is kept in.
    pub store: &'a Store,
    /// The program that loads models.
    pub bench: &'a dyn Bench,
    /// The client of the hub.
    pub remote: &'a dyn Remote,
    /// The observer, which is told what happens and may stop it.
    pub observer: &'a dyn Observer,
    /// The key that signs statements, if one does.
    pub signer: Option<&'a Signer>,
}

/// What a run did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Stages that were run.
    pub ran: Vec<String>,
    /// Stages that were done before.
    pub skipped: Vec<String>,
}

impl Forge<'_> {
    /// Runs what is not done; `from` and what depends on it also if it is.
    pub fn run(&self, from: Option<&str>) -> Result<Summary, ForgeError> {
        let anew = self.anew(from)?;
        let mut made: Vec<Option<Made>> = Vec::new();
        let mut places: Vec<Option<PathBuf>> = vec![None; self.recipe.inputs.len()];
        let mut summary = Summary::default();
        for (place, stage) in self.recipe.stages.iter().enumerate() {
            let result = self.stage(place, stage, anew.contains(&place), &mut places, &made, &mut summary);
            self.store.remember();
            match result {
                Ok(stage) => made.push(Some(stage)),
                Err((reason, log)) => {
                    let left = self.recipe.stages.iter().skip(place).map(|stage| stage.name.clone()).collect();
                    let done = summary.skipped.iter().chain(&summary.ran).cloned().collect();
                    return Err(ForgeError::Stage(Box::new(StageError {
                        stage: stage.name.clone(),
                        reason,
                        done,
                        left,
                        log,
                    })));
                }
            }
        }
        Ok(summary)
    }

    /// The stages that are made also if they are done: that of this name, and what depends on it.
    fn anew(&self, from: Option<&str>) -> Result<Vec<usize>, ForgeError> {
        let Some(name) = from else { return Ok(Vec::new()) };
        let stage = self.recipe.stage(name).ok_or_else(|| {
            let near = nearest(name, self.recipe.stages.iter().map(|stage| stage.name.as_str()));
            ForgeError::NoSuchStage { name: name.into(), advice: did_you_mean(near) }
        })?;
        Ok(self.recipe.from(stage))
    }

    /// Makes a stage, or finds it made.
    fn stage(
        &self,
        place: usize,
        stage: &Stage,
        anew: bool,
        places: &mut [Option<PathBuf>],
        made: &[Option<Made>],
        summary: &mut Summary,
    ) -> Result<Made, (Failure, Option<PathBuf>)> {
        let plain = |failure| (failure, None);
        self.locate(stage, places).map_err(plain)?;
        let told = Told { observer: self.observer, name: &stage.name };
        let resolved = resolve(self.recipe, place, places, self.store, made, &told).map_err(plain)?;
        let key = resolved.definition.key().map_err(plain)?;
        let folder = self.store.folder(&key, &stage.name);
        if anew {
            self.store.forget(&folder).map_err(plain)?;
        }
        if folder.is_complete() {
            let checked = self.store.check(&folder, None, &told);
            return match (checked.statement, checked.findings.as_slice()) {
                (Some(statement), []) => {
                    self.signer.map(|signer| folder.sign_late(signer)).transpose().map_err(plain)?;
                    self.observer.event(&stage.name, Event::Skipped);
                    summary.skipped.push(stage.name.clone());
                    Ok(Made { folder, statement })
                }
                _ if self.observer.cancelled() => Err(plain(Failure::Cancelled)),
                (_, findings) => Err(plain(damaged(stage, findings))),
            };
        }
        self.observer.event(&stage.name, Event::Started { number: place + 1, of: self.recipe.stages.len() });
        let scratch = self.store.scratch(&key, &stage.name).map_err(plain)?;
        let began = Instant::now();
        match self.make(place, stage, &resolved, &scratch, places, made) {
            Ok(statement) => {
                let folder = self.store.finish(scratch).map_err(plain)?;
                folder.complete(&statement, self.signer).map_err(plain)?;
                self.observer.event(
                    &stage.name,
                    Event::Finished { seconds: began.elapsed().as_secs_f64(), folder: folder.path() },
                );
                summary.ran.push(stage.name.clone());
                Ok(Made { folder, statement })
            }
            Err(failure) => {
                let full = self.store.is_full();
                let log = scratch.fail();
                Err((with_space(failure, full, self.store), Some(log)))
            }
        }
    }

    /// Finds the files of inputs that a stage reads.
    fn locate(&self, stage: &Stage, places: &mut [Option<PathBuf>]) -> Result<(), Failure> {
        for (input, place) in self.recipe.inputs.iter().zip(places).filter(|(_, place)| place.is_none()) {
            if stage.needs.iter().all(|need| need.reference.0 != input.name) {
                continue;
            }
            *place = Some(match &input.source {
                Source::Local(path) => path.clone(),
                Source::Hub(address) => match self.remote.have(address) {
                    Some(path) => path,
                    None => self.remote.fetch(address, &Told { observer: self.observer, name: &input.name })?,
                },
            });
        }
        Ok(())
    }

    /// Does a stage's work in its folder, and says what came of it.
    fn make(
        &self,
        place: usize,
        stage: &Stage,
        resolved: &Resolved,
        scratch: &Scratch,
        places: &[Option<PathBuf>],
        made: &[Option<Made>],
    ) -> Result<Statement, Failure> {
        let (started_on, told) = (clock::now(), Told { observer: self.observer, name: &stage.name });
        let recorder = Recorder::new(scratch, &stage.name, self.observer)?;
        let (out, log) = (scratch.out(), scratch.log());
        let work = Work {
            recipe: self.recipe,
            reads: &resolved.reads,
            bench: self.bench,
            remote: self.remote,
            watch: &recorder,
            out: &out,
            log: &log,
        };
        let worked = stages::work(&stage.kind, &work);
        if let Err(failure) = &worked {
            use crate::bench::Watch;
            recorder.log(&failure.to_string());
        }
        recorder.close()?;
        worked?;
        let files = scratch.settle()?;
        self.check_outputs(place, &files)?;
        let subject = files.into_iter().map(|name| {
            let sha256 = self.store.digest(&scratch.out().join(&name), &told)?;
            Ok(Artifact::new(name, sha256))
        });
        let subject: Vec<Artifact> = subject.collect::<Result<_, Failure>>()?;
        let after = resolve(self.recipe, place, places, self.store, made, &told)?;
        if after.definition != resolved.definition {
            return Err(Failure::new("what it reads was changed while it ran: leave the files alone and run it again"));
        }
        let byproducts =
            [LOG, HISTORY].map(|name| Ok(Artifact::new(name, self.store.digest(&scratch.path().join(name), &told)?)));
        let byproducts = byproducts.into_iter().collect::<Result<_, Failure>>()?;
        let metadata = Metadata { started_on, finished_on: clock::now() };
        let run = RunDetails::new(self.bench.builder(), metadata, byproducts);
        Ok(Statement::new(resolved.definition.clone(), subject, run))
    }

    /// Refuses a stage that lacks what later stages may count on.
    fn check_outputs(&self, place: usize, files: &[String]) -> Result<(), Failure> {
        if files.is_empty() {
            return Err(Failure::new("it made no file"));
        }
        let outputs = self.recipe.outputs(place).into_iter().flat_map(Outputs::all);
        let missing = outputs.into_iter().find(|output| !files.iter().any(|file| file == output));
        missing.map_or(Ok(()), |missing| {
            Err(Failure::new(format!("it made no `{missing}`; it made {}", files.join(", "))))
        })
    }
}

/// A stage that was made is not as it was made.
fn damaged(stage: &Stage, findings: &[crate::store::Finding]) -> Failure {
    let findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    Failure::new(format!(
        "it was done before, and is not as it was made:\n  {}\n`--from {}` makes it again, with all that depends on it",
        findings.join("\n  "),
        stage.name
    ))
}

/// A reason with what explains it: programs that meet a full disk often say something else.
fn with_space(failure: Failure, full: bool, store: &Store) -> Failure {
    match failure {
        Failure::Words(words) if full => Failure::Words(format!(
            "{words}; the disk of `{}` is full: make space there and run the same command again",
            store.root().display()
        )),
        other => other,
    }
}
