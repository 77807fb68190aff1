//! GGUF files as bytes: headers read and written, tensors copied, experts taken out.
//!
//! Nothing here loads a model or decodes a weight. Memory is bounded by the header and one buffer, so a file of any
//! size can be handled on a small machine. Files are not trusted: whatever a file says, the answer is a typed error
//! whose text tells a person what to do.
//!
//! | to | use |
//! |---|---|
//! | read and change what stands before the data | [`Header`] |
//! | read rows of a tensor | [`Source`] |
//! | write a new file, tensor by tensor | [`Writer`] |
//! | learn which types llama.cpp's quantiser would choose | [`Header::skeleton`] |
//! | take experts out of a mixture of experts | [`Experts`], [`plan`], [`Plan::write`] |
//! | put useless experts in, to test a profiler | [`plant`] |

#![forbid(unsafe_code)]

mod error;
mod experts;
mod header;
pub mod plant;
mod prune;
mod read;
mod refusal;
mod skeleton;
mod source;
mod tensor;
mod types;
mod value;
mod writer;

pub use error::{FileError, HeaderError};
pub use experts::Experts;
pub use header::Header;
pub use prune::{DEFAULT_BUFFER, Plan, plan};
pub use refusal::PruneError;
pub use source::Source;
pub use tensor::{Tensor, TensorError};
pub use types::Type;
pub use value::{Array, Value};
pub use writer::Writer;
