//! A llama.cpp context: its sequences, a batch, rows. All calls that llama-cpp-2 does not pass on are here.

use super::tap::{self, Tap};
use super::{DecodeError, Work};
use crate::member::Token;
use crate::member::mapped::Mapped;
use llama_cpp_2::model::LlamaModel;
use llama_cpp_sys_2 as sys;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Rows of a member's batch at most. With a vocabulary of 152,000 one is 0.6 MB in llama.cpp's buffers, and as much in its
/// compute graph.
pub(crate) const MOST_ROWS: usize = 32;

/// Tokens of a tail for which there is room beside the texts.
const TAIL: usize = 32;

/// How a context is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Positions of each text.
    pub size: u32,
    /// Texts at once.
    pub texts: usize,
    /// Tails that are decoded side by side.
    pub branches: usize,
    /// Tokens of a batch.
    pub batch: u32,
    /// Of these llama.cpp computes so many at once.
    pub micro_batch: u32,
    /// Rows of a batch at most.
    pub rows: usize,
    /// How attention is computed, and what keys and values are kept as.
    pub attention: Attention,
    /// CPU threads.
    pub threads: usize,
}

/// Of flash attention and a KV cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Attention {
    /// llama.cpp's `LLAMA_FLASH_ATTN_TYPE_…`.
    pub flash: sys::llama_flash_attn_type,
    pub keys: sys::ggml_type,
    pub values: sys::ggml_type,
}

/// A saved recurrent state.
pub(crate) struct Checkpoint(Vec<u8>);

/// Tokens to decode, each with its position, its sequence and whether a row is wanted after it.
#[derive(Default)]
pub(crate) struct Batch {
    tokens: Vec<i32>,
    positions: Vec<i32>,
    sequences: Vec<i32>,
    rows: Vec<i8>,
}

impl Batch {
    pub fn clear(&mut self) {
        self.tokens.clear();
        self.positions.clear();
        self.sequences.clear();
        self.rows.clear();
    }

    /// Its number in the batch, which is also that of its row.
    pub fn add(&mut self, token: Token, position: usize, sequence: usize, row: bool) -> usize {
        self.tokens.push(token as i32);
        self.positions.push(position as i32);
        self.sequences.push(sequence as i32);
        self.rows.push(i8::from(row));
        self.tokens.len() - 1
    }

    /// How many tokens.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Rows that are wanted.
    pub fn rows(&self) -> usize {
        self.rows.iter().filter(|&&row| row != 0).count()
    }
}

pub(crate) struct Context {
    raw: std::ptr::NonNull<sys::llama_context>,
    model: Arc<LlamaModel>,
    shape: Shape,
    interrupted: Arc<AtomicBool>,
    file: Mapped,
    work: Work,
    /// llama.cpp has its address.
    _tap: Option<Arc<Tap>>,
}

// SAFETY: a context is not bound to a thread; `&mut self` on every call that changes it, and the type is not Sync. What sees
// its tensors is behind a lock and is `Send`.
unsafe impl Send for Context {}

impl Context {
    /// `None` when llama.cpp refuses; its log says why. Contexts of one model are made one after the other: llama.cpp writes
    /// to the model meanwhile. Through `tap` somebody sees the tensors that are computed.
    pub fn new(model: Arc<LlamaModel>, shape: Shape, tap: Option<Arc<Tap>>) -> Option<Self> {
        let Shape { size, texts, branches, batch, micro_batch, rows, attention, threads } = shape;
        // SAFETY: returns a plain struct.
        let mut parameters = unsafe { sys::llama_context_default_params() };
        // Tails share the cells of the text that they go off from, so all sequences are in one buffer. Without tails each
        // text has a buffer of its own: then nothing of a row depends on where the cells of others lie.
        let unified = branches > 0;
        parameters.kv_unified = unified;
        parameters.n_ctx = size.saturating_mul(texts as u32) + if unified { (branches * TAIL) as u32 } else { 0 };
        parameters.n_batch = batch;
        parameters.n_ubatch = micro_batch;
        parameters.n_seq_max = (texts + branches) as u32;
        // llama.cpp wants one for each sequence at least, and ends the process otherwise.
        parameters.n_outputs_max = rows.max(texts + branches) as u32;
        parameters.n_threads = threads as i32;
        parameters.n_threads_batch = threads as i32;
        parameters.flash_attn_type = attention.flash;
        parameters.type_k = attention.keys;
        parameters.type_v = attention.values;
        parameters.no_perf = true;
        if let Some(tap) = &tap {
            parameters.cb_eval = Some(tap::pass_on);
            parameters.cb_eval_user_data = Arc::as_ptr(tap).cast_mut().cast();
        }
        // SAFETY: `LlamaModel` is `repr(transparent)` over a `repr(transparent)` non-null pointer to the llama.cpp model,
        // so reading it as that pointer is sound; the model lives as long as `self.model`, longer than the context.
        let raw = unsafe {
            let model: *mut sys::llama_model =
                std::ptr::from_ref::<LlamaModel>(&model).cast::<*mut sys::llama_model>().read();
            sys::llama_init_from_model(model, parameters)
        };
        let raw = std::ptr::NonNull::new(raw)?;
        let (interrupted, file) = (Arc::default(), Mapped::default());
        Some(Self { raw, model, shape, interrupted, file, work: Work::default(), _tap: tap })
    }

