//! Quantises a model's file, a slab of rows at a time.
//!
//! llama.cpp's `llama_model_quantize` says which type each tensor gets ([`types`]), and its `ggml_quantize_chunk` makes the
//! blocks: a file comes out with the same tensors, byte for byte, as from `llama_model_quantize` itself. The walk over the file is
//! ours, because theirs maps all of it, cannot be stopped, and tells of its progress in a log.

mod file_type;
mod types;

pub use file_type::FileType;
pub use types::types;

use crate::error::Error;
use crate::member::load::backend;
use gguf::{FileError, Header, Source, Tensor, Type, Value, Writer};
use llama_cpp_sys_2 as sys;
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes of a slab: of rows as they are read, of the numbers in them, and of the blocks that come out.
const SLAB: usize = 24 << 20;

/// Version of the blocks' layout, ggml's `GGML_QNT_VERSION`.
const LAYOUT: u32 = 2;

/// The weights of columns by the names of tensors, `ne0` for each expert.
pub type Columns = BTreeMap<String, Vec<f32>>;

/// The header of a file that is quantised to `to`: with it, the size of the file is known to the byte.
///
/// # Errors
/// Those of [`types`].
pub fn quantized_header(header: &Header, to: FileType, has_imatrix: bool) -> Result<Header, Error> {
    let types = types(header, to, has_imatrix)?;
    let failed = |error: &dyn std::fmt::Display| Error::Failure(format!("the file cannot be quantised: {error}"));
    let convert = |(tensor, kind): (&Tensor, Type)| tensor.with_kind(kind);
    let tensors: Result<Vec<Tensor>, _> = header.tensors().iter().zip(types).map(convert).collect();
    let mut new = header.clone();
    new.set("general.quantization_version", Value::U32(LAYOUT)).map_err(|error| failed(&error))?;
    new.set("general.file_type", Value::U32(to.number())).map_err(|error| failed(&error))?;
    new.set_tensors(tensors.map_err(|error| failed(&error))?).map_err(|error| failed(&error))?;
    Ok(new)
}

/// Quantises `source` to `to` into the file `out`, which is new. `done` hears how many bytes of how many were read, and can end
/// it by an error.
///
/// # Errors
/// For a file that is no model, a type that needs an importance matrix where there is none, weights that are no numbers, and
/// what the disk refuses; what was written is removed.
pub fn quantize(
    source: &Path,
    to: FileType,
    imatrix: Option<&Columns>,
    out: &Path,
    threads: usize,
    done: &mut dyn FnMut(u64, u64) -> Result<(), Error>,
) -> Result<(), Error> {
    // ggml's tables for half floats.
    backend()?;
    let broken = |error: FileError| Error::Failure(error.to_string());
    let mut source = Source::open(source).map_err(broken)?;
    let header = source.header().clone();
    let new = quantized_header(&header, to, imatrix.is_some())?;
    let total = header.tensors().iter().map(Tensor::bytes).sum();
    let kinds: Vec<Type> = new.tensors().iter().map(Tensor::kind).collect();
    let mut writer = Writer::create(out, new).map_err(broken)?;
    let (mut read, mut bytes) = (0, Vec::new());
    for ((at, tensor), kind) in header.tensors().iter().enumerate().zip(kinds) {
        let columns = imatrix.and_then(|imatrix| imatrix.get(tensor.name()));
        let row = Row::of(tensor, kind, columns.map(Vec::as_slice))?;
        let slab = (SLAB / row.bytes()).max(1) as u64;
        let mut first = 0;
        while first < tensor.rows() {
            done(read, total)?;
            // An expert has weights of its own for its columns, so that no slab has rows of two.
            let left = row.rows_each - first % row.rows_each;
            let count = slab.min(left).min(tensor.rows() - first);
            source.read_rows(at, first, count, &mut bytes).map_err(broken)?;
            read += bytes.len() as u64;
            match row.convert(&bytes, first, threads)? {
                Some(blocks) => writer.write(&blocks),
                None => writer.write(&bytes),
            }
            .map_err(broken)?;
            first += count;
        }
        writer.end_tensor().map_err(broken)?;
    }
    done(total, total)?;
    writer.finish().map_err(broken)
}

/// How the rows of a tensor become blocks of another type.
struct Row<'a> {
    name: &'a str,
    from: Type,
    to: Type,
    /// Numbers of a row.
    width: usize,
    from_bytes: usize,
    to_bytes: usize,
    /// Rows of one expert, or of the tensor.
    rows_each: u64,
    columns: Option<&'a [f32]>,
}

