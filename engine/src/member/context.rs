//! A llama.cpp context of one sequence: decode, cut, save, restore. All calls that llama-cpp-2 does not pass on (threads
//! per step, the number of output rows) are here.

use super::mapped::Mapped;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Only the last rows of a prompt are asked for: for the member's evidence. With a vocabulary of 152,000 one row is 0.6 MB
/// in llama.cpp's buffers, and as much in its compute graph.
pub(super) const MOST_OUTPUTS: usize = 8;

/// Prompt tokens in one batch. Longer batches read prompts a little faster, but their attention scores are
/// `batch × context × heads` floats of memory.
const BATCH: usize = 64;

/// Tokens of a branch for which there is room beside the text.
const BRANCH: usize = 32;

/// What decoding can come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// No room in the KV cache; nothing changed.
    Full,
    /// llama.cpp's status; part of the batch may be kept.
    Fatal(i32),
    /// [`Context::heed`]'s flag is set; part of the batch may be kept.
    Interrupted,
    /// The model's file has lost weights; the rows are nonsense.
    Lost,
}

/// A saved recurrent state.
pub(crate) struct Checkpoint(Vec<u8>);

pub(crate) struct Context {
    raw: std::ptr::NonNull<sys::llama_context>,
    model: Arc<LlamaModel>,
    size: usize,
    positions: Vec<i32>,
    outputs: Vec<i8>,
    /// Sequences beside the first one.
    branches: usize,
    interrupted: Arc<AtomicBool>,
    file: Mapped,
}

// SAFETY: a context is not bound to a thread; `&mut self` on every call that changes it, and the type is not Sync.
unsafe impl Send for Context {}

impl Context {
    /// `size` positions on `threads` threads, and room for `branches` short branches off the text; `all_on_gpu` tells that
    /// no layer is on the CPU. `None` when llama.cpp refuses; its log says why. Contexts of one model are made one after the
    /// other: llama.cpp writes to the model meanwhile.
    pub fn new(model: Arc<LlamaModel>, size: u32, threads: usize, all_on_gpu: bool, branches: usize) -> Option<Self> {
        // SAFETY: returns a plain struct.
        let mut parameters = unsafe { sys::llama_context_default_params() };
        parameters.n_ctx = size + (branches * BRANCH) as u32;
        parameters.n_batch = BATCH as u32;
        parameters.n_ubatch = BATCH as u32;
        parameters.n_seq_max = 1 + branches as u32;
        // Branches share the cells of the text that they go off from.
        parameters.kv_unified = true;
        // llama.cpp wants one for each sequence at least, and ends the process otherwise.
        parameters.n_outputs_max = MOST_OUTPUTS.max(1 + branches) as u32;
        parameters.n_threads = threads as i32;
        parameters.n_threads_batch = threads as i32;
        // On the CPU, flash attention splits a long KV cache by the number of threads and adds up the parts: the same seed
        // would give other bytes on another schedule. One layer there is enough for that.
        parameters.flash_attn_type =
            if all_on_gpu { sys::LLAMA_FLASH_ATTN_TYPE_AUTO } else { sys::LLAMA_FLASH_ATTN_TYPE_DISABLED };
        parameters.no_perf = true;
        // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` non-null pointer to the llama.cpp model,
        // so reading it as that pointer is sound; the model lives as long as `self.model`, longer than the context.
        let raw = unsafe {
            let model: *mut sys::llama_model =
                std::ptr::from_ref::<LlamaModel>(&model).cast::<*mut sys::llama_model>().read();
            sys::llama_init_from_model(model, parameters)
        };
        let raw = std::ptr::NonNull::new(raw)?;
        // llama.cpp rounds up to a multiple of 256, which may be more than the model was trained for.
        let size = size as usize;
        Some(Self {
            raw,
            model,
            size,
            positions: Vec::with_capacity(BATCH),
            outputs: Vec::with_capacity(BATCH),
            branches,
            interrupted: Arc::default(),
            file: Mapped::default(),
        })
    }

    /// Decodes nothing while `interrupted` is true, and stops what is being decoded on the CPU when it becomes true.
    pub fn heed(&mut self, interrupted: Arc<AtomicBool>) {
        unsafe extern "C" fn is_set(flag: *mut std::ffi::c_void) -> bool {
            // SAFETY: the flag that was registered, which lives as long as the context.
            unsafe { (*flag.cast::<AtomicBool>()).load(Ordering::Relaxed) }
        }
        let flag = Arc::as_ptr(&interrupted).cast_mut().cast();
        // SAFETY: a valid context; `self.interrupted` keeps the flag until the context is freed.
        unsafe { sys::llama_set_abort_callback(self.raw.as_ptr(), Some(is_set), flag) }
        self.interrupted = interrupted;
    }

    /// Does not trust what is decoded once `file`, the model's, has lost weights.
    pub fn rely_on(&mut self, file: Mapped) {
        self.file = file;
    }

    /// What a status of llama.cpp means.
    fn outcome(&self, status: i32) -> Result<(), DecodeError> {
        match status {
            0 | 2 if self.file.is_lost() => Err(DecodeError::Lost),
            0 => Ok(()),
            1 => Err(DecodeError::Full),
            2 => Err(DecodeError::Interrupted),
            status => Err(DecodeError::Fatal(status)),
        }
    }

