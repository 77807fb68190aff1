//! Tensor types and their encodings, as ggml's reference quantisers write them.

/// How numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorType {
    F32,
    F16,
    /// Blocks of 32: a half-precision scale and 32 signed bytes.
    Q8_0,
    /// Blocks of 32: a half-precision scale and 32 half bytes, offset by 8.
    Q4_0,
}

impl TensorType {
    /// ggml's number for it.
    pub fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q8_0 => 8,
        }
    }

    pub fn from_code(code: u32) -> Self {
        let all = [Self::F32, Self::F16, Self::Q8_0, Self::Q4_0];
        all.into_iter().find(|kind| kind.code() == code).unwrap_or_else(|| panic!("tensor type {code}"))
    }

    /// `general.file_type` of a model that is mostly of this type.
    pub fn file_type(self) -> u32 {
        match self {
            Self::Q8_0 => 7,
            other => other.code(),
        }
    }

    /// Numbers that are stored together.
    pub fn block_length(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Q8_0 | Self::Q4_0 => 32,
        }
    }

    /// Bytes of `count` numbers.
    pub fn size(self, count: usize) -> usize {
        let block = match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
        };
        count / self.block_length() * block
    }

    pub fn encode(self, values: &[f32]) -> Vec<u8> {
        let blocks = values.chunks_exact(self.block_length());
        match self {
            Self::F32 => values.iter().flat_map(|x| x.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|&x| to_half(x).to_le_bytes()).collect(),
            Self::Q8_0 => blocks.flat_map(q8_0).collect(),
            Self::Q4_0 => blocks.flat_map(q4_0).collect(),
        }
    }

    pub fn decode(self, data: &[u8]) -> Vec<f32> {
        match self {
            Self::F32 => data.chunks_exact(4).map(|x| f32::from_le_bytes(x.try_into().unwrap())).collect(),
            Self::F16 => data.chunks_exact(2).map(|x| from_half(u16::from_le_bytes(x.try_into().unwrap()))).collect(),
            _ => panic!("fixtures are made from unquantised models"),
        }
    }
}

fn q8_0(block: &[f32]) -> Vec<u8> {
    let scale = block.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let mut out = to_half(scale).to_le_bytes().to_vec();
    out.extend(block.iter().map(|x| (x * inverse).round() as i8 as u8));
    out
}

fn q4_0(block: &[f32]) -> Vec<u8> {
    let largest = block.iter().fold(0.0f32, |most, &x| if x.abs() > most.abs() { x } else { most });
    let scale = largest / -8.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let level = |x: f32| ((x * inverse + 8.5) as u8).min(15);
    let mut out = to_half(scale).to_le_bytes().to_vec();
    out.extend((0..16).map(|i| level(block[i]) | level(block[i + 16]) << 4));
    out
}

/// The nearest half-precision number, ties to even.
fn to_half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16 & 0x8000) as u16;
    let magnitude = bits & 0x7fff_ffff;
    if magnitude > 0x7f80_0000 {
        return sign | 0x7e00;
    }
    // Below the smallest normal half, adding 2^-1 leaves the rounded multiple of 2^-24 in the low bits of the sum.
    if magnitude < 0x3880_0000 {
        return sign | (f32::from_bits(magnitude) + 0.5).to_bits() as u16;
    }
    let rebiased = magnitude - (112 << 23);
    let rounded = (rebiased + 0xfff + (rebiased >> 13 & 1)) >> 13;
    sign | rounded.min(0x7c00) as u16
}

fn from_half(half: u16) -> f32 {
    let sign = u32::from(half & 0x8000) << 16;
    let magnitude = u32::from(half & 0x7fff);
    let value = match magnitude {
        0..0x0400 => magnitude as f32 * 2f32.powi(-24),
        0x0400..0x7c00 => f32::from_bits((magnitude << 13) + (112 << 23)),
        _ => f32::from_bits(magnitude << 13 | 0x7f80_0000),
    };
    f32::from_bits(value.to_bits() | sign)
}
