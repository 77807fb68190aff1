//! Plants experts that are worth nothing, to test that a profiler finds them.
//!
//! The planted experts stand behind the real ones, so their numbers are known: from the old `expert_count` on. Their
//! weights are uniform noise as loud as the first real expert's, so a token that is sent to one is answered with noise.
//! How often that happens, [`Router`] says.

use crate::experts::{MOST_EXPERTS, Part};
use crate::{Experts, FileError, Header, HeaderError, PruneError, Source, Tensor, Type, Value, Writer};
use std::path::Path;

/// How the router treats the planted experts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Router {
    /// The planted row of the router is the mean of the real ones, so its logit is the mean of theirs.
    ///
    /// The expert is taken only by a token for which fewer experts than it uses are above the mean. No row of a linear
    /// router does better for all inputs. With 8 experts and 2 used in `moe.gguf`, 0.03 % of random inputs and, in
    /// four of five layers, less than 0.2 % of the token embeddings (1.6 % in the first) do so, where a real expert
    /// is taken by 4 to 72 %. Where the router has a bias, a very negative one makes it never.
    Never,
    /// The planted row is noise as loud as the real rows, so the expert is taken like one of the rarer real ones: by 3 to
    /// 23 % of the token embeddings in `moe.gguf`. Counts alone do not tell it from those; what it adds to the output does.
    Sometimes,
}

/// Why nothing was planted.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlantError {
    /// A file that experts cannot be planted in.
    #[error(transparent)]
    Experts(#[from] PruneError),
    /// Trouble with one of the files.
    #[error(transparent)]
    File(#[from] FileError),
    /// A type for which no noise is made.
    #[error("the tensor `{tensor}` is {kind}, and noise is made only in F32, F16, BF16 and Q8_0: give such a file")]
    Type {
        /// The tensor.
        tensor: String,
        /// Its type.
        kind: Type,
    },
    /// Groups of experts, or more experts than llama.cpp takes.
    #[error(
        "{0} experts cannot be planted in this file: it has groups of experts, or llama.cpp's limit of 1024 is reached"
    )]
    Many(u32),
}

/// Bias that no logit outweighs, and that stays finite in F16.
const NEVER: f32 = -60_000.0;

/// Writes a copy of the mixture of experts at `source` to `out` with `extra` useless experts in each layer.
///
/// The same `seed` gives the same file.
pub fn plant(
    source: impl AsRef<Path>,
    out: impl AsRef<Path>,
    extra: u32,
    router: Router,
    seed: u64,
) -> Result<(), PlantError> {
    let mut source = Source::open(source.as_ref())?;
    let experts = Experts::of(source.header())?;
    let header = grown(source.header(), &experts, extra)?;
    let mut writer = Writer::create(out.as_ref(), header)?;
    let mut noise = Noise(seed);
    let mut buffer = Vec::new();
    for index in 0..source.header().tensors().len() {
        let tensor = source.header().tensors()[index].clone();
        copy(&mut source, index, &tensor, &mut writer, &mut buffer)?;
        if let Some(part) = experts.parts()[index] {
            let mut plot = Plot { source: &mut source, index, tensor: &tensor, part, count: experts.count() };
            for _ in 0..extra {
                plot.plant(router, &mut noise, &mut writer)?;
            }
        }
        writer.end_tensor()?;
    }
    Ok(writer.finish()?)
}

/// The header with more experts.
fn grown(header: &Header, experts: &Experts, extra: u32) -> Result<Header, PlantError> {
    let count =
        experts.count().checked_add(extra).filter(|&count| count <= MOST_EXPERTS).ok_or(PlantError::Many(extra))?;
    if header.arch_number("expert_group_count").unwrap_or(0) > 1 {
        return Err(PlantError::Many(extra));
    }
    let grow = |(tensor, part): (&Tensor, &Option<Part>)| {
        let grown = part.map_or_else(|| Ok(tensor.clone()), |part| tensor.with_dim(part.axis, count.into()));
        grown.map_err(HeaderError::from)
    };
    let tensors = header.tensors().iter().zip(experts.parts()).map(grow).collect::<Result<_, _>>();
    let mut grown = header.clone();
    grown.set_tensors(tensors.map_err(PruneError::from)?).map_err(PruneError::from)?;
    let key = format!("{}.expert_count", experts.architecture());
    grown.set(&key, Value::U32(count)).map_err(PruneError::from)?;
    Ok(grown)
}

