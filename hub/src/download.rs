//! The content of one file, from the hub into a blob of the cache. It goes on where an earlier try ended.

use crate::cache::{Cache, make_folder_of};
use crate::client::Client;
use crate::digest::{Digest, Hasher, PIECE, git_blob};
use crate::error::About;
use crate::metadata::Metadata;
use crate::trouble::Trouble;
use crate::{HubError, Notice, Patience, Watch};
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// Bytes after which a download that breaks off has all its tries again.
const GAIN: u64 = 1 << 20;

/// What is fetched, and for whom.
pub(crate) struct Download<'a> {
    pub client: &'a Client,
    pub patience: &'a Patience,
    pub url: &'a str,
    /// The file's path in its repository.
    pub file: &'a str,
    pub metadata: &'a Metadata,
    pub about: About<'a>,
}

/// The bytes that have arrived, and their hash.
struct Partial {
    path: PathBuf,
    file: File,
    hasher: Hasher,
    done: u64,
}

impl Download<'_> {
    /// Fetches the blob, whose lock is held, and gives its SHA-256.
    pub fn run(&self, cache: &Cache, watch: &mut dyn Watch) -> Result<String, HubError> {
        let digest = &self.metadata.digest;
        let path = cache.incomplete(digest);
        make_folder_of(&path)?;
        let mut partial = Partial::open(path)?;
        if self.metadata.size.is_some_and(|size| partial.length() > size) {
            partial.restart()?;
        }
        self.hash_what_is_there(&mut partial, watch)?;
        if partial.done > 0 {
            watch.notice(Notice::Resumed { file: self.file.into(), bytes: partial.done });
        }
        let mut total = self.metadata.size;
        let mut failures = 0;
        // A gain is one over all that was ever there: a server that makes it start anew does not get tries without end.
        let mut furthest = partial.done;
        while total.is_none_or(|total| partial.done < total) {
            match self.attempt(&mut partial, &mut total, watch) {
                Ok(()) => break,
                Err(trouble) => {
                    failures = if partial.done >= furthest.saturating_add(GAIN) { 1 } else { failures + 1 };
                    furthest = furthest.max(partial.done);
                    let waited = self.patience.wait(failures, trouble, watch);
                    waited.map_err(|trouble| self.give_up(trouble, partial.done, total))?;
                }
            }
        }
        self.keep(partial, cache)
    }

    fn hash_what_is_there(&self, partial: &mut Partial, watch: &mut dyn Watch) -> Result<(), HubError> {
        let mut piece = vec![0; PIECE];
        // No more than there was: a file that grows meanwhile is not read for ever.
        let length = partial.length();
        loop {
            let left = usize::try_from(length - partial.done).unwrap_or(PIECE).min(PIECE);
            match partial.file.read(&mut piece[..left]) {
                Ok(0) => return Ok(()),
                Ok(count) => partial.count(&piece[..count]),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(HubError::file("read", &partial.path)(error)),
            }
            self.tell(partial.done, self.metadata.size, watch)?;
        }
    }

    fn tell(&self, done: u64, total: Option<u64>, watch: &mut dyn Watch) -> Result<(), HubError> {
        let goes_on = watch.progress(self.file, done, total) && !watch.is_cancelled();
        if goes_on { Ok(()) } else { Err(HubError::Cancelled) }
    }

    /// One request, up to the end of what it gives.
    fn attempt(&self, partial: &mut Partial, total: &mut Option<u64>, watch: &mut dyn Watch) -> Result<(), Trouble> {
        let from = Some(partial.done).filter(|done| *done > 0);
        let answer = self.client.get(self.url, from)?;
        let host = answer.host.clone();
        let broken = |why: &str| Trouble::Broken { host: host.clone(), why: why.into() };
        match answer.status {
            206 => match answer.header("Content-Range").and_then(Range::of) {
                Some(range) if range.start == partial.done && total.is_none_or(|total| total == range.total) => {
                    *total = Some(range.total);
                }
                _ => {
                    partial.restart().map_err(Trouble::Final)?;
                    return Err(broken("it gave another part of the file than was asked for"));
                }
            },
            // It begins at the start, whatever was asked for.
            200 => {
                partial.restart().map_err(Trouble::Final)?;
                *total = total.or_else(|| answer.header("Content-Length")?.parse().ok());
            }
            416 => {
                partial.restart().map_err(Trouble::Final)?;
                return Err(broken("it has no such part of the file"));
            }
            status if status < 400 => return Err(broken("it gave no content")),
            _ => return answer.success().map(|_| ()),
        }
        let mut body = answer.reader().take(total.map_or(u64::MAX, |total| total.saturating_sub(partial.done)));
        let mut piece = vec![0; PIECE];
        loop {
            let count = match body.read(&mut piece) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(Trouble::from_io(&error, host.clone())),
            };
            let needed = total.map_or(count as u64, |total| total - partial.done);
            partial.append(&piece[..count], needed).map_err(Trouble::Final)?;
            self.tell(partial.done, *total, watch).map_err(Trouble::Final)?;
        }
        match total {
            Some(total) if partial.done < *total => Err(broken("the connection broke off")),
            _ => Ok(()),
        }
    }

    /// The error when no try is left. A connection that broke off says what is kept.
    fn give_up(&self, trouble: Trouble, kept: u64, total: Option<u64>) -> HubError {
        match trouble {
            Trouble::Broken { .. } | Trouble::NoHost(_) if kept > 0 => {
                HubError::BrokenOff { file: self.file.into(), kept, total, why: trouble.to_string() }
            }
            trouble => self.about.error(trouble, self.client),
        }
    }

    /// Compares the hash and gives the file its name.
    fn keep(&self, partial: Partial, cache: &Cache) -> Result<String, HubError> {
        let Partial { path, file, hasher, .. } = partial;
        let sha256 = hasher.finish();
        let found = match &self.metadata.digest {
            Digest::Sha256(_) => sha256.clone(),
            Digest::GitBlob(_) => git_blob(&path).map_err(HubError::file("read", &path))?,
            Digest::Opaque(name) => name.clone(),
        };
        let expected = self.metadata.digest.name();
        if found != expected {
            drop(file);
            fs::remove_file(&path).map_err(HubError::file("removed", &path))?;
            return Err(HubError::Mismatch { file: self.file.into(), expected: expected.into(), found });
        }
        // A name must not stand for content that a power failure takes away.
        file.sync_all().map_err(HubError::write(&path, 0))?;
        drop(file);
        let blob = cache.blob(&self.metadata.digest);
        fs::rename(&path, &blob).map_err(HubError::file("written", &blob))?;
        Ok(sha256)
    }
}

