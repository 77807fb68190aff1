//! Metadata values, kept so that writing them gives the bytes that were read.

use std::io::{self, Write};

/// A metadata value of any of GGUF's types.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the names say it: the scalar types of GGUF")]
pub enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    /// Text, UTF-8 in well-made files.
    Text(Vec<u8>),
    /// An array of values of one type.
    Array(Array),
    U64(u64),
    I64(i64),
    F64(f64),
}

/// GGUF's number of the type of text.
pub(crate) const TEXT: u32 = 8;
/// GGUF's number of the type of arrays.
pub(crate) const ARRAY: u32 = 9;

/// Bytes of a value of the scalar type with GGUF's number `kind`; `None` for text, arrays and unknown types.
pub(crate) const fn scalar_size(kind: u32) -> Option<u64> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}

/// An array of metadata values, kept as the bytes in the file: a vocabulary of 256,000 strings is one allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Array {
    pub(crate) kind: u32,
    pub(crate) count: u64,
    pub(crate) bytes: Vec<u8>,
}

impl Array {
    /// An array of 32-bit numbers.
    pub fn from_u32s(numbers: &[u32]) -> Self {
        let bytes = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        Self { kind: 4, count: numbers.len() as u64, bytes }
    }

    /// An array of texts.
    pub fn from_texts<T: AsRef<[u8]>>(texts: &[T]) -> Self {
        let mut bytes = Vec::new();
        for text in texts.iter().map(AsRef::as_ref) {
            bytes.extend_from_slice(&(text.len() as u64).to_le_bytes());
            bytes.extend_from_slice(text);
        }
        Self { kind: TEXT, count: texts.len() as u64, bytes }
    }

    /// Number of elements.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// Whether there are no elements.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The elements of an array of integers or truth values; those beyond `i64` become its largest number.
    pub fn integers(&self) -> Option<Vec<i64>> {
        let size = match self.kind {
            6 | 12 => return None,
            kind => scalar_size(kind)? as usize,
        };
        let signed = matches!(self.kind, 1 | 3 | 5 | 11);
        let integer = |bytes: &[u8]| {
            let negative = signed && bytes.last().is_some_and(|&byte| byte >= 0x80);
            let mut wide = [if negative { 0xFF } else { 0 }; 8];
            wide[..bytes.len()].copy_from_slice(bytes);
            match i64::from_le_bytes(wide) {
                number if number < 0 && !signed => i64::MAX,
                number => number,
            }
        };
        Some(self.bytes.chunks_exact(size).map(integer).collect())
    }

    /// The elements of an array of texts.
    pub fn texts(&self) -> Option<Vec<&[u8]>> {
        if self.kind != TEXT {
            return None;
        }
        let (mut texts, mut rest) = (Vec::new(), self.bytes.as_slice());
        while let Some((length, behind)) = rest.split_first_chunk::<8>() {
            let length = usize::try_from(u64::from_le_bytes(*length)).ok()?;
            let (text, behind) = behind.split_at_checked(length)?;
            texts.push(text);
            rest = behind;
        }
        Some(texts)
    }
}

impl Value {
    /// The value as a number: integers that are not negative, and truth values.
    pub fn number(&self) -> Option<u64> {
        match *self {
            Self::U8(number) => Some(number.into()),
            Self::U16(number) => Some(number.into()),
            Self::U32(number) => Some(number.into()),
            Self::U64(number) => Some(number),
            Self::I8(number) => number.try_into().ok(),
            Self::I16(number) => number.try_into().ok(),
            Self::I32(number) => number.try_into().ok(),
            Self::I64(number) => number.try_into().ok(),
            Self::Bool(number) => Some(number.into()),
            Self::F32(_) | Self::F64(_) | Self::Text(_) | Self::Array(_) => None,
        }
    }

