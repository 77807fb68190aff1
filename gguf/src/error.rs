//! What can go wrong with a file, in sentences that say what to do.

use crate::tensor::TensorError;
use std::io;
use std::path::{Path, PathBuf};

/// Why bytes are no usable GGUF header.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// Other first bytes than `GGUF`.
    #[error("it is not a GGUF file: give the `.gguf` file itself")]
    NotGguf,
    /// A version of the format that llama.cpp does not read.
    #[error("its GGUF version is {0}, and only 2 and 3 can be read: convert the model anew or update this program")]
    Version(u32),
    /// A file for big-endian machines.
    #[error("its bytes are in big-endian order: fetch the model for little-endian machines")]
    BigEndian,
    /// The end of the file before the end of what the header describes.
    #[error("it ends too early, as an interrupted download does: fetch it again")]
    Truncated,
    /// One of several files of a model.
    #[error("it is one of {0} parts of a model: join them with `llama-gguf-split --merge` first")]
    Split(u64),
    /// Something that no writer of GGUF writes.
    #[error("it is damaged: {0}; fetch it again")]
    Damaged(String),
    /// A tensor that cannot be.
    #[error(transparent)]
    Tensor(#[from] TensorError),
    /// An error of the system while reading.
    #[error("it cannot be read: {0}")]
    Io(#[source] io::Error),
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}

/// Why a file was not read, written or copied.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// A file that is no usable GGUF.
    #[error("`{}` cannot be used: {error}", path.display())]
    Header {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        #[source]
        error: HeaderError,
    },
    /// An error of the system while opening or reading.
    #[error("`{}` cannot be read: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// An error of the system while creating or writing.
    #[error("`{}` cannot be written: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// No room for the output.
    #[error(
        "`{}` needs {needed} bytes and the file system has or allows fewer ({error}): free space, or write elsewhere",
        path.display()
    )]
    Full {
        /// The file that was to be written.
        path: PathBuf,
        /// Bytes of the whole file.
        needed: u64,
        /// What the system says.
        #[source]
        error: io::Error,
    },
    /// An output that is there already; it may be the input under another name.
    #[error("`{}` exists already: remove it or write to another path", .0.display())]
    Exists(PathBuf),
    /// Another header than the one that was planned with.
    #[error("`{}` has changed since its header was read: start again", .0.display())]
    Changed(PathBuf),
    /// Data of a tensor that is more or less than the header says.
    #[error("the tensor `{tensor}` takes {expected} bytes and was given {found}: this is an error of the program")]
    Size {
        /// The tensor; empty behind the last one.
        tensor: String,
        /// Bytes by the header.
        expected: u64,
        /// Bytes that were written or asked for.
        found: u64,
    },
    /// A stop that the caller asked for.
    #[error("writing `{}` was stopped", .0.display())]
    Stopped(PathBuf),
}

impl FileError {
    pub(crate) fn read(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |error| Self::Read { path: path.into(), error }
    }

    /// What an error means that came while a file of `needed` bytes was written.
    pub(crate) fn write(path: &Path, needed: u64) -> impl FnOnce(io::Error) -> Self {
        use io::ErrorKind::{AlreadyExists, FileTooLarge, QuotaExceeded, StorageFull};
        move |error| match error.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Self::Full { path: path.into(), needed, error },
            AlreadyExists => Self::Exists(path.into()),
            _ => Self::Write { path: path.into(), error },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_names_the_file_and_the_bytes_it_needs() {
        let error = FileError::write(Path::new("out.gguf"), 4096)(io::ErrorKind::StorageFull.into());
        let text = error.to_string();
        assert!(text.contains("`out.gguf` needs 4096 bytes"), "{text}");
    }
}
