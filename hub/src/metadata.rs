//! What the hub says of a file before it is fetched.

use crate::HubError;
use crate::cache::is_commit;
use crate::client::{Answer, Client};
use crate::digest::Digest;
use crate::trouble::Trouble;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stands unescaped in a path.
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A file at a commit.
#[derive(Debug)]
pub(crate) struct Metadata {
    pub commit: String,
    pub digest: Digest,
    pub size: Option<u64>,
}

/// The address of a file's content.
pub(crate) fn content_url(client: &Client, repo: &str, revision: &str, path: &str) -> String {
    format!("{}/{repo}/resolve/{}/{}", client.endpoint, part(revision), escape(path))
}

/// The address of a repository's revision in the API, by what is done with it.
pub(crate) fn api_url(client: &Client, repo: &str, verb: &str, revision: &str) -> String {
    format!("{}/api/models/{repo}/{verb}/{}", client.endpoint, part(revision))
}

/// One part of a path, also with the slashes in it.
fn part(text: &str) -> String {
    utf8_percent_encode(text, PLAIN).to_string()
}

fn escape(path: &str) -> String {
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

/// Asks for the commit, the hash and the size of a file.
pub(crate) fn metadata(client: &Client, repo: &str, revision: &str, path: &str) -> Result<Metadata, Trouble> {
    let answer = client.head(&content_url(client, repo, revision, path))?.success()?;
    let lacking = |what: &str| {
        Trouble::Final(HubError::NotAHub { host: client.host(), why: format!("its answer has no usable `{what}`") })
    };
    let commit =
        answer.header("X-Repo-Commit").filter(|commit| is_commit(commit)).ok_or_else(|| lacking("X-Repo-Commit"))?;
    let etag = answer.header("X-Linked-Etag").or_else(|| answer.header("ETag"));
    let digest = etag.and_then(Digest::from_etag).ok_or_else(|| lacking("ETag"))?;
    Ok(Metadata { commit: commit.to_owned(), digest, size: size(&answer) })
}

/// The size of the file; that of a redirect's own body is none.
fn size(answer: &Answer) -> Option<u64> {
    let own = answer.header("Content-Length").filter(|_| answer.status < 300);
    answer.header("X-Linked-Size").or(own).and_then(|size| size.parse().ok())
}
