//! What can go wrong, each with a sentence that says what to do.

use crate::client::{Client, Refusal, Trouble};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What went wrong between a request to the hub and a file on disk, or the other way.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HubError {
    /// A text that is no address.
    #[error(
        "`{given}` is no address of a file on the hub: {why}. Write `hf:OWNER/REPO/FILE.gguf`, with `@REVISION` behind it \
         for another one than `main`."
    )]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Address { given: String, why: String },
    /// A text that is no value of llama.cpp's `-hf`.
    #[error(
        "`{given}` is no model on the hub: {why}. Write `OWNER/REPO` or `OWNER/REPO:QUANT`, as in `OWNER/REPO:Q4_K_M`."
    )]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    HfAddress { given: String, why: String },
    /// A variable of the environment that cannot be used.
    #[error("`{name}` cannot be used: {why}.")]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Setting { name: String, why: String },
    /// The network is off, and the cache lacks the file.
    #[error(
        "`{address}` is not in the cache at `{}`, and `HF_HUB_OFFLINE` keeps the network off. Fetch it once without that \
         variable.", cache.display()
    )]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    NotCached { address: String, cache: PathBuf },
    /// The network is off, and the hub itself is needed.
    #[error("The hub is needed to {action}, and `HF_HUB_OFFLINE` keeps the network off. Unset that variable.")]
    #[allow(missing_docs, reason = "the sentence names the field")]
    Offline { action: &'static str },
    /// No connection, after all tries.
    #[error(
        "`{host}` cannot be reached: {why}. Check the connection; files that are in the cache work with `HF_HUB_OFFLINE=1`."
    )]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Unreachable { host: String, why: String },
    /// A server that answers, and not as a hub does.
    #[error(
        "`{host}` does not answer as the hub does: {why}. Check `HF_ENDPOINT`, and whether a proxy answers in its place."
    )]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    NotAHub { host: String, why: String },
    /// A token that the hub does not know.
    #[error("The token from {source_of_token} is not valid at `{host}`. Make a new one at `{page}`.")]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    BadToken { source_of_token: String, host: String, page: String },
    /// A repository whose terms are not accepted.
    #[error("`{repo}` is given only to those who accept its terms. Accept them at `{page}`, and {token}.")]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Gated { repo: String, page: String, token: String },
    /// A repository that is private, or is none.
    #[error("`{repo}` does not exist or is private. Check its name at `{page}`; if it is private, {token}.")]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    NoRepo { repo: String, page: String, token: String },
    /// A revision that the repository lacks.
    #[error("`{repo}` has no revision `{revision}`. Its branches and tags stand at `{page}`.")]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    NoRevision { repo: String, revision: String, page: String },
    /// A file that the revision lacks.
    #[error("`{repo}` has no file `{path}` at `{revision}`.{}", nearest(near))]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    NoFile { repo: String, revision: String, path: String, near: Vec<String> },
    /// No GGUF that fits a choice.
    #[error("`{repo}` has no GGUF{}.{}", tagged(tag), available(files))]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    NoGguf { repo: String, tag: Option<String>, files: Vec<String> },
    /// Too many requests.
    #[error(
        "`{host}` takes no more requests for now. Try again {}, or set `HF_TOKEN` for a higher limit.",
        in_time(wait)
    )]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    TooMany { host: String, wait: Option<Duration> },
    /// An error of the server's own.
    #[error("`{host}` has an error of its own (status {status}), after several tries. Try again later.")]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Server { host: String, status: u16 },
    /// Any other refusal.
    #[error("`{host}` refuses (status {status}): {said}")]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Refused { host: String, status: u16, said: String },
    /// A download that did not come to its end.
    #[error(
        "The download of `{file}` broke off: {why}. {kept} of {} bytes are kept, and the next try goes on there.",
        total.map_or("an unknown number of".into(), |total| total.to_string())
    )]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    BrokenOff { file: String, kept: u64, total: Option<u64>, why: String },
    /// A file that is not the one that the hub named.
    #[error(
        "What arrived as `{file}` is not what the hub has: its hash is `{found}` and should be `{expected}`. It was removed; \
         try again, and if that does not help, something between here and the hub changes files."
    )]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Mismatch { file: String, expected: String, found: String },
    /// No room for a file.
    #[error("There is no room for `{}`: {needed} more bytes are needed. What has arrived is kept.", path.display())]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    DiskFull { path: PathBuf, needed: u64 },
    /// A file or folder on this machine.
    #[error("`{}` cannot be {action}: {source}.", path.display())]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    File { action: &'static str, path: PathBuf, source: io::Error },
    /// The watch ended it.
    #[error("The transfer was cancelled. What has arrived is kept, and the next try goes on there.")]
    Cancelled,
    /// Publishing without a token that may write.
    #[error("Publishing to `{repo}` needs a token that may write there. Make one at `{page}`, and {token}.")]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    NeedsWrite { repo: String, page: String, token: String },
    /// A link in a folder to publish.
    #[error("`{}` is a link {where_to}, and only files of the folder itself are published. Put a copy in its place.", path.display())]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Link { path: PathBuf, where_to: &'static str },
    /// A folder without a file to publish.
    #[error("`{}` has no file to publish; hidden ones are left out.", folder.display())]
    #[allow(missing_docs, reason = "the sentence names the field")]
    Empty { folder: PathBuf },
    /// A name that cannot be one on the hub.
    #[error("`{}` cannot be published under its name: {why}. Rename it.", path.display())]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Name { path: PathBuf, why: String },
    /// A file that did not arrive at the hub.
    #[error("`{file}` did not arrive: {why}. Publish again; what has arrived is not sent again.")]
    #[allow(missing_docs, reason = "the sentence names the fields")]
    Upload { file: String, why: String },
}

