//! A llama.cpp context of one sequence: decode, cut, save, restore. All calls that llama-cpp-2 does not pass on (threads
//! per step, the number of output rows) are here.

use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;
use std::sync::Arc;

/// Only the last rows of a prompt are asked for: for the member's evidence. With a vocabulary of 152,000 one row is 0.6 MB
/// in llama.cpp's buffers, and as much in its compute graph.
pub(super) const MOST_OUTPUTS: usize = 8;

/// Prompt tokens in one batch. Longer batches read prompts a little faster, but their attention scores are
/// `batch × context × heads` floats of memory.
const BATCH: usize = 64;

/// What decoding can come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// No room in the KV cache; nothing changed.
    Full,
    /// llama.cpp's status; part of the batch may be kept.
    Fatal(i32),
}

/// A saved recurrent state.
pub(crate) struct Checkpoint(Vec<u8>);

pub(crate) struct Context {
    raw: std::ptr::NonNull<sys::llama_context>,
    model: Arc<LlamaModel>,
    positions: Vec<i32>,
    outputs: Vec<i8>,
}

// SAFETY: a context is not bound to a thread; `&mut self` on every call that changes it, and the type is not Sync.
unsafe impl Send for Context {}

impl Context {
    /// `size` positions on `threads` threads. `None` when llama.cpp refuses; its log says why. Contexts of one model are
    /// made one after the other: llama.cpp writes to the model meanwhile.
    pub fn new(model: Arc<LlamaModel>, size: u32, threads: usize, on_gpu: bool) -> Option<Self> {
        // SAFETY: returns a plain struct.
        let mut parameters = unsafe { sys::llama_context_default_params() };
        parameters.n_ctx = size;
        parameters.n_batch = BATCH as u32;
        parameters.n_ubatch = BATCH as u32;
        parameters.n_seq_max = 1;
        parameters.n_outputs_max = MOST_OUTPUTS as u32;
        parameters.n_threads = threads as i32;
        parameters.n_threads_batch = threads as i32;
        // On the CPU, flash attention splits a long KV cache by the number of threads and adds up the parts: the same seed
        // would give other bytes on another schedule.
        parameters.flash_attn_type =
            if on_gpu { sys::LLAMA_FLASH_ATTN_TYPE_AUTO } else { sys::LLAMA_FLASH_ATTN_TYPE_DISABLED };
        parameters.no_perf = true;
        // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` non-null pointer to the llama.cpp model,
        // so reading it as that pointer is sound; the model lives as long as `self.model`, longer than the context.
        let raw = unsafe {
            let model: *mut sys::llama_model =
                std::ptr::from_ref::<LlamaModel>(&model).cast::<*mut sys::llama_model>().read();
            sys::llama_init_from_model(model, parameters)
        };
        let raw = std::ptr::NonNull::new(raw)?;
        Some(Self { raw, model, positions: Vec::with_capacity(BATCH), outputs: Vec::with_capacity(BATCH) })
    }

    pub fn model(&self) -> &LlamaModel {
        &self.model
    }

    /// How many positions there are.
    pub fn size(&self) -> usize {
        // SAFETY: a valid context.
        unsafe { sys::llama_n_ctx(self.raw.as_ptr()) as usize }
    }

    pub fn set_threads(&mut self, threads: usize) {
        // SAFETY: a valid context; takes effect with the next decode.
        unsafe { sys::llama_set_n_threads(self.raw.as_ptr(), threads as i32, threads as i32) }
    }

