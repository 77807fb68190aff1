//! Model files that were never loaded before are first loaded in a process of their own, the program itself as
//! `llama_selfmod try`: what llama.cpp does not survive there becomes a sentence here.

mod known;
mod process;

use self::{
    known::Note,
    process::{Bounds, Process, size},
};
use super::{args::TryArgs, render::Look};
use crate::{
    Error,
    engine::{model_files, read_vocabulary, try_model},
    settings::{DraftBy, ModelSource, Settings},
};
use std::{
    io,
    path::{Path, PathBuf},
    process::ExitCode,
    thread::available_parallelism,
    time::Instant,
};

/// The context of a trial is no longer than this, whatever was asked for: clearing a large one takes long, and nothing
/// depends on it.
const CONTEXT: u32 = 2048;
/// Below this a second thread costs more than it saves.
const LARGE: u64 = 100 << 20;

/// Which members may decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// All, untried.
    Trusted,
    /// All that were asked for, or none: the outcome would be another without one of them.
    All,
    /// Those that can be used, as long as there is one; the others are left out, with a note.
    Usable,
}

impl Admission {
    /// The settings with the members that may decode.
    pub fn admit(self, mut settings: Settings, look: Look) -> Result<Settings, Error> {
        if self == Self::Trusted {
            return Ok(settings);
        }
        let verdicts = verdicts(&settings, look)?;
        let (members, drafter) = verdicts.split_at(settings.models.len());
        if self == Self::All || members.iter().all(Result::is_err) {
            return verdicts.into_iter().collect::<Result<(), _>>().map(|()| settings);
        }
        let by = &mut settings.draft.by;
        if drafter.iter().any(Result::is_err) {
            settings.draft_model = None;
            *by = DraftBy::Auto;
        }
        // Members are numbered anew without those that are left out.
        if let DraftBy::Member(member) = *by {
            let before = members[..member].iter().filter(|verdict| verdict.is_ok()).count();
            *by = if members[member].is_ok() { DraftBy::Member(before) } else { DraftBy::Auto };
        }
        let mut kept = members.iter().map(Result::is_ok);
        settings.models.retain(|_| kept.next().unwrap_or(true));
        for error in verdicts.into_iter().filter_map(Result::err) {
            // Also where only the text is wanted: it is no longer that of the ensemble that was asked for.
            look.error(&format!("left out: {error}"));
        }
        Ok(settings)
    }
}

/// Tries files of which only the vocabulary is read.
pub fn vocabularies(files: &[PathBuf], cache: Option<&Path>, look: Look) -> Result<(), Error> {
    let trials = files.iter().map(|file| Trial::of_vocabulary(file));
    run(trials.collect(), cache, look)?.into_iter().collect()
}

/// Whether each member can be used, and behind them a model that proposes and has no say; and why not.
fn verdicts(settings: &Settings, look: Look) -> Result<Vec<Result<(), Error>>, Error> {
    let sources = || settings.models.iter().chain(&settings.draft_model);
    let trial = |model: &ModelSource| match &model.remote {
        None => Some(Trial::of_member(model, settings)),
        // Of a server's file the vocabulary is read here, and nothing where it has that of another member.
        Some(remote) => remote.vocabulary.as_deref().map(Trial::of_vocabulary),
    };
    let trials: Vec<Option<Trial>> = sources().map(trial).collect();
    let is_tried: Vec<bool> = trials.iter().map(Option::is_some).collect();
    let mut verdicts = run(trials.into_iter().flatten().collect(), settings.cache.as_deref(), look)?.into_iter();
    let verdict = |is_tried: bool| if is_tried { verdicts.next().unwrap_or(Ok(())) } else { Ok(()) };
    Ok(is_tried.into_iter().map(verdict).collect())
}

/// A file to try, and how.
struct Trial {
    files: Vec<PathBuf>,
    args: TryArgs,
}

impl Trial {
    fn of_member(model: &ModelSource, settings: &Settings) -> Self {
        let files = model_files(&model.path);
        let count = settings.models.len();
        let threads = match settings.threads {
            _ if size(&files) < LARGE => Some(1),
            all if count == 1 => all,
            // All trials run at once.
            all => Some((all.unwrap_or_else(|| available_parallelism().map_or(1, Into::into)) / count).max(1)),
        };
        let args = TryArgs {
            file: model.path.clone(),
            vocabulary: false,
            ctx_size: settings.ctx_size.min(CONTEXT),
            n_gpu_layers: model.gpu_layers,
            threads,
            beside: count > 1,
        };
        Self { files, args }
    }

    fn of_vocabulary(file: &Path) -> Self {
        let args = TryArgs {
            file: file.into(),
            vocabulary: true,
            ctx_size: CONTEXT,
            n_gpu_layers: 0,
            threads: Some(1),
            beside: false,
        };
        Self { files: vec![file.into()], args }
    }
}

/// Runs all trials that are needed, side by side.
fn run(trials: Vec<Trial>, cache: Option<&Path>, look: Look) -> Result<Vec<Result<(), Error>>, Error> {
    let failure = |error: io::Error| {
        Error::Failure(format!(
            "a process to try the models in cannot be started ({error}); --trust loads them without"
        ))
    };
    let start = Instant::now();
    let started = trials.into_iter().map(|trial| {
        let note = Note::of(&trial, cache);
        let is_known = note.as_ref().is_some_and(Note::is_there);
        let process = if is_known { None } else { Some(Process::start(&trial)?) };
        Ok((trial, note, process))
    });
    let started: Vec<_> = started.collect::<Result<_, _>>().map_err(failure)?;
    let verdict = |(trial, note, process): (Trial, Option<Note>, Option<Process>)| {
        let Some(process) = process else { return Ok(Ok(())) };
        let verdict = process.verdict(&trial.args.file, start, look)?;
        if let (Ok(()), Some(note)) = (&verdict, note) {
            note.write();
        }
        Ok(verdict)
    };
    started.into_iter().map(verdict).collect::<Result<_, _>>().map_err(failure)
}

/// The part that runs in a process of its own: exit code 0 for a file that came through, a sentence for one that is refused
/// in an orderly way, and whatever comes otherwise.
pub fn here(args: TryArgs) -> Result<ExitCode, Error> {
    let TryArgs { file, vocabulary, ctx_size, n_gpu_layers, threads, beside } = args;
    Bounds::of(&model_files(&file)).impose(n_gpu_layers != 0);
    if vocabulary {
        read_vocabulary(&file)?;
    } else {
        let source = ModelSource { gpu_layers: n_gpu_layers, ..ModelSource::new(file) };
        try_model(&source, ctx_size, threads, beside)?;
    }
    Ok(ExitCode::SUCCESS)
}