impl Partial {
    fn open(path: PathBuf) -> Result<Self, HubError> {
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(HubError::file("opened", &path))?;
        Ok(Self { path, file, hasher: Hasher::default(), done: 0 })
    }

    fn length(&self) -> u64 {
        self.file.metadata().map_or(0, |about| about.len())
    }

    fn restart(&mut self) -> Result<(), HubError> {
        self.hasher = Hasher::default();
        self.done = 0;
        if self.length() > 0 {
            self.file.set_len(0).map_err(HubError::file("written", &self.path))?;
        }
        self.file.seek(SeekFrom::Start(0)).map(|_| ()).map_err(HubError::file("written", &self.path))
    }

    /// `needed`: bytes that are still to come, for the message when there is no room.
    fn append(&mut self, bytes: &[u8], needed: u64) -> Result<(), HubError> {
        let written = self.file.write_all(bytes);
        if written.is_err() {
            // What a write that failed left behind is no part of what was hashed.
            let _ = self.file.set_len(self.done);
        }
        written.map_err(HubError::write(&self.path, needed))?;
        self.count(bytes);
        Ok(())
    }

    fn count(&mut self, bytes: &[u8]) {
        self.hasher.update(bytes);
        self.done += bytes.len() as u64;
    }
}

/// `Content-Range: bytes 100-199/200`.
struct Range {
    start: u64,
    total: u64,
}

impl Range {
    /// None also for a part that is not one of the whole: a file that ends before it would be taken for complete.
    fn of(header: &str) -> Option<Self> {
        let (range, total) = header.strip_prefix("bytes ")?.split_once('/')?;
        let (start, _) = range.split_once('-')?;
        let (start, total) = (start.parse().ok()?, total.parse().ok()?);
        (start < total).then_some(Self { start, total })
    }
}

#[cfg(test)]
mod tests {
    use super::Range;

    #[test]
    fn a_range_is_a_part_of_the_whole() {
        assert!(matches!(Range::of("bytes 100-199/200"), Some(Range { start: 100, total: 200 })));
        for wrong in ["", "bytes", "bytes 1-2", "bytes */200", "bytes 100-199/50", "bytes 200-/200", "items 1-2/3"] {
            assert!(Range::of(wrong).is_none(), "{wrong}");
        }
    }
}
