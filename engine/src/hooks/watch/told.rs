//! What the system tells of: changes in folders.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::Watched;
use super::lookout::Message;
use super::route::which;
use crate::panics::guarded;

/// The connection to the system; made when it is first needed.
pub(super) struct Told {
    messages: Sender<Message>,
    watcher: Option<RecommendedWatcher>,
    /// There can be no connection, or it broke: files are polled.
    is_broken: bool,
    /// The folders it tells of, and which they were: another one may stand in the place of one.
    folders: HashMap<PathBuf, (u64, u64)>,
    interest: Arc<Mutex<Interest>>,
}

/// A folder, and a name in it that stands on the way to a file.
type Place = (PathBuf, OsString);

/// What the thread of the connection needs to know.
#[derive(Default)]
struct Interest {
    /// By what may change: names on the way to a file, and the folders that they are in.
    files: HashMap<PathBuf, Vec<Weak<Watched>>>,
    /// Folders that were moved or removed: what the system tells of them may be of another place.
    doubtful: HashSet<PathBuf>,
}

impl Told {
    pub(super) fn new(messages: Sender<Message>) -> Self {
        let (folders, interest) = (HashMap::new(), Arc::default());
        Self { messages, watcher: None, is_broken: false, folders, interest }
    }

    /// Whether folders were moved or removed since the last [`Told::listen`].
    pub(super) fn is_in_doubt(&self) -> bool {
        !locked(&self.interest).doubtful.is_empty()
    }

    /// Whether the system tells of changes in this folder.
    pub(super) fn knows(&self, folder: &Path) -> bool {
        !self.is_broken && self.folders.contains_key(folder)
    }

    /// From now on these files are told of, by the places on the way to them, and no others.
    pub(super) fn listen(&mut self, files: &[(Arc<Watched>, &[Place])]) {
        let mut by_path: HashMap<PathBuf, Vec<Weak<Watched>>> = HashMap::new();
        let mut wanted = HashSet::new();
        for (file, places) in files {
            for (folder, name) in *places {
                for path in [folder.join(name), folder.clone()] {
                    by_path.entry(path).or_default().push(Arc::downgrade(file));
                }
                wanted.insert(folder.clone());
            }
        }
        // Not locked while the system is asked: its thread needs the lock to tell, and has to come to the question.
        let doubtful = {
            let mut interest = locked(&self.interest);
            interest.files = by_path;
            std::mem::take(&mut interest.doubtful)
        };
        let is_stale = |folder: &PathBuf, (is, was): (Option<(u64, u64)>, &(u64, u64))| {
            !wanted.contains(folder) || doubtful.contains(folder) || is != Some(*was)
        };
        let identity = |folder: &PathBuf| std::fs::metadata(folder).ok().map(|metadata| which(&metadata));
        let stale: Vec<PathBuf> = self
            .folders
            .iter()
            .filter(|(folder, was)| is_stale(folder, (identity(folder), was)))
            .map(|(folder, _)| folder.clone())
            .collect();
        for folder in stale {
            self.folders.remove(&folder);
            // Of a folder that is gone the system has forgotten by itself.
            self.ask(|watcher| watcher.unwatch(&folder));
        }
        for folder in wanted {
            if self.folders.contains_key(&folder) {
                continue;
            }
            if let Some(identity) = identity(&folder)
                && self.ask(|watcher| watcher.watch(&folder, RecursiveMode::NonRecursive))
            {
                self.folders.insert(folder, identity);
            }
        }
    }

    /// Whether the system did it.
    fn ask(&mut self, what: impl FnOnce(&mut RecommendedWatcher) -> notify::Result<()>) -> bool {
        if self.is_broken {
            return false;
        }
        // Where its descriptors were closed by somebody else, notify panics.
        let outcome = guarded(|| {
            let watcher = match &mut self.watcher {
                Some(watcher) => watcher,
                none => {
                    none.insert(RecommendedWatcher::new(listener(&self.interest, &self.messages), Config::default())?)
                }
            };
            what(watcher)
        });
        let why = match outcome {
            Ok(Ok(())) => return true,
            Ok(Err(why)) => {
                self.is_broken = self.watcher.is_none();
                why.to_string()
            }
            Err(panic) => {
                self.is_broken = true;
                panic
            }
        };
        tracing::debug!("the system does not tell of changes: {why}");
        false
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        let _ = guarded(|| drop(self.watcher.take()));
    }
}

fn locked(interest: &Mutex<Interest>) -> MutexGuard<'_, Interest> {
    interest.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Notes changes at the files concerned, and wakes the thread that looks.
fn listener(
    interest: &Arc<Mutex<Interest>>,
    messages: &Sender<Message>,
) -> impl FnMut(notify::Result<Event>) + Send + use<> {
    let (interest, messages) = (Arc::clone(interest), messages.clone());
    move |event| {
        let mut interest = locked(&interest);
        let mut concerned = Vec::new();
        match &event {
            Ok(event) if !event.need_rescan() => {
                // Reading the file is no change; our own reading would start the wait again.
                if matches!(event.kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write)) {
                    return;
                }
                let is_gone = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
                for path in &event.paths {
                    let Some(files) = interest.files.get(path) else { continue };
                    concerned.extend(files.iter().filter_map(Weak::upgrade));
                    if is_gone {
                        interest.doubtful.insert(path.clone());
                    }
                }
            }
            // Events were lost: better to look once too often.
            _ => concerned.extend(interest.files.values().flatten().filter_map(Weak::upgrade)),
        }
        drop(interest);
        if !concerned.is_empty() {
            concerned.iter().for_each(|file| file.note());
            let _ = messages.send(Message::Told);
        }
    }
}
