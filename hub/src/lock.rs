//! The lock on a blob: who holds it writes the blob, and the others wait. It is the one that huggingface_hub takes.

use crate::cache::make_folder_of;
use crate::patience::sleep;
use crate::{HubError, Notice, Watch};
use same_file::Handle;
use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;
use std::time::Duration;

/// Waits for the lock and takes it; it ends with the file that is given back. None where the file system has no locks:
/// the hash finds what two writers would make of one file.
pub(crate) fn lock(path: &Path, watch: &mut dyn Watch) -> Result<Option<File>, HubError> {
    make_folder_of(path)?;
    let mut is_told = false;
    loop {
        let file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .open(path)
            .map_err(HubError::file("opened", path))?;
        match file.try_lock() {
            // Whoever held it may have removed it: then its name is free for another lock.
            Ok(()) if is_still_named(&file, path) => return Ok(Some(file)),
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                if !is_told {
                    watch.notice(Notice::Locked { path: path.into() });
                    is_told = true;
                }
                sleep(Duration::from_millis(100), watch)?;
            }
            Err(TryLockError::Error(_)) => return Ok(None),
        }
    }
}

fn is_still_named(file: &File, path: &Path) -> bool {
    let held = file.try_clone().and_then(Handle::from_file);
    let named = Handle::from_path(path);
    matches!((held, named), (Ok(held), Ok(named)) if held == named)
}