impl<'a> Row<'a> {
    fn of(tensor: &'a Tensor, to: Type, columns: Option<&'a [f32]>) -> Result<Self, Error> {
        let (name, width) = (tensor.name(), tensor.dim(0));
        let room = |kind: Type| kind.row_size(width).and_then(|bytes| usize::try_from(bytes).ok());
        let (Some(from_bytes), Some(to_bytes)) = (room(tensor.kind()), room(to)) else {
            return Err(Error::Failure(format!("rows of `{name}` have {width} numbers, which {to} cannot hold")));
        };
        let (from, width, experts) = (tensor.kind(), width as usize, (tensor.dim(2) * tensor.dim(3)) as usize);
        let columns = columns.filter(|_| from != to);
        if let Some(columns) = columns.filter(|columns| columns.len() != width * experts) {
            return Err(Error::Input(format!(
                "the importance matrix has {} columns for `{name}`, which has {}; make it anew from this model",
                columns.len(),
                width * experts
            )));
        }
        let rows_each = tensor.dim(1).max(1);
        Ok(Self { name, from, to, width, from_bytes, to_bytes, rows_each, columns })
    }

    /// What a row takes in memory while it is converted.
    fn bytes(&self) -> usize {
        (self.from_bytes + self.to_bytes + self.width * size_of::<f32>()).max(1)
    }

    /// The blocks of some rows, from `first` on, all of one expert. `None` where the type stays.
    fn convert(&self, rows: &[u8], first: u64, threads: usize) -> Result<Option<Vec<u8>>, Error> {
        if self.from == self.to || rows.is_empty() {
            return Ok(None);
        }
        let expert = (first / self.rows_each) as usize;
        let columns = self.columns.and_then(|columns| columns.chunks(self.width).nth(expert));
        let count = rows.len() / self.from_bytes;
        let mut blocks = vec![0u8; count * self.to_bytes];
        let each = count.div_ceil(threads.max(1)).max(1);
        let parts = rows.chunks(each * self.from_bytes).zip(blocks.chunks_mut(each * self.to_bytes));
        let outcome = std::thread::scope(|scope| {
            let working: Vec<_> =
                parts.map(|(rows, blocks)| scope.spawn(move || self.convert_part(rows, blocks, columns))).collect();
            let mut outcomes = working.into_iter().map(|part| part.join().unwrap_or(Err("its thread panicked")));
            outcomes.find(Result::is_err).unwrap_or(Ok(()))
        });
        outcome.map_err(|why| Error::Failure(format!("`{}` cannot become {}: {why}", self.name, self.to)))?;
        Ok(Some(blocks))
    }

    fn convert_part(&self, rows: &[u8], blocks: &mut [u8], columns: Option<&[f32]>) -> Result<(), &'static str> {
        let count = rows.len() / self.from_bytes;
        let mut numbers = vec![0f32; count * self.width];
        let (from, to) = (self.from.number(), self.to.number());
        if from == sys::GGML_TYPE_F32 {
            for (number, bytes) in numbers.iter_mut().zip(rows.chunks_exact(4)) {
                *number = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        } else {
            // SAFETY: a type of ggml's: `Type` has no others, and the table that this points into is static.
            let into_floats = unsafe { (*sys::ggml_get_type_traits(from)).to_float };
            let into_floats = into_floats.ok_or("its numbers are of a type that cannot be converted")?;
            // SAFETY: `rows` holds `count` whole rows of this type, `numbers` as many numbers; ggml reads blocks at any
            // address.
            unsafe { into_floats(rows.as_ptr().cast(), numbers.as_mut_ptr(), numbers.len() as i64) }
        }
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err("some of its weights are no numbers; fetch the file again");
        }
        let columns = columns.map_or(std::ptr::null(), <[f32]>::as_ptr);
        // SAFETY: `numbers` has `count` rows of `width`, `blocks` room for as many rows of this type, which is one of ggml's;
        // `columns` is null or has `width` weights.
        let size = unsafe {
            let blocks = blocks.as_mut_ptr().cast();
            sys::ggml_quantize_chunk(to, numbers.as_ptr(), blocks, 0, count as i64, self.width as i64, columns)
        };
        if size != blocks.len() {
            return Err("ggml made another number of bytes than rows of this type have");
        }
        // SAFETY: the blocks that were just written.
        let is_valid = unsafe { sys::ggml_validate_row_data(to, blocks.as_ptr().cast(), blocks.len()) };
        if is_valid { Ok(()) } else { Err("what came out is not valid; try another type") }
    }
}
