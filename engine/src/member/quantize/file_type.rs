//! The types that a file can be quantised to, by the names that llama.cpp's users know.

use crate::near::guess;
use llama_cpp_sys_2 as sys;

/// Names as `llama-quantize` has them, with llama.cpp's numbers.
const NAMES: [(&str, sys::llama_ftype); 37] = [
    ("F32", sys::LLAMA_FTYPE_ALL_F32),
    ("F16", sys::LLAMA_FTYPE_MOSTLY_F16),
    ("BF16", sys::LLAMA_FTYPE_MOSTLY_BF16),
    ("Q8_0", sys::LLAMA_FTYPE_MOSTLY_Q8_0),
    ("Q6_K", sys::LLAMA_FTYPE_MOSTLY_Q6_K),
    ("Q5_K_M", sys::LLAMA_FTYPE_MOSTLY_Q5_K_M),
    ("Q5_K_S", sys::LLAMA_FTYPE_MOSTLY_Q5_K_S),
    ("Q5_1", sys::LLAMA_FTYPE_MOSTLY_Q5_1),
    ("Q5_0", sys::LLAMA_FTYPE_MOSTLY_Q5_0),
    ("Q4_K_M", sys::LLAMA_FTYPE_MOSTLY_Q4_K_M),
    ("Q4_K_S", sys::LLAMA_FTYPE_MOSTLY_Q4_K_S),
    ("Q4_1", sys::LLAMA_FTYPE_MOSTLY_Q4_1),
    ("Q4_0", sys::LLAMA_FTYPE_MOSTLY_Q4_0),
    ("IQ4_NL", sys::LLAMA_FTYPE_MOSTLY_IQ4_NL),
    ("IQ4_XS", sys::LLAMA_FTYPE_MOSTLY_IQ4_XS),
    ("Q3_K_L", sys::LLAMA_FTYPE_MOSTLY_Q3_K_L),
    ("Q3_K_M", sys::LLAMA_FTYPE_MOSTLY_Q3_K_M),
    ("Q3_K_S", sys::LLAMA_FTYPE_MOSTLY_Q3_K_S),
    ("IQ3_M", sys::LLAMA_FTYPE_MOSTLY_IQ3_M),
    ("IQ3_S", sys::LLAMA_FTYPE_MOSTLY_IQ3_S),
    ("IQ3_XS", sys::LLAMA_FTYPE_MOSTLY_IQ3_XS),
    ("IQ3_XXS", sys::LLAMA_FTYPE_MOSTLY_IQ3_XXS),
    ("Q2_K", sys::LLAMA_FTYPE_MOSTLY_Q2_K),
    ("Q2_K_S", sys::LLAMA_FTYPE_MOSTLY_Q2_K_S),
    ("IQ2_M", sys::LLAMA_FTYPE_MOSTLY_IQ2_M),
    ("IQ2_S", sys::LLAMA_FTYPE_MOSTLY_IQ2_S),
    ("IQ2_XS", sys::LLAMA_FTYPE_MOSTLY_IQ2_XS),
    ("IQ2_XXS", sys::LLAMA_FTYPE_MOSTLY_IQ2_XXS),
    ("TQ2_0", sys::LLAMA_FTYPE_MOSTLY_TQ2_0),
    ("IQ1_M", sys::LLAMA_FTYPE_MOSTLY_IQ1_M),
    ("TQ1_0", sys::LLAMA_FTYPE_MOSTLY_TQ1_0),
    ("IQ1_S", sys::LLAMA_FTYPE_MOSTLY_IQ1_S),
    ("Q2_0", sys::LLAMA_FTYPE_MOSTLY_Q2_0),
    ("Q1_0", sys::LLAMA_FTYPE_MOSTLY_Q1_0),
    ("MXFP4_MOE", sys::LLAMA_FTYPE_MOSTLY_MXFP4_MOE),
    // Both names are in use.
    ("Q4_K", sys::LLAMA_FTYPE_MOSTLY_Q4_K_M),
    ("Q5_K", sys::LLAMA_FTYPE_MOSTLY_Q5_K_M),
];

/// A type that a file can be quantised to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileType(pub(super) sys::llama_ftype);

impl FileType {
    /// By its name, in any case.
    ///
    /// # Errors
    /// A sentence, for a name that llama.cpp does not know.
    pub fn parse(name: &str) -> Result<Self, String> {
        let known = NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(_, number)| Self(*number)).ok_or_else(|| {
            let guess = guess(&name.to_uppercase(), NAMES.iter().map(|(known, _)| *known));
            format!(
                "there is no type `{name}` to quantise to{guess} Known: {}",
                Self::names().collect::<Vec<_>>().join(", ")
            )
        })
    }

    /// All names, from the largest type to the smallest.
    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|(name, _)| *name)
    }

    /// What `general.file_type` says.
    pub(super) fn number(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_others_are_guessed() {
        assert_eq!(FileType::parse("q4_k_m"), FileType::parse("Q4_K_M"));
        assert!(FileType::parse("Q4_K_M").is_ok());
        let unknown = FileType::parse("Q4_KM").unwrap_err();
        assert!(unknown.contains("did you mean `Q4_K_M`") || unknown.contains("did you mean `Q4_K`"), "{unknown}");
    }
}
