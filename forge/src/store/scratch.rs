//! A folder in the making.

use super::folder::{Folder, HISTORY, LOG, OUT, files_in};
use super::json::sync_folder;
use crate::bench::Failure;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The folder that a stage works in.
#[derive(Debug)]
pub(crate) struct Scratch {
    path: PathBuf,
    goal: PathBuf,
}

impl Scratch {
    /// A new folder for the stage whose folder will have this name. No other process knows its name: a child of a killed
    /// forge may still write to the old one.
    pub(super) fn new(root: &Path, name: &str) -> Result<Self, Failure> {
        let write = |error| Failure::write(root, &error);
        let made =
            tempfile::Builder::new().prefix(&format!("{name}{}", super::PARTIAL)).tempdir_in(root).map_err(write)?;
        let scratch = Self { path: made.keep(), goal: root.join(name) };
        open_to_all(&scratch.path).map_err(write)?;
        fs::create_dir(scratch.out()).map_err(write)?;
        Ok(scratch)
    }

    /// The folder itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The folder that outputs go into.
    pub(crate) fn out(&self) -> PathBuf {
        self.path.join(OUT)
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    pub(crate) fn history(&self) -> PathBuf {
        self.path.join(HISTORY)
    }

    /// The names of outputs, which from now on are read-only and on the disk.
    pub(crate) fn settle(&self) -> Result<Vec<String>, Failure> {
        let out = self.out();
        refuse_links(&out)?;
        let files = files_in(&out, |_| false)?;
        for file in &files {
            let path = out.join(file);
            let write = |error| Failure::write(&path, &error);
            File::open(&path).and_then(|file| file.sync_all()).map_err(write)?;
            let mut permissions = fs::metadata(&path).map_err(write)?.permissions();
            permissions.set_readonly(true);
            fs::set_permissions(&path, permissions).map_err(write)?;
        }
        Ok(files)
    }

    /// Becomes the stage's folder, which is complete when its statement is there.
    pub(crate) fn finish(self) -> Result<Folder, Failure> {
        sync_folder(&self.out())?;
        sync_folder(&self.path)?;
        remove(&self.goal)?;
        fs::rename(&self.path, &self.goal).map_err(|error| Failure::write(&self.goal, &error))?;
        sync_folder(self.goal.parent().unwrap_or(Path::new(".")))?;
        Ok(Folder::at(self.goal))
    }

    /// Gives the space back and keeps the log, whose path this is.
    pub(crate) fn fail(self) -> PathBuf {
        // What cannot be removed now is removed at the next start.
        let _ = remove(&self.out());
        self.log()
    }
}

/// What a stage made must stand by itself: a link leads to what nobody hashed.
fn refuse_links(folder: &Path) -> Result<(), Failure> {
    let read = |error| Failure::read(folder, &error);
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let kind = entry.file_type().map_err(read)?;
        if kind.is_symlink() {
            return Err(Failure::new(format!(
                "the stage made the link `{}`: outputs are files and folders",
                entry.path().display()
            )));
        }
        if kind.is_dir() {
            refuse_links(&entry.path())?;
        }
    }
    Ok(())
}

/// Removes a folder with all that is in it; one that is not there is removed.
pub(super) fn remove(path: &Path) -> Result<(), Failure> {
    match fs::remove_dir_all(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(Failure::new(format!("cannot remove `{}`: {error}", path.display()))),
    }
}

/// Temporary folders are their owner's alone; this one stays.
#[cfg(unix)]
fn open_to_all(path: &Path) -> io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o755))
}

#[cfg(not(unix))]
fn open_to_all(_: &Path) -> io::Result<()> {
    Ok(())
}
