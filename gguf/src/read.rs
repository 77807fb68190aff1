//! Reads a header from bytes that are not trusted.
//!
//! Every length is compared with what is left of the file and with [`LONGEST_HEADER`] before anything is allocated, and
//! every round of every loop consumes bytes, so time and memory are bounded by bytes that are really there.
//! Layout: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>.

use crate::header::LONGEST_KEY;
use crate::tensor::{MOST_DIMS, TensorError};
use crate::value::{ARRAY, Array, TEXT, Value, scalar_size};
use crate::{Header, HeaderError, Tensor, Type};
use std::io::Read;

/// Longest header that is read; vocabularies of 256,000 tokens with merges take about 15 MB.
const LONGEST_HEADER: u64 = 256 << 20;
/// Most metadata values and most tensors; large models have about 100 and 2,000.
const MOST_ENTRIES: u64 = 1 << 16;
/// Bytes that are allocated before any of them is read.
const LARGEST_PIECE: u64 = 1 << 16;
/// How deep arrays may lie in arrays. llama.cpp reads no nested ones at all.
const DEEPEST_ARRAY: u32 = 4;

/// Reads a header from a file of `len` bytes.
pub(crate) fn header(input: impl Read, len: u64) -> Result<Header, HeaderError> {
    let mut reader = Reader { input, position: 0, len };
    if len < 4 || reader.array::<4>()? != *b"GGUF" {
        return Err(HeaderError::NotGguf);
    }
    let version = match reader.u32()? {
        version @ (2 | 3) => version,
        version if version & 0xFFFF == 0 && version != 0 => return Err(HeaderError::BigEndian),
        version => return Err(HeaderError::Version(version)),
    };
    let (tensor_count, value_count) = (reader.u64()?, reader.u64()?);
    if tensor_count > MOST_ENTRIES || value_count > MOST_ENTRIES {
        return Err(HeaderError::Damaged(format!(
            "it claims to have {value_count} metadata values and {tensor_count} tensors"
        )));
    }
    let mut values = Vec::new();
    for _ in 0..value_count {
        let key = reader.name(LONGEST_KEY as u64)?;
        let value = reader.value()?;
        values.push((key, value));
    }
    let (mut tensors, mut offsets) = (Vec::new(), Vec::new());
    for _ in 0..tensor_count {
        let (tensor, offset) = reader.tensor()?;
        tensors.push(tensor);
        offsets.push(offset);
    }
    let header = Header::assemble(version, values, tensors)?;
    let parts = header.number("split.count").unwrap_or(1);
    if parts > 1 {
        return Err(HeaderError::Split(parts));
    }
    for (tensor, claimed) in header.tensors().iter().zip(offsets) {
        if tensor.offset() != claimed {
            let (name, expected) = (tensor.name(), tensor.offset());
            return Err(HeaderError::Damaged(format!(
                "its tensor `{name}` begins at byte {claimed} of the data where {expected} is the only place for it"
            )));
        }
    }
    // The padding behind the last tensor may be missing, as for llama.cpp.
    if let Some(last) = header.tensors().last() {
        let data = last.offset().checked_add(last.bytes());
        match data.and_then(|data| data.checked_add(header.meta_size())) {
            Some(end) if end <= len => {}
            _ => return Err(HeaderError::Truncated),
        }
    }
    Ok(header)
}

struct Reader<R> {
    input: R,
    position: u64,
    len: u64,
}