fn copy(
    source: &mut Source,
    index: usize,
    tensor: &Tensor,
    writer: &mut Writer,
    buffer: &mut Vec<u8>,
) -> Result<(), FileError> {
    let rows = (crate::DEFAULT_BUFFER as u64 / tensor.row_bytes().max(1)).max(1);
    // Rows of nothing can be many.
    let end = if tensor.bytes() == 0 { 0 } else { tensor.rows() };
    let mut first = 0;
    while first < end {
        let count = rows.min(end - first);
        source.read_rows(index, first, count, buffer)?;
        writer.write(buffer)?;
        first += count;
    }
    Ok(())
}

/// A tensor that something is planted in.
struct Plot<'a> {
    source: &'a mut Source,
    index: usize,
    tensor: &'a Tensor,
    part: Part,
    /// Real experts.
    count: u32,
}

impl Plot<'_> {
    /// Appends one expert.
    fn plant(&mut self, router: Router, noise: &mut Noise, writer: &mut Writer) -> Result<(), PlantError> {
        let name = self.tensor.name().to_owned();
        if name.ends_with("scale") {
            // A factor of the weights, which are as loud as the first expert's: so its factor.
            let first = self.raw(0, self.part.bytes)?;
            return Ok(writer.write(&first)?);
        }
        if name.ends_with("_exps.weight") {
            return self.noise(noise, writer);
        }
        if name.ends_with("_exps.bias") {
            return Ok(writer.write(&self.encode(&vec![0.0; self.tensor.dim(0) as usize])?)?);
        }
        let elements = if self.part.axis == 0 { 1 } else { self.tensor.dim(0) as usize };
        let mut sum = vec![0.0f64; elements];
        let mut square = 0.0f64;
        for expert in 0..self.count {
            let row = self.decode(expert.into())?;
            for (sum, value) in sum.iter_mut().zip(row) {
                *sum += f64::from(value);
                square += f64::from(value).powi(2);
            }
        }
        let count = f64::from(self.count);
        let row: Vec<f32> = match router {
            Router::Never if self.part.axis == 0 => vec![NEVER],
            Router::Never => sum.iter().map(|sum| (sum / count) as f32).collect(),
            Router::Sometimes if self.part.axis == 0 => sum.iter().map(|sum| (sum / count) as f32).collect(),
            Router::Sometimes => {
                let loudness = (square / count / elements.max(1) as f64).sqrt() as f32;
                (0..elements).map(|_| noise.value(loudness)).collect()
            }
        };
        Ok(writer.write(&self.encode(&row)?)?)
    }

    /// Appends an expert of noise, row by row.
    fn noise(&mut self, noise: &mut Noise, writer: &mut Writer) -> Result<(), PlantError> {
        // A row of a tensor without rows can claim to be of any length.
        if self.part.bytes == 0 {
            return Ok(());
        }
        // Loudness of the first row of the first expert stands for all.
        let first = self.raw(0, self.tensor.row_bytes())?;
        let first = self.values(&first)?;
        let square: f64 = first.iter().map(|&value| f64::from(value).powi(2)).sum();
        let loudness = (square / first.len().max(1) as f64).sqrt() as f32;
        for _ in 0..self.part.bytes / self.tensor.row_bytes() {
            let row: Vec<f32> = (0..first.len()).map(|_| noise.value(loudness)).collect();
            writer.write(&self.encode(&row)?)?;
        }
        Ok(())
    }

    fn raw(&mut self, offset: u64, bytes: u64) -> Result<Vec<u8>, PlantError> {
        let mut raw = vec![0; bytes as usize];
        self.source.read_at(self.index, offset, &mut raw)?;
        Ok(raw)
    }

    /// What the tensor has of a real expert, decoded.
    fn decode(&mut self, expert: u64) -> Result<Vec<f32>, PlantError> {
        let raw = self.raw(expert * self.part.bytes, self.part.bytes)?;
        self.values(&raw)
    }

    fn values(&self, raw: &[u8]) -> Result<Vec<f32>, PlantError> {
        Ok(match self.tensor.kind() {
            Type::F32 => raw.as_chunks::<4>().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            Type::F16 => raw.as_chunks::<2>().0.iter().map(|&bytes| from_half(u16::from_le_bytes(bytes))).collect(),
            Type::BF16 => {
                let wide = |&[low, high]: &[u8; 2]| f32::from_le_bytes([0, 0, low, high]);
                raw.as_chunks::<2>().0.iter().map(wide).collect()
            }
            Type::Q8_0 => raw
                .as_chunks::<34>()
                .0
                .iter()
                .flat_map(|block| {
                    let scale = from_half(u16::from_le_bytes([block[0], block[1]]));
                    block[2..].iter().map(move |&byte| scale * f32::from(byte.cast_signed()))
                })
                .collect(),
            kind => return Err(PlantError::Type { tensor: self.tensor.name().into(), kind }),
        })
    }

    fn encode(&self, values: &[f32]) -> Result<Vec<u8>, PlantError> {
        Ok(match self.tensor.kind() {
            Type::F32 => values.iter().flat_map(|value| value.to_le_bytes()).collect(),
            Type::F16 => values.iter().flat_map(|&value| to_half(value).to_le_bytes()).collect(),
            Type::BF16 => values.iter().flat_map(|value| ((value.to_bits() >> 16) as u16).to_le_bytes()).collect(),
            Type::Q8_0 => values
                .chunks(32)
                .flat_map(|block| {
                    let largest = block.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
                    let scale = to_half(largest / 127.0);
                    let inverse = match from_half(scale) {
                        0.0 => 0.0,
                        scale => 1.0 / scale,
                    };
                    let quants = block.iter().map(move |value| (value * inverse).round() as i8 as u8);
                    scale.to_le_bytes().into_iter().chain(quants)
                })
                .collect(),
            kind => return Err(PlantError::Type { tensor: self.tensor.name().into(), kind }),
        })
    }
}