impl HubError {
    /// An error of the file system.
    pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::File { action, path: path.into(), source }
    }

    /// An error of a write; a full disk has a sentence of its own.
    pub(crate) fn write(path: &Path, needed: u64) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Self::DiskFull { path: path.into(), needed },
            _ => Self::File { action: "written", path: path.into(), source },
        }
    }
}

/// What a request was about, for the sentence that tells of its failure.
#[derive(Clone, Copy)]
pub(crate) struct About<'a> {
    pub repo: &'a str,
    pub revision: &'a str,
    pub path: Option<&'a str>,
    pub is_writing: bool,
}

impl About<'_> {
    /// The error that a failed request comes to.
    pub fn error(self, trouble: Trouble, client: &Client) -> HubError {
        match trouble {
            Trouble::Final(error) => error,
            Trouble::NoHost(host) => HubError::Unreachable { host, why: "no machine has this name".into() },
            Trouble::Broken { host, why } => HubError::Unreachable { host, why },
            Trouble::Redirect(url) => {
                HubError::NotAHub { host: client.host(), why: format!("it leads to `{url}`, which is not followed") }
            }
            Trouble::Status(refusal) => self.refusal(refusal, client),
        }
    }

    fn refusal(self, refusal: Refusal, client: &Client) -> HubError {
        let Refusal { status, host, code, said, retry_after } = refusal;
        let (endpoint, repo, revision) = (&client.endpoint, self.repo.to_owned(), self.revision.to_owned());
        let page = format!("{endpoint}/{repo}");
        let tokens = format!("{endpoint}/settings/tokens");
        let is_hub = host == client.host();
        match (status, code.as_str()) {
            (429, _) => HubError::TooMany { host, wait: retry_after },
            (408 | 500..=599, _) => HubError::Server { host, status },
            _ if !is_hub => HubError::Refused { host, status, said },
            (401, _) if said.contains("Invalid credentials") => match client.token() {
                Some(token) => HubError::BadToken { source_of_token: token.source().into(), host, page: tokens },
                None => HubError::Refused { host, status, said },
            },
            (401 | 403, _) if self.is_writing => {
                HubError::NeedsWrite { repo, page: tokens, token: token_advice(client) }
            }
            (_, "GatedRepo") => HubError::Gated { repo, page, token: token_advice(client) },
            (_, "RevisionNotFound") => HubError::NoRevision { repo, revision, page: format!("{page}/tree/main") },
            (_, "EntryNotFound") => match self.path {
                Some(path) => HubError::NoFile { repo, revision, path: path.into(), near: Vec::new() },
                None => HubError::Refused { host, status, said },
            },
            (_, "RepoNotFound") | (401 | 403 | 404, "") => HubError::NoRepo { repo, page, token: token_advice(client) },
            _ => HubError::Refused { host, status, said },
        }
    }
}

/// What to do about the token.
fn token_advice(client: &Client) -> String {
    match client.token() {
        Some(token) => format!("check that the token from {} is one of an account that has access", token.source()),
        None if client.withholds_token() => {
            "use an address with `https://` in `HF_ENDPOINT`: the token is not sent over plain HTTP".into()
        }
        None => "put a token of an account that has access in `HF_TOKEN`, or run `hf auth login`".into(),
    }
}

fn nearest(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!(" It has {}.", list(near)) }
}

fn tagged(tag: &Option<String>) -> String {
    tag.as_ref().map(|tag| format!(" with `{tag}` in its name")).unwrap_or_default()
}

fn available(files: &[String]) -> String {
    if files.is_empty() { " Choose a repository with GGUF files.".into() } else { format!(" It has {}.", list(files)) }
}

/// Some names, and how many more there are.
fn list(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown: Vec<_> = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

fn in_time(wait: &Option<Duration>) -> String {
    wait.map_or("later".into(), |wait| format!("in {} s", wait.as_secs()))
}