    /// Decodes nothing while `interrupted` is true, and stops what is being decoded on the CPU when it becomes true.
    pub fn heed(&mut self, interrupted: &Arc<AtomicBool>) {
        unsafe extern "C" fn is_set(flag: *mut std::ffi::c_void) -> bool {
            // SAFETY: the flag that was registered, which lives as long as the context.
            unsafe { (*flag.cast::<AtomicBool>()).load(Ordering::Relaxed) }
        }
        if Arc::ptr_eq(&self.interrupted, interrupted) {
            return;
        }
        let flag = Arc::as_ptr(interrupted).cast_mut().cast();
        // SAFETY: a valid context; `self.interrupted` keeps the flag until another is registered or the context is freed.
        unsafe { sys::llama_set_abort_callback(self.raw.as_ptr(), Some(is_set), flag) }
        self.interrupted = Arc::clone(interrupted);
    }

    /// Does not trust what is decoded once `file`, the model's, has lost weights.
    pub fn rely_on(&mut self, file: Mapped) {
        self.file = file;
    }

    pub fn model(&self) -> &LlamaModel {
        &self.model
    }

    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Rows of a batch at most.
    pub fn most_rows(&self) -> usize {
        self.shape.rows.max(self.shape.texts + self.shape.branches)
    }

    /// What was decoded so far.
    pub fn work(&self) -> Work {
        self.work
    }

    pub fn set_threads(&mut self, threads: usize) {
        // SAFETY: a valid context; takes effect with the next decode.
        unsafe { sys::llama_set_n_threads(self.raw.as_ptr(), threads as i32, threads as i32) }
    }

    /// Decodes a batch. Its positions go on from what is in the sequences. After an error part of it may be kept.
    pub fn decode(&mut self, batch: &mut Batch) -> Result<(), DecodeError> {
        let count = batch.len();
        // llama.cpp ends the process beyond these.
        assert!(count > 0 && count <= self.shape.batch as usize, "{count} tokens in a batch");
        assert!(batch.rows() <= self.most_rows(), "{} rows in a batch", batch.rows());
        let sequences = self.shape.texts + self.shape.branches;
        assert!(
            batch.sequences.iter().all(|&sequence| (sequence as usize) < sequences),
            "a sequence that there is not"
        );
        if self.interrupted.load(Ordering::Relaxed) {
            return Err(DecodeError::Interrupted);
        }
        let mut counts = vec![1i32; count];
        let mut pointers: Vec<*mut i32> = batch.sequences.iter_mut().map(std::ptr::from_mut).collect();
        let raw = sys::llama_batch {
            n_tokens: count as i32,
            token: batch.tokens.as_mut_ptr(),
            embd: std::ptr::null_mut(),
            pos: batch.positions.as_mut_ptr(),
            n_seq_id: counts.as_mut_ptr(),
            seq_id: pointers.as_mut_ptr(),
            logits: batch.rows.as_mut_ptr(),
        };
        let start = Instant::now();
        // SAFETY: a valid context; all arrays have `n_tokens` entries and live for the call; the assertions above hold what
        // llama.cpp does not check by itself.
        let status = unsafe { sys::llama_decode(self.raw.as_ptr(), raw) };
        self.work.batches += 1;
        self.work.rows += batch.rows() as u64;
        self.work.time += start.elapsed();
        match status {
            0 | 2 if self.file.is_lost() => Err(DecodeError::Lost),
            0 => Ok(()),
            1 => Err(DecodeError::Full),
            2 => Err(DecodeError::Interrupted),
            status => Err(DecodeError::Fatal(status)),
        }
    }

