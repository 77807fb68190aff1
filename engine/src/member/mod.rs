//! The only code that names llama-cpp-2.

pub mod sampler;
