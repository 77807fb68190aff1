//! Tells when a file has changed and come to rest.
//!
//! Editors save in several ways: in place, by a new file renamed over the old one, by delete and create. So the folder is
//! watched, not the file, and a change counts once nothing has happened for a while. Whether the content is really another
//! one is for the reader to see.

use std::ffi::OsString;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use notify::event::{AccessKind, AccessMode};
use notify::{Config, Event, EventKind, PollWatcher, RecommendedWatcher, RecursiveMode, Watcher};

/// How long nothing must happen: the pieces of one save lie closer together, and a save and the next step lie further
/// apart.
const QUIET: Duration = Duration::from_millis(80);
/// Where the system offers no notifications.
const POLL: Duration = Duration::from_millis(150);

/// How a hook's file is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Watching {
    /// The system tells of changes; where it offers nothing, the file is polled.
    #[default]
    Native,
    /// The file is looked at again and again: network file systems tell of nothing.
    Poll,
}

/// Watches one file until it is dropped.
pub(crate) struct Watch {
    changes: Arc<Changes>,
    /// For polling, which sees changes late and not all of them: what is looked at to see whether the file has come to rest.
    rest: Option<Rest>,
    /// Ends its thread when it is dropped.
    _watcher: Box<dyn Watcher + Send>,
}

/// When the newest change came, in nanoseconds since `origin`; 0 for none.
struct Changes {
    origin: Instant,
    newest: AtomicU64,
}

/// A file's size and times as they were at the last look.
struct Rest {
    file: PathBuf,
    /// 0 before the first look at a burst of changes.
    stamp: AtomicU64,
}

impl Watch {
    /// Begins to watch a file that exists.
    pub(crate) fn start(file: &Path, watching: Watching) -> notify::Result<Self> {
        match watching {
            Watching::Poll => Self::polling(file),
            Watching::Native => Self::native(file).or_else(|reason| {
                tracing::debug!("polling {} because it cannot be watched: {reason}", file.display());
                Self::polling(file)
            }),
        }
    }

    fn native(file: &Path) -> notify::Result<Self> {
        let changes = Changes::none();
        let mut watcher = RecommendedWatcher::new(listen(file, &changes), Config::default())?;
        for folder in folders(file) {
            watcher.watch(&folder, RecursiveMode::NonRecursive)?;
        }
        Ok(Self { changes, rest: None, _watcher: Box::new(watcher) })
    }

    fn polling(file: &Path) -> notify::Result<Self> {
        let changes = Changes::none();
        // Contents, because times of change are compared in whole seconds; and the file alone, because a folder may hold
        // models.
        let config = Config::default().with_poll_interval(POLL).with_compare_contents(true);
        let mut watcher = PollWatcher::new(listen(file, &changes), config)?;
        watcher.watch(file, RecursiveMode::NonRecursive)?;
        let rest = Rest { file: file.to_owned(), stamp: AtomicU64::new(0) };
        Ok(Self { changes, rest: Some(rest), _watcher: Box::new(watcher) })
    }

