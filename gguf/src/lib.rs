//! GGUF files as bytes: headers read and written, tensors copied, experts taken out.
//!
//! Nothing here loads a model or decodes a weight; memory is bounded by the header and one buffer.

/// What a file says of itself before its tensors' data. (To be written.)
#[derive(Debug, Clone)]
pub struct Header;

/// The type of a tensor's elements, by ggml's number. (To be written.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Type(pub u32);
