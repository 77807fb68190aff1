//! The content of files: where the hub leads to it, and the storage that has it.

use super::Fault;
use super::server::{Incoming, Reply};
use super::state::{Entry, Repo, State, oid, sha256};
use std::sync::Arc;

/// `/OWNER/REPO/resolve/REVISION/PATH`
pub(super) fn resolve(state: &State, name: &str, repo: &Repo, revision: &str, path: &str) -> Reply {
    let Some(commit) = repo.resolve(revision) else {
        return Reply::error(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"));
    };
    let entry = repo.commits.get(commit).and_then(|files| files.get(path));
    let Some(entry) = entry else {
        return Reply::error(404, "EntryNotFound", "Entry not found").with("X-Repo-Commit", commit);
    };
    let size = state.content(entry).len();
    let (status, location) = match entry {
        Entry::Large(sha256) => {
            (302, format!("{}/objects/{sha256}?Signature=signed&file={name}/{path}", state.storage))
        }
        Entry::Small(_) => (307, format!("/api/resolve-cache/models/{name}/{commit}/{path}?etag=of-the-file")),
    };
    Reply::new(status, format!("Redirecting to {location}"))
        .with("Location", location)
        .with("X-Repo-Commit", commit)
        .with("X-Linked-Etag", format!("\"{}\"", oid(entry)))
        .with("X-Linked-Size", size.to_string())
}

/// `/api/resolve-cache/models/OWNER/REPO/COMMIT/PATH`: a small file.
pub(super) fn small(state: &State, repo: &Repo, commit: &str, path: &str, request: &Incoming) -> Reply {
    match repo.commits.get(commit).and_then(|files| files.get(path)) {
        Some(entry) => content(state.content(entry), request)
            .with("X-Repo-Commit", commit)
            .with("ETag", format!("\"{}\"", oid(entry))),
        None => Reply::error(404, "EntryNotFound", "Entry not found"),
    }
}

/// The storage: `/objects/SHA256` is read, `/upload/SHA256` and `/upload/SHA256/PART` are written.
pub(super) fn answer_at_storage(state: &mut State, request: &Incoming) -> Reply {
    // As S3 does: a signature and a token are one too many.
    if request.header("Authorization").is_some() {
        return Reply::error(400, "", "Only one auth mechanism allowed");
    }
    let path = request.target.split('?').next().unwrap_or_default();
    let parts: Vec<_> = path.split('/').collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET" | "HEAD", ["", "objects", sha256]) => match state.objects.get(*sha256) {
            Some(object) => content(Arc::clone(object), request).with("ETag", "\"of-the-storage\""),
            None => Reply::error(404, "", "no such object"),
        },
        ("PUT", ["", "upload", _, ..]) if request.header("Content-Length").is_none() => {
            Reply::error(501, "", "A header you provided implies functionality that is not implemented")
        }
        ("PUT", ["", "upload", oid]) => {
            if sha256(&request.body) != *oid {
                return Reply::error(400, "", "The content does not match its checksum");
            }
            state.objects.insert((*oid).into(), Arc::new(request.body.clone()));
            Reply::new(200, "")
        }
        ("PUT", ["", "upload", oid, part]) => match part.parse() {
            Ok(part) => {
                state.parts.insert(((*oid).into(), part), request.body.clone());
                Reply::new(200, "").with("ETag", format!("\"part-{part}\""))
            }
            Err(_) => Reply::error(400, "", "no number of a part"),
        },
        _ => Reply::error(404, "", "no such place"),
    }
}

/// A content, or the part of it that is asked for.
fn content(content: Arc<Vec<u8>>, request: &Incoming) -> Reply {
    let from = request.from().filter(|_| request.fault != Some(Fault::IgnoreRange));
    let size = content.len();
    match from {
        Some(from) if from >= size => Reply::error(416, "", "range").with("Content-Range", format!("bytes */{size}")),
        Some(from) => {
            let reply = Reply { status: 206, headers: Vec::new(), body: content, from };
            reply.with("Content-Range", format!("bytes {from}-{}/{size}", size - 1))
        }
        None => Reply { status: 200, headers: Vec::new(), body: content, from: 0 },
    }
}
