//! Tensors of llama.cpp's graph, seen while they are computed: what `cb_eval` of a context's parameters is for.
//!
//! llama.cpp asks about each node whether it is wanted, computes the graph up to there, waits, and shows it. A context that
//! somebody looks into is slower, and computes the same to the bit.

use crate::panics::guarded;
use llama_cpp_sys_2 as sys;
use std::ffi::{CStr, c_void};
use std::marker::PhantomData;
use std::sync::{Arc, Mutex, PoisonError};

/// Whoever looks at tensors.
pub(crate) trait See: Send {
    /// Whether this tensor is wanted, before it is computed.
    fn wants(&self, tensor: &Tensor) -> bool;
    /// Shows a tensor that was wanted.
    fn see(&mut self, tensor: &Tensor);
}

/// The way from a context to whoever looks into it.
pub(crate) struct Tap {
    seer: Arc<Mutex<dyn See>>,
    /// What the seer panicked with; nothing is shown to it afterwards.
    panicked: Mutex<Option<String>>,
}

impl Tap {
    pub fn new(seer: Arc<Mutex<dyn See>>) -> Arc<Self> {
        Arc::new(Self { seer, panicked: Mutex::default() })
    }

    /// What went wrong while tensors were seen.
    pub fn failure(&self) -> Option<String> {
        self.panicked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer that llama.cpp wants: before a tensor is computed whether it is wanted, afterwards whether to go on.
    fn hear(&self, tensor: &Tensor, is_asked: bool) -> bool {
        let mut panicked = self.panicked.lock().unwrap_or_else(PoisonError::into_inner);
        if panicked.is_some() {
            return !is_asked;
        }
        let outcome = guarded(|| {
            let mut seer = self.seer.lock().unwrap_or_else(PoisonError::into_inner);
            if is_asked {
                return seer.wants(tensor);
            }
            seer.see(tensor);
            true
        });
        outcome.unwrap_or_else(|panic| {
            *panicked = Some(panic);
            !is_asked
        })
    }
}

/// llama.cpp's `cb_eval`; its data is a [`Tap`].
///
/// # Safety
/// `tap` is the address of a [`Tap`] that lives for the call, `tensor` a node of the graph that is being computed.
pub(super) unsafe extern "C" fn pass_on(tensor: *mut sys::ggml_tensor, is_asked: bool, tap: *mut c_void) -> bool {
    // SAFETY: the caller's promise: the context that was given both keeps the tap, and the node lives while it is computed.
    let (tap, tensor) = unsafe { (&*tap.cast::<Tap>(), &*tensor) };
    tap.hear(&Tensor { raw: tensor, _graph: PhantomData }, is_asked)
}

/// A node of a graph.
pub(crate) struct Tensor<'a> {
    raw: &'a sys::ggml_tensor,
    /// Its sources are pointers into the same graph.
    _graph: PhantomData<&'a sys::ggml_cgraph>,
}

/// What computes a tensor, as far as anybody asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Weights times activations.
    Product,
    /// The weights of chosen experts times activations.
    ExpertProduct,
    /// Anything else.
    Other,
}

impl Tensor<'_> {
    /// The name that llama.cpp gave it: `ffn_moe_topk-3`, or that of the weights.
    pub fn name(&self) -> &str {
        // SAFETY: bytes as bytes.
        let bytes = unsafe { &*(std::ptr::from_ref(&self.raw.name) as *const [u8; 64]) };
        CStr::from_bytes_until_nul(bytes).ok().and_then(|name| name.to_str().ok()).unwrap_or_default()
    }

    pub fn operation(&self) -> Operation {
        match self.raw.op {
            sys::GGML_OP_MUL_MAT => Operation::Product,
            sys::GGML_OP_MUL_MAT_ID => Operation::ExpertProduct,
            _ => Operation::Other,
        }
    }

    /// What it is computed of.
    pub fn source(&self, index: usize) -> Option<Self> {
        let raw = self.raw.src.get(index)?;
        // SAFETY: null, or a tensor of the same graph, which lives as long as this one.
        let raw = unsafe { raw.as_ref() }?;
        Some(Self { raw, _graph: PhantomData })
    }

    /// How many numbers lie along each axis; the first is that of a row.
    pub fn dims(&self) -> [usize; 4] {
        self.raw.ne.map(|length| usize::try_from(length).unwrap_or(0))
    }

    /// True where [`Tensor::floats`] gives something.
    pub fn is_floats(&self) -> bool {
        self.raw.type_ == sys::GGML_TYPE_F32
    }

    /// The numbers, the first axis running fastest, whatever lies between them in memory. `None` for other types than F32.
    pub fn floats(&self) -> Option<Vec<f32>> {
        self.is_floats().then(|| self.numbers(f32::from_ne_bytes))?
    }

    /// The same for I32.
    pub fn integers(&self) -> Option<Vec<i32>> {
        (self.raw.type_ == sys::GGML_TYPE_I32).then(|| self.numbers(i32::from_ne_bytes))?
    }

    fn numbers<T>(&self, number: impl Fn([u8; 4]) -> T) -> Option<Vec<T>> {
        let raw = self.raw;
        // SAFETY: null, or the tensor that this one is a part of, of the same graph.
        let whole = unsafe { raw.view_src.as_ref() }.unwrap_or(raw);
        if whole.buffer.is_null() {
            return None;
        }
        // SAFETY: a tensor of ggml's.
        let size = unsafe { sys::ggml_nbytes(raw) };
        let mut bytes = vec![0u8; size];
        // SAFETY: a tensor with a buffer that was computed; there are `size` bytes of it, and as many in `bytes`.
        unsafe { sys::ggml_backend_tensor_get(raw, bytes.as_mut_ptr().cast(), 0, size) }
        let [n0, n1, n2, n3] = self.dims();
        let [b0, b1, b2, b3] = raw.nb;
        let mut numbers = Vec::with_capacity(n0 * n1 * n2 * n3);
        for i3 in 0..n3 {
            for i2 in 0..n2 {
                for i1 in 0..n1 {
                    let row = i1 * b1 + i2 * b2 + i3 * b3;
                    for i0 in 0..n0 {
                        let at = row + i0 * b0;
                        numbers.push(number(bytes.get(at..at + 4)?.try_into().ok()?));
                    }
                }
            }
        }
        Some(numbers)
    }
}
