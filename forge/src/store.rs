//! The store: a folder for each stage that was run, named by what it was made of.
//!
//! A stage's folder is `<12 hex of its key>-<name>/` with `out/`, `log`, `history.jsonl`, `statement.sha256` and, written last,
//! `statement.json`: a folder without that file is no stage and is removed. Work goes on in `<…>.partial-…/` beside and becomes
//! the stage by one rename, so a kill at any time loses the stage under way and nothing else.
//!
//! Invariants:
//! - The key is the digest of the statement's `buildDefinition`: kind, version, parameters, and digests of all that was read.
//!   No time, path or machine is in it, so two machines give a stage the same folder.
//! - Files of `out/` are made read-only before they are hashed: a program that overwrites them says so.
//! - One process writes a store at a time, by a lock that ends with the process.

mod digest;
mod envelope;
mod folder;
mod json;
mod scratch;
mod statement;
mod verify;

pub use envelope::{Signer, Trust};
pub use folder::Folder;
pub use statement::{Artifact, BuildDefinition, BuilderId, Digest, Metadata, RunDetails, Statement};
pub use verify::Finding;

pub(crate) use folder::{HISTORY, LOG, Made};
pub(crate) use json::canonical;
pub(crate) use scratch::Scratch;
pub(crate) use statement::SOURCE;

use crate::bench::{Failure, Watch};
use digest::Digests;
use std::cell::RefCell;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a folder in the making has in its name.
const PARTIAL: &str = ".partial-";

/// A store that this process may use.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
    digests: RefCell<Digests>,
    /// Held while the store is open for writing.
    lock: Option<File>,
}

impl Store {
    /// Opens a store for writing, and makes its folder if there is none. Folders that a kill left in the making are removed.
    pub fn open(root: &Path) -> Result<Self, Failure> {
        fs::create_dir_all(root).map_err(|error| Failure::write(root, &error))?;
        // Child processes have other working folders.
        let root = fs::canonicalize(root).map_err(|error| Failure::read(root, &error))?;
        let path = root.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(|error| Failure::write(&path, &error))?;
        match patiently(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Failure::new(format!(
                    "another forge works in `{}`: wait for it, or choose another folder with `-o`",
                    root.display()
                )));
            }
            Err(TryLockError::Error(error)) => return Err(Failure::write(&path, &error)),
        }
        let store = Self { digests: RefCell::new(Digests::open(&root)), root, lock: Some(lock) };
        store.sweep()?;
        Ok(store)
    }

    /// Looks at a store without changing anything; there need not be one.
    pub fn look(root: &Path) -> Self {
        let root = fs::canonicalize(root).unwrap_or_else(|_| root.into());
        Self { digests: RefCell::new(Digests::open(&root)), root, lock: None }
    }

    /// Looks at a store and believes no digest that was kept.
    pub fn look_afresh(root: &Path) -> Self {
        Self { digests: RefCell::new(Digests::default()), ..Self::look(root) }
    }

    /// Its folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The digest of a file, from the cache where size, times and inode are those that it was hashed with.
    pub(crate) fn digest(&self, path: &Path, watch: &dyn Watch) -> Result<String, Failure> {
        self.digests.borrow_mut().file(path, watch)
    }

    /// The digest of a folder: that of the list of its files with theirs.
    pub(crate) fn digest_folder(&self, path: &Path, watch: &dyn Watch) -> Result<String, Failure> {
        let mut list = Vec::new();
        for file in folder::files_in(path, digest::is_left_out)? {
            list.push((file.clone(), self.digest(&path.join(&file), watch)?));
        }
        Ok(digest::hash_list(&list))
    }

    /// The digest of a folder in which files have these digests, by their paths from there.
    pub(crate) fn digest_list(files: &[(String, String)]) -> String {
        digest::hash_list(files)
    }

    /// Keeps the digests for the next run. Without them files are hashed again, so no error comes of it.
    pub(crate) fn remember(&self) {
        if self.lock.is_some() {
            self.digests.borrow_mut().save();
        }
    }

    /// Removes what a kill has left: folders in the making, and folders without a statement.
    fn sweep(&self) -> Result<(), Failure> {
        for name in self.names()? {
            let path = self.root.join(&name);
            let is_partial = name.contains(PARTIAL);
            if is_partial || (folder::is_stage(&name) && !path.join(folder::STATEMENT).exists()) {
                scratch::remove(&path)?;
            } else if name.starts_with(json::NEW) {
                fs::remove_file(&path).map_err(|error| Failure::write(&path, &error))?;
            }
        }
        Ok(())
    }

    /// Names of all that is in the store, in order.
    fn names(&self) -> Result<Vec<String>, Failure> {
        let read = |error| Failure::read(&self.root, &error);
        let entries = match fs::read_dir(&self.root) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(read(error)),
        };
        let mut names = Vec::new();
        for entry in entries {
            names.extend(entry.map_err(read)?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    /// Folders of stages, whole or not.
    pub(crate) fn folders(&self) -> Result<Vec<Folder>, Failure> {
        let names = self.names()?.into_iter().filter(|name| folder::is_stage(name));
        Ok(names.map(|name| Folder::at(self.root.join(name))).collect())
    }

    /// The folder of the stage with this key, which need not be there.
    pub(crate) fn folder(&self, key: &str, stage: &str) -> Folder {
        Folder::at(self.root.join(folder::name(key, stage)))
    }

    /// A folder to work in.
    pub(crate) fn scratch(&self, key: &str, stage: &str) -> Result<Scratch, Failure> {
        Scratch::new(&self.root, &folder::name(key, stage))
    }

    /// Makes of the folder that a stage worked in the stage's own.
    pub(crate) fn finish(&self, scratch: Scratch) -> Result<Folder, Failure> {
        let before = scratch.path().to_owned();
        let folder = scratch.finish()?;
        self.digests.borrow_mut().moved(&before, folder.path());
        Ok(folder)
    }

    /// Whether next to nothing fits on the store's disk any more.
    pub(crate) fn is_full(&self) -> bool {
        is_full(&self.root)
    }

    /// Removes a stage's folder, its statement first: what is left after a kill is no stage.
    pub(crate) fn forget(&self, folder: &Folder) -> Result<(), Failure> {
        folder.undo()?;
        scratch::remove(folder.path())
    }
}

/// Takes a lock. A child process holds it from its birth until it becomes another program, so one look is not enough.
fn patiently(lock: &File) -> Result<(), TryLockError> {
    for _ in 0..20 {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(20)),
            other => return other,
        }
    }
    lock.try_lock()
}

/// All files below a folder, by their paths from there, in order.
pub(crate) fn files_below(path: &Path) -> Result<Vec<String>, Failure> {
    folder::files_in(path, |_| false)
}

/// Bytes with which nothing can be done.
#[cfg(unix)]
const NOTHING: u64 = 64 << 10;

#[cfg(unix)]
fn is_full(folder: &Path) -> bool {
    rustix::fs::statvfs(folder).is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) < NOTHING)
}

#[cfg(not(unix))]
fn is_full(_: &Path) -> bool {
    false
}
