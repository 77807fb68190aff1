//! Reads the data of tensors in pieces.

use crate::{FileError, Header, HeaderError};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// An open file and its header, to read tensors from with ordinary reads.
///
/// Mapping a file of 300 GB takes as much address space and fails under a limit on it; reads take one buffer.
#[derive(Debug)]
pub struct Source {
    file: File,
    path: PathBuf,
    header: Header,
}

impl Source {
    /// Opens the file at `path` and reads its header.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, FileError> {
        let path = path.into();
        let file = File::open(&path).map_err(FileError::read(&path))?;
        let header = Header::read_file(&file, &path)?;
        Ok(Self { file, path, header })
    }

    /// The file's header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces what `out` holds by `rows` rows of a tensor, from row `first` on.
    ///
    /// `tensor` is a position in the header's list. The buffer keeps its allocation from call to call.
    pub fn read_rows(&mut self, tensor: usize, first: u64, rows: u64, out: &mut Vec<u8>) -> Result<(), FileError> {
        let row = self.header.tensors().get(tensor).map_or(0, |tensor| tensor.row_bytes());
        let (offset, bytes) = (first.saturating_mul(row), rows.saturating_mul(row));
        self.check(tensor, offset, bytes)?;
        out.clear();
        out.resize(bytes as usize, 0);
        self.read_at(tensor, offset, out)
    }

    /// Fills `out` with bytes of a tensor, from byte `offset` of its data on.
    pub fn read_at(&mut self, tensor: usize, offset: u64, out: &mut [u8]) -> Result<(), FileError> {
        let start = self.check(tensor, offset, out.len() as u64)?;
        let read = self.file.seek(SeekFrom::Start(start)).and_then(|_| self.file.read_exact(out));
        read.map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                FileError::Header { path: self.path.clone(), error: HeaderError::Truncated }
            }
            _ => FileError::read(&self.path)(error),
        })
    }

    /// The place in the file where `bytes` bytes from `offset` on begin, if the tensor has them.
    fn check(&self, tensor: usize, offset: u64, bytes: u64) -> Result<u64, FileError> {
        let found = offset.saturating_add(bytes);
        match self.header.tensors().get(tensor) {
            Some(tensor) if found <= tensor.bytes() => Ok(self.header.meta_size() + tensor.offset() + offset),
            Some(tensor) => Err(FileError::Size { tensor: tensor.name().into(), expected: tensor.bytes(), found }),
            None => Err(FileError::Size { tensor: String::new(), expected: 0, found }),
        }
    }
}