    pub fn model(&self) -> &LlamaModel {
        &self.model
    }

    /// How many positions there are.
    pub fn size(&self) -> usize {
        self.size
    }

    pub fn set_threads(&mut self, threads: usize) {
        // SAFETY: a valid context; takes effect with the next decode.
        unsafe { sys::llama_set_n_threads(self.raw.as_ptr(), threads as i32, threads as i32) }
    }

    /// Decodes `tokens` (at most [`Context::batch`]) from position `start` on, and makes rows for the last `rows` of them
    /// (at most [`MOST_OUTPUTS`]).
    pub fn decode(&mut self, tokens: &[i32], start: usize, rows: usize) -> Result<(), DecodeError> {
        debug_assert!(!tokens.is_empty() && tokens.len() <= BATCH && rows <= MOST_OUTPUTS.min(tokens.len()));
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(DecodeError::Interrupted);
        }
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
        let status = unsafe { sys::llama_decode(self.raw.as_ptr(), batch) };
        self.outcome(status)
    }

    /// Decodes each of `tails` from position `start` on, in a sequence of its own that goes on from the text up to there,
    /// and makes a row for the last token of each; see [`Context::row`] for where. The text's own sequence stays. As many
    /// tails as there are branches, and together at most a batch; otherwise nothing is done.
    pub fn decode_branches(&mut self, tails: &[&[i32]], start: usize) -> Result<(), DecodeError> {
        let tokens: Vec<i32> = tails.concat();
        if tails.len() > self.branches.min(MOST_OUTPUTS) || tokens.is_empty() || tokens.len() > BATCH {
            return Err(DecodeError::Full);
        }
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(DecodeError::Interrupted);
        }
        let mut sequences: Vec<i32> = Vec::with_capacity(tokens.len());
        self.positions.clear();
        self.outputs.clear();
        for (branch, tail) in (1..).zip(tails) {
            sequences.extend(tail.iter().map(|_| branch));
            self.positions.extend((start..start + tail.len()).map(|position| position as i32));
            self.outputs.extend((1..=tail.len()).map(|count| i8::from(count == tail.len())));
        }
        let counts = vec![1i32; tokens.len()];
        let mut pointers: Vec<*mut i32> = sequences.iter_mut().map(std::ptr::from_mut).collect();
        let batch = sys::llama_batch {
            n_tokens: tokens.len() as i32,
            token: tokens.as_ptr().cast_mut(),
            embd: std::ptr::null_mut(),
            pos: self.positions.as_mut_ptr(),
            n_seq_id: counts.as_ptr().cast_mut(),
            seq_id: pointers.as_mut_ptr(),
            logits: self.outputs.as_mut_ptr(),
        };
        // SAFETY: a valid context and its memory; sequences are below n_seq_max; the batch's arrays have `n_tokens` entries
        // and live for the call; it is at most n_batch long.
        let status = unsafe {
            let memory = sys::llama_get_memory(self.raw.as_ptr());
            for branch in 1..=tails.len() as i32 {
                sys::llama_memory_seq_cp(memory, 0, branch, 0, start as i32);
            }
            let status = sys::llama_decode(self.raw.as_ptr(), batch);
            for branch in 1..=tails.len() as i32 {
                sys::llama_memory_seq_rm(memory, branch, -1, -1);
            }
            status
        };
        self.outcome(status)
    }

    /// Waits until the last decode is done: a GPU still works on it when llama.cpp returns. Reading a row waits, too.
    pub fn finish(&mut self) {
        // SAFETY: a valid context.
        unsafe { sys::llama_synchronize(self.raw.as_ptr()) }
    }

    /// How many tails [`Context::decode_branches`] takes.
    pub fn branches(&self) -> usize {
        self.branches
    }

    /// Longest batch.
    pub const fn batch() -> usize {
        BATCH
    }

    /// Row `index` of the last batch, counted over its tokens: a logit for each token of the model. `None` when no row was
    /// asked for there.
    pub fn row(&mut self, index: usize) -> Option<&[f32]> {
        let tokens = self.model.n_vocab().unsigned_abs() as usize;
        // SAFETY: a valid context; null when the index has no row. A row has as many floats as the vocabulary has tokens; it
        // stays until the next decode, which needs `&mut self`.
        unsafe {
            let row = sys::llama_get_logits_ith(self.raw.as_ptr(), index as i32);
            (!row.is_null()).then(|| std::slice::from_raw_parts(row, tokens))
        }
    }

    /// Removes everything from position `start` on. False when the memory refused, or kept something all the same.
    #[must_use]
    pub fn cut(&mut self, start: usize) -> bool {
        // SAFETY: a valid context and its memory.
        unsafe {
            let memory = sys::llama_get_memory(self.raw.as_ptr());
            sys::llama_memory_seq_rm(memory, 0, start as i32, -1)
                && sys::llama_memory_seq_pos_max(memory, 0) < start as i32
        }
    }

    /// Removes everything, which no memory refuses.
    pub fn clear(&mut self) {
        // SAFETY: a valid context and its memory.
        unsafe { sys::llama_memory_clear(sys::llama_get_memory(self.raw.as_ptr()), true) }
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

    /// Goes back to a saved state, after which positions from `len` on are gone. False when it did not work. In a hybrid
    /// this puts the recurrent half back alone; with that at `len`, llama.cpp no longer refuses to cut the other.
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
