//! What the file of a library has held so far. All plugins of it and all their instances share it, so that each content is
//! opened once.

use super::error::LoadError;
use super::image;
use super::load::{self, Plugin};
use super::probe::Shape;
use super::surroundings::undisturbed;
use crate::hooks::source::{Content, Problem};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

/// What is opened stays until the program ends, because code of it may still be referred to. So there is an end to it: a day
/// of work on a plugin, or far more memory than plugins should need.
const MOST_VERSIONS: usize = 256;
/// In bytes, of one file.
const MOST_MAPPED: u64 = 256 << 20;

/// One content of the file, by length and hash: a content that comes back is not opened again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ContentId(usize, u64);

impl ContentId {
    fn of(content: &[u8]) -> Self {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        Self(content.len(), hasher.finish())
    }
}

/// A library that is open.
#[derive(Debug, Clone)]
pub(super) struct OpenVersion {
    pub id: ContentId,
    pub plugins: Arc<[Plugin]>,
    trials: Arc<Mutex<Vec<Trial>>>,
}

/// What came of a plugin on samples.
#[derive(Debug)]
struct Trial {
    plugin: String,
    shape: Shape,
    outcome: Result<(), String>,
}

/// See the module.
pub(super) struct LibraryFile {
    /// The newest content that was looked at, good or bad.
    seen: ContentId,
    /// All that was opened.
    versions: HashMap<ContentId, Arc<[Plugin]>>,
    mapped: u64,
}

impl OpenVersion {
    fn new(id: ContentId, plugins: Arc<[Plugin]>) -> Self {
        Self { id, plugins, trials: Arc::default() }
    }

    /// What `samples` come to for a plugin, which is asked once for all texts, or once more where that is asked for.
    pub fn tried(
        &self,
        plugin: &str,
        shape: Shape,
        again: bool,
        samples: impl FnOnce() -> Result<(), String>,
    ) -> Result<(), String> {
        let mut trials = self.trials.lock().unwrap_or_else(PoisonError::into_inner);
        trials.retain(|trial| !(again && trial.plugin == plugin && trial.outcome.is_err()));
        if let Some(trial) = trials.iter().find(|trial| trial.plugin == plugin && trial.shape == shape) {
            return trial.outcome.clone();
        }
        let outcome = samples();
        trials.push(Trial { plugin: plugin.into(), shape, outcome: outcome.clone() });
        outcome
    }
}

impl LibraryFile {
    /// Reads and opens it for the first time.
    pub fn open(path: &Path) -> Result<(Self, OpenVersion), LoadError> {
        let content = load::read_file(path)?;
        let id = ContentId::of(&content);
        let plugins: Arc<[Plugin]> = load::open(path, &content)?.into();
        let versions = HashMap::from([(id, plugins.clone())]);
        Ok((Self { seen: id, versions, mapped: image::mapped_size(&content) }, OpenVersion::new(id, plugins)))
    }

    /// How many contents were opened, and their size in memory, in bytes.
    pub fn opened(&self) -> (usize, u64) {
        (self.versions.len(), self.mapped)
    }

    fn open_next(&mut self, path: &Path, id: ContentId, content: &[u8]) -> Result<Arc<[Plugin]>, LoadError> {
        let size = image::mapped_size(content);
        if self.versions.len() >= MOST_VERSIONS || self.mapped.saturating_add(size) > MOST_MAPPED {
            let reason = format!(
                "{} versions of it with {} of code stay in memory until this program ends; start the program again",
                self.versions.len(),
                mebibytes(self.mapped)
            );
            return Err(LoadError::Refused { path: path.into(), reason });
        }
        let (plugins, changed) = undisturbed(|| load::open(path, content));
        let plugins = match changed {
            None => plugins,
            Some(what) => Err(LoadError::Disturbs { path: path.into(), what }),
        };
        // What the linker takes stays mapped, whatever is wrong with the plugins in it.
        if !matches!(plugins, Err(LoadError::Refused { .. })) {
            self.mapped += size;
        }
        let plugins: Arc<[Plugin]> = plugins?.into();
        self.versions.insert(id, plugins.clone());
        Ok(plugins)
    }
}

impl Content for LibraryFile {
    type Raw = Vec<u8>;
    type Version = OpenVersion;

    fn read(&self, path: &Path) -> Result<Vec<u8>, Problem> {
        load::read_file(path)
            .map_err(|error| Problem { may_pass: error.may_pass(), sentence: goes_on_because(path, &error) })
    }

    fn is_seen(&self, content: &Vec<u8>) -> bool {
        self.seen == ContentId::of(content)
    }

    fn open(&mut self, path: &Path, content: Vec<u8>, newest: &OpenVersion) -> Result<Option<OpenVersion>, String> {
        let id = ContentId::of(&content);
        self.seen = id;
        let plugins = match self.versions.get(&id) {
            Some(plugins) => plugins.clone(),
            None => self.open_next(path, id, &content).map_err(|error| goes_on_because(path, &error))?,
        };
        Ok((id != newest.id).then(|| OpenVersion::new(id, plugins)))
    }
}

fn goes_on_because(path: &Path, error: &LoadError) -> String {
    format!("`{}` goes on as it is: {error}", path.display())
}

/// "1.2 MiB".
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
