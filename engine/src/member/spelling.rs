//! Members with different vocabularies meet in bytes: every text has one sequence of them, and each member can price it exactly.
//!
//! A [`Trie`] has one member's tokens by their bytes. A node owns a range of tokens, those that begin with its bytes, so the
//! mass below it is a difference of two prefix sums over the member's row, and the probability of the next byte a ratio of two
//! masses (Phan et al. 2024, arXiv 2410.09303; Vieira et al. 2024, arXiv 2412.03719).
//!
//! Bytes are compared, never ids: vocabularies may have the same pieces in another order, twice, or not at all. No model is
//! needed here, and none is asked.

mod describe;
mod trie;

pub use describe::{Description, MemberDescription, describe};
pub use trie::{Node, ROOT, Trie};

use super::{Unit, Vocabulary};

/// The number of bytes, which are the first units; unit 65 is `A`.
pub const BYTES: usize = 256;

/// Units of members with different vocabularies: the 256 bytes by their value, then the end of the text.
pub fn bytes() -> Vocabulary {
    let bytes: Vec<u8> = (0..=u8::MAX).collect();
    let mut pieces: Vec<&[u8]> = bytes.chunks(1).collect();
    pieces.push(&[]);
    Vocabulary::from_pieces(&pieces, &[BYTES as Unit]).in_bytes()
}

#[cfg(test)]
mod tests;
