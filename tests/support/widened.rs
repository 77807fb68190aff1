//! A wider model that computes the same function, so that kernels meet larger matrices and real text still tells
//! right from wrong.

use std::path::Path;

use super::gguf::{Gguf, Tensor, TensorType, Value};

/// How many times wider. With it the stories models' feed-forward rows divide into blocks of 32.
pub const COPIES: usize = 8;

/// In sixteenths, the share of a column's weight that each copy carries. They add up to one, so that a sum over the
/// copies is the original; they differ, so that neighbouring blocks of a matrix do. No eigenvalue of the matrix that
/// they make by rotation is above one: otherwise rounding errors, which differ between copies, grow from layer to layer.
const PARTS: [f32; COPIES] = [5.0, -2.0, 4.0, 1.0, 3.0, -1.0, 4.0, 2.0];

/// Writes the model `from` with every activation repeated [`COPIES`] times, its matrices as `kind`.
///
/// Rows repeat with the activations that they make; columns share their weight among the copies of the activation that
/// they read. Normalisation, rotation and attention heads do not notice.
pub fn widen(from: &Path, kind: TensorType, to: &Path) {
    let mut model = Gguf::read(from);
    for tensor in &mut model.tensors {
        *tensor = match tensor.name.as_str() {
            "token_embd.weight" => spread(tensor, 1, |_, _| 1.0, kind),
            "output.weight" => spread(tensor, 1, |_, column| PARTS[column] / 16.0, kind),
            _ if tensor.shape.len() == 1 => spread(tensor, 1, |_, _| 1.0, TensorType::F32),
            _ => spread(tensor, COPIES, |row, column| PARTS[(row + column) % COPIES] / 16.0, kind),
        };
    }
    let widths = ["embedding_length", "feed_forward_length", "attention.head_count", "attention.head_count_kv"];
    for key in widths.map(|key| format!("llama.{key}")) {
        match *model.get(&key) {
            Value::U32(length) => model.set(&key, Value::U32(length * COPIES as u32)),
            ref other => panic!("{key} is {other:?}"),
        }
    }
    model.set("general.file_type", Value::U32(kind.file_type()));
    model.write(to);
}

/// The tensor with `row_copies` times its rows and [`COPIES`] times its columns, each copy scaled by `part`.
fn spread(tensor: &Tensor, row_copies: usize, part: impl Fn(usize, usize) -> f32, kind: TensorType) -> Tensor {
    let values = tensor.values();
    let rows: Vec<&[f32]> = values.chunks_exact(tensor.shape[0]).collect();
    let mut wide = Vec::with_capacity(values.len() * row_copies * COPIES);
    for row_copy in 0..row_copies {
        for row in &rows {
            for column_copy in 0..COPIES {
                let factor = part(row_copy, column_copy);
                wide.extend(row.iter().map(|x| x * factor));
            }
        }
    }
    let mut shape = tensor.shape.clone();
    shape[0] *= COPIES;
    if let Some(count) = shape.get_mut(1) {
        *count *= row_copies;
    }
    Tensor::new(&tensor.name, &shape, kind, &wide)
}
