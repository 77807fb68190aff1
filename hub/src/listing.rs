//! The files of a repository.

use crate::address::{check_repo, check_revision};
use crate::cache::is_commit;
use crate::client::Trouble;
use crate::error::About;
use crate::metadata::api_url;
use crate::{Hub, HubError, Watch};
use serde::Deserialize;

/// The files of a repository at a commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing {
    /// The commit that the revision is at.
    pub commit: String,
    /// Its files, in the hub's order.
    pub files: Vec<RemoteFile>,
}

/// A file on the hub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoteFile {
    /// The path in the repository.
    pub path: String,
    /// Bytes, if the hub tells them.
    pub size: Option<u64>,
    /// The SHA-256 of a large file. Small ones, which Git keeps itself, have none.
    pub sha256: Option<String>,
}

#[derive(Deserialize)]
struct Model {
    sha: String,
    #[serde(default)]
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
    lfs: Option<Lfs>,
}

#[derive(Deserialize)]
struct Lfs {
    sha256: String,
    size: Option<u64>,
}

impl Hub {
    /// The files of `owner/repo` at a branch, tag or commit, as the hub has them now.
    pub fn list(&self, repo: &str, revision: &str, watch: &mut dyn Watch) -> Result<Listing, HubError> {
        check_repo(repo)
            .and_then(|()| check_revision(revision))
            .map_err(|why| HubError::Address { given: format!("hf:{repo}@{revision}"), why })?;
        if self.settings.offline {
            return Err(HubError::Offline { action: "list a repository" });
        }
        let about = About { repo, revision, path: None, is_writing: false };
        let listing = self.settings.patience.retry(watch, |_| self.ask_for_list(repo, revision));
        listing.map_err(|trouble| about.error(trouble, &self.client))
    }

    /// One try.
    pub(crate) fn ask_for_list(&self, repo: &str, revision: &str) -> Result<Listing, Trouble> {
        let url = format!("{}?blobs=true", api_url(&self.client, repo, "revision", revision));
        let model: Model = self.client.get(&url, None)?.success()?.json()?;
        if !is_commit(&model.sha) {
            let why = format!("`{}` is no commit", model.sha);
            return Err(Trouble::Final(HubError::NotAHub { host: self.client.host(), why }));
        }
        let files = model.siblings.into_iter().map(|file| RemoteFile {
            size: file.size.or_else(|| file.lfs.as_ref()?.size),
            sha256: file.lfs.map(|lfs| lfs.sha256),
            path: file.rfilename,
        });
        Ok(Listing { commit: model.sha, files: files.collect() })
    }
}
