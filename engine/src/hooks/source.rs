//! The file behind a hook: a script or a library that is edited or built anew while text is written.
//!
//! Each text has its own instance of a hook, with a state of its own. All instances share one [`Source`]: the file is watched
//! once, and each content is read and compiled or opened once, by whichever instance looks first. Every instance takes the
//! new version over between two of its own steps, or goes on as it is; what it has seen and told is in its [`Attached`].

#[cfg(test)]
mod tests;

use super::watch::{Watch, Watching};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a file may stay absent, empty or cut off before that is worth a message: whoever writes it goes on before, and
/// editors that delete and create, or that empty the file first, are done long before.
const PATIENCE: Duration = Duration::from_secs(2);

/// What a kind of file holds.
pub(crate) trait Content {
    /// As it is read.
    type Raw;
    /// What instances are made of. A clone is another name for the same.
    type Version: Clone;

    /// Reads the file.
    fn read(&self, path: &Path) -> Result<Self::Raw, Problem>;
    /// True for what was opened last, whatever came of it.
    fn is_seen(&self, raw: &Self::Raw) -> bool;
    /// Makes a version of what was read; `None` where it is the newest one already. An error is a text for the user.
    fn open(&mut self, path: &Path, raw: Self::Raw, newest: &Self::Version) -> Result<Option<Self::Version>, String>;
}

/// Why a file cannot be read.
pub(crate) struct Problem {
    /// For the user.
    pub sentence: String,
    /// True for what a file looks like in the middle of a save.
    pub may_pass: bool,
}

/// A file, what it has held so far, and for whom it is watched.
pub(crate) struct Source<C: Content> {
    path: PathBuf,
    watching: Watching,
    /// `None` while it is left alone, and where nothing can be watched; `/reload` works all the same.
    watch: Option<Watch>,
    /// How many instances are not switched off.
    watched_for: usize,
    /// There were instances, and all are switched off or gone.
    is_left_alone: bool,
    /// Nobody watched for a while: it may be another one now.
    is_stale: bool,
    missing_since: Option<Instant>,
    content: C,
    newest: C::Version,
    /// Counts the versions that could be opened, from 1.
    serial: u64,
    /// What is wrong with the file since then.
    failure: Option<Failure>,
    /// Counts failures.
    failures: u64,
    /// By the hook's name: the newest version that an instance took over, and how many were taken over before it and with it.
    taken: HashMap<String, (u64, u32)>,
}

struct Failure {
    number: u64,
    sentence: String,
    /// It could be read.
    is_of_content: bool,
}

/// Which of the hooks of one file in a chain looks at it, and tells what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Post {
    /// It does, being the only one.
    Alone,
    /// It does, for the others too.
    First,
    /// It follows the first one in the same pass.
    Other,
}

/// An instance's share in its source.
pub(crate) struct Attached<C: Content> {
    source: Arc<Mutex<Source<C>>>,
    post: Post,
    /// Not switched off: counts among those for which the file is watched.
    is_watched: bool,
    /// The newest version that was tried, good or bad; 0 to try it again.
    tried: u64,
    /// The newest failure that was told.
    told: u64,
    /// Counts what runs, from 1.
    generation: u32,
}

impl<C: Content> Source<C> {
    /// Watches the file from now on; `begin` reads and opens it for the first time. The first version comes with it.
    pub(crate) fn open<E>(
        path: &Path,
        watching: Watching,
        begin: impl FnOnce() -> Result<(C, C::Version), E>,
    ) -> Result<(Arc<Mutex<Self>>, C::Version), E> {
        // Watched before it is read, so that no change falls between.
        let watch = watch(path, watching);
        let (content, newest) = begin()?;
        let source = Self {
            path: path.into(),
            watching,
            watch,
            watched_for: 0,
            is_left_alone: false,
            is_stale: false,
            missing_since: None,
            content,
            newest: newest.clone(),
            serial: 1,
            failure: None,
            failures: 0,
            taken: HashMap::new(),
        };
        Ok((Arc::new(Mutex::new(source)), newest))
    }

    /// Watches the file for one instance more or less; for none it is left alone.
    fn watch_for(&mut self, one_more: bool) {
        self.watched_for = if one_more { self.watched_for + 1 } else { self.watched_for.saturating_sub(1) };
        if self.watched_for == 0 {
            (self.watch, self.is_left_alone) = (None, true);
        } else if std::mem::take(&mut self.is_left_alone) {
            self.watch = watch(&self.path, self.watching);
            self.is_stale = true;
        }
    }

    /// Opens a changed file once it has come to rest. Cheap when nothing changed.
    fn look(&mut self) {
        let has_settled = self.watch.as_ref().is_some_and(Watch::settled) || std::mem::take(&mut self.is_stale);
        let is_overdue = self.missing_since.is_some_and(|since| since.elapsed() >= PATIENCE);
        if !has_settled && !is_overdue {
            return;
        }
        let read = self.content.read(&self.path);
        if has_settled && self.watch.as_ref().is_some_and(Watch::is_disturbed) {
            // The next save began while this one was read.
            return;
        }
        match read {
            Ok(raw) if self.content.is_seen(&raw) => {
                self.missing_since = None;
                // It is back as it was.
                self.failure.take_if(|failure| !failure.is_of_content);
            }
            Ok(raw) => {
                if let Err(sentence) = self.take(raw) {
                    self.fail(sentence, true);
                }
            }
            // The wait starts again with each change: a large library takes its time.
            Err(problem) if problem.may_pass && has_settled => self.missing_since = Some(Instant::now()),
            Err(problem) => {
                self.missing_since = None;
                self.fail(problem.sentence, false);
            }
        }
    }

