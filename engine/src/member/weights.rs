//! A model's weights in memory, as every member gets them.
//!
//! llama.cpp keeps weights in another layout where its kernels want one (its *extra buffer types*: AMX, repacking). Those
//! for AMX are right only where a weight matrix is multiplied with a matrix: `ggml_backend_amx_mul_mat` takes the offset
//! into the weights from the third dimension of the *result* (`ggml-cpu/amx/mmq.cpp`: `ggml_batch_offset` in line 2304,
//! called for `src0` in 2374, 2450 and 2492), which weights do not have. Where the other operand has one slice for each
//! sequence, as in recurrent and hybrid models, it reads past the weights: NaN, garbage or SIGSEGV. And of quantised weights
//! that do have three dimensions (the absorbed projections of DeepSeek's attention, Gemma 3n's) it makes room for the first
//! slice alone (`ggml_backend_amx_get_alloc_size`). So in a build with AMX only models whose products are known to be of
//! two matrices get that layout: no batch, however it is put together, reads too far.
//! Repacking (`ggml-cpu/repack.cpp`) divides by the ratio of the dimensions (line 4623) and takes no weights of three
//! dimensions (line 5194): it is right, and stays on where there is no AMX.

use llama_cpp_2::LlamaModelLoadError;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;
use std::ffi::{CString, c_void};
use std::path::Path;
use std::ptr::NonNull;

/// Architectures that multiply their weights with matrices alone, one column for each token, whatever stands in the batch:
/// read in llama.cpp's `src/models`, as of llama-cpp-sys-2 0.1.161. One that is not here runs without AMX, which costs time
/// and nothing else.
const PLAIN: &[&str] = &[
    "apertus",
    "arcee",
    "baichuan",
    "bitnet",
    "bloom",
    "chatglm",
    "cohere2",
    "command-r",
    "dbrx",
    "deci",
    "deepseek",
    "dots1",
    "ernie4_5",
    "ernie4_5-moe",
    "exaone",
    "exaone4",
    "falcon",
    "gemma",
    "gemma2",
    "gemma3",
    "gemma4",
    "glm4",
    "glm4moe",
    "gpt-oss",
    "gpt2",
    "gptneox",
    "granite",
    "granitemoe",
    "grok",
    "hunyuan-dense",
    "hunyuan-moe",
    "internlm2",
    "llama",
    "llama4",
    "minicpm",
    "minimax-m2",
    "mistral3",
    "mpt",
    "nemotron",
    "olmo",
    "olmo2",
    "olmoe",
    "orion",
    "phi2",
    "phi3",
    "phimoe",
    "qwen",
    "qwen2",
    "qwen2moe",
    "qwen3",
    "qwen3moe",
    "seed_oss",
    "smollm3",
    "stablelm",
    "starcoder",
    "starcoder2",
    "xverse",
];

/// Reads a model of this architecture with `gpu_layers` layers on the GPU (−1 for all of them). `progress` hears what part
/// is read, and stops it by `false`. llama-cpp-2's own way has no setting for the layout.
///
/// # Errors
/// When llama.cpp gives no model; its log says why.
pub fn load(
    _: &LlamaBackend,
    path: &Path,
    architecture: &str,
    gpu_layers: i32,
    mut progress: &mut dyn FnMut(f32) -> bool,
) -> Result<LlamaModel, LlamaModelLoadError> {
    unsafe extern "C" fn report(part: f32, progress: *mut c_void) -> bool {
        // SAFETY: this is the address of `progress` below, which lives until llama.cpp has read the file.
        unsafe { (*progress.cast::<&mut dyn FnMut(f32) -> bool>())(part) }
    }
    let path = CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: returns a plain struct.
    let mut parameters = unsafe { sys::llama_model_default_params() };
    parameters.n_gpu_layers = gpu_layers;
    parameters.use_extra_bufts = has_own_layout(architecture, has_amx());
    parameters.progress_callback = Some(report);
    parameters.progress_callback_user_data = (&raw mut progress).cast();
    // SAFETY: a C string and parameters whose only pointers, those for the progress, are valid during the call.
    let raw = unsafe { sys::llama_model_load_from_file(path.as_ptr(), parameters) };
    let raw = NonNull::new(raw).ok_or(LlamaModelLoadError::NullResult)?;
    // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` non-null pointer to the llama.cpp model, which
    // it owns: nobody else has this one.
    Ok(unsafe { std::mem::transmute::<NonNull<sys::llama_model>, LlamaModel>(raw) })
}

/// Whether llama.cpp was built with its kernels for AMX.
fn has_amx() -> bool {
    // SAFETY: returns a constant of the build.
    unsafe { sys::ggml_cpu_has_amx_int8() != 0 }
}

/// Whether weights may be kept in the layout of this build's kernels.
fn has_own_layout(architecture: &str, amx: bool) -> bool {
    !amx || PLAIN.contains(&architecture)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_amx_only_products_of_two_matrices_have_their_own_layout() {
        for architecture in ["llama", "qwen3moe", "gemma3", "gpt-oss"] {
            assert!(has_own_layout(architecture, true), "{architecture}");
        }
        // Recurrent, hybrid, with weights of three dimensions, and one that nobody has read.
        let others = ["mamba", "mamba2", "rwkv7", "jamba", "lfm2", "qwen3next", "falcon-h1", "nemotron_h"];
        for architecture in others.into_iter().chain(["deepseek2", "mistral4", "gemma3n", "of-tomorrow"]) {
            assert!(!has_own_layout(architecture, true), "{architecture}");
            assert!(has_own_layout(architecture, false), "{architecture}");
        }
        assert!(PLAIN.is_sorted());
    }
}