    /// Waits until the last decode is done: a GPU still works on it when llama.cpp returns. Reading a row waits, too.
    pub fn finish(&mut self) {
        let start = Instant::now();
        // SAFETY: a valid context.
        unsafe { sys::llama_synchronize(self.raw.as_ptr()) }
        self.work.time += start.elapsed();
    }

    /// The row after token `index` of the last batch: a logit for each token of the model. `None` when none was asked for
    /// there.
    pub fn row(&mut self, index: usize) -> Option<&[f32]> {
        let tokens = self.model.n_vocab().unsigned_abs() as usize;
        self.finish();
        // SAFETY: a valid context; null when the index has no row. A row has as many floats as the vocabulary has tokens; it
        // stays until the next decode, which needs `&mut self`.
        unsafe {
            let row = sys::llama_get_logits_ith(self.raw.as_ptr(), index as i32);
            (!row.is_null()).then(|| std::slice::from_raw_parts(row, tokens))
        }
    }

    fn memory(&self) -> sys::llama_memory_t {
        // SAFETY: a valid context, which owns its memory.
        unsafe { sys::llama_get_memory(self.raw.as_ptr()) }
    }

    /// Lets `branch` go on from the first `len` positions of `sequence`, whose cells it shares.
    pub fn branch(&mut self, sequence: usize, branch: usize, len: usize) {
        // Between buffers llama.cpp copies whole ones only, and ends the process otherwise.
        assert!(self.shape.branches > 0 && branch >= self.shape.texts, "no room for branches");
        // SAFETY: the context's memory, in one buffer for all sequences.
        unsafe { sys::llama_memory_seq_cp(self.memory(), sequence as i32, branch as i32, 0, len as i32) }
    }

    /// Removes everything of a sequence from position `start` on. False when the memory refused, or kept something all the
    /// same.
    #[must_use]
    pub fn cut(&mut self, sequence: usize, start: usize) -> bool {
        let (memory, sequence, start) = (self.memory(), sequence as i32, start as i32);
        // SAFETY: the context's memory.
        unsafe {
            sys::llama_memory_seq_rm(memory, sequence, start, -1)
                && sys::llama_memory_seq_pos_max(memory, sequence) < start
        }
    }

    /// Removes a sequence, which no memory refuses.
    pub fn forget(&mut self, sequence: usize) {
        // SAFETY: the context's memory.
        unsafe { sys::llama_memory_seq_rm(self.memory(), sequence as i32, -1, -1) };
    }

    /// Removes everything, and overwrites it: a number that is none would spoil what is decoded in its place.
    pub fn clear(&mut self) {
        // SAFETY: the context's memory.
        unsafe { sys::llama_memory_clear(self.memory(), true) }
    }

    /// Saves the state of a sequence that cannot be cut: a recurrent state, without the KV cache.
    pub fn checkpoint(&mut self, sequence: usize) -> Option<Checkpoint> {
        let (raw, sequence) = (self.raw.as_ptr(), sequence as i32);
        // SAFETY: a valid context; the buffer has the length that llama.cpp asked for.
        unsafe {
            let size = sys::llama_state_seq_get_size_ext(raw, sequence, PARTIAL);
            let mut bytes = vec![0u8; size];
            (sys::llama_state_seq_get_data_ext(raw, bytes.as_mut_ptr(), size, sequence, PARTIAL) == size)
                .then_some(Checkpoint(bytes))
        }
    }

    /// Goes back to a saved state, after which positions from `len` on are gone. False when it did not work. In a hybrid
    /// this puts the recurrent half back alone; with that at `len`, llama.cpp no longer refuses to cut the other.
    #[must_use]
    pub fn restore(&mut self, sequence: usize, checkpoint: &Checkpoint, len: usize) -> bool {
        let Checkpoint(bytes) = checkpoint;
        // SAFETY: a valid context; the bytes come from `checkpoint` of this very context.
        let read = unsafe {
            sys::llama_state_seq_set_data_ext(self.raw.as_ptr(), bytes.as_ptr(), bytes.len(), sequence as i32, PARTIAL)
        };
        read == bytes.len() && self.cut(sequence, len)
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