/// Random numbers by splitmix64: reproducible, and good enough for noise.
struct Noise(u64);

impl Noise {
    /// A uniform value whose root of the mean square is `loudness`.
    fn value(&mut self, loudness: f32) -> f32 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        let unit = (bits >> 40) as f32 / (1u32 << 23) as f32 - 1.0;
        unit * loudness * 3.0f32.sqrt()
    }
}

fn from_half(half: u16) -> f32 {
    let sign = if half & 0x8000 == 0 { 1.0 } else { -1.0 };
    let (exponent, mantissa) = (u32::from(half >> 10 & 0x1F), u32::from(half & 0x3FF));
    sign * match exponent {
        0 => mantissa as f32 / (1u32 << 24) as f32,
        31 if mantissa > 0 => f32::NAN,
        31 => f32::INFINITY,
        _ => f32::from_bits((exponent + 112) << 23 | mantissa << 13),
    }
}

/// The nearest half; beyond the largest, the largest.
fn to_half(value: f32) -> u16 {
    let sign = if value.is_sign_negative() { 0x8000 } else { 0 };
    let size = value.abs().min(65_504.0);
    let bits = if size < 1.0 / 16_384.0 {
        (size * (1u32 << 24) as f32).round() as u16
    } else {
        (((size.to_bits() + 0x1000) >> 13) - (112 << 10)) as u16
    };
    sign | bits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_survive_the_way_there_and_back() {
        for half in (0..=u16::MAX).filter(|half| half >> 10 & 0x1F != 31) {
            assert_eq!(to_half(from_half(half)), half);
        }
        assert_eq!(to_half(1e9), 0x7BFF);
    }

    #[test]
    fn noise_is_as_loud_as_asked() {
        let mut noise = Noise(1);
        let square: f32 = (0..10_000).map(|_| noise.value(0.5).powi(2)).sum();
        assert!(((square / 10_000.0).sqrt() - 0.5).abs() < 0.01);
    }
}