impl<R: Read> Reader<R> {
    /// Makes sure that `bytes` more are in the file, and counts them as read.
    fn take(&mut self, bytes: u64) -> Result<(), HeaderError> {
        if bytes > self.len - self.position {
            return Err(HeaderError::Truncated);
        }
        self.position += bytes;
        if self.position > LONGEST_HEADER {
            let megabytes = LONGEST_HEADER >> 20;
            return Err(HeaderError::Damaged(format!("its header claims to be longer than {megabytes} MiB")));
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], HeaderError> {
        self.take(N as u64)?;
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes)?;
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, HeaderError> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, HeaderError> {
        self.array().map(u64::from_le_bytes)
    }

    /// Appends `count` bytes to `bytes`.
    fn append(&mut self, count: u64, bytes: &mut Vec<u8>) -> Result<(), HeaderError> {
        self.take(count)?;
        let mut left = count;
        while left > 0 {
            // Piece by piece, so that a length that lies costs no more than what is really there.
            let (start, piece) = (bytes.len(), left.min(LARGEST_PIECE));
            bytes.resize(start + piece as usize, 0);
            self.input.read_exact(&mut bytes[start..])?;
            left -= piece;
        }
        Ok(())
    }

    /// A key or the name of a tensor.
    fn name(&mut self, longest: u64) -> Result<String, HeaderError> {
        let count = self.u64()?;
        if count > self.len - self.position {
            return Err(HeaderError::Truncated);
        }
        if count > longest {
            return Err(HeaderError::Damaged(format!("it has a key or a tensor name of {count} bytes")));
        }
        let mut bytes = Vec::new();
        self.append(count, &mut bytes)?;
        String::from_utf8(bytes).map_err(|_| HeaderError::Damaged("a key or a tensor name is not UTF-8".into()))
    }

    fn value(&mut self) -> Result<Value, HeaderError> {
        Ok(match self.u32()? {
            0 => Value::U8(u8::from_le_bytes(self.array()?)),
            1 => Value::I8(i8::from_le_bytes(self.array()?)),
            2 => Value::U16(u16::from_le_bytes(self.array()?)),
            3 => Value::I16(i16::from_le_bytes(self.array()?)),
            4 => Value::U32(self.u32()?),
            5 => Value::I32(i32::from_le_bytes(self.array()?)),
            6 => Value::F32(f32::from_le_bytes(self.array()?)),
            7 => match self.array()? {
                [0] => Value::Bool(false),
                [1] => Value::Bool(true),
                [byte] => return Err(HeaderError::Damaged(format!("it has a truth value of {byte}"))),
            },
            TEXT => {
                let count = self.u64()?;
                let mut text = Vec::new();
                self.append(count, &mut text)?;
                Value::Text(text)
            }
            ARRAY => {
                let (kind, count) = (self.u32()?, self.u64()?);
                let mut bytes = Vec::new();
                self.elements(kind, count, &mut bytes, DEEPEST_ARRAY)?;
                Value::Array(Array { kind, count, bytes })
            }
            10 => Value::U64(self.u64()?),
            11 => Value::I64(i64::from_le_bytes(self.array()?)),
            12 => Value::F64(f64::from_le_bytes(self.array()?)),
            kind => return Err(unknown(kind)),
        })
    }

    /// Appends `count` elements of the type `kind`, as they stand in the file.
    fn elements(&mut self, kind: u32, count: u64, bytes: &mut Vec<u8>, depth: u32) -> Result<(), HeaderError> {
        if let Some(size) = scalar_size(kind) {
            return self.append(count.checked_mul(size).ok_or(HeaderError::Truncated)?, bytes);
        }
        match kind {
            TEXT => {
                for _ in 0..count {
                    let length = self.u64()?;
                    bytes.extend_from_slice(&length.to_le_bytes());
                    self.append(length, bytes)?;
                }
                Ok(())
            }
            ARRAY if depth == 0 => Err(HeaderError::Damaged("its arrays lie too deep in arrays".into())),
            ARRAY => {
                for _ in 0..count {
                    let (kind, count) = (self.u32()?, self.u64()?);
                    bytes.extend_from_slice(&kind.to_le_bytes());
                    bytes.extend_from_slice(&count.to_le_bytes());
                    self.elements(kind, count, bytes, depth - 1)?;
                }
                Ok(())
            }
            kind => Err(unknown(kind)),
        }
    }

    /// A tensor, and where the file says that its data begins.
    fn tensor(&mut self) -> Result<(Tensor, u64), HeaderError> {
        let name = self.name(LONGEST_KEY as u64)?;
        let count = self.u32()?;
        if count as usize > MOST_DIMS {
            return Err(TensorError::Dims(name, count.into()).into());
        }
        let dims = (0..count).map(|_| self.u64()).collect::<Result<Vec<_>, _>>()?;
        let number = self.u32()?;
        let kind = Type::from_number(number).ok_or_else(|| {
            HeaderError::Damaged(format!(
                "its tensor `{name}` has the type {number}, which was removed or is newer than this program"
            ))
        })?;
        Ok((Tensor::new(name, dims, kind)?, self.u64()?))
    }
}

fn unknown(kind: u32) -> HeaderError {
    HeaderError::Damaged(format!("it has a metadata value of the unknown type {kind}"))
}
