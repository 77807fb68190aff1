//! The importance matrix of a model on a text: for each weight matrix the mean square of what each of its columns is multiplied
//! with. llama.cpp's quantisers spend their precision on the columns where that is large.

use super::{Reading, see};
use crate::error::Error;
use crate::member::model::tap::{Operation, See, Tensor};
use crate::settings::ModelSource;
use std::collections::BTreeMap;

/// The importance of a model's weights.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Importance {
    /// By the name of the weights.
    pub matrices: BTreeMap<String, Matrix>,
    /// Windows that were read.
    pub windows: usize,
}

/// The importance of one tensor's columns.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Matrix {
    /// Columns.
    pub width: usize,
    /// Sums of squares: `width` for each expert, or for each matrix of a tensor of three dimensions.
    pub sums: Vec<f32>,
    /// Tokens that went through each of these.
    pub counts: Vec<u64>,
}

impl Importance {
    /// Reads a text, and adds up. `done` hears how many windows of how many were read.
    ///
    /// # Errors
    /// What can go wrong with the model's file, the text and the decoding.
    pub fn of(
        source: &ModelSource,
        reading: &Reading,
        done: &mut dyn FnMut(usize, usize) -> Result<(), Error>,
    ) -> Result<Self, Error> {
        let (mut importance, windows) = see::<Self>(source, reading, done)?;
        importance.windows = windows;
        Ok(importance)
    }
}

/// The weights of a product, without what the scheduler puts around a name when it copies a tensor to a device:
/// `CUDA0#blk.0.attn_k.weight#0`.
fn weights(tensor: &Tensor) -> Option<String> {
    let weights = tensor.source(0)?;
    let name = weights.name();
    let name = name.split_once('#').map_or(name, |(_, name)| name.split_once('#').map_or(name, |(name, _)| name));
    Some(name.to_string()).filter(|name| name.starts_with("blk.") && name.ends_with(".weight"))
}

impl See for Importance {
    fn wants(&self, tensor: &Tensor) -> bool {
        // Products of two activations have no weights, and the last matrix is quantised without.
        let is_product = tensor.operation() != Operation::Other;
        is_product && weights(tensor).is_some() && tensor.source(1).is_some_and(|source| source.is_floats())
    }

    fn see(&mut self, tensor: &Tensor) {
        let (Some(name), Some(own), Some(input)) = (weights(tensor), tensor.source(0), tensor.source(1)) else {
            return;
        };
        let Some(numbers) = input.floats() else { return };
        let [width, rows, slices, _] = input.dims();
        let [_, _, matrices, others] = own.dims();
        let count = matrices * others;
        let matrix = self.matrices.entry(name).or_default();
        matrix.width = width;
        matrix.sums.resize(width * count, 0.0);
        matrix.counts.resize(count, 0);
        let mut add = |place: usize, row: usize| {
            let Some(numbers) = numbers.get(row * width..(row + 1) * width) else { return };
            let Some(sums) = matrix.sums.get_mut(place * width..(place + 1) * width) else { return };
            sums.iter_mut().zip(numbers).for_each(|(sum, number)| *sum += number * number);
            matrix.counts[place] += 1;
        };
        match tensor.operation() {
            // Activations [width, experts of a token or 1, tokens]; which experts: [experts of a token, tokens].
            Operation::ExpertProduct => {
                let Some(chosen) = tensor.source(2) else { return };
                let used = chosen.dims()[0].max(1);
                for (at, expert) in chosen.integers().unwrap_or_default().into_iter().enumerate() {
                    let (token, place) = (at / used, at % used);
                    let Ok(expert) = usize::try_from(expert) else { continue };
                    add(expert, token * rows + place % rows.max(1));
                }
            }
            // Activations [width, tokens, matrices].
            _ => {
                for slice in 0..slices {
                    (0..rows).for_each(|row| add(slice % count.max(1), slice * rows + row));
                }
            }
        }
    }
}
