//! The hub's own answers: who may do what, listings, and what is published.

use super::content::{resolve, small};
use super::server::{Incoming, Reply};
use super::state::{Entry, Repo, State, is_large, oid, sha256};
use super::{Access, READ_TOKEN, TOKEN};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::sync::Arc;

/// What the token of a request allows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Caller {
    Nobody,
    Reader,
    Writer,
}

pub(super) fn answer_at_hub(state: &mut State, request: &Incoming) -> Reply {
    let caller = match request.header("Authorization") {
        None => Caller::Nobody,
        Some(token) if token == format!("Bearer {TOKEN}") => Caller::Writer,
        Some(token) if token == format!("Bearer {READ_TOKEN}") => Caller::Reader,
        Some(_) => return Reply::error(401, "", "Invalid credentials in Authorization header"),
    };
    let path = request.target.split('?').next().unwrap_or_default();
    // Decoded part by part: a revision may have slashes in it.
    let parts: Vec<String> =
        path.split('/').skip(1).map(|part| percent_decode_str(part).decode_utf8_lossy().into_owned()).collect();
    let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
    match (request.method.as_str(), parts.as_slice()) {
        ("GET" | "HEAD", [owner, name, "resolve", revision, path @ ..]) => {
            let (name, path) = (format!("{owner}/{name}"), path.join("/"));
            readable(state, &name, caller, |repo| resolve(state, &name, repo, revision, &path))
        }
        ("GET" | "HEAD", ["api", "resolve-cache", "models", owner, name, commit, path @ ..]) => {
            let (name, path) = (format!("{owner}/{name}"), path.join("/"));
            readable(state, &name, caller, |repo| small(state, repo, commit, &path, request))
        }
        ("GET", ["api", "models", owner, name]) => {
            readable(state, &format!("{owner}/{name}"), caller, |repo| model(state, repo, "main"))
        }
        ("GET", ["api", "models", owner, name, "revision", revision]) => {
            readable(state, &format!("{owner}/{name}"), caller, |repo| model(state, repo, revision))
        }
        // Links with a signature of their own.
        ("POST", ["api", "complete_multipart", oid]) => complete(state, oid, request),
        ("POST", ["api", "validate-yaml"]) => Reply::json(200, &json!({"errors": [], "warnings": []})),
        ("POST", _) if caller == Caller::Nobody => Reply::error(401, "", "Invalid username or password."),
        ("POST", _) if caller == Caller::Reader => {
            Reply::error(403, "", "Forbidden: pass a token with write access to the content")
        }
        ("POST", ["api", "repos", "create"]) => create(state, request),
        ("POST", [owner, name, "info", "lfs", "objects", "batch"]) => {
            with_repo(state, owner, name, |state, _| batch(state, request))
        }
        ("POST", [owner, name, "info", "lfs", "verify"]) => {
            with_repo(state, owner, name, |state, _| verify(state, request))
        }
        ("POST", ["api", "models", owner, name, verb, revision]) => {
            with_repo(state, owner, name, |state, name| match *verb {
                "branch" => branch(state, name, revision),
                "preupload" => preupload(state, name, revision, request),
                "commit" => commit(state, name, revision, request),
                _ => Reply::error(404, "", "no such verb"),
            })
        }
        _ => Reply::error(404, "", "Sorry, we can't find the page you are looking for."),
    }
}

/// To one without a token, a repository that is private looks like one that does not exist.
fn readable(state: &State, name: &str, caller: Caller, read: impl FnOnce(&Repo) -> Reply) -> Reply {
    let is_known = caller != Caller::Nobody;
    match state.repos.get(name) {
        Some(repo) if repo.access == Access::Public => read(repo),
        Some(repo) if is_known && matches!(repo.access, Access::Private | Access::Gated { accepted: true }) => {
            read(repo)
        }
        Some(repo) if repo.access != Access::Private => {
            let status = if is_known { 403 } else { 401 };
            Reply::error(status, "GatedRepo", &format!("Access to model {name} is restricted."))
        }
        _ if is_known => Reply::error(404, "RepoNotFound", "Repository not found"),
        _ => Reply::error(401, "RepoNotFound", "Invalid username or password."),
    }
}

