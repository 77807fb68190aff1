//! The file of a library whose plugins run: what it has held so far, and what it holds now. All plugins of a library share
//! one, so that its file is watched once and each content is opened once.

use super::error::LoadError;
use super::image;
use super::load::{self, Plugin};
use super::surroundings::undisturbed;
use crate::hooks::watch::{Watch, Watching};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a file may stay absent, empty or cut off before that is worth a message: whoever writes it goes on before.
const PATIENCE: Duration = Duration::from_secs(2);

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
}

/// See the module.
pub(super) struct LibraryFile {
    path: PathBuf,
    watching: Watching,
    /// `None` while all its plugins are switched off, and where nothing can be watched; `/reload` works all the same.
    watch: Option<Watch>,
    /// Nobody watched for a while: it may be another one now.
    is_stale: bool,
    /// How many of its plugins run, at first all.
    watched_for: usize,
    /// The newest content that was looked at, good or bad; `None` to look at it again.
    seen: Option<ContentId>,
    missing_since: Option<Instant>,
    /// All that was opened.
    versions: HashMap<ContentId, Arc<[Plugin]>>,
    mapped: u64,
    newest: OpenVersion,
}

impl LibraryFile {
    /// Watches and opens it.
    pub fn open(path: &Path, watching: Watching) -> Result<Self, LoadError> {
        // Watched before it is read, so that no change falls between.
        let watch = watch(path, watching);
        let content = load::read_file(path)?;
        let id = ContentId::of(&content);
        let plugins: Arc<[Plugin]> = load::open(path, &content)?.into();
        Ok(Self {
            path: path.into(),
            watching,
            watch,
            is_stale: false,
            watched_for: plugins.len(),
            seen: Some(id),
            missing_since: None,
            versions: HashMap::from([(id, plugins.clone())]),
            mapped: image::mapped_size(&content),
            newest: OpenVersion { id, plugins },
        })
    }

    /// The newest content that could be opened.
    pub fn newest(&self) -> &OpenVersion {
        &self.newest
    }

    /// How many contents were opened, and their size in memory, in bytes.
    pub fn opened(&self) -> (usize, u64) {
        (self.versions.len(), self.mapped)
    }

    /// Watches the file for one plugin more or less; for none it is left alone.
    pub fn watch_for(&mut self, one_more: bool) {
        self.watched_for = if one_more { self.watched_for + 1 } else { self.watched_for.saturating_sub(1) };
        if self.watched_for == 0 {
            self.watch = None;
        } else if self.watch.is_none() {
            self.watch = watch(&self.path, self.watching);
            self.is_stale = true;
        }
    }

    /// Opens a changed file once it has come to rest. Cheap when nothing changed. An error is said once for each content.
    pub fn look(&mut self) -> Result<(), LoadError> {
        let has_settled = self.watch.as_ref().is_some_and(Watch::settled) || std::mem::take(&mut self.is_stale);
        let is_overdue = self.missing_since.is_some_and(|since| since.elapsed() >= PATIENCE);
        if !has_settled && !is_overdue {
            return Ok(());
        }
        let read = load::read_file(&self.path);
        if has_settled && self.watch.as_ref().is_some_and(Watch::is_disturbed) {
            // The next build began while this one was read.
            return Ok(());
        }
        match read {
            Ok(content) => self.take(&content),
            // The wait starts again with each change: a large library takes its time.
            Err(problem) if problem.may_pass() && has_settled => {
                self.missing_since = Some(Instant::now());
                Ok(())
            }
            Err(problem) => {
                self.missing_since = None;
                Err(problem)
            }
        }
    }

    /// Opens the file as it is now. An error is said whenever there is one.
    pub fn look_now(&mut self) -> Result<(), LoadError> {
        let content = load::read_file(&self.path)?;
        self.seen = None;
        self.take(&content)
    }

    fn take(&mut self, content: &[u8]) -> Result<(), LoadError> {
        self.missing_since = None;
        let id = ContentId::of(content);
        if self.seen == Some(id) {
            return Ok(());
        }
        self.seen = Some(id);
        let plugins = match self.versions.get(&id) {
            Some(plugins) => plugins.clone(),
            None => self.open_next(id, content)?,
        };
        self.newest = OpenVersion { id, plugins };
        Ok(())
    }

    fn open_next(&mut self, id: ContentId, content: &[u8]) -> Result<Arc<[Plugin]>, LoadError> {
        let size = image::mapped_size(content);
        if self.versions.len() >= MOST_VERSIONS || self.mapped.saturating_add(size) > MOST_MAPPED {
            let reason = format!(
                "{} versions of it with {} of code stay in memory until this program ends; start the program again",
                self.versions.len(),
                mebibytes(self.mapped)
            );
            return Err(LoadError::Refused { path: self.path.clone(), reason });
        }
        let (plugins, changed) = undisturbed(|| load::open(&self.path, content));
        let plugins = match changed {
            None => plugins,
            Some(what) => Err(LoadError::Disturbs { path: self.path.clone(), what }),
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

fn watch(path: &Path, watching: Watching) -> Option<Watch> {
    let unwatched = |reason: &std::io::Error| {
        tracing::warn!("{} cannot be watched ({reason}); use /reload after a build", path.display());
    };
    Watch::start(path, watching).inspect_err(unwatched).ok()
}

/// "1.2 MiB".
pub(super) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}
