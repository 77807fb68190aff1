//! The types of tensors, as of llama.cpp in llama-cpp-sys-2 0.1.161 (`ggml.c`, `ggml-common.h`).

macro_rules! types {
    ($($name:ident = $number:literal: $block:literal elements in $bytes:literal bytes;)*) => {
        /// The type of a tensor's elements, by ggml's number.
        #[allow(non_camel_case_types, reason = "the names that ggml and its users write")]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum Type {
            $(#[doc = concat!("ggml's type ", $number, ": ", $block, " elements in ", $bytes, " bytes.")] $name = $number,)*
        }

        impl Type {
            /// Every type that can stand in a file.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The type with ggml's `number`; `None` if it was removed or came later.
            pub const fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$name),)*
                    _ => None,
                }
            }

            /// The type's name in capitals, such as `Q4_K`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$name => stringify!($name),)*
                }
            }

            /// Elements of a block; 1 for types that are not quantised.
            pub const fn block(self) -> u64 {
                match self {
                    $(Self::$name => $block,)*
                }
            }

            /// Bytes of a block.
            pub const fn bytes(self) -> u64 {
                match self {
                    $(Self::$name => $bytes,)*
                }
            }
        }
    };
}

types! {
    F32 = 0: 1 elements in 4 bytes;
    F16 = 1: 1 elements in 2 bytes;
    Q4_0 = 2: 32 elements in 18 bytes;
    Q4_1 = 3: 32 elements in 20 bytes;
    Q5_0 = 6: 32 elements in 22 bytes;
    Q5_1 = 7: 32 elements in 24 bytes;
    Q8_0 = 8: 32 elements in 34 bytes;
    Q8_1 = 9: 32 elements in 36 bytes;
    Q2_K = 10: 256 elements in 84 bytes;
    Q3_K = 11: 256 elements in 110 bytes;
    Q4_K = 12: 256 elements in 144 bytes;
    Q5_K = 13: 256 elements in 176 bytes;
    Q6_K = 14: 256 elements in 210 bytes;
    Q8_K = 15: 256 elements in 292 bytes;
    IQ2_XXS = 16: 256 elements in 66 bytes;
    IQ2_XS = 17: 256 elements in 74 bytes;
    IQ3_XXS = 18: 256 elements in 98 bytes;
    IQ1_S = 19: 256 elements in 50 bytes;
    IQ4_NL = 20: 32 elements in 18 bytes;
    IQ3_S = 21: 256 elements in 110 bytes;
    IQ2_S = 22: 256 elements in 82 bytes;
    IQ4_XS = 23: 256 elements in 136 bytes;
    I8 = 24: 1 elements in 1 bytes;
    I16 = 25: 1 elements in 2 bytes;
    I32 = 26: 1 elements in 4 bytes;
    I64 = 27: 1 elements in 8 bytes;
    F64 = 28: 1 elements in 8 bytes;
    IQ1_M = 29: 256 elements in 56 bytes;
    BF16 = 30: 1 elements in 2 bytes;
    TQ1_0 = 34: 256 elements in 54 bytes;
    TQ2_0 = 35: 256 elements in 66 bytes;
    MXFP4 = 39: 32 elements in 17 bytes;
    NVFP4 = 40: 64 elements in 36 bytes;
    Q1_0 = 41: 128 elements in 18 bytes;
    Q2_0 = 42: 64 elements in 18 bytes;
}

impl Type {
    /// ggml's number.
    pub const fn number(self) -> u32 {
        self as u32
    }

    /// The type that people call `name`, in capitals or not.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// Bytes of a row of `elements`; `None` if the row is not a whole number of blocks.
    pub const fn row_size(self, elements: u64) -> Option<u64> {
        if elements.is_multiple_of(self.block()) { (elements / self.block()).checked_mul(self.bytes()) } else { None }
    }
}

impl std::fmt::Display for Type {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back_to_the_type() {
        for &kind in Type::ALL {
            assert_eq!(Type::from_number(kind.number()), Some(kind));
            assert_eq!(Type::from_name(&kind.name().to_lowercase()), Some(kind));
        }
        assert_eq!(Type::ALL.len(), 35);
        assert_eq!(Type::from_number(4), None);
        assert_eq!(Type::from_number(43), None);
        assert_eq!(Type::from_name("Q4_2"), None);
    }

    #[test]
    fn a_row_is_a_whole_number_of_blocks() {
        assert_eq!(Type::Q4_K.row_size(512), Some(288));
        assert_eq!(Type::Q4_K.row_size(500), None);
        assert_eq!(Type::F32.row_size(3), Some(12));
        assert_eq!(Type::F32.row_size(u64::MAX), None);
    }
}
