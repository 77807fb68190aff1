//! A folder, sent to a repository as one commit.
//!
//! The hub says which files it keeps as large ones; those are sent first, each once by its hash, and the commit names them.
//! Small files travel in the commit itself. What the repository has already is not sent.

mod folder;
mod upload;

use crate::address::{check_repo, check_revision};
use crate::client::{Ask, Trouble};
use crate::digest::{git_blob, sha256};
use crate::error::About;
use crate::metadata::api_url;
use crate::{Hub, HubError, Watch};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use folder::Local;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

const JSON: &str = "application/json";

/// Files that one request asks about.
const BATCH: usize = 256;

/// How a folder is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishOptions {
    /// Whether a repository that is made for it is private. One that exists stays as it is.
    pub private: bool,
    /// The branch; it is made if it does not exist.
    pub branch: String,
    /// The commit's message.
    pub message: String,
    /// Whether to tell only what there is to send, without any request.
    pub dry_run: bool,
}

impl Default for PublishOptions {
    fn default() -> Self {
        Self { private: false, branch: "main".into(), message: "Publish with llama_selfmod".into(), dry_run: false }
    }
}

/// What was published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Published {
    /// The page of the repository, or of its branch.
    pub url: String,
    /// The commit; that of before if nothing changed, none of a dry run.
    pub commit: Option<String>,
    /// All files of the folder, by their paths.
    pub files: Vec<PublishedFile>,
}

/// A file of a folder that is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishedFile {
    /// The path in the repository.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// What became of it.
    pub state: State,
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was sent, or would be by a run that is not dry.
    Sent,
    /// The hub has its content already, and only the commit names it.
    Known,
    /// The repository has it as it is.
    Unchanged,
    /// The repository's `.gitignore` leaves it out.
    Ignored,
}

#[derive(Deserialize)]
struct Modes {
    files: Vec<Mode>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Mode {
    path: String,
    upload_mode: String,
    #[serde(default)]
    should_ignore: bool,
    oid: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Committed {
    commit_oid: String,
}

/// A repository and branch that are written to.
struct Target<'a> {
    hub: &'a Hub,
    repo: &'a str,
    branch: &'a str,
}

impl Hub {
    /// Sends the files of a folder, except hidden ones, to `owner/repo`, which is made if it does not exist. Files that the
    /// repository has and the folder lacks stay.
    pub fn publish(
        &self,
        folder: &Path,
        repo: &str,
        options: &PublishOptions,
        watch: &mut dyn Watch,
    ) -> Result<Published, HubError> {
        self.publish_locals(folder::files(folder)?, repo, options, watch)
    }

    /// Sends these files, each under its path in the repository, as [`Hub::publish`] does with those of a folder.
    pub fn publish_files(
        &self,
        files: &[(String, PathBuf)],
        repo: &str,
        options: &PublishOptions,
        watch: &mut dyn Watch,
    ) -> Result<Published, HubError> {
        self.publish_locals(folder::named(files)?, repo, options, watch)
    }

    fn publish_locals(
        &self,
        locals: Vec<Local>,
        repo: &str,
        options: &PublishOptions,
        watch: &mut dyn Watch,
    ) -> Result<Published, HubError> {
        let branch = options.branch.as_str();
        check_repo(repo)
            .and_then(|()| check_revision(branch))
            .map_err(|why| HubError::Address { given: format!("hf:{repo}@{branch}"), why })?;
        let mut url = format!("{}/{repo}", self.client.endpoint);
        if branch != "main" {
            url = format!("{url}/tree/{branch}");
        }
        let mut files: Vec<_> = locals
            .iter()
            .map(|local| PublishedFile { path: local.name.clone(), size: local.size, state: State::Sent })
            .collect();
        if options.dry_run {
            return Ok(Published { url, commit: None, files });
        }
        if self.settings.offline {
            return Err(HubError::Offline { action: "publish" });
        }
        let target = Target { hub: self, repo, branch };
        if self.client.token().is_none() {
            let refusal = crate::client::Refusal {
                status: 401,
                host: self.client.host(),
                code: String::new(),
                said: String::new(),
                retry_after: None,
            };
            return Err(target.error(Trouble::Status(refusal)));
        }
        target.make_repo(options.private, watch)?;
        target.make_branch(watch)?;
        let modes = target.modes(&locals, watch)?;

        let mut large = Vec::new();
        let mut lines = vec![json!({"key": "header", "value": {"summary": options.message, "description": ""}})];
        for (local, file) in locals.iter().zip(&mut files) {
            let Some(mode) = modes.get(&local.name) else {
                let why = format!("its answer does not say how `{}` is sent", local.name);
                return Err(HubError::NotAHub { host: self.client.host(), why });
            };
            // The storage takes no empty files.
            let is_large = mode.upload_mode == "lfs" && local.size > 0;
            let hash = if is_large { sha256(&local.path) } else { git_blob(&local.path) };
            let hash = hash.map_err(HubError::file("read", &local.path))?;
            if mode.should_ignore {
                file.state = State::Ignored;
            } else if mode.oid.as_deref() == Some(&hash) {
                file.state = State::Unchanged;
            } else if is_large {
                let value = json!({"path": local.name, "algo": "sha256", "oid": hash, "size": local.size});
                lines.push(json!({"key": "lfsFile", "value": value}));
                large.push((local, hash, &mut file.state));
            } else {
                let content = std::fs::read(&local.path).map_err(HubError::file("read", &local.path))?;
                let value = json!({"path": local.name, "encoding": "base64", "content": STANDARD.encode(content)});
                lines.push(json!({"key": "file", "value": value}));
            }
        }
        target.upload(large, watch)?;
        let commit =
            if lines.len() > 1 { target.commit(&lines, watch)? } else { self.list(repo, branch, watch)?.commit };
        Ok(Published { url, commit: Some(commit), files })
    }
}

impl Target<'_> {
    fn error(&self, trouble: Trouble) -> HubError {
        About { repo: self.repo, revision: self.branch, path: None, is_writing: true }.error(trouble, &self.hub.client)
    }

