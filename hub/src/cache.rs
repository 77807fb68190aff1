//! The cache that all clients of the hub share, in the layout of huggingface_hub:
//!
//! ```text
//! models--owner--repo/blobs/<etag>                  the content, once
//! models--owner--repo/blobs/<etag>.incomplete       what has arrived of it
//! models--owner--repo/refs/<revision>               the commit that a branch or tag was at
//! models--owner--repo/snapshots/<commit>/<path>     a link to the content
//! .locks/models--owner--repo/<etag>.lock            held by who writes the content
//! ```

use crate::HubError;
use crate::digest::Digest;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folders of one repository. Names that reach it are checked: none leads out of them.
pub(crate) struct Cache {
    root: PathBuf,
    folder: PathBuf,
    name: String,
}

/// A file that the cache has.
pub(crate) struct Entry {
    pub path: PathBuf,
    pub size: u64,
    /// The name of its blob; none where a copy stands in the place of the link.
    pub digest: Option<Digest>,
}

impl Cache {
    pub fn of(root: &Path, repo: &str) -> Self {
        let name = format!("models--{}", repo.replace('/', "--"));
        Self { root: root.into(), folder: root.join(&name), name }
    }

    /// The commit that a revision was at when it was last asked for; a whole commit's hash is its own.
    pub fn commit(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.into());
        }
        let commit = fs::read_to_string(self.reference(revision)).ok()?;
        Some(commit.trim().to_owned()).filter(|commit| is_commit(commit))
    }

    /// Remembers where a revision is.
    pub fn remember(&self, revision: &str, commit: &str) -> Result<(), HubError> {
        if self.commit(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        let path = self.reference(revision);
        make_folder_of(&path)?;
        let draft = draft(&path);
        fs::write(&draft, commit)
            .and_then(|()| fs::rename(&draft, &path))
            .map_err(HubError::write(&path, commit.len() as u64))
    }

    fn reference(&self, revision: &str) -> PathBuf {
        self.folder.join("refs").join(revision)
    }

    /// The file at a path of a commit, if it is there with its content.
    pub fn entry(&self, commit: &str, path: &str) -> Option<Entry> {
        let path = self.snapshot(commit, path);
        let about = fs::metadata(&path).ok().filter(fs::Metadata::is_file)?;
        // One step only: the blob may be a link into a store that repositories share, under another name.
        let target = fs::read_link(&path).ok();
        let name = target.as_ref().and_then(|target| target.file_name()).and_then(|name| name.to_str());
        Some(Entry { size: about.len(), digest: name.map(Digest::from_name), path })
    }

    /// Paths of all files of a commit that are there, in order.
    pub fn files(&self, commit: &str) -> Vec<String> {
        fn walk(folder: &Path, prefix: &str, found: &mut Vec<String>) {
            let Ok(entries) = fs::read_dir(folder) else { return };
            for entry in entries.flatten() {
                let Ok(name) = entry.file_name().into_string() else { continue };
                let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
                if is_folder {
                    walk(&entry.path(), &format!("{prefix}{name}/"), found);
                } else if entry.path().is_file() {
                    found.push(format!("{prefix}{name}"));
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.folder.join("snapshots").join(commit), "", &mut found);
        found.sort();
        found
    }

    pub fn snapshot(&self, commit: &str, path: &str) -> PathBuf {
        self.folder.join("snapshots").join(commit).join(path)
    }

    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.name())
    }

    pub fn incomplete(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(format!("{}.incomplete", digest.name()))
    }

    pub fn lock(&self, digest: &Digest) -> PathBuf {
        self.root.join(".locks").join(&self.name).join(format!("{}.lock", digest.name()))
    }

    /// Lets the path of a commit lead to a blob that is there.
    pub fn link(&self, digest: &Digest, commit: &str, path: &str) -> Result<PathBuf, HubError> {
        let (blob, link) = (self.blob(digest), self.snapshot(commit, path));
        make_folder_of(&link)?;
        // Out of the path's own folders, the commit's and `snapshots`.
        let up = "../".repeat(path.split('/').count() + 1);
        let draft = draft(&link);
        symlink(&format!("{up}blobs/{}", digest.name()), &draft)
            .or_else(|_| fs::hard_link(&blob, &draft))
            .or_else(|_| fs::copy(&blob, &draft).map(|_| ()))
            .and_then(|()| fs::rename(&draft, &link))
            .map_err(HubError::file("written", &link))?;
        Ok(link)
    }
}

/// Whether a revision is a whole commit's hash.
pub(crate) fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(crate) fn make_folder_of(path: &Path) -> Result<(), HubError> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder).map_err(HubError::file("made", folder))
}

/// A name beside `path` that no other process and thread uses.
fn draft(path: &Path) -> PathBuf {
    let thread = format!("{:?}", std::thread::current().id()).replace(|letter: char| !letter.is_ascii_digit(), "");
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}-{thread}.tmp", std::process::id()));
    let draft = path.with_file_name(name);
    // A process that ended in between may have left one.
    let _ = fs::remove_file(&draft);
    draft
}

#[cfg(unix)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &str, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_file(target.replace('/', "\\"), link)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789012345678901234567890123456789";

    #[test]
    fn the_layout_is_that_of_huggingface_hub() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::of(root.path(), "owner/repo");
        let digest = Digest::from_name(COMMIT);
        let folder = root.path().join("models--owner--repo");
        fs::create_dir_all(folder.join("blobs")).unwrap();
        fs::write(folder.join("blobs").join(COMMIT), "content").unwrap();

        let path = cache.link(&digest, COMMIT, "a/b/file").unwrap();
        assert_eq!(path, folder.join("snapshots").join(COMMIT).join("a/b/file"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "content");
        #[cfg(unix)]
        assert_eq!(fs::read_link(&path).unwrap(), Path::new("../../../../blobs").join(COMMIT));

        cache.remember("refs/pr/1", COMMIT).unwrap();
        assert_eq!(fs::read_to_string(folder.join("refs/refs/pr/1")).unwrap(), COMMIT);
        assert_eq!(cache.commit("refs/pr/1").as_deref(), Some(COMMIT));
        assert_eq!(cache.files(COMMIT), ["a/b/file"]);
        assert_eq!(cache.entry(COMMIT, "a/b/file").unwrap().digest, Some(digest));
        assert!(cache.entry(COMMIT, "a/b").is_none());
    }

    #[test]
    fn a_link_to_a_blob_that_is_gone_is_no_file() {
        let root = tempfile::tempdir().unwrap();
        let cache = Cache::of(root.path(), "owner/repo");
        let digest = Digest::from_name(COMMIT);
        fs::create_dir_all(root.path().join("models--owner--repo/blobs")).unwrap();
        fs::write(cache.blob(&digest), "content").unwrap();
        cache.link(&digest, COMMIT, "file").unwrap();
        fs::remove_file(cache.blob(&digest)).unwrap();
        assert!(cache.entry(COMMIT, "file").is_none());
    }
}