    /// Opens the file as it is now, changed or not. An error is said whenever there is one, but to other texts not again.
    fn look_now(&mut self, is_behind: bool) -> Result<(), String> {
        let (sentence, is_of_content) = match self.content.read(&self.path) {
            // Another text has asked for it already.
            Ok(raw) if is_behind && self.failure.is_none() && self.content.is_seen(&raw) => return Ok(()),
            Ok(raw) => match self.take(raw) {
                Ok(()) => return Ok(()),
                Err(sentence) => (sentence, true),
            },
            Err(problem) => (problem.sentence, false),
        };
        if self.failure.as_ref().is_none_or(|failure| failure.sentence != sentence) {
            self.fail(sentence.clone(), is_of_content);
        }
        Err(sentence)
    }

    fn take(&mut self, raw: C::Raw) -> Result<(), String> {
        self.missing_since = None;
        if let Some(version) = self.content.open(&self.path, raw, &self.newest)? {
            self.newest = version;
            self.serial += 1;
        }
        self.failure = None;
        Ok(())
    }

    fn fail(&mut self, sentence: String, is_of_content: bool) {
        self.failures += 1;
        self.failure = Some(Failure { number: self.failures, sentence, is_of_content });
    }
}

impl<C: Content> Attached<C> {
    /// For an instance of the newest version.
    pub(crate) fn new(source: &Arc<Mutex<Source<C>>>, post: Post) -> Self {
        let mut locked = lock(source);
        locked.watch_for(true);
        let (tried, told) = (locked.serial, locked.failures);
        Self { source: Arc::clone(source), post, is_watched: true, tried, told, generation: 1 }
    }

    /// For another instance of the version that this one has, which has been told what this one has been told.
    pub(crate) fn another(&self) -> Self {
        if self.is_watched {
            lock(&self.source).watch_for(true);
        }
        Self { source: Arc::clone(&self.source), ..*self }
    }

    /// How many versions this hook has had in any text up to the one that this instance has.
    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) fn content<T>(&self, look: impl FnOnce(&C) -> T) -> T {
        look(&lock(&self.source).content)
    }

    /// While it is switched off, nothing is taken over, and the file need not be watched for this instance.
    pub(crate) fn set_watched(&mut self, watched: bool) {
        if self.is_watched != watched {
            self.is_watched = watched;
            lock(&self.source).watch_for(watched);
        }
    }

    /// Between two steps: a version to try, or what is wrong with the file; each of them once.
    pub(crate) fn news(&mut self) -> Option<Result<C::Version, String>> {
        if !self.is_watched && self.post == Post::Alone {
            return None;
        }
        let source = Arc::clone(&self.source);
        let mut source = lock(&source);
        if self.post != Post::Other {
            source.look();
        }
        self.news_of(&source, self.is_watched)
    }

    /// `/reload`: the same for the file as it is now. What was refused is to be tried again.
    pub(crate) fn news_now(&mut self) -> Option<Result<C::Version, String>> {
        let source = Arc::clone(&self.source);
        let mut source = lock(&source);
        let is_behind = self.tried != source.serial;
        if self.post != Post::Other
            && let Err(sentence) = source.look_now(is_behind)
        {
            self.told = source.failures;
            return Some(Err(sentence));
        }
        self.tried = 0;
        self.news_of(&source, true)
    }

    fn news_of(&mut self, source: &Source<C>, takes_over: bool) -> Option<Result<C::Version, String>> {
        if takes_over && self.tried != source.serial {
            self.tried = source.serial;
            return Some(Ok(source.newest.clone()));
        }
        let failure = source.failure.as_ref().filter(|failure| failure.number > self.told)?;
        self.told = failure.number;
        (self.post != Post::Other).then(|| Err(failure.sentence.clone()))
    }

    /// The version that was given last runs now; its number.
    pub(crate) fn took_over(&mut self, hook: &str) -> u32 {
        let mut source = lock(&self.source);
        let (newest, count) = source.taken.entry(hook.into()).or_insert((1, 1));
        if *newest < self.tried {
            (*newest, *count) = (self.tried, *count + 1);
        }
        self.generation = *count;
        self.generation
    }
}

impl<C: Content> Drop for Attached<C> {
    fn drop(&mut self) {
        if self.is_watched {
            lock(&self.source).watch_for(false);
        }
    }
}

/// Nothing that is left half done by a panic matters here.
fn lock<C: Content>(source: &Mutex<Source<C>>) -> MutexGuard<'_, Source<C>> {
    source.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch(path: &Path, watching: Watching) -> Option<Watch> {
    let unwatched = |reason: &std::io::Error| {
        tracing::warn!("{} cannot be watched ({reason}); use /reload after a change", path.display());
    };
    Watch::start(path, watching).inspect_err(unwatched).ok()
}
