//! How attention is computed where a model runs, and what its keys and values are kept as.

use crate::member::model::context::Attention;
use crate::settings::CacheType;
use llama_cpp_sys_2 as sys;

/// Where a model's layers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layers {
    /// All on the CPU.
    Cpu,
    /// All on a GPU.
    Gpu,
    /// Some here, some there.
    Both,
}

impl Layers {
    /// Of so many layers `on_gpu` are on a GPU.
    pub fn of(layers: u32, on_gpu: u32) -> Self {
        match on_gpu {
            0 => Self::Cpu,
            _ if on_gpu == layers => Self::Gpu,
            _ => Self::Both,
        }
    }
}

/// On the CPU flash attention, and keys and values of different types. Of one type, llama.cpp splits a long cache by threads
/// and a batch into tiles (`ggml-cpu/ops.cpp`, `flash_attn_ext`), and adds the parts up: a row would depend on the schedule and
/// on what else is in its batch. Of two it takes each row by itself. Quantised types go that way as well.
///
/// On a GPU llama.cpp chooses. Where some layers are on the CPU there is no flash attention, as a GPU has none for keys and
/// values of different types.
pub fn attention(cache: CacheType, layers: Layers) -> Attention {
    let (keys, values) = match (cache, layers) {
        (CacheType::F16, Layers::Cpu) => (sys::GGML_TYPE_F16, sys::GGML_TYPE_BF16),
        (CacheType::F16, _) => (sys::GGML_TYPE_F16, sys::GGML_TYPE_F16),
        (CacheType::Bf16, _) => (sys::GGML_TYPE_BF16, sys::GGML_TYPE_BF16),
        (CacheType::Q8_0, _) => (sys::GGML_TYPE_Q8_0, sys::GGML_TYPE_Q8_0),
    };
    let flash = match (cache, layers) {
        (_, Layers::Cpu) | (CacheType::Q8_0, _) => sys::LLAMA_FLASH_ATTN_TYPE_ENABLED,
        (_, Layers::Gpu) => sys::LLAMA_FLASH_ATTN_TYPE_AUTO,
        (_, Layers::Both) => sys::LLAMA_FLASH_ATTN_TYPE_DISABLED,
    };
    Attention { flash, keys, values }
}

/// Tokens of a batch, and how many of them are computed at once: on a GPU llama.cpp's own.
pub fn batches(layers: Layers) -> (u32, u32) {
    match layers {
        Layers::Cpu => (512, 512),
        Layers::Gpu | Layers::Both => (2048, 512),
    }
}
