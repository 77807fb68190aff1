//! A file of the hub, on this machine: from the cache if it is there, else downloaded into it.

use crate::cache::{Cache, Entry, is_commit};
use crate::choice::{choose, parts};
use crate::digest::{Digest, sha256};
use crate::download::Download;
use crate::error::About;
use crate::lock::lock;
use crate::metadata::{Metadata, content_url, metadata};
use crate::trouble::Trouble;
use crate::{Address, Hub, HubError, Notice, Selection, Watch};
use std::path::PathBuf;

/// Names that an error shows in place of a file that is missing.
const NEAR: usize = 3;

/// A file of the hub on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The file's address, with the file chosen if it was not named.
    pub address: Address,
    /// The path in the cache, below the folder of its commit.
    pub path: PathBuf,
    /// The commit that it was taken from.
    pub commit: String,
    /// SHA-256 of its content.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// The other parts of a split model, in order; they lie beside the first. Empty for a model in one file.
    pub rest: Vec<Fetched>,
}

impl Hub {
    /// The file of an address, downloaded unless the cache has it. Of a split model, all parts.
    ///
    /// A commit's hash as revision needs no request if the cache has the file. Of a branch or tag the hub is asked where it
    /// is now; if it does not answer, what the cache has is used, and the watch gets a notice.
    pub fn fetch(&self, address: &Address, watch: &mut dyn Watch) -> Result<Fetched, HubError> {
        let (path, revision) = match address.selection() {
            Selection::File(path) => (path.clone(), address.revision().to_owned()),
            Selection::Quant(tag) => self.chosen(address, Some(tag), watch)?,
            Selection::Default => self.chosen(address, None, watch)?,
        };
        let mut parts = parts(&path).into_iter();
        let first = parts.next().unwrap_or(path);
        let mut fetched = self.fetch_file(address, &first, &revision, watch)?;
        for part in parts {
            // All of one commit, wherever the branch goes in the meantime.
            let part = self.fetch_file(address, &part, &fetched.commit, watch)?;
            fetched.rest.push(part);
        }
        Ok(fetched)
    }

    /// The path of the GGUF that a choice falls on, and the commit at which it does.
    fn chosen(
        &self,
        address: &Address,
        tag: Option<&str>,
        watch: &mut dyn Watch,
    ) -> Result<(String, String), HubError> {
        let (repo, revision) = (address.repo(), address.revision());
        let cache = Cache::of(&self.settings.cache, repo);
        let cached = cache.commit(revision).map(|commit| (cache.files(&commit), commit));
        let cached = cached.and_then(|(files, commit)| Some((pick(&files, tag)?.to_owned(), commit)));
        if self.settings.offline || (is_commit(revision) && cached.is_some()) {
            return cached.ok_or_else(|| self.not_cached(address));
        }
        let ask = || self.ask_for_list(repo, revision);
        // What the cache has is at hand: a server that fails once is not tried again.
        let answer = if cached.is_some() { ask() } else { self.settings.patience.retry(watch, |_| ask()) };
        let listing = match (answer, cached) {
            (Ok(listing), _) => listing,
            (Err(trouble), Some((path, commit))) if trouble.is_outage() => {
                watch.notice(Notice::Cached { path: cache.snapshot(&commit, &path), why: trouble.to_string() });
                return Ok((path, commit));
            }
            (Err(trouble), _) => {
                return Err(About { repo, revision, path: None, is_writing: false }.error(trouble, &self.client));
            }
        };
        let files: Vec<_> = listing.files.into_iter().map(|file| file.path).collect();
        let path = pick(&files, tag).map(str::to_owned).ok_or_else(|| HubError::NoGguf {
            repo: repo.into(),
            tag: tag.map(str::to_owned),
            files: files.iter().filter(|path| path.ends_with(".gguf")).cloned().collect(),
        })?;
        // What is fetched can be used even if the reference cannot be written.
        let _ = cache.remember(revision, &listing.commit);
        Ok((path, listing.commit))
    }

