//! The way from a name to its file.

use std::ffi::OsString;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Component, Path, PathBuf};

/// As many links as Linux follows; more are a loop.
const MOST_LINKS: usize = 40;

/// The way as it is now.
pub(super) struct Route {
    /// Where a change leads elsewhere: for every link on the way and for its end, the folder, without links in its path, and
    /// the name in it. The end is the file, or the first thing that is missing.
    pub(super) places: Vec<(PathBuf, OsString)>,
    /// Another one when anything on the way was turned or replaced, and when the file was written to.
    pub(super) stamp: u64,
}

impl Route {
    /// Of a path from the root.
    pub(super) fn of(path: &Path) -> Self {
        let mut places = Vec::new();
        let mut stamp = DefaultHasher::new();
        let mut folder = PathBuf::new();
        // The next part is the last one.
        let mut ahead: Vec<OsString> = parts(path);
        let mut links = 0;
        while let Some(part) = ahead.pop() {
            let step = folder.join(&part);
            if part == ".." {
                folder.pop();
                continue;
            }
            let Ok(metadata) = std::fs::symlink_metadata(&step) else {
                places.push((folder, part));
                break;
            };
            if metadata.is_dir() && !ahead.is_empty() {
                which(&metadata).hash(&mut stamp);
                folder = step;
                continue;
            }
            places.push((folder.clone(), part));
            if !metadata.is_symlink() {
                (which(&metadata), metadata.len(), times(&metadata)).hash(&mut stamp);
                break;
            }
            links += 1;
            let Ok(target) = std::fs::read_link(&step) else { break };
            target.hash(&mut stamp);
            if links > MOST_LINKS {
                break;
            }
            // From the root on where the target begins there: joining its first part to any folder gives the root.
            ahead.extend(parts(&target));
        }
        places.sort();
        places.dedup();
        Self { places, stamp: stamp.finish() }
    }
}

/// The parts of a path, the first one last. The root is a part.
fn parts(path: &Path) -> Vec<OsString> {
    let parts = path.components().filter(|part| *part != Component::CurDir);
    parts.rev().map(|part| part.as_os_str().to_owned()).collect()
}

/// Tells files and folders apart, whatever their names.
#[cfg(unix)]
pub(super) fn which(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
pub(super) fn which(_metadata: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// When the content was changed, and when anything was.
#[cfg(unix)]
fn times(metadata: &Metadata) -> impl Hash + use<> {
    use std::os::unix::fs::MetadataExt;
    (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
}

#[cfg(not(unix))]
fn times(metadata: &Metadata) -> impl Hash + use<> {
    metadata.modified().ok()
}
