//! Reads the header of a GGUF file: metadata and the list of tensors.
//!
//! The file is not trusted: every length is compared with what is left of the file before anything is read or
//! allocated, and every round of every loop consumes bytes, so the time is bounded by the length of the file.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use super::kinds::tensor_type;
use super::pieces::Pieces;
use std::io::{self, BufRead, Seek};

/// A metadata value that somebody asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Any integer that is not negative, or a truth value.
    Number(u64),
    /// A floating-point number.
    Real(f64),
    /// Text of at most [`LONGEST_TEXT`] bytes.
    Text(String),
    /// An array of at most [`LONGEST_LIST`] whole numbers, one for each layer, say; negative ones count as 0.
    Numbers(Vec<u64>),
    /// Any other array, of which only the length is kept.
    Array(u64),
    /// Anything else.
    Other,
}

/// Longest name that is read; ggml's own names have at most 64 bytes.
const LONGEST_NAME: u64 = 1 << 16;
/// Longest text value that is kept.
const LONGEST_TEXT: u64 = 1 << 12;
/// Longest array of numbers that is kept.
const LONGEST_LIST: u64 = 1 << 12;
/// What ggml pads tensors to when the file does not say.
const DEFAULT_ALIGNMENT: u64 = 32;
/// More metadata than any model has: a damaged file.
const MOST_VALUES: u64 = 1 << 16;

/// What the header says.
#[derive(Debug, Default)]
pub struct Header {
    values: Vec<(String, Value)>,
    /// The vocabulary's token strings and types.
    pub pieces: Pieces,
    /// Name and type of each tensor.
    pub tensors: Vec<(String, u32)>,
    /// Where the first tensor begins in the file; 0 in a file without tensors.
    pub first_tensor: u64,
    /// Whether one of the tensors belongs to a layer of a language model.
    pub has_layers: bool,
    /// How long the file must be to hold all tensors.
    pub needed: u64,
}

/// Why there is no header.
#[derive(Debug)]
pub enum HeaderError {
    /// The magic is another.
    NotGguf,
    /// A version that llama.cpp does not read.
    Version(u32),
    /// Written on a big-endian machine.
    BigEndian,
    /// The file ends inside the header.
    Truncated,
    /// Something that no writer of GGUF writes.
    Damaged(String),
    /// The system.
    Io(io::Error),
}

impl From<io::Error> for HeaderError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Truncated,
            _ => Self::Io(error),
        }
    }
}

impl Header {
    /// Reads a header from a file of `len` bytes.
    pub fn read(file: impl BufRead + Seek, len: u64) -> Result<Self, HeaderError> {
        let mut reader = Reader { file, left: len };
        if reader.array::<4>().map_err(|error| if len < 4 { HeaderError::NotGguf } else { error })? != *b"GGUF" {
            return Err(HeaderError::NotGguf);
        }
        match reader.u32()? {
            2 | 3 => {}
            version if version.swap_bytes() <= 0xFFFF && version > 0xFFFF => return Err(HeaderError::BigEndian),
            version => return Err(HeaderError::Version(version)),
        }
        let (tensors, values) = (reader.u64()?, reader.u64()?);
        if values > MOST_VALUES {
            return Err(HeaderError::Damaged(format!("it claims to have {values} metadata values")));
        }
        let mut header = Self::default();
        for _ in 0..values {
            let key = reader.name()?;
            let value = match key.as_str() {
                "tokenizer.ggml.tokens" => reader.pieces(&mut header.pieces)?,
                "tokenizer.ggml.token_type" => reader.piece_types(&mut header.pieces)?,
                _ => reader.value()?,
            };
            if value != Value::Other {
                header.values.push((key, value));
            }
        }
        let (mut first, mut end_of_data) = (u64::MAX, 0);
        for _ in 0..tensors {
            let Tensor { name, kind, start, end } = reader.tensor()?;
            header.has_layers |= name.starts_with("blk.");
            first = start.min(first);
            end_of_data = end.max(end_of_data);
            header.tensors.push((name, kind));
        }
        let alignment = header.number("general.alignment").unwrap_or(DEFAULT_ALIGNMENT);
        let start_of_data = match alignment {
            0 => None,
            _ => (len - reader.left).checked_next_multiple_of(alignment),
        };
        header.needed = match start_of_data {
            Some(start) if end_of_data > 0 => start.checked_add(end_of_data),
            _ => start_of_data.map(|_| 0),
        }
        .ok_or_else(|| HeaderError::Damaged(format!("its alignment of {alignment} bytes cannot be")))?;
        if !header.tensors.is_empty() {
            header.first_tensor = start_of_data.unwrap_or_default().saturating_add(first);
        }
        Ok(header)
    }

