//! What the mock knows: repositories, their commits, and the content of their files.

use super::{Access, Fault, Place, Seen};
use crate::digest::{Hasher, hex};
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Endings of files that are large ones whatever their size, as in the hub's `.gitattributes`.
const LARGE: [&str; 4] = [".gguf", ".bin", ".safetensors", ".so"];

/// Bytes from which any file is a large one.
const LARGE_SIZE: usize = 10 << 20;

/// A file of a commit.
#[derive(Clone)]
pub(super) enum Entry {
    /// A large file, by its SHA-256 in the storage.
    Large(String),
    Small(Arc<Vec<u8>>),
}

pub(super) struct Scripted {
    pub place: Place,
    pub part: String,
    pub fault: Fault,
    pub times: usize,
}

#[derive(Default)]
pub(super) struct State {
    pub hub: String,
    pub storage: String,
    pub repos: BTreeMap<String, Repo>,
    /// Content by its SHA-256.
    pub objects: BTreeMap<String, Arc<Vec<u8>>>,
    /// Parts that arrived, by the SHA-256 of the whole and the part's number.
    pub parts: BTreeMap<(String, u64), Vec<u8>>,
    pub part_size: Option<u64>,
    pub faults: Vec<Scripted>,
    pub seen: Vec<Seen>,
}

pub(super) struct Repo {
    pub access: Access,
    pub branches: BTreeMap<String, String>,
    pub commits: BTreeMap<String, BTreeMap<String, Entry>>,
    pub messages: Vec<String>,
}

impl Repo {
    /// One with an empty first commit, as the hub makes it.
    pub fn new(access: Access) -> Self {
        let first = git_hash(b"an empty repository");
        Self {
            access,
            branches: [("main".into(), first.clone())].into(),
            commits: [(first, BTreeMap::new())].into(),
            messages: Vec::new(),
        }
    }

    /// The commit of a branch or a commit's own hash.
    pub fn resolve(&self, revision: &str) -> Option<&str> {
        let branch = self.branches.get(revision).map(String::as_str);
        branch.or_else(|| self.commits.get_key_value(revision).map(|(commit, _)| commit.as_str()))
    }
}

impl State {
    pub fn repo(&mut self, name: &str) -> &mut Repo {
        self.repos.entry(name.into()).or_insert_with(|| Repo::new(Access::Public))
    }

    pub fn files(&self, repo: &str, revision: &str) -> Option<&BTreeMap<String, Entry>> {
        let repo = self.repos.get(repo)?;
        repo.commits.get(repo.resolve(revision)?)
    }

    pub fn content(&self, entry: &Entry) -> Arc<Vec<u8>> {
        match entry {
            Entry::Large(sha256) => self.objects.get(sha256).cloned().unwrap_or_default(),
            Entry::Small(content) => Arc::clone(content),
        }
    }

    /// A file of this content; that of a large one goes into the storage.
    pub fn entry(&mut self, path: &str, content: Vec<u8>) -> Entry {
        if !is_large(path, content.len()) {
            return Entry::Small(Arc::new(content));
        }
        let sha256 = sha256(&content);
        self.objects.insert(sha256.clone(), Arc::new(content));
        Entry::Large(sha256)
    }

    /// A commit on a branch, and its hash.
    pub fn commit(&mut self, repo: &str, branch: &str, files: Vec<(String, Entry)>) -> String {
        let repo = self.repo(repo);
        let parent = repo.resolve(branch).unwrap_or_default().to_owned();
        let mut all = repo.commits.get(&parent).cloned().unwrap_or_default();
        all.extend(files);
        let tree: Vec<_> = all.iter().map(|(path, entry)| format!("{path} {}\n", oid(entry))).collect();
        let commit = git_hash(format!("{parent} {}", tree.concat()).as_bytes());
        repo.commits.insert(commit.clone(), all);
        repo.branches.insert(branch.into(), commit.clone());
        commit
    }

    /// The fault that the script has for a request.
    pub fn take_fault(&mut self, place: Place, target: &str) -> Option<Fault> {
        let fits =
            |scripted: &&mut Scripted| scripted.times > 0 && scripted.place == place && target.contains(&scripted.part);
        let scripted = self.faults.iter_mut().find(fits)?;
        scripted.times -= 1;
        Some(scripted.fault.clone())
    }
}

pub(super) fn is_large(path: &str, size: usize) -> bool {
    size >= LARGE_SIZE || LARGE.iter().any(|ending| path.ends_with(ending))
}

/// The name of a content in the hub's headers and answers.
pub(super) fn oid(entry: &Entry) -> String {
    match entry {
        Entry::Large(sha256) => sha256.clone(),
        Entry::Small(content) => git_hash(&[format!("blob {}\0", content.len()).as_bytes(), content].concat()),
    }
}

pub(super) fn sha256(content: &[u8]) -> String {
    let mut hasher = Hasher::default();
    hasher.update(content);
    hasher.finish()
}

fn git_hash(bytes: &[u8]) -> String {
    hex(digest(&SHA1_FOR_LEGACY_USE_ONLY, bytes).as_ref())
}
