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
    /// Blocks of 32: a half-precision scale, 32 fifth bits and 32 half bytes, offset by 16.
    Q5_0,
    /// Blocks of 256 in 8 parts: two half-precision scales, 12 bytes of scales and minima, 256 half bytes.
    Q4K,
}

impl TensorType {
    /// ggml's number for it.
    pub fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q5_0 => 6,
            Self::Q8_0 => 8,
            Self::Q4K => 12,
        }
    }

    pub fn from_code(code: u32) -> Self {
        let all = [Self::F32, Self::F16, Self::Q8_0, Self::Q4_0, Self::Q5_0, Self::Q4K];
        all.into_iter().find(|kind| kind.code() == code).unwrap_or_else(|| panic!("tensor type {code}"))
    }

    /// `general.file_type` of a model that is mostly of this type.
    pub fn file_type(self) -> u32 {
        match self {
            Self::Q8_0 => 7,
            Self::Q5_0 => 8,
            Self::Q4K => 15,
            other => other.code(),
        }
    }

    /// Numbers that are stored together.
    pub fn block_length(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 1,
            Self::Q8_0 | Self::Q4_0 | Self::Q5_0 => 32,
            Self::Q4K => 256,
        }
    }

    /// Bytes of `count` numbers.
    pub fn size(self, count: usize) -> usize {
        let block = match self {
            Self::F32 => 4,
            Self::F16 => 2,
            Self::Q8_0 => 34,
            Self::Q4_0 => 18,
            Self::Q5_0 => 22,
            Self::Q4K => 144,
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
            Self::Q5_0 => blocks.flat_map(q5_0).collect(),
            Self::Q4K => blocks.flat_map(q4_k).collect(),
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

fn q5_0(block: &[f32]) -> Vec<u8> {
    let largest = block.iter().fold(0.0f32, |most, &x| if x.abs() > most.abs() { x } else { most });
    let scale = largest / -16.0;
    let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
    let level = |x: f32| ((x * inverse + 16.5) as u8).min(31);
    let fifth = (0..32).fold(0u32, |bits, i| bits | u32::from(level(block[i]) >> 4) << i);
    let mut out = to_half(scale).to_le_bytes().to_vec();
    out.extend(fifth.to_le_bytes());
    out.extend((0..16).map(|i| level(block[i]) & 15 | level(block[i + 16]) << 4));
    out
}

/// Each part from its least number to its largest, in 15 steps; scale and minimum of a part are 6 bits of the block's.
fn q4_k(block: &[f32]) -> Vec<u8> {
    let parts: Vec<&[f32]> = block.chunks_exact(32).collect();
    let minima: Vec<f32> = parts.iter().map(|part| -part.iter().copied().fold(0.0, f32::min)).collect();
    let scales: Vec<f32> = parts
        .iter()
        .zip(&minima)
        .map(|(part, minimum)| (part.iter().copied().fold(0.0, f32::max) + minimum) / 15.0)
        .collect();
    let largest = |list: &[f32]| to_half(list.iter().copied().fold(0.0, f32::max) / 63.0);
    let (scale, minimum) = (largest(&scales), largest(&minima));
    let sixth = |value: f32, unit: u16| if unit == 0 { 0 } else { ((value / from_half(unit)).round() as u8).min(63) };
    let scales: Vec<u8> = scales.into_iter().map(|value| sixth(value, scale)).collect();
    let minima: Vec<u8> = minima.into_iter().map(|value| sixth(value, minimum)).collect();
    let mut out = [scale.to_le_bytes(), minimum.to_le_bytes()].concat();
    // The high two bits of parts 4 to 7 stand above those of parts 0 to 3.
    out.extend((0..4).map(|part| scales[part] | (scales[part + 4] >> 4) << 6));
    out.extend((0..4).map(|part| minima[part] | (minima[part + 4] >> 4) << 6));
    out.extend((4..8).map(|part| scales[part] & 15 | (minima[part] & 15) << 4));
    let level = |part: usize, index: usize| {
        let step = from_half(scale) * f32::from(scales[part]);
        let offset = from_half(minimum) * f32::from(minima[part]);
        if step == 0.0 { 0 } else { ((parts[part][index] + offset) / step).round().clamp(0.0, 15.0) as u8 }
    };
    for pair in [0, 2, 4, 6] {
        out.extend((0..32).map(|index| level(pair, index) | level(pair + 1, index) << 4));
    }
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
