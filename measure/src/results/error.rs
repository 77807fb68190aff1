//! Why results cannot be read or written.

use crate::plain;
use std::io;
use std::path::PathBuf;

/// Why a file of results cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences name the fields")]
#[non_exhaustive]
pub enum ResultsError {
    /// There is no such file, or the system refuses.
    #[error("the results `{}` cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    /// It is a folder or a device.
    #[error("`{}` is no regular file; name a file of results", .0.display())]
    NoFile(PathBuf),
    /// A full disk, for example.
    #[error(
        "item `{}` cannot be written to the results `{}`: {error}; the items before it are kept, and the run goes on from \
         them when it is started again", plain(id), path.display()
    )]
    Unwritable { path: PathBuf, id: String, error: io::Error },
    /// It cannot be made or changed.
    #[error("the results `{}` cannot be opened for writing: {error}", path.display())]
    Unopened { path: PathBuf, error: io::Error },
    /// Another process writes it.
    #[error("the results `{}` are being written by another process; wait for it, or name another file", .0.display())]
    InUse(PathBuf),
    /// A line is no line of results.
    #[error("line {line} of `{}` is no line of results: {}", path.display(), plain(why))]
    Line { path: PathBuf, line: usize, why: String },
    /// It has another version of the format.
    #[error("`{}` has results of format {found}, this program reads format {expected}", path.display())]
    Format { path: PathBuf, found: u64, expected: u32 },
    /// Nothing in it.
    #[error("`{}` holds no item", .0.display())]
    Empty(PathBuf),
    /// The run that would go on is not the one that the file is of.
    #[error("`{}` holds results of another run: {}; name another file, or remove this one", path.display(), plain(&differences.join(", ")))]
    OtherRun { path: PathBuf, differences: Vec<String> },
    /// The item stands there already.
    #[error("item `{}` stands in `{}` already", plain(id), path.display())]
    Twice { path: PathBuf, id: String },
}