    /// Sends JSON to the hub.
    fn post<T>(
        &self,
        url: &str,
        value: &serde_json::Value,
        watch: &mut dyn Watch,
        mut read: impl FnMut(crate::client::Answer) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let body = value.to_string();
        let ask = Ask { body: Some((JSON, body.as_bytes())), ..Ask::default() };
        self.hub.settings.patience.retry(watch, |_| read(self.hub.client.post(url, ask)?.success()?))
    }

    fn make_repo(&self, private: bool, watch: &mut dyn Watch) -> Result<(), HubError> {
        let (owner, name) = self.repo.split_once('/').unwrap_or(("", self.repo));
        let url = format!("{}/api/repos/create", self.hub.client.endpoint);
        let value = json!({"name": name, "organization": owner, "private": private, "type": "model"});
        match self.post(&url, &value, watch, |_| Ok(())) {
            Ok(()) => Ok(()),
            Err(trouble) if trouble.status() == Some(409) => Ok(()),
            // A token that may write and not make repositories will do if there is one.
            Err(trouble) if matches!(trouble.status(), Some(401..=403)) => {
                let url = format!("{}/api/models/{}", self.hub.client.endpoint, self.repo);
                let exists = self.hub.client.get(&url, None).and_then(crate::client::Answer::success);
                exists.map(|_| ()).map_err(|_| self.error(trouble))
            }
            Err(trouble) => Err(self.error(trouble)),
        }
    }

    fn make_branch(&self, watch: &mut dyn Watch) -> Result<(), HubError> {
        if self.branch == "main" {
            return Ok(());
        }
        match self.post(&api_url(&self.hub.client, self.repo, "branch", self.branch), &json!({}), watch, |_| Ok(())) {
            Err(trouble) if trouble.status() != Some(409) => Err(self.error(trouble)),
            _ => Ok(()),
        }
    }

    /// How the hub wants each file.
    fn modes(&self, locals: &[Local], watch: &mut dyn Watch) -> Result<BTreeMap<String, Mode>, HubError> {
        let url = api_url(&self.hub.client, self.repo, "preupload", self.branch);
        let mut modes = BTreeMap::new();
        for batch in locals.chunks(BATCH) {
            let mut asked = Vec::new();
            for local in batch {
                let sample = local.sample().map_err(HubError::file("read", &local.path))?;
                asked.push(json!({"path": local.name, "size": local.size, "sample": STANDARD.encode(sample)}));
            }
            let answer = self.post(&url, &json!({ "files": asked }), watch, crate::client::Answer::json::<Modes>);
            let answer = answer.map_err(|trouble| self.error(trouble))?;
            modes.extend(answer.files.into_iter().map(|mode| (mode.path.clone(), mode)));
        }
        Ok(modes)
    }

    /// The commit. It is sent once more only after an answer that says that it was not made.
    fn commit(&self, lines: &[serde_json::Value], watch: &mut dyn Watch) -> Result<String, HubError> {
        let url = api_url(&self.hub.client, self.repo, "commit", self.branch);
        let body: String = lines.iter().map(|line| format!("{line}\n")).collect();
        let ask = Ask { body: Some(("application/x-ndjson", body.as_bytes())), ..Ask::default() };
        let committed = self.hub.settings.patience.retry(watch, |_| {
            let answer = self.hub.client.post(&url, ask).map_err(|trouble| Trouble::Final(self.error(trouble)))?;
            match answer.success() {
                Ok(answer) => answer.json::<Committed>(),
                Err(trouble) if matches!(trouble.status(), Some(429 | 503)) => Err(trouble),
                Err(trouble) => Err(Trouble::Final(self.error(trouble))),
            }
        });
        committed.map(|committed| committed.commit_oid).map_err(|trouble| self.error(trouble))
    }
}