fn with_repo(state: &mut State, owner: &str, name: &str, write: impl FnOnce(&mut State, &str) -> Reply) -> Reply {
    let name = format!("{owner}/{}", name.trim_end_matches(".git"));
    if state.repos.contains_key(&name) {
        write(state, &name)
    } else {
        Reply::error(404, "RepoNotFound", "Repository not found")
    }
}

fn model(state: &State, repo: &Repo, revision: &str) -> Reply {
    let Some(commit) = repo.resolve(revision) else {
        return Reply::error(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"));
    };
    let files = repo.commits.get(commit).into_iter().flatten();
    let siblings: Vec<_> = files
        .map(|(path, entry)| {
            let size = state.content(entry).len();
            match entry {
                Entry::Large(sha256) => {
                    let lfs = json!({"sha256": sha256, "size": size, "pointerSize": 134});
                    json!({"rfilename": path, "size": size, "lfs": lfs})
                }
                Entry::Small(_) => json!({"rfilename": path, "size": size, "blobId": oid(entry)}),
            }
        })
        .collect();
    Reply::json(200, &json!({"id": "mock", "sha": commit, "siblings": siblings, "tags": []}))
}

fn body(request: &Incoming) -> Value {
    serde_json::from_slice(&request.body).unwrap_or_default()
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn create(state: &mut State, request: &Incoming) -> Reply {
    let asked = body(request);
    let name = format!("{}/{}", text(&asked, "organization"), text(&asked, "name"));
    let url = format!("{}/{name}", state.hub);
    if state.repos.contains_key(&name) {
        return Reply::json(409, &json!({"error": "You already created this model repo", "url": url}));
    }
    let is_private = asked.get("private") == Some(&json!(true)) || text(&asked, "visibility") == "private";
    state.repos.insert(name, Repo::new(if is_private { Access::Private } else { Access::Public }));
    Reply::json(200, &json!({"url": url, "id": "1"}))
}

fn branch(state: &mut State, name: &str, branch: &str) -> Reply {
    let repo = state.repo(name);
    if repo.branches.contains_key(branch) {
        return Reply::error(409, "", "Reference already exists");
    }
    let start = repo.resolve("main").unwrap_or_default().to_owned();
    repo.branches.insert(branch.into(), start);
    Reply::json(200, &json!({}))
}

fn preupload(state: &State, name: &str, revision: &str, request: &Incoming) -> Reply {
    let Some(files) = state.files(name, revision) else {
        return Reply::error(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"));
    };
    let asked = body(request);
    let modes = asked["files"].as_array().into_iter().flatten().map(|file| {
        let path = text(file, "path");
        let size = file["size"].as_u64().unwrap_or_default();
        let mode = if is_large(path, size as usize) { "lfs" } else { "regular" };
        json!({"path": path, "uploadMode": mode, "shouldIgnore": path.ends_with(".ignored"), "oid": files.get(path).map(oid)})
    });
    Reply::json(200, &json!({"files": modes.collect::<Vec<_>>()}))
}

fn batch(state: &State, request: &Incoming) -> Reply {
    if request.header("Content-Type") != Some("application/vnd.git-lfs+json") {
        return Reply::error(422, "", "Invalid media type");
    }
    let asked = body(request);
    let verify = format!("{}{}", state.hub, request.target.replace("objects/batch", "verify"));
    let objects = asked["objects"].as_array().into_iter().flatten().map(|object| {
        let (oid, size) = (text(object, "oid"), object["size"].as_u64().unwrap_or_default());
        if state.objects.contains_key(oid) {
            return json!({"oid": oid, "size": size});
        }
        let place = |part: &str| format!("{}/upload/{oid}{part}?X-Amz-Signature=signed", state.storage);
        let upload = match state.part_size.filter(|part| size > *part) {
            Some(part) => {
                let mut header = json!({"chunk_size": part.to_string()});
                for number in 1..=size.div_ceil(part) {
                    header[number.to_string()] = json!(place(&format!("/{number}")));
                }
                json!({"href": format!("{}/api/complete_multipart/{oid}?signature=signed", state.hub), "header": header})
            }
            None => json!({"href": place("")}),
        };
        json!({"oid": oid, "size": size, "actions": {"upload": upload, "verify": {"href": verify, "header": {}}}})
    });
    Reply::json(200, &json!({"transfer": "basic", "objects": objects.collect::<Vec<_>>()}))
}

fn complete(state: &mut State, oid: &str, request: &Incoming) -> Reply {
    let asked = body(request);
    let mut whole = Vec::new();
    for part in asked["parts"].as_array().into_iter().flatten() {
        let number = part["partNumber"].as_u64().unwrap_or_default();
        match state.parts.remove(&(oid.into(), number)) {
            Some(bytes) if text(part, "etag") == format!("\"part-{number}\"") => whole.extend(bytes),
            _ => return Reply::error(400, "", "One or more of the specified parts could not be found"),
        }
    }
    if sha256(&whole) != oid {
        return Reply::error(400, "", "The parts do not add up to the object");
    }
    state.objects.insert(oid.into(), Arc::new(whole));
    Reply::json(200, &json!({}))
}

fn verify(state: &State, request: &Incoming) -> Reply {
    let asked = body(request);
    match state.objects.get(text(&asked, "oid")) {
        Some(object) if asked["size"].as_u64() == Some(object.len() as u64) => Reply::json(200, &json!({})),
        _ => Reply::error(404, "", "Object does not exist on the server"),
    }
}

fn commit(state: &mut State, name: &str, revision: &str, request: &Incoming) -> Reply {
    if request.header("Content-Type") != Some("application/x-ndjson") {
        return Reply::error(400, "", "Invalid content type");
    }
    if !state.repo(name).branches.contains_key(revision) {
        return Reply::error(404, "RevisionNotFound", &format!("Invalid rev id: {revision}"));
    }
    let mut lines = request.body.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let mut next = || lines.next().map(|line| serde_json::from_slice::<Value>(line).unwrap_or_default());
    let Some(header) =
        next().filter(|header| header["key"] == "header" && !text(&header["value"], "summary").is_empty())
    else {
        return Reply::error(400, "", "The first line is no header with a summary");
    };
    let mut files = Vec::new();
    while let Some(line) = next() {
        let value = &line["value"];
        let path = text(value, "path").to_owned();
        let entry = match text(&line, "key") {
            "lfsFile" => match state.objects.get(text(value, "oid")) {
                Some(object) if value["size"].as_u64().is_none_or(|size| size == object.len() as u64) => {
                    Entry::Large(text(value, "oid").into())
                }
                _ => return Reply::error(400, "", &format!("The LFS object of {path} does not exist")),
            },
            "file" => match STANDARD.decode(text(value, "content")) {
                Ok(content) if !is_large(&path, content.len()) || content.is_empty() => Entry::Small(Arc::new(content)),
                Ok(_) => return Reply::error(400, "", &format!("{path} must be an LFS file")),
                Err(_) => return Reply::error(400, "", &format!("{path} is not in base64")),
            },
            other => return Reply::error(400, "", &format!("unknown operation {other}")),
        };
        files.push((path, entry));
    }
    state.repo(name).messages.push(text(&header["value"], "summary").into());
    let commit = state.commit(name, revision, files);
    let url = format!("{}/{name}/commit/{commit}", state.hub);
    Reply::json(200, &json!({"success": true, "commitOid": commit, "commitUrl": url, "hookOutput": ""}))
}
