//! A tensor as the header describes it: name, shape, type and place.

use crate::Type;

/// Longest name of a tensor in bytes; llama.cpp refuses longer ones (`GGML_MAX_NAME` is 64, with a final zero).
const LONGEST_NAME: usize = 63;
/// Most dimensions of a tensor.
pub(crate) const MOST_DIMS: usize = 4;

/// Why there can be no such tensor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TensorError {
    /// A name that llama.cpp would refuse.
    #[error("the tensor name `{0}` is longer than {LONGEST_NAME} bytes, and llama.cpp would refuse the file")]
    Name(String),
    /// More dimensions than ggml has.
    #[error("the tensor `{0}` has {1} dimensions, and GGUF allows {MOST_DIMS}")]
    Dims(String, u64),
    /// A row that is not a whole number of blocks.
    #[error("the tensor `{name}` has rows of {row} elements, which {kind} cannot hold: its blocks have {} elements", kind.block())]
    Row {
        /// The tensor.
        name: String,
        /// Elements of a row.
        row: u64,
        /// The type that does not fit.
        kind: Type,
    },
    /// A size beyond what files can have.
    #[error("the tensor `{0}` claims to be larger than any file")]
    Large(String),
}

/// Name, shape, type and place of a tensor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tensor {
    name: String,
    dims: Vec<u64>,
    kind: Type,
    bytes: u64,
    pub(crate) offset: u64,
}

impl Tensor {
    /// A tensor that has no place yet; [`Header::set_tensors`](crate::Header::set_tensors) gives it one.
    ///
    /// `dims` are in ggml's order (`ne`): the first one is the length of a row.
    pub fn new(name: impl Into<String>, dims: Vec<u64>, kind: Type) -> Result<Self, TensorError> {
        let name = name.into();
        if name.len() > LONGEST_NAME {
            return Err(TensorError::Name(name));
        }
        if dims.len() > MOST_DIMS {
            return Err(TensorError::Dims(name, dims.len() as u64));
        }
        let row = dims.first().copied().unwrap_or(1);
        if !row.is_multiple_of(kind.block()) {
            return Err(TensorError::Row { name, row, kind });
        }
        // Elements and bytes must both fit the signed numbers that ggml and the system count in.
        let fits = |number: &u64| i64::try_from(*number).is_ok();
        let elements = dims.iter().try_fold(1u64, |product, &dim| product.checked_mul(dim).filter(fits));
        let rows = dims.iter().skip(1).try_fold(1u64, |product, &dim| product.checked_mul(dim).filter(fits));
        let bytes = kind.row_size(row).zip(rows).and_then(|(row, rows)| row.checked_mul(rows)).filter(fits);
        match bytes.filter(|_| elements.is_some()) {
            Some(bytes) => Ok(Self { name, dims, kind, bytes, offset: 0 }),
            None => Err(TensorError::Large(name)),
        }
    }

    /// The same tensor with elements of another type, without a place.
    pub fn with_kind(&self, kind: Type) -> Result<Self, TensorError> {
        Self::new(self.name.clone(), self.dims.clone(), kind)
    }

    /// The same tensor with another length of dimension `axis`, without a place.
    pub(crate) fn with_dim(&self, axis: usize, length: u64) -> Result<Self, TensorError> {
        let mut dims = self.dims.clone();
        if dims.len() <= axis {
            dims.resize(axis + 1, 1);
        }
        dims[axis] = length;
        Self::new(self.name.clone(), dims, self.kind)
    }

    /// The tensor's name, such as `blk.0.ffn_up_exps.weight`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Lengths of the dimensions in ggml's order (`ne`): the first one is the length of a row.
    pub fn dims(&self) -> &[u64] {
        &self.dims
    }

    /// Length of dimension `axis`; 1 beyond the last.
    pub fn dim(&self, axis: usize) -> u64 {
        self.dims.get(axis).copied().unwrap_or(1)
    }

    /// The type of the elements.
    pub fn kind(&self) -> Type {
        self.kind
    }

    /// Bytes of the data, without padding.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Number of rows: the product of all dimensions but the first.
    pub fn rows(&self) -> u64 {
        // Cannot overflow: `new` has computed it, unless a dimension is 0.
        self.dims.iter().skip(1).fold(1, |product, &dim| product.saturating_mul(dim))
    }

    /// Bytes of a row.
    pub fn row_bytes(&self) -> u64 {
        // Cannot fail: `new` has computed it.
        self.kind.row_size(self.dim(0)).unwrap_or(0)
    }

    /// The beginning of the data, in bytes from the start of the data section.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether llama.cpp takes the tensor for a matrix: more than one row in any later dimension.
    pub fn is_matrix(&self) -> bool {
        self.dims.iter().skip(1).any(|&dim| dim > 1)
    }
}

/// Gives each tensor its place, one behind the other, each padded to `alignment`; returns the bytes of all together.
///
/// llama.cpp accepts no other layout (`gguf.cpp`: "has offset …, expected …").
pub(crate) fn lay_out(tensors: &mut [Tensor], alignment: u64) -> Result<u64, TensorError> {
    let mut end = 0u64;
    for tensor in tensors {
        tensor.offset = end;
        end = tensor
            .bytes
            .checked_next_multiple_of(alignment)
            .and_then(|bytes| end.checked_add(bytes))
            .filter(|&end| i64::try_from(end).is_ok())
            .ok_or_else(|| TensorError::Large(tensor.name.clone()))?;
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_come_from_shape_and_type() {
        let tensor = Tensor::new("a", vec![64, 3, 2], Type::Q8_0).unwrap();
        assert_eq!((tensor.row_bytes(), tensor.rows(), tensor.bytes()), (68, 6, 408));
        let scalar = Tensor::new("a", vec![], Type::F32).unwrap();
        assert_eq!((scalar.rows(), scalar.bytes()), (1, 4));
        assert!(!Tensor::new("a", vec![5, 1, 1], Type::F32).unwrap().is_matrix());
        assert!(Tensor::new("a", vec![1, 1, 2], Type::F32).unwrap().is_matrix());
    }

    #[test]
    fn impossible_tensors_are_refused() {
        let refused = |name: &str, dims: &[u64], kind| Tensor::new(name, dims.to_vec(), kind).unwrap_err().to_string();
        assert!(refused(&"x".repeat(64), &[1], Type::F32).contains("longer than 63 bytes"));
        assert!(refused("a", &[1; 5], Type::F32).contains("5 dimensions"));
        assert!(refused("a", &[33], Type::Q8_0).contains("blocks have 32 elements"));
        assert!(refused("a", &[1 << 40, 1 << 40], Type::F32).contains("larger than any file"));
        assert!(refused("a", &[1 << 62], Type::F32).contains("larger than any file"));
        assert!(refused("a", &[0, u64::MAX, 2], Type::F32).contains("larger than any file"));
    }
}
