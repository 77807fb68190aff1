//! JSON whose bytes depend on its values alone, and files that are whole or not there.

use crate::bench::Failure;
use serde::Serialize;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

/// What the names of files begin with that are not whole yet.
pub(super) const NEW: &str = ".new-";

/// The one text of a value (RFC 8785).
pub(crate) fn canonical(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    serde_json_canonicalizer::to_vec(value)
        .map_err(|error| Failure::new(format!("this cannot be written as JSON: {error}")))
}

/// Writes a file beside, and renames it when all of it is on the disk.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = |error| Failure::write(path, &error);
    let mut file = tempfile::Builder::new().prefix(NEW).tempfile_in(folder).map_err(write)?;
    file.write_all(bytes).map_err(write)?;
    file.as_file().sync_all().map_err(write)?;
    readable(file.path()).map_err(write)?;
    file.persist(path).map_err(|error| Failure::write(path, &error.error))?;
    sync_folder(folder)
}

/// Temporary files are their owner's alone; those that stay are everybody's to read.
#[cfg(unix)]
fn readable(path: &Path) -> std::io::Result<()> {
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o644))
}

#[cfg(not(unix))]
fn readable(_: &Path) -> std::io::Result<()> {
    Ok(())
}

/// Has a folder's names on the disk.
pub(crate) fn sync_folder(folder: &Path) -> Result<(), Failure> {
    // A folder cannot be opened as a file elsewhere.
    if cfg!(unix) {
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Failure::write(folder, &error))?;
    }
    Ok(())
}