    fn fetch_file(
        &self,
        address: &Address,
        path: &str,
        revision: &str,
        watch: &mut dyn Watch,
    ) -> Result<Fetched, HubError> {
        let repo = address.repo();
        let found = Address::file(repo, path, address.revision())?;
        let cache = Cache::of(&self.settings.cache, repo);
        let cached = cache.commit(revision).and_then(|commit| Some((cache.entry(&commit, path)?, commit)));
        let cached = match cached {
            Some((entry, commit)) if self.settings.offline || is_commit(revision) => {
                return fetched(found, entry, commit);
            }
            None if self.settings.offline => return Err(self.not_cached(&found)),
            cached => cached,
        };
        let about = About { repo, revision, path: Some(path), is_writing: false };
        let ask = || metadata(&self.client, repo, revision, path);
        // What the cache has is at hand: a server that fails once is not tried again.
        let answer = if cached.is_some() { ask() } else { self.settings.patience.retry(watch, |_| ask()) };
        let about_file = match (answer, cached) {
            (Ok(metadata), _) => metadata,
            (Err(trouble), Some((entry, commit))) if trouble.is_outage() => {
                watch.notice(Notice::Cached { path: entry.path.clone(), why: trouble.to_string() });
                return fetched(found, entry, commit);
            }
            (Err(trouble), _) => return Err(self.explain(trouble, about, watch)),
        };
        let entry = self.bring(&cache, path, &about_file, about, watch)?;
        // What was fetched can be used even if the reference cannot be written.
        let _ = cache.remember(revision, &about_file.commit);
        fetched(found, entry, about_file.commit)
    }

    /// Makes sure that the cache has the file.
    fn bring(
        &self,
        cache: &Cache,
        path: &str,
        metadata: &Metadata,
        about: About<'_>,
        watch: &mut dyn Watch,
    ) -> Result<Entry, HubError> {
        let Metadata { commit, digest, size } = metadata;
        let is_whole = |length: u64| size.is_none_or(|size| size == length);
        if let Some(entry) = cache.entry(commit, path).filter(|entry| is_whole(entry.size)) {
            return Ok(entry);
        }
        let _lock = lock(&cache.lock(digest), watch)?;
        let blob = cache.blob(digest);
        let has_blob = std::fs::metadata(&blob).is_ok_and(|about| about.is_file() && is_whole(about.len()));
        if !has_blob {
            let url = content_url(&self.client, about.repo, commit, path);
            let (client, patience) = (&self.client, &self.settings.patience);
            Download { client, patience, url: &url, file: path, metadata, about }.run(cache, watch)?;
        }
        let link = cache.link(digest, commit, path)?;
        let size = std::fs::metadata(&link).map_err(HubError::file("read", &link))?.len();
        Ok(Entry { path: link, size, digest: Some(digest.clone()) })
    }

    fn not_cached(&self, address: &Address) -> HubError {
        HubError::NotCached { address: address.to_string(), cache: self.settings.cache.clone() }
    }

    /// The error, with the names of files that resemble one that is missing.
    fn explain(&self, trouble: Trouble, about: About<'_>, watch: &mut dyn Watch) -> HubError {
        let mut error = about.error(trouble, &self.client);
        if let HubError::NoFile { path, near, .. } = &mut error
            && let Ok(listing) = self.list(about.repo, about.revision, watch)
        {
            *near = nearest(path, listing.files.into_iter().map(|file| file.path).collect());
        }
        error
    }
}

fn pick<'a>(files: &'a [String], tag: Option<&str>) -> Option<&'a str> {
    choose(&files.iter().map(String::as_str).collect::<Vec<_>>(), tag)
}

fn fetched(address: Address, entry: Entry, commit: String) -> Result<Fetched, HubError> {
    let Entry { path, size, digest } = entry;
    let sha256 = match digest {
        Some(Digest::Sha256(sha256)) => sha256,
        // A small file, or a copy whose blob's name is not known.
        _ => sha256(&path).map_err(HubError::file("read", &path))?,
    };
    Ok(Fetched { address, path, commit, sha256, size, rest: Vec::new() })
}

/// The names that resemble `path` most, of files with the same ending if there are any.
fn nearest(path: &str, mut files: Vec<String>) -> Vec<String> {
    let ending = path.rsplit_once('.').map(|(_, ending)| format!(".{ending}")).unwrap_or_default();
    if files.iter().any(|file| file.ends_with(&ending)) {
        files.retain(|file| file.ends_with(&ending));
    }
    let wanted = path.to_lowercase();
    files.sort_by_cached_key(|file| {
        // Whole thousandths, so that there is an order.
        std::cmp::Reverse((strsim::normalized_damerau_levenshtein(&file.to_lowercase(), &wanted) * 1000.0) as u32)
    });
    files.truncate(NEAR);
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_resemble_the_missing_one_come_first() {
        let files =
            ["README.md", "m-F16.gguf", "m-Q4_K_M.gguf", "m-Q8_0.gguf", "other.gguf"].map(String::from).to_vec();
        assert_eq!(nearest("m-q4_k_s.gguf", files.clone())[0], "m-Q4_K_M.gguf");
        assert_eq!(nearest("readme.md", files), ["README.md"]);
    }
}
