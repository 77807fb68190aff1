//! Importance matrices as llama.cpp's tools write and read them: a GGUF file with the sums of squares of each tensor's columns,
//! `NAME.in_sum2`, and how many tokens these are of, `NAME.counts`.

use crate::{
    Error,
    member::{alone::Importance, quantize::Columns},
};
use gguf::{Array, FileError, Header, HeaderError, Source, Tensor, TensorError, Type, Value, Writer};
use std::path::Path;

const KIND: &str = "general.type";
const IMATRIX: &str = "imatrix";
const SUMS: &str = ".in_sum2";
const COUNTS: &str = ".counts";

/// Writes the importance of a model on a text of this name, in windows of `context` tokens.
pub fn write(importance: &Importance, text: &str, context: u32, out: &Path) -> Result<(), Error> {
    let header = header(importance, text, context)
        .map_err(|why| Error::Failure(format!("the importance matrix cannot be written: {why}")))?;
    let failed = |error: FileError| Error::Failure(error.to_string());
    let mut writer = Writer::create(out, header).map_err(failed)?;
    for matrix in importance.matrices.values() {
        let counts: Vec<f32> = matrix.counts.iter().map(|&count| count as f32).collect();
        for numbers in [&matrix.sums, &counts] {
            let bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
            writer.write(&bytes).and_then(|()| writer.end_tensor()).map_err(failed)?;
        }
    }
    writer.finish().map_err(failed)
}

fn header(importance: &Importance, text: &str, context: u32) -> Result<Header, String> {
    let said = |error: HeaderError| error.to_string();
    let mut header = Header::default();
    header.set(KIND, Value::Text(IMATRIX.into())).map_err(said)?;
    header.set("imatrix.datasets", Value::Array(Array::from_texts(&[text]))).map_err(said)?;
    header.set("imatrix.chunk_count", Value::U32(importance.windows as u32)).map_err(said)?;
    header.set("imatrix.chunk_size", Value::U32(context)).map_err(said)?;
    let mut tensors = Vec::new();
    for (name, matrix) in &importance.matrices {
        let count = matrix.counts.len() as u64;
        for (ending, width) in [(SUMS, matrix.width as u64), (COUNTS, 1)] {
            let tensor = Tensor::new(format!("{name}{ending}"), vec![width, count], Type::F32);
            tensors.push(tensor.map_err(|error: TensorError| error.to_string())?);
        }
    }
    header.set_tensors(tensors).map_err(said)?;
    Ok(header)
}

/// Reads the weights of columns: the mean squares. An expert that no token went through weighs all of its columns alike.
pub fn read(file: &Path) -> Result<Columns, Error> {
    let failed = |error: FileError| Error::Input(error.to_string());
    let mut source = Source::open(file).map_err(failed)?;
    let header = source.header().clone();
    if header.text(KIND) != Some(IMATRIX) {
        return Err(Error::Input(format!(
            "`{}` is no importance matrix in GGUF form; make one with a stage `imatrix`, or with llama-imatrix",
            file.display()
        )));
    }
    let mut columns = Columns::new();
    for (at, tensor) in header.tensors().iter().enumerate() {
        let Some(name) = tensor.name().strip_suffix(SUMS) else { continue };
        let wrong = || Error::Input(format!("`{}` has no counts for `{name}`; make it anew", file.display()));
        let counts = header.position(&format!("{name}{COUNTS}")).ok_or_else(wrong)?;
        let sums = floats(&mut source, at).map_err(failed)?;
        let counts = floats(&mut source, counts).map_err(failed)?;
        let width = tensor.dim(0) as usize;
        if width == 0
            || sums.len() != width * counts.len()
            || sums.iter().chain(&counts).any(|number| !number.is_finite())
        {
            return Err(wrong());
        }
        let mean = |(sums, &count): (&[f32], &f32)| {
            sums.iter().map(move |&sum| if count > 0.0 { sum / count } else { 1.0 }).collect::<Vec<f32>>()
        };
        columns.insert(name.into(), sums.chunks_exact(width).zip(&counts).flat_map(mean).collect());
    }
    Ok(columns)
}

/// The numbers of a tensor of type F32; none of another.
fn floats(source: &mut Source, tensor: usize) -> Result<Vec<f32>, FileError> {
    let (kind, rows) = match source.header().tensors().get(tensor) {
        Some(tensor) => (tensor.kind(), tensor.rows()),
        None => return Ok(Vec::new()),
    };
    let mut bytes = Vec::new();
    source.read_rows(tensor, 0, rows, &mut bytes)?;
    let number = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    Ok(if kind == Type::F32 { bytes.chunks_exact(4).map(number).collect() } else { Vec::new() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::member::alone::Matrix;

    #[test]
    fn what_was_written_is_read_as_mean_squares() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("imatrix.gguf");
        let matrix = Matrix { width: 2, sums: vec![2.0, 4.0, 0.0, 0.0], counts: vec![2, 0] };
        let matrices = [("blk.0.ffn_up_exps.weight".to_string(), matrix)].into();
        write(&Importance { matrices, windows: 3 }, "a.txt", 512, &file).unwrap();
        let columns = read(&file).unwrap();
        assert_eq!(columns["blk.0.ffn_up_exps.weight"], [1.0, 2.0, 1.0, 1.0]);
        let header = Header::read(&file).unwrap();
        assert_eq!(header.number("imatrix.chunk_count"), Some(3));
    }
}