    /// Decodes `tokens` (at most [`Context::batch`]) from position `start` on, and makes rows for the last `rows` of them
    /// (at most [`MOST_OUTPUTS`]).
    pub fn decode(&mut self, tokens: &[i32], start: usize, rows: usize) -> Result<(), DecodeError> {
        debug_assert!(!tokens.is_empty() && tokens.len() <= BATCH && rows <= MOST_OUTPUTS.min(tokens.len()));
        self.positions.clear();
        self.positions.extend((start..start + tokens.len()).map(|position| position as i32));
        self.outputs.clear();
        self.outputs.extend((0..tokens.len()).map(|i| i8::from(i + rows >= tokens.len())));
        let batch = sys::llama_batch {
            n_tokens: tokens.len() as i32,
            token: tokens.as_ptr().cast_mut(),
            embd: std::ptr::null_mut(),
            pos: self.positions.as_mut_ptr(),
            // Null: llama.cpp takes sequence 0 for all.
            n_seq_id: std::ptr::null_mut(),
            seq_id: std::ptr::null_mut(),
            logits: self.outputs.as_mut_ptr(),
        };
        // SAFETY: a valid context; the batch's arrays have `n_tokens` entries, live for the call and are only read; its
        // length is at most n_batch, beyond which llama.cpp aborts.
        match unsafe { sys::llama_decode(self.raw.as_ptr(), batch) } {
            0 => Ok(()),
            1 => Err(DecodeError::Full),
            status => Err(DecodeError::Fatal(status)),
        }
    }

    /// Longest batch.
    pub const fn batch() -> usize {
        BATCH
    }

    /// Row `index` of the last batch, counted over its tokens; `units` floats. `None` when no row was asked for there.
    pub fn row(&mut self, index: usize, units: usize) -> Option<&[f32]> {
        // SAFETY: a valid context; null when the index has no row. A row has as many floats as the vocabulary has tokens,
        // and `units` is at most that; it stays until the next decode, which needs `&mut self`.
        unsafe {
            let row = sys::llama_get_logits_ith(self.raw.as_ptr(), index as i32);
            (!row.is_null()).then(|| std::slice::from_raw_parts(row, units))
        }
    }

    /// Removes everything from position `start` on. False when the memory refused, or kept something all the same.
    #[must_use]
    pub fn cut(&mut self, start: usize) -> bool {
        // SAFETY: a valid context and its memory.
        unsafe {
            let memory = sys::llama_get_memory(self.raw.as_ptr());
            if start == 0 {
                sys::llama_memory_clear(memory, true);
                return true;
            }
            sys::llama_memory_seq_rm(memory, 0, start as i32, -1)
                && sys::llama_memory_seq_pos_max(memory, 0) < start as i32
        }
    }

    /// Saves the state that cannot be cut: a recurrent state, without the KV cache.
    pub fn checkpoint(&mut self) -> Option<Checkpoint> {
        let raw = self.raw.as_ptr();
        // SAFETY: a valid context; the buffer has the length that llama.cpp asked for.
        unsafe {
            let size = sys::llama_state_seq_get_size_ext(raw, 0, PARTIAL);
            let mut bytes = vec![0u8; size];
            (sys::llama_state_seq_get_data_ext(raw, bytes.as_mut_ptr(), size, 0, PARTIAL) == size)
                .then_some(Checkpoint(bytes))
        }
    }

    /// Goes back to a saved state, after which positions from `len` on are gone. False when it did not work.
    #[must_use]
    pub fn restore(&mut self, checkpoint: &Checkpoint, len: usize) -> bool {
        let Checkpoint(bytes) = checkpoint;
        // SAFETY: a valid context; the bytes come from `checkpoint` of this very context.
        let read =
            unsafe { sys::llama_state_seq_set_data_ext(self.raw.as_ptr(), bytes.as_ptr(), bytes.len(), 0, PARTIAL) };
        read == bytes.len() && self.cut(len)
    }
}

/// LLAMA_STATE_SEQ_FLAGS_PARTIAL_ONLY: the recurrent state without the attention's KV cache.
const PARTIAL: u32 = 1;

impl Drop for Context {
    fn drop(&mut self) {
        // SAFETY: made by llama_init_from_model, freed once, before its model.
        unsafe { sys::llama_free(self.raw.as_ptr()) }
    }
}
