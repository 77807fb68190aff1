//! A file without data whose tensors have types that a quantiser never chooses.

use crate::{FileError, Header, HeaderError, Tensor, Type};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Types for the matrices of a skeleton, small ones first. llama.cpp's quantiser chooses none of the first four unless it is
/// asked for exactly that type, and BF16, F16 and F64 are for rows that fit no block: of these it falls back to F16
/// alone, and only when its target has blocks.
const CANDIDATES: &[Type] = &[Type::TQ1_0, Type::IQ1_S, Type::MXFP4, Type::NVFP4, Type::BF16, Type::F16, Type::F64];

impl Header {
    /// Writes a sparse file of this header in which each matrix has a small type, and returns the type of each tensor.
    ///
    /// llama.cpp's quantiser in a dry run prints the type that it would give a tensor only where it differs from the one
    /// in the file. In the skeleton it always differs: TQ1_0 where rows are a multiple of 256, MXFP4 where they are one
    /// of 32, BF16 otherwise, or IQ1_S, NVFP4 and F16 in their place where the quantiser is asked for a type of `avoid`.
    /// Tensors of one dimension, which it never converts, keep their type. A file of 2 GB becomes one that maps a tenth
    /// of that as address space and takes a few blocks of the disk.
    ///
    /// Fails if `path` exists; leaves nothing behind on failure.
    pub fn skeleton(&self, path: impl AsRef<Path>, avoid: &[Type]) -> Result<Vec<Type>, FileError> {
        let path = path.as_ref();
        let header = self.thin(avoid).map_err(|error| FileError::Header { path: path.into(), error })?;
        let size = header.file_size();
        let failed = |error| FileError::write(path, size)(error);
        let file = File::create_new(path).map_err(failed)?;
        let mut out = BufWriter::new(&file);
        let written = header.write_to(&mut out).and_then(|()| out.flush()).and_then(|()| file.set_len(size));
        if let Err(error) = written {
            let _ = fs::remove_file(path);
            return Err(failed(error));
        }
        Ok(header.tensors().iter().map(Tensor::kind).collect())
    }

    /// This header with the types of a skeleton.
    fn thin(&self, avoid: &[Type]) -> Result<Self, HeaderError> {
        let thin = |tensor: &Tensor| {
            let fits = |kind: &&Type| tensor.dim(0).is_multiple_of(kind.block()) && !avoid.contains(kind);
            match CANDIDATES.iter().find(fits) {
                Some(&kind) if tensor.is_matrix() => tensor.with_kind(kind),
                _ => Ok(tensor.clone()),
            }
        };
        let mut header = self.clone();
        header.set_tensors(self.tensors().iter().map(thin).collect::<Result<_, _>>()?)?;
        Ok(header)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(avoid: &[Type]) -> Vec<Type> {
        let tensor = |name: &str, dims: &[u64]| Tensor::new(name, dims.to_vec(), Type::F32).unwrap();
        let mut header = Header::default();
        header
            .set_tensors(vec![
                tensor("k", &[512, 2]),
                tensor("nv", &[64, 2]),
                tensor("mx", &[96, 2, 3]),
                tensor("odd", &[7, 2]),
                tensor("norm", &[512]),
                tensor("norm of two dimensions", &[512, 1]),
            ])
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skeleton.gguf");
        let kinds = header.skeleton(&path, avoid).unwrap();
        let read = Header::read(&path).unwrap();
        assert_eq!(read.tensors().iter().map(Tensor::kind).collect::<Vec<_>>(), kinds);
        assert_eq!(fs::metadata(&path).unwrap().len(), read.file_size());
        kinds
    }

    #[test]
    fn matrices_get_the_smallest_type_that_no_quantiser_chooses() {
        use Type::{BF16, F32, MXFP4, TQ1_0};
        assert_eq!(kinds(&[]), [TQ1_0, MXFP4, MXFP4, BF16, F32, F32]);
    }

    #[test]
    fn avoided_types_have_a_second_choice() {
        use Type::{BF16, F16, F32, IQ1_S, MXFP4, NVFP4, TQ1_0};
        assert_eq!(kinds(&[TQ1_0]), [IQ1_S, MXFP4, MXFP4, BF16, F32, F32]);
        assert_eq!(kinds(&[MXFP4]), [TQ1_0, NVFP4, BF16, BF16, F32, F32]);
        assert_eq!(kinds(&[TQ1_0, IQ1_S, MXFP4, BF16]), [NVFP4, NVFP4, F16, F16, F32, F32]);
    }

    #[cfg(unix)]
    #[test]
    fn a_skeleton_takes_no_room_for_data() {
        use std::os::unix::fs::MetadataExt;
        let mut header = Header::default();
        header.set_tensors(vec![Tensor::new("a", vec![4096, 1 << 20], Type::F16).unwrap()]).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skeleton.gguf");
        header.skeleton(&path, &[]).unwrap();
        let metadata = fs::metadata(&path).unwrap();
        assert!(metadata.len() > 800 << 20 && metadata.blocks() * 512 < 1 << 20, "{metadata:?}");
        assert!(matches!(header.skeleton(&path, &[]), Err(FileError::Exists(_))));
    }
}
