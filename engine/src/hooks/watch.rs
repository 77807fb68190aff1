//! Tells when a file has changed and come to rest.
//!
//! Editors save in several ways: in place, by a new file renamed over the old one, by delete and create. A name can lead to its
//! file over links and folders, each of which can be turned or replaced: a Kubernetes ConfigMap changes by one link among
//! three. So what is watched is the whole way to the file ([`route`]), worked out anew after each change, and a change counts
//! once nothing has happened for a while. Whether the content is really another one is for the reader to see.
//!
//! All watches of the process share one thread and one connection to the system ([`lookout`]); both end with the last watch.

mod lookout;
mod route;
#[cfg(test)]
mod tests;
mod told;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use lookout::Handle;
use route::Route;

/// How long nothing must happen: the pieces of one save lie closer together, and a save and the next step lie further
/// apart.
const QUIET: Duration = Duration::from_millis(80);

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
    file: Arc<Watched>,
    /// After the file: the thread finds it gone.
    _handle: Handle,
}

/// A watched file, as the thread that watches and the reader of the file share it. Times are nanoseconds since `origin`.
struct Watched {
    /// From the root: the working folder may change.
    path: PathBuf,
    watching: Watching,
    origin: Instant,
    /// When the newest change came; 0 for none.
    newest: AtomicU64,
    /// When a look began that found nothing changed.
    calm: AtomicU64,
    /// The way and the file at the last look ([`Route::stamp`]).
    stamp: AtomicU64,
    /// Whether the system tells of every change. Otherwise only looks do, late and not of all of them.
    is_told: AtomicBool,
}

impl Watch {
    /// Begins to watch a file, which need not exist. What changes after this call is noted.
    pub(crate) fn start(file: &Path, watching: Watching) -> io::Result<Self> {
        let path = std::path::absolute(file)?;
        let file = Arc::new(Watched {
            stamp: AtomicU64::new(Route::of(&path).stamp),
            path,
            watching,
            origin: Instant::now(),
            newest: AtomicU64::new(0),
            calm: AtomicU64::new(0),
            is_told: AtomicBool::new(false),
        });
        let handle = Handle::watch(&file)?;
        Ok(Self { file, _handle: handle })
    }

    /// True once after each burst of changes, when the file has come to rest. One atomic load when there was none.
    pub(crate) fn settled(&self) -> bool {
        let Watched { newest, calm, is_told, .. } = &*self.file;
        let change = newest.load(Ordering::Acquire);
        if change == 0 {
            return false;
        }
        let known = if is_told.load(Ordering::Acquire) { self.file.now() } else { calm.load(Ordering::Acquire) };
        known.saturating_sub(change) >= QUIET.as_nanos() as u64
            // A change since the load starts the wait again.
            && newest.compare_exchange(change, 0, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    /// True when the file changed again after it was [settled](Self::settled): what was read then may be half a file. The
    /// wait has started again.
    pub(crate) fn is_disturbed(&self) -> bool {
        let file = &*self.file;
        if !file.is_told.load(Ordering::Acquire) && Route::of(&file.path).stamp != file.stamp.load(Ordering::Acquire) {
            file.note();
        }
        file.newest.load(Ordering::Acquire) != 0
    }
}

impl Watched {
    /// Something changed now.
    fn note(&self) {
        self.newest.store(self.now().max(1), Ordering::Release);
    }

    fn is_changing(&self) -> bool {
        self.newest.load(Ordering::Acquire) != 0
    }

    fn now(&self) -> u64 {
        self.origin.elapsed().as_nanos() as u64
    }
}
