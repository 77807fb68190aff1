//! Members with different vocabularies: what all of them can write, and how each one's tokens are made of it.
//!
//! The **units** are the byte strings that every vocabulary has as one token, the 256 bytes, and END. Every token of a
//! member is a sequence of units (its bytes, cut greedily into the longest ones), so a distribution over the member's next
//! token is one over the next unit: the mass of a unit is the sum over the tokens that begin with it (lossless vocabulary
//! reduction, arXiv 2510.08102). [`TokenMap`] has these sequences of one member as a trie whose nodes own ranges of tokens.
//! Bytes are compared, never ids: vocabularies may have the same pieces in another order, twice, or not at all.
//!
//! No model is needed here, and none is asked.

mod cache;
mod common;
mod describe;
mod trie;

pub use cache::reduce_cached;
pub use common::{Common, reduce};
pub use describe::{Description, MemberDescription};
pub use trie::{Node, ROOT, TokenMap};

#[cfg(test)]
mod tests;
