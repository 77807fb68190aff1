//! How a transfer tells where it is, and asks whether to go on.

use std::fmt::{Display, Formatter};
use std::path::PathBuf;
use std::time::Duration;

/// Sees the progress of a transfer and can end it. `()` sees nothing.
pub trait Watch {
    /// Bytes of `file` that are done, of the total if it is known. Called for each piece that arrives, from the thread that
    /// transfers; with `false` as the answer the transfer ends, and what has arrived is kept.
    fn progress(&mut self, file: &str, done: u64, total: Option<u64>) -> bool {
        let _ = (file, done, total);
        true
    }

    /// Something that a person may want to know, and that is no error.
    fn notice(&mut self, notice: Notice) {
        let _ = notice;
    }

    /// Whether to end, asked ten times a second while nothing moves.
    fn is_cancelled(&mut self) -> bool {
        false
    }
}

impl Watch for () {}

/// What a [`Watch`] is told besides the progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The server did not answer, and a file that the cache has is used as it is.
    Cached {
        /// The file.
        path: PathBuf,
        /// Why the server did not answer.
        why: String,
    },
    /// A download goes on where an earlier one ended.
    Resumed {
        /// The file's path in its repository.
        file: String,
        /// Bytes that are there.
        bytes: u64,
    },
    /// Another process downloads the same file, and this one waits for it.
    Locked {
        /// The file that is locked.
        path: PathBuf,
    },
    /// A request failed and is tried again.
    Retry {
        /// Why it failed.
        why: String,
        /// The wait before the next try.
        wait: Duration,
    },
}

impl Display for Notice {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cached { path, why } => {
                write!(out, "{why}; `{}` from the cache is used, which may be older than the hub's", path.display())
            }
            Self::Resumed { file, bytes } => write!(out, "the download of `{file}` goes on after {bytes} bytes"),
            Self::Locked { path } => {
                write!(out, "another process downloads this file and has locked `{}`; waiting for it", path.display())
            }
            Self::Retry { why, wait } => write!(out, "{why}; next try in {:.1} s", wait.as_secs_f32()),
        }
    }
}
