//! Model files for tests: read, changed and written with the standard library alone.
//!
#![allow(dead_code, unused_imports, reason = "every test file uses a part of it")]

use std::path::Path;

#[path = "quantise.rs"]
mod quantise;
#[path = "random_model.rs"]
mod random_model;
#[path = "vocabulary.rs"]
mod vocabulary;

pub use quantise::TensorType;
pub use random_model::{Architecture, RandomModel};
pub use vocabulary::{PieceType, Vocabulary};

/// Where tensor data starts: at multiples of this, the format's default.
const ALIGNMENT: usize = 32;

/// A value of the metadata, in the kinds that the fixtures need.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    U32(u32),
    I32(i32),
    F32(f32),
    Bool(bool),
    Text(String),
    Integers(Vec<i32>),
    Floats(Vec<f32>),
    Texts(Vec<String>),
}

/// A tensor with its data as the file holds it.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    /// The length of a row first.
    pub shape: Vec<usize>,
    pub kind: TensorType,
    pub data: Vec<u8>,
}

/// A whole model file.
#[derive(Clone, Debug, Default)]
pub struct Gguf {
    pub metadata: Vec<(String, Value)>,
    pub tensors: Vec<Tensor>,
}

impl Tensor {
    /// Stores `values` (rows one after another) as `kind`, or as F16 where a row does not divide into its blocks.
    pub fn new(name: impl Into<String>, shape: &[usize], kind: TensorType, values: &[f32]) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        let kind = if shape[0].is_multiple_of(kind.block_length()) { kind } else { TensorType::F16 };
        Self { name: name.into(), shape: shape.to_vec(), kind, data: kind.encode(values) }
    }

    /// Its values; of F32 and F16 only.
    pub fn values(&self) -> Vec<f32> {
        self.kind.decode(&self.data)
    }
}

impl Gguf {
    pub fn read(path: &Path) -> Self {
        let bytes = std::fs::read(path).unwrap();
        let mut reader = Reader { bytes: &bytes, position: 0 };
        assert_eq!(reader.take(4), b"GGUF");
        assert_eq!(reader.u32(), 3, "version of the format");
        let tensors = reader.u64();
        let pairs = reader.u64();
        let metadata = (0..pairs).map(|_| (reader.text(), reader.value())).collect();
        let heads: Vec<_> = (0..tensors)
            .map(|_| {
                let name = reader.text();
                let dimensions = reader.u32();
                let shape: Vec<usize> = (0..dimensions).map(|_| reader.u64()).collect();
                (name, shape, TensorType::from_code(reader.u32()), reader.u64())
            })
            .collect();
        let start = reader.position.next_multiple_of(ALIGNMENT);
        let tensors = heads
            .into_iter()
            .map(|(name, shape, kind, offset)| {
                let size = kind.size(shape.iter().product());
                Tensor { name, shape, kind, data: bytes[start + offset..][..size].to_vec() }
            })
            .collect();
        Self { metadata, tensors }
    }

    /// What its tensors are stored as.
    pub fn read_types(path: &Path) -> Vec<TensorType> {
        Self::read(path).tensors.into_iter().map(|tensor| tensor.kind).collect()
    }

    pub fn write(&self, path: &Path) {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        put_u64(&mut out, self.tensors.len());
        put_u64(&mut out, self.metadata.len());
        for (key, value) in &self.metadata {
            put_text(&mut out, key);
            put_value(&mut out, value);
        }
        let mut offset = 0usize;
        for tensor in &self.tensors {
            put_text(&mut out, &tensor.name);
            out.extend((tensor.shape.len() as u32).to_le_bytes());
            tensor.shape.iter().for_each(|&length| put_u64(&mut out, length));
            out.extend(tensor.kind.code().to_le_bytes());
            put_u64(&mut out, offset);
            offset = (offset + tensor.data.len()).next_multiple_of(ALIGNMENT);
        }
        for tensor in &self.tensors {
            out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
            out.extend(&tensor.data);
        }
        out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
        std::fs::write(path, out).unwrap();
    }

    /// The value of `key`, which must be there.
    pub fn get(&self, key: &str) -> &Value {
        &self.metadata.iter().find(|(name, _)| name == key).unwrap_or_else(|| panic!("no {key}")).1
    }

    /// Sets `key`, in its old place if there was one.
    pub fn set(&mut self, key: &str, value: Value) {
        match self.metadata.iter_mut().find(|(name, _)| name == key) {
            Some((_, old)) => *old = value,
            None => self.metadata.push((key.into(), value)),
        }
    }
}

/// Writes a model of F16 and F32 tensors again, its matrices as `kind`, or as F16 where a row does not divide into blocks.
pub fn requantise(from: &Path, kind: TensorType, to: &Path) {
    let mut model = Gguf::read(from);
    for tensor in model.tensors.iter_mut().filter(|tensor| tensor.shape.len() == 2) {
        *tensor = Tensor::new(std::mem::take(&mut tensor.name), &tensor.shape, kind, &tensor.values());
    }
    model.set("general.file_type", Value::U32(kind.file_type()));
    model.write(to);
}

fn put_u64(out: &mut Vec<u8>, value: usize) {
    out.extend((value as u64).to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_u64(out, text.len());
    out.extend(text.as_bytes());
}

fn put_value(out: &mut Vec<u8>, value: &Value) {
    let array = |out: &mut Vec<u8>, kind: u32, length: usize| {
        out.extend([9, kind].map(u32::to_le_bytes).concat());
        put_u64(out, length);
    };
    let code = |out: &mut Vec<u8>, kind: u32| out.extend(kind.to_le_bytes());
    match value {
        Value::U32(x) => (code(out, 4), out.extend(x.to_le_bytes())).1,
        Value::I32(x) => (code(out, 5), out.extend(x.to_le_bytes())).1,
        Value::F32(x) => (code(out, 6), out.extend(x.to_le_bytes())).1,
        Value::Bool(x) => (code(out, 7), out.push(*x as u8)).1,
        Value::Text(x) => (code(out, 8), put_text(out, x)).1,
        Value::Integers(list) => {
            array(out, 5, list.len());
            list.iter().for_each(|x| out.extend(x.to_le_bytes()));
        }
        Value::Floats(list) => {
            array(out, 6, list.len());
            list.iter().for_each(|x| out.extend(x.to_le_bytes()));
        }
        Value::Texts(list) => {
            array(out, 8, list.len());
            list.iter().for_each(|x| put_text(out, x));
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    position: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        self.position += count;
        &self.bytes[self.position - count..self.position]
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> usize {
        u64::from_le_bytes(self.take(8).try_into().unwrap()).try_into().unwrap()
    }

    fn text(&mut self) -> String {
        let length = self.u64();
        String::from_utf8(self.take(length).to_vec()).unwrap()
    }

    fn value(&mut self) -> Value {
        match self.u32() {
            4 => Value::U32(self.u32()),
            5 => Value::I32(self.u32() as i32),
            6 => Value::F32(f32::from_bits(self.u32())),
            7 => Value::Bool(self.take(1)[0] != 0),
            8 => Value::Text(self.text()),
            9 => match (self.u32(), self.u64()) {
                (5, length) => Value::Integers((0..length).map(|_| self.u32() as i32).collect()),
                (6, length) => Value::Floats((0..length).map(|_| f32::from_bits(self.u32())).collect()),
                (8, length) => Value::Texts((0..length).map(|_| self.text()).collect()),
                (kind, _) => panic!("arrays of kind {kind} are not needed in fixtures"),
            },
            kind => panic!("values of kind {kind} are not needed in fixtures"),
        }
    }
}
