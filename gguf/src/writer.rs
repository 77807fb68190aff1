//! Writes a file tensor by tensor.

use crate::header::write_zeros;
use crate::{FileError, Header};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file that is being written; it is removed again unless [`finish`](Writer::finish) succeeds.
#[derive(Debug)]
pub struct Writer {
    out: BufWriter<File>,
    path: PathBuf,
    header: Header,
    /// Tensors that are complete.
    done: usize,
    /// Bytes of the next tensor that are written.
    written: u64,
    finished: bool,
}

impl Writer {
    /// Creates the file at `path` and writes the header.
    ///
    /// Fails if the path exists, so that the input cannot be overwritten under another name.
    pub fn create(path: impl Into<PathBuf>, header: Header) -> Result<Self, FileError> {
        let path = path.into();
        let file = File::create_new(&path).map_err(FileError::write(&path, header.file_size()))?;
        let out = BufWriter::with_capacity(1 << 16, file);
        let mut writer = Self { out, path, header, done: 0, written: 0, finished: false };
        let written = writer.header.write_to(&mut writer.out);
        writer.checked(written)?;
        Ok(writer)
    }

    /// The file's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends bytes to the tensor whose turn it is.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), FileError> {
        let found = self.written + bytes.len() as u64;
        let (tensor, expected) = self.current();
        if found > expected {
            return Err(FileError::Size { tensor: tensor.into(), expected, found });
        }
        let written = self.out.write_all(bytes);
        self.checked(written)?;
        self.written = found;
        Ok(())
    }

    /// Pads the tensor whose turn it is, which must be complete, and goes on to the next.
    pub fn end_tensor(&mut self) -> Result<(), FileError> {
        let (tensor, expected) = self.current();
        if self.written != expected || self.done == self.header.tensors().len() {
            return Err(FileError::Size { tensor: tensor.into(), expected, found: self.written });
        }
        let padding = expected.next_multiple_of(self.header.alignment()) - expected;
        let written = write_zeros(padding, &mut self.out);
        self.checked(written)?;
        self.done += 1;
        self.written = 0;
        Ok(())
    }

    /// Makes sure that every tensor was written and that the file is on the disk.
    pub fn finish(mut self) -> Result<(), FileError> {
        if self.done < self.header.tensors().len() {
            let (tensor, expected) = self.current();
            return Err(FileError::Size { tensor: tensor.into(), expected, found: self.written });
        }
        let written = self.out.flush().and_then(|()| self.out.get_ref().sync_all());
        self.checked(written)?;
        self.finished = true;
        Ok(())
    }

    /// Name and bytes of the tensor whose turn it is.
    fn current(&self) -> (&str, u64) {
        self.header.tensors().get(self.done).map_or(("", 0), |tensor| (tensor.name(), tensor.bytes()))
    }

    fn checked(&self, written: io::Result<()>) -> Result<(), FileError> {
        written.map_err(FileError::write(&self.path, self.header.file_size()))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        if !self.finished {
            // The file was created by `create`, so it is nobody else's.
            let _ = fs::remove_file(&self.path);
        }
    }
}
