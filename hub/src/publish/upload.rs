//! Large files, by the batch protocol of Git LFS: the hub says where each goes, in one piece or in several.

use super::folder::Local;
use super::{BATCH, State, Target};
use crate::client::{Answer, Ask, Trouble};
use crate::{HubError, Watch};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

const LFS: &str = "application/vnd.git-lfs+json";

/// A file, its SHA-256, and where to note what becomes of it.
pub(super) type Large<'a> = (&'a Local, String, &'a mut State);

#[derive(Deserialize)]
struct Batch {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    oid: String,
    actions: Option<Actions>,
    error: Option<ObjectError>,
}

#[derive(Deserialize)]
struct ObjectError {
    message: String,
}

#[derive(Deserialize)]
struct Actions {
    upload: Option<Action>,
    verify: Option<Action>,
}

#[derive(Deserialize)]
struct Action {
    href: String,
    #[serde(default)]
    header: Map<String, Value>,
}

impl Target<'_> {
    /// Sends the files that the hub does not have.
    pub(super) fn upload(&self, mut files: Vec<Large<'_>>, watch: &mut dyn Watch) -> Result<(), HubError> {
        let mut sent = HashSet::new();
        for batch in files.chunks_mut(BATCH) {
            let objects = self.ask_for_places(batch, watch)?;
            for (local, sha256, state) in batch {
                let Some(object) = objects.iter().find(|object| object.oid == *sha256) else {
                    return Err(self.malformed(&format!("its answer lacks `{}`", local.name)));
                };
                if let Some(error) = &object.error {
                    return Err(HubError::Upload { file: local.name.clone(), why: error.message.clone() });
                }
                let upload = object.actions.as_ref().and_then(|actions| actions.upload.as_ref());
                let Some(upload) = upload.filter(|_| !sent.contains(sha256)) else {
                    **state = State::Known;
                    continue;
                };
                self.send(local, sha256, upload, watch)?;
                if let Some(verify) = object.actions.as_ref().and_then(|actions| actions.verify.as_ref()) {
                    self.verify(local, sha256, verify, watch)?;
                }
                sent.insert(sha256.clone());
            }
        }
        Ok(())
    }

    fn ask_for_places(&self, files: &[Large<'_>], watch: &mut dyn Watch) -> Result<Vec<Object>, HubError> {
        // Two files with one content are one object.
        let mut objects: Vec<_> = files.iter().map(|(local, sha256, _)| (sha256, local.size)).collect();
        objects.sort();
        objects.dedup();
        let objects: Vec<_> = objects.iter().map(|(sha256, size)| json!({"oid": sha256, "size": size})).collect();
        let body = json!({
            "operation": "upload",
            "transfers": ["basic", "multipart"],
            "hash_algo": "sha256",
            "ref": {"name": self.branch},
            "objects": objects,
        });
        let url = format!("{}/{}.git/info/lfs/objects/batch", self.hub.client.endpoint, self.repo);
        let batch =
            self.post_lfs(&url, &body, false, watch, Answer::json::<Batch>).map_err(|trouble| self.error(trouble))?;
        Ok(batch.objects)
    }

    fn post_lfs<T>(
        &self,
        url: &str,
        body: &Value,
        is_anonymous: bool,
        watch: &mut dyn Watch,
        mut read: impl FnMut(Answer) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let body = body.to_string();
        let ask = Ask { body: Some((LFS, body.as_bytes())), is_anonymous, ..Ask::default() };
        self.hub.settings.patience.retry(watch, |_| read(self.hub.client.post(url, ask)?.success()?))
    }

    fn malformed(&self, why: &str) -> HubError {
        HubError::NotAHub { host: self.hub.client.host(), why: why.into() }
    }

    fn send(&self, local: &Local, sha256: &str, upload: &Action, watch: &mut dyn Watch) -> Result<(), HubError> {
        let Some(size) = upload.header.get("chunk_size") else {
            return self.put(local, &upload.href, 0, local.size, watch).map(|_| ());
        };
        let size = size.as_u64().or_else(|| size.as_str()?.parse().ok()).filter(|size| *size > 0);
        let mut places: Vec<_> = upload
            .header
            .iter()
            .filter_map(|(number, place)| Some((number.parse::<u64>().ok()?, place.as_str()?)))
            .collect();
        places.sort_unstable();
        let Some(size) = size.filter(|size| local.size.div_ceil(*size) == places.len() as u64) else {
            return Err(self.malformed(&format!("the parts that it wants of `{}` do not add up", local.name)));
        };
        let mut parts = Vec::new();
        for (index, (_, place)) in (0..).zip(places) {
            let start = index * size;
            let etag = self.put(local, place, start, size.min(local.size - start), watch)?;
            let etag = etag.ok_or_else(|| self.malformed("a part that it took has no `ETag`"))?;
            parts.push(json!({"partNumber": index + 1, "etag": etag}));
        }
        // The link has a signature of its own.
        let completed = self.post_lfs(&upload.href, &json!({"oid": sha256, "parts": parts}), true, watch, |_| Ok(()));
        completed.map_err(|trouble| self.not_arrived(local, trouble))
    }

    /// Sends `length` bytes of a file from `start`, and gives the `ETag` of what arrived.
    fn put(
        &self,
        local: &Local,
        url: &str,
        start: u64,
        length: u64,
        watch: &mut dyn Watch,
    ) -> Result<Option<String>, HubError> {
        let sent = self.hub.settings.patience.retry(watch, |watch| {
            let unreadable = |error| Trouble::Final(HubError::file("read", &local.path)(error));
            let mut file = File::open(&local.path).map_err(unreadable)?;
            file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
            let mut body = Watched { file: file.take(length), local, done: start, watch, is_cancelled: false };
            let answer = self.hub.client.put(url, length, &mut body);
            if body.is_cancelled {
                return Err(Trouble::Final(HubError::Cancelled));
            }
            Ok(answer?.success()?.header("ETag").map(str::to_owned))
        });
        sent.map_err(|trouble| self.not_arrived(local, trouble))
    }

    fn verify(&self, local: &Local, sha256: &str, verify: &Action, watch: &mut dyn Watch) -> Result<(), HubError> {
        let verified =
            self.post_lfs(&verify.href, &json!({"oid": sha256, "size": local.size}), false, watch, |_| Ok(()));
        verified.map_err(|trouble| self.not_arrived(local, trouble))
    }

    fn not_arrived(&self, local: &Local, trouble: Trouble) -> HubError {
        match trouble {
            Trouble::Final(error) => error,
            Trouble::Status(refusal) if !refusal.said.is_empty() => HubError::Upload {
                file: local.name.clone(),
                why: format!("`{}` answered with status {}: {}", refusal.host, refusal.status, refusal.said),
            },
            trouble => HubError::Upload { file: local.name.clone(), why: trouble.to_string() },
        }
    }
}

/// A part of a file that tells how much of it was read.
struct Watched<'a> {
    file: io::Take<File>,
    local: &'a Local,
    done: u64,
    watch: &'a mut dyn Watch,
    is_cancelled: bool,
}

impl Read for Watched<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(into)?;
        self.done += count as u64;
        let goes_on =
            self.watch.progress(&self.local.name, self.done, Some(self.local.size)) && !self.watch.is_cancelled();
        if goes_on {
            Ok(count)
        } else {
            self.is_cancelled = true;
            Err(io::Error::other("cancelled"))
        }
    }
}