    /// The value of `key`.
    pub fn value(&self, key: &str) -> Option<&Value> {
        self.values.iter().find(|(name, _)| name == key).map(|(_, value)| value)
    }

    /// The number under `key`.
    pub fn number(&self, key: &str) -> Option<u64> {
        match self.value(key) {
            Some(&Value::Number(number)) => Some(number),
            _ => None,
        }
    }

    /// The text under `key`.
    pub fn text(&self, key: &str) -> Option<&str> {
        match self.value(key) {
            Some(Value::Text(text)) => Some(text),
            _ => None,
        }
    }
}

/// A tensor; where it begins and ends is counted from the start of the data.
struct Tensor {
    name: String,
    kind: u32,
    start: u64,
    end: u64,
}

struct Reader<F> {
    file: F,
    /// Bytes behind the reading position.
    left: u64,
}

impl<F: BufRead + Seek> Reader<F> {
    fn take(&mut self, bytes: u64) -> Result<(), HeaderError> {
        self.left = self.left.checked_sub(bytes).ok_or(HeaderError::Truncated)?;
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, HeaderError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, HeaderError> {
        self.array().map(u64::from_le_bytes)
    }

    fn skip(&mut self, bytes: u64) -> Result<(), HeaderError> {
        self.take(bytes)?;
        // What is left of a file fits, as the system counts files in the same type.
        self.file.seek_relative(i64::try_from(bytes).map_err(|_| HeaderError::Truncated)?)?;
        Ok(())
    }

    /// `bytes` must be small or known to be there.
    fn text(&mut self, bytes: u64) -> Result<String, HeaderError> {
        self.take(bytes)?;
        let mut text = vec![0; bytes as usize];
        self.file.read_exact(&mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    fn name(&mut self) -> Result<String, HeaderError> {
        let bytes = self.u64()?;
        if bytes > self.left {
            return Err(HeaderError::Truncated);
        }
        if bytes > LONGEST_NAME {
            return Err(HeaderError::Damaged(format!("it has a name of {bytes} bytes")));
        }
        self.text(bytes)
    }

    fn value(&mut self) -> Result<Value, HeaderError> {
        let kind = self.u32()?;
        let signed = |number: i64| u64::try_from(number).map_or(Value::Other, Value::Number);
        Ok(match kind {
            0 => Value::Number(u64::from(self.array::<1>()?[0])),
            1 => signed(i64::from(i8::from_le_bytes(self.array()?))),
            2 => Value::Number(u64::from(u16::from_le_bytes(self.array()?))),
            3 => signed(i64::from(i16::from_le_bytes(self.array()?))),
            4 => Value::Number(u64::from(self.u32()?)),
            5 => signed(i64::from(i32::from_le_bytes(self.array()?))),
            7 => Value::Number(u64::from(self.array::<1>()?[0] != 0)),
            8 => {
                let bytes = self.u64()?;
                if bytes <= LONGEST_TEXT {
                    Value::Text(self.text(bytes)?)
                } else {
                    self.skip(bytes)?;
                    Value::Text(String::new())
                }
            }
            9 => self.array_value()?,
            10 => Value::Number(self.u64()?),
            11 => signed(i64::from_le_bytes(self.array()?)),
            6 => Value::Real(f64::from(f32::from_le_bytes(self.array()?))),
            12 => Value::Real(f64::from_le_bytes(self.array()?)),
            _ => return Err(HeaderError::Damaged(format!("it has a metadata value of the unknown type {kind}"))),
        })
    }

    fn array_value(&mut self) -> Result<Value, HeaderError> {
        let (kind, count) = (self.u32()?, self.u64()?);
        self.rest_of_array(kind, count)
    }

    /// The items of an array of `count` values of the type `kind`.
    fn rest_of_array(&mut self, kind: u32, count: u64) -> Result<Value, HeaderError> {
        if matches!(kind, 4 | 5) && count <= LONGEST_LIST {
            let numbers = self.integers(count)?;
            return Ok(Value::Numbers(numbers.into_iter().map(|number| u64::try_from(number).unwrap_or(0)).collect()));
        }
        let item = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            10..=12 => 8,
            8 => {
                for _ in 0..count {
                    let bytes = self.u64()?;
                    self.skip(bytes)?;
                }
                return Ok(Value::Array(count));
            }
            _ => return Err(HeaderError::Damaged(format!("it has an array of the unknown type {kind}"))),
        };
        self.skip(count.checked_mul(item).ok_or(HeaderError::Truncated)?)?;
        Ok(Value::Array(count))
    }

    /// `count` numbers of 32 bits.
    fn integers(&mut self, count: u64) -> Result<Vec<i32>, HeaderError> {
        if count.checked_mul(4).is_none_or(|bytes| bytes > self.left) {
            return Err(HeaderError::Truncated);
        }
        (0..count).map(|_| self.array().map(i32::from_le_bytes)).collect()
    }

    /// The token strings, if it is strings that stand there.
    fn pieces(&mut self, pieces: &mut Pieces) -> Result<Value, HeaderError> {
        let value = self.u32()?;
        if value != 9 {
            return Err(HeaderError::Damaged("its vocabulary is no list".into()));
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        if kind != 8 {
            return self.rest_of_array(kind, count);
        }
        for _ in 0..count {
            let bytes = self.u64()?;
            self.take(bytes)?;
            let room = pieces.room_for(bytes).ok_or_else(|| HeaderError::Damaged("its vocabulary is huge".into()))?;
            self.file.read_exact(room)?;
        }
        Ok(Value::Array(count))
    }

    /// The types of the tokens, if it is types that stand there.
    fn piece_types(&mut self, pieces: &mut Pieces) -> Result<Value, HeaderError> {
        let value = self.u32()?;
        if value != 9 {
            return Err(HeaderError::Damaged("its token types are no list".into()));
        }
        let (kind, count) = (self.u32()?, self.u64()?);
        if kind != 5 {
            return self.rest_of_array(kind, count);
        }
        pieces.types = self.integers(count)?;
        Ok(Value::Array(count))
    }

    fn tensor(&mut self) -> Result<Tensor, HeaderError> {
        let name = self.name()?;
        let dimensions = self.u32()?;
        if dimensions > 4 {
            return Err(HeaderError::Damaged(format!("its tensor `{name}` has {dimensions} dimensions")));
        }
        let mut elements = Some(1u64);
        for _ in 0..dimensions {
            let dimension = self.u64()?;
            elements = elements.and_then(|elements| elements.checked_mul(dimension));
        }
        let kind = self.u32()?;
        let offset = self.u64()?;
        // A type that is newer than this table: where the tensor begins is all that is known.
        let bytes = match tensor_type(kind) {
            Some((block, bytes)) => elements.and_then(|elements| (elements / block).checked_mul(bytes)),
            None => elements.map(|_| 0),
        };
        let end = bytes.and_then(|bytes| bytes.checked_add(offset));
        match end {
            Some(end) => Ok(Tensor { name, kind, start: offset, end }),
            None => Err(HeaderError::Damaged(format!("its tensor `{name}` is larger than any file"))),
        }
    }
}
