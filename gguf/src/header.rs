//! The header of a file: metadata and the list of tensors, to read, change and write.

use crate::read;
use crate::tensor::{Tensor, lay_out};
use crate::value::{Value, write_text};
use crate::{FileError, HeaderError};
use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::Path;

/// The key that says what tensors are padded to.
pub(crate) const ALIGNMENT: &str = "general.alignment";
/// What tensors are padded to in a file that does not say.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Largest alignment that is accepted; models use 32, and pages of 4 to 64 KiB are the only other use.
const LARGEST_ALIGNMENT: u32 = 1 << 20;
/// Longest key, by the specification.
pub(crate) const LONGEST_KEY: usize = (1 << 16) - 1;

/// Everything in a GGUF file before the tensors' data.
///
/// Tensors lie one behind the other in the order of the list, each padded to the alignment: llama.cpp accepts no other
/// layout. So a header and the padded data in this order are the file, and its size is known before it is written.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    version: u32,
    values: Vec<(String, Value)>,
    tensors: Vec<Tensor>,
    data_size: u64,
}

impl Default for Header {
    fn default() -> Self {
        Self { version: 3, values: Vec::new(), tensors: Vec::new(), data_size: 0 }
    }
}

impl Header {
    /// Reads the header of the file at `path`; of the data only the length is looked at.
    ///
    /// Bytes behind the last tensor are accepted, as llama.cpp does, and are not part of the result.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let file = File::open(path).map_err(FileError::read(path))?;
        Self::read_file(&file, path)
    }

    pub(crate) fn read_file(file: &File, path: &Path) -> Result<Self, FileError> {
        let len = file.metadata().map_err(FileError::read(path))?.len();
        Self::from_reader(BufReader::new(file), len).map_err(|error| FileError::Header { path: path.into(), error })
    }

    /// Reads a header from the first of `len` bytes.
    pub fn from_reader(input: impl Read, len: u64) -> Result<Self, HeaderError> {
        read::header(input, len)
    }

    /// Puts a header together from parts, with the same checks whether they come from a file or from the program.
    pub(crate) fn assemble(
        version: u32,
        values: Vec<(String, Value)>,
        tensors: Vec<Tensor>,
    ) -> Result<Self, HeaderError> {
        let mut seen = HashSet::with_capacity(values.len());
        for (key, value) in &values {
            check_value(key, value)?;
            if !seen.insert(key.as_str()) {
                return Err(HeaderError::Damaged(format!("the key `{key}` stands there twice")));
            }
        }
        let mut header = Self { version, values, tensors: Vec::new(), data_size: 0 };
        header.set_tensors(tensors)?;
        Ok(header)
    }

    /// Metadata in the order of the file.
    pub fn values(&self) -> &[(String, Value)] {
        &self.values
    }

    /// The value of `key`.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The number under `key`: an integer that is not negative, or a truth value.
    pub fn number(&self, key: &str) -> Option<u64> {
        self.get(key)?.number()
    }

    /// The text under `key`.
    pub fn text(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// The model's architecture, such as `llama`.
    pub fn architecture(&self) -> Option<&str> {
        self.text("general.architecture")
    }

    /// The value of `<architecture>.<name>`.
    pub fn arch_value(&self, name: &str) -> Option<&Value> {
        self.get(&format!("{}.{name}", self.architecture()?))
    }

    /// The number under `<architecture>.<name>`, such as `expert_count`.
    pub fn arch_number(&self, name: &str) -> Option<u64> {
        self.arch_value(name)?.number()
    }

    /// Gives `key` a value: in its old place, or behind the others if it is new.
    ///
    /// Fails for keys that GGUF does not allow and for an alignment that is no power of two.
    pub fn set(&mut self, key: &str, value: impl Into<Value>) -> Result<(), HeaderError> {
        let value = value.into();
        check_value(key, &value)?;
        match self.values.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.values.push((key.into(), value)),
        }
        self.lay_out()
    }

    /// Removes `key` and gives its value back.
    pub fn remove(&mut self, key: &str) -> Option<Value> {
        let at = self.values.iter().position(|(name, _)| name == key)?;
        let (_, value) = self.values.remove(at);
        // A smaller alignment than before, or the same: what fitted fits still.
        let _ = self.lay_out();
        Some(value)
    }

    /// The tensors in the order of their data.
    pub fn tensors(&self) -> &[Tensor] {
        &self.tensors
    }

    /// Position of the tensor called `name` in the list.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.tensors.iter().position(|tensor| tensor.name() == name)
    }

    /// Replaces the list of tensors and gives each its place.
    pub fn set_tensors(&mut self, mut tensors: Vec<Tensor>) -> Result<(), HeaderError> {
        let mut seen = HashSet::with_capacity(tensors.len());
        if let Some(twice) = tensors.iter().find(|tensor| !seen.insert(tensor.name())) {
            return Err(HeaderError::Damaged(format!("the tensor `{}` stands there twice", twice.name())));
        }
        self.data_size = lay_out(&mut tensors, self.alignment())?;
        self.tensors = tensors;
        Ok(())
    }

    fn lay_out(&mut self) -> Result<(), HeaderError> {
        let alignment = self.alignment();
        self.data_size = lay_out(&mut self.tensors, alignment)?;
        Ok(())
    }

    /// What the data of each tensor is padded to, in bytes.
    pub fn alignment(&self) -> u64 {
        self.number(ALIGNMENT).unwrap_or(DEFAULT_ALIGNMENT)
    }

    /// Bytes of the header with its padding, which is where the data begins in the file.
    pub fn meta_size(&self) -> u64 {
        let values: u64 = self.values.iter().map(|(key, value)| 8 + key.len() as u64 + 4 + value.size()).sum();
        let tensors: u64 = self
            .tensors
            .iter()
            .map(|tensor| 8 + tensor.name().len() as u64 + 4 + 8 * tensor.dims().len() as u64 + 12)
            .sum();
        (24 + values + tensors).next_multiple_of(self.alignment())
    }

    /// Bytes of all tensors' data with padding.
    pub fn data_size(&self) -> u64 {
        self.data_size
    }

    /// Bytes of the whole file.
    pub fn file_size(&self) -> u64 {
        self.meta_size() + self.data_size
    }

    /// Writes metadata, the list of tensors and the padding before the data: [`meta_size`](Self::meta_size) bytes.
    pub fn write_to(&self, mut out: impl Write) -> io::Result<()> {
        let mut out = Counted { inner: &mut out, written: 0 };
        out.write_all(b"GGUF")?;
        out.write_all(&self.version.to_le_bytes())?;
        out.write_all(&(self.tensors.len() as u64).to_le_bytes())?;
        out.write_all(&(self.values.len() as u64).to_le_bytes())?;
        for (key, value) in &self.values {
            write_text(key.as_bytes(), &mut out)?;
            out.write_all(&value.kind().to_le_bytes())?;
            value.write_to(&mut out)?;
        }
        for tensor in &self.tensors {
            write_text(tensor.name().as_bytes(), &mut out)?;
            out.write_all(&(tensor.dims().len() as u32).to_le_bytes())?;
            for dim in tensor.dims() {
                out.write_all(&dim.to_le_bytes())?;
            }
            out.write_all(&tensor.kind().number().to_le_bytes())?;
            out.write_all(&tensor.offset().to_le_bytes())?;
        }
        let padding = out.written.next_multiple_of(self.alignment()) - out.written;
        write_zeros(padding, &mut out)
    }
}

/// Refuses what GGUF does not allow or what would make the layout impossible.
fn check_value(key: &str, value: &Value) -> Result<(), HeaderError> {
    if key.is_empty() || key.len() > LONGEST_KEY {
        return Err(HeaderError::Damaged(format!("it has a key of {} bytes", key.len())));
    }
    match value {
        _ if key != ALIGNMENT => Ok(()),
        Value::U32(number) if number.is_power_of_two() && *number <= LARGEST_ALIGNMENT => Ok(()),
        Value::U32(number) => Err(HeaderError::Damaged(format!(
            "its alignment is {number} bytes, and only powers of two up to {LARGEST_ALIGNMENT} can be"
        ))),
        _ => Err(HeaderError::Damaged("its alignment is not a number of 32 bits".into())),
    }
}

/// Writes `count` zeros.
pub(crate) fn write_zeros(mut count: u64, out: &mut impl Write) -> io::Result<()> {
    const ZEROS: [u8; 4096] = [0; 4096];
    while count > 0 {
        let piece = count.min(ZEROS.len() as u64);
        out.write_all(&ZEROS[..piece as usize])?;
        count -= piece;
    }
    Ok(())
}

/// Counts what passes through.
struct Counted<W> {
    inner: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