    /// The value as text, if it is text and UTF-8.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => std::str::from_utf8(text).ok(),
            _ => None,
        }
    }

    /// The value as an array.
    pub fn array(&self) -> Option<&Array> {
        match self {
            Self::Array(array) => Some(array),
            _ => None,
        }
    }

    /// GGUF's number of the value's type.
    pub(crate) fn kind(&self) -> u32 {
        match self {
            Self::U8(_) => 0,
            Self::I8(_) => 1,
            Self::U16(_) => 2,
            Self::I16(_) => 3,
            Self::U32(_) => 4,
            Self::I32(_) => 5,
            Self::F32(_) => 6,
            Self::Bool(_) => 7,
            Self::Text(_) => TEXT,
            Self::Array(_) => ARRAY,
            Self::U64(_) => 10,
            Self::I64(_) => 11,
            Self::F64(_) => 12,
        }
    }

    /// Bytes of the value in a file, without the number of its type.
    pub(crate) fn size(&self) -> u64 {
        match self {
            Self::Text(text) => 8 + text.len() as u64,
            Self::Array(array) => 12 + array.bytes.len() as u64,
            scalar => scalar_size(scalar.kind()).unwrap_or(0),
        }
    }

    /// Writes the value without the number of its type.
    pub(crate) fn write_to(&self, out: &mut impl Write) -> io::Result<()> {
        match self {
            Self::U8(number) => out.write_all(&number.to_le_bytes()),
            Self::I8(number) => out.write_all(&number.to_le_bytes()),
            Self::U16(number) => out.write_all(&number.to_le_bytes()),
            Self::I16(number) => out.write_all(&number.to_le_bytes()),
            Self::U32(number) => out.write_all(&number.to_le_bytes()),
            Self::I32(number) => out.write_all(&number.to_le_bytes()),
            Self::F32(number) => out.write_all(&number.to_le_bytes()),
            Self::Bool(truth) => out.write_all(&[u8::from(*truth)]),
            Self::Text(text) => write_text(text, out),
            Self::Array(array) => {
                out.write_all(&array.kind.to_le_bytes())?;
                out.write_all(&array.count.to_le_bytes())?;
                out.write_all(&array.bytes)
            }
            Self::U64(number) => out.write_all(&number.to_le_bytes()),
            Self::I64(number) => out.write_all(&number.to_le_bytes()),
            Self::F64(number) => out.write_all(&number.to_le_bytes()),
        }
    }
}

/// Writes text with its length in front.
pub(crate) fn write_text(text: &[u8], out: &mut impl Write) -> io::Result<()> {
    out.write_all(&(text.len() as u64).to_le_bytes())?;
    out.write_all(text)
}

impl From<u32> for Value {
    fn from(number: u32) -> Self {
        Self::U32(number)
    }
}

impl From<f32> for Value {
    fn from(number: f32) -> Self {
        Self::F32(number)
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.as_bytes().to_vec())
    }
}

impl From<Array> for Value {
    fn from(array: Array) -> Self {
        Self::Array(array)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_give_back_their_elements() {
        assert_eq!(Array::from_u32s(&[1, u32::MAX]).integers(), Some(vec![1, 4_294_967_295]));
        assert_eq!(Array::from_texts(&["a", "", "bc"]).texts(), Some(vec![&b"a"[..], b"", b"bc"]));
        assert_eq!(Array::from_texts(&["a"]).integers(), None);
        let signed = Array { kind: 3, count: 2, bytes: vec![0xFE, 0xFF, 1, 0] };
        assert_eq!(signed.integers(), Some(vec![-2, 1]));
        let huge = Array { kind: 10, count: 1, bytes: vec![0xFF; 8] };
        assert_eq!(huge.integers(), Some(vec![i64::MAX]));
    }

    #[test]
    fn a_negative_number_is_no_number_of_things() {
        assert_eq!(Value::I32(-1).number(), None);
        assert_eq!(Value::I8(5).number(), Some(5));
        assert_eq!(Value::Bool(true).number(), Some(1));
        assert_eq!(Value::F32(1.0).number(), None);
    }
}