    /// True once after each burst of changes, when the file has come to rest. One atomic load when there was none.
    pub(crate) fn settled(&self) -> bool {
        let newest = self.changes.newest.load(Ordering::Acquire);
        if newest == 0 {
            return false;
        }
        let is_quiet = self.changes.now().saturating_sub(newest) >= QUIET.as_nanos() as u64;
        if let Some(rest) = &self.rest {
            let before = rest.stamp.load(Ordering::Relaxed);
            if before == 0 {
                rest.look();
                return false;
            }
            if is_quiet && rest.look() != before {
                // Saved again since: the wait starts again.
                self.changes.note();
                return false;
            }
        }
        is_quiet
            // A change since the load starts the wait again.
            && self.changes.newest.compare_exchange(newest, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// True when the file changed again after it was [settled](Self::settled): what was read then may be half a file. The
    /// wait has started again.
    pub(crate) fn is_disturbed(&self) -> bool {
        if let Some(rest) = &self.rest {
            let before = rest.stamp.load(Ordering::Relaxed);
            if before != 0 && rest.look() != before {
                self.changes.note();
            } else {
                rest.stamp.store(0, Ordering::Relaxed);
            }
        }
        self.changes.newest.load(Ordering::Acquire) != 0
    }
}

impl Rest {
    /// Remembers how the file is now. A function of size, time of change and, on Unix, of which file it is; never 0.
    fn look(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        if let Ok(metadata) = std::fs::metadata(&self.file) {
            (metadata.len(), metadata.modified().ok()).hash(&mut hasher);
            #[cfg(unix)]
            std::os::unix::fs::MetadataExt::ino(&metadata).hash(&mut hasher);
        }
        let stamp = hasher.finish().max(1);
        self.stamp.store(stamp, Ordering::Relaxed);
        stamp
    }
}

impl Changes {
    fn none() -> Arc<Self> {
        Arc::new(Self { origin: Instant::now(), newest: AtomicU64::new(0) })
    }

    fn note(&self) {
        self.newest.store(self.now().max(1), Ordering::Release);
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}

/// The folder of the name, and for a symbolic link the folder of what it leads to.
fn folders(file: &Path) -> Vec<PathBuf> {
    let folder = |path: &Path| match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let mut folders = vec![folder(file)];
    if let Ok(target) = file.canonicalize() {
        let target = folder(&target);
        if folders[0].canonicalize().ok().as_ref() != Some(&target) {
            folders.push(target);
        }
    }
    folders
}

fn listen(file: &Path, changes: &Arc<Changes>) -> impl FnMut(notify::Result<Event>) + Send + 'static {
    let names: Vec<OsString> = [Some(file.to_owned()), file.canonicalize().ok()]
        .into_iter()
        .flatten()
        .filter_map(|path| path.file_name().map(ToOwned::to_owned))
        .collect();
    let changes = Arc::clone(changes);
    move |event| {
        let touches = match &event {
            // Reading the file is no change; our own reading would start the wait again.
            Ok(event) => {
                !matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
                    && event
                        .paths
                        .iter()
                        .any(|path| path.file_name().is_some_and(|name| names.iter().any(|n| n == name)))
            }
            // Events were lost: better to look once too often.
            Err(_) => true,
        };
        if touches {
            changes.note();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settles(watch: &Watch) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            if watch.settled() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    #[test]
    fn a_burst_of_writes_counts_once() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rhai");
        let watch = Watch::native(&file).unwrap();
        for part in 0..5 {
            std::fs::write(&file, format!("// {part}")).unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(settles(&watch));
        std::thread::sleep(QUIET * 3);
        assert!(!watch.settled());
    }

    #[test]
    fn other_files_and_reading_do_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rhai");
        std::fs::write(&file, "// a").unwrap();
        let watch = Watch::native(&file).unwrap();
        std::fs::write(folder.path().join("b.rhai"), "// b").unwrap();
        std::fs::read_to_string(&file).unwrap();
        std::thread::sleep(QUIET * 3);
        assert!(!watch.settled());
    }

    #[test]
    fn polling_sees_a_change_and_a_file_that_comes_back() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.rhai");
        std::fs::write(&file, "// a").unwrap();
        let watch = Watch::polling(&file).unwrap();
        std::fs::write(&file, "// b").unwrap();
        assert!(settles(&watch));
        std::fs::remove_file(&file).unwrap();
        assert!(settles(&watch));
        std::fs::write(&file, "// c").unwrap();
        assert!(settles(&watch));
    }

    #[cfg(unix)]
    #[test]
    fn a_change_behind_a_symbolic_link_counts() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let target = elsewhere.path().join("real.rhai");
        std::fs::write(&target, "// a").unwrap();
        let link = folder.path().join("a.rhai");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let watch = Watch::native(&link).unwrap();
        std::fs::write(&target, "// b").unwrap();
        assert!(settles(&watch));
    }
}
