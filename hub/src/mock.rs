//! A hub on this machine, for tests: repositories in memory, storage at another origin, and faults by script.
//!
//! It answers as the hub does where a client could notice: large files are redirected to the storage, which refuses a request
//! with a token; small ones are redirected within the hub; errors have their code in a header; what does not exist and what is
//! private look alike to someone without a token. huggingface_hub downloads from it and publishes to it.
//!
//! ```
//! use llama_selfmod_hub::mock::Mock;
//! use llama_selfmod_hub::Hub;
//!
//! let mock = Mock::start()?;
//! mock.add("owner/repo", "model.gguf", b"GGUF");
//! let folder = tempfile::tempdir()?;
//! let hub = Hub::new(mock.settings(folder.path()))?;
//! let fetched = hub.fetch(&"hf:owner/repo/model.gguf".parse()?, &mut ())?;
//! assert_eq!(std::fs::read(fetched.path)?, b"GGUF");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod api;
mod content;
mod server;
mod state;

use crate::{Patience, Settings, Token};
use server::Server;
use state::State;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// The token that may do all.
pub const TOKEN: &str = "hf_mock";

/// A token that may read and not write.
pub const READ_TOKEN: &str = "hf_read";

/// A hub that runs until it is dropped.
pub struct Mock {
    state: Arc<Mutex<State>>,
    hub: Server,
    _storage: Server,
}

/// The server that a request arrives at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// The hub itself.
    Hub,
    /// The storage of large files, at another origin.
    Storage,
}

/// What goes wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A status, and the seconds after which to try again.
    Status(u16, Option<u64>),
    /// The connection is closed after so many bytes of the content.
    CutAfter(usize),
    /// Another content of the same length.
    WrongBytes,
    /// All of the content, whatever part was asked for.
    IgnoreRange,
    /// A wait before the answer and before each 64 KiB of it.
    Slow(Duration),
}

/// Who may read a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody may.
    Public,
    /// Those with a token may.
    Private,
    /// Those with a token whose account accepted the terms may.
    Gated {
        /// Whether the tokens' account did.
        accepted: bool,
    },
}

/// A request that arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The server that it arrived at.
    pub place: Place,
    /// `GET`, `HEAD`, `POST` or `PUT`.
    pub method: String,
    /// Path and query.
    pub target: String,
    /// The header of that name.
    pub authorization: Option<String>,
    /// The header of that name.
    pub range: Option<String>,
    /// Bytes of the body.
    pub body: usize,
}

impl Mock {
    /// Starts one at a free port.
    pub fn start() -> io::Result<Self> {
        Self::start_at(0)
    }

    /// Starts one at a port, or at a free one for 0.
    pub fn start_at(port: u16) -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let storage = Server::start(0, Place::Storage, Arc::clone(&state), move |request| {
            content::answer_at_storage(&mut locked(&shared), request)
        })?;
        let shared = Arc::clone(&state);
        let hub = Server::start(port, Place::Hub, Arc::clone(&state), move |request| {
            api::answer_at_hub(&mut locked(&shared), request)
        })?;
        let mut urls = locked(&state);
        // By another name of this machine, so that no client takes both for one host.
        urls.storage = format!("http://localhost:{}", storage.port);
        urls.hub = format!("http://127.0.0.1:{}", hub.port);
        drop(urls);
        Ok(Self { state, hub, _storage: storage })
    }

    /// The value for `HF_ENDPOINT`.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.hub.port)
    }

    /// Settings of a client of it: without a token, with short waits.
    pub fn settings(&self, cache: &Path) -> Settings {
        let patience = Patience {
            tries: 3,
            first_wait: Duration::from_millis(10),
            longest_wait: Duration::from_secs(2),
            silence: Duration::from_secs(5),
        };
        Settings { endpoint: self.url(), token: None, offline: false, cache: cache.into(), patience, proxy: false }
    }

    /// The same settings with a token, [`TOKEN`] or [`READ_TOKEN`] or a wrong one.
    pub fn settings_with(&self, cache: &Path, token: &str) -> Settings {
        Settings { token: Token::new(token, "`HF_TOKEN`"), ..self.settings(cache) }
    }

    /// Adds a file to `owner/repo`, which is made if need be, by a commit to `main`; gives the commit. It is a large file if
    /// its name or its size says so.
    pub fn add(&self, repo: &str, path: &str, content: &[u8]) -> String {
        let mut state = self.locked();
        let entry = state.entry(path, content.to_vec());
        state.commit(repo, "main", vec![(path.into(), entry)])
    }

    /// Adds all files of a folder by one commit; gives the commit.
    pub fn add_folder(&self, repo: &str, folder: &Path) -> io::Result<String> {
        let mut state = self.locked();
        let mut files = Vec::new();
        let mut folders = vec![(folder.to_owned(), String::new())];
        while let Some((folder, prefix)) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.path().is_dir() {
                    folders.push((entry.path(), format!("{path}/")));
                } else {
                    let content = std::fs::read(entry.path())?;
                    let stored = state.entry(&path, content);
                    files.push((path, stored));
                }
            }
        }
        Ok(state.commit(repo, "main", files))
    }

    /// Says who may read a repository.
    pub fn restrict(&self, repo: &str, access: Access) {
        self.locked().repo(repo).access = access;
    }

    /// Lets something go wrong with the next `times` requests whose target contains `part`.
    pub fn fault(&self, place: Place, part: &str, fault: Fault, times: usize) {
        self.locked().faults.push(state::Scripted { place, part: part.into(), fault, times });
    }

    /// Takes large files in parts of this size.
    pub fn take_parts_of(&self, bytes: u64) {
        self.locked().part_size = Some(bytes);
    }

    /// The requests so far, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.locked().seen.clone()
    }

    /// The requests so far, which are forgotten.
    pub fn take_seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.locked().seen)
    }

    /// The files of a repository at a branch or commit, with their content.
    pub fn files(&self, repo: &str, revision: &str) -> BTreeMap<String, Vec<u8>> {
        let state = self.locked();
        let files = state.files(repo, revision).cloned().unwrap_or_default();
        files.into_iter().map(|(path, entry)| (path, state.content(&entry).to_vec())).collect()
    }

    /// The messages of a repository's commits, oldest first.
    pub fn messages(&self, repo: &str) -> Vec<String> {
        self.locked().repo(repo).messages.clone()
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }
}

/// The state, also after a test's thread panicked with it.
fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
