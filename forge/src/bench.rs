//! What stages need of a program that can load models.
//!
//! Each call opens what it needs, holds it alone while it runs, and writes files of its own; nothing is kept between calls, so a
//! stage is a function of files.

use serde::{Deserialize, Serialize};
use std::io;
use std::path::{Path, PathBuf};

/// Why a stage came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// Something that a sentence or two tell, with what to do.
    #[error("{0}")]
    Words(String),
    /// The person wanted it to end ([`Watch::cancelled`]).
    #[error("it was stopped")]
    Cancelled,
    /// No space is left where it writes.
    #[error("the disk of `{}` is full: make space there and run the same command again", .0.display())]
    Full(PathBuf),
}

impl Failure {
    /// A failure in these words.
    pub fn new(words: impl Into<String>) -> Self {
        Self::Words(words.into())
    }

    /// A failure to read this file or folder.
    pub fn read(path: &Path, error: &io::Error) -> Self {
        Self::Words(format!("cannot read `{}`: {error}", path.display()))
    }

    /// A failure to write this file or folder, which is [`Failure::Full`] if space is what lacks.
    pub fn write(path: &Path, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::Full(path.parent().filter(|_| !path.is_dir()).unwrap_or(path).into())
            }
            _ => Self::Words(format!("cannot write `{}`: {error}", path.display())),
        }
    }
}

/// What a running stage is told and tells.
pub trait Watch {
    /// Tells how much of the stage is done, in units of its own ("layers", "tokens").
    fn progress(&self, done: u64, total: u64, unit: &str);
    /// Adds a line to the stage's `history.jsonl`, for its report.
    fn history(&self, line: serde_json::Value);
    /// Adds a line to the stage's log.
    fn log(&self, line: &str);
    /// Whether the person wants it to end; asked between tensors and between batches.
    fn cancelled(&self) -> bool;
}

/// The program that builds, as statements name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// "llama_selfmod 0.1.0, sha256:…" of the program's file.
    pub id: String,
    /// Version of llama.cpp.
    pub llama_cpp: String,
}

/// A text in windows, as perplexity counts it: each window of `context` tokens is decoded from nothing, after the token
/// that begins a text where the model has one.
#[derive(Debug, Clone, Copy)]
pub struct Text<'a> {
    /// UTF-8; lines `{"text": …}` of a `.jsonl` file are joined by line ends.
    pub file: &'a Path,
    /// Tokens a window.
    pub context: u32,
    /// At most so many windows, from the one after `skip`; `None`: all that are full.
    pub windows: Option<u32>,
    /// Windows that are left out at the beginning.
    pub skip: u32,
}

/// What one window of a text cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// Nats of the tokens that count, which are those of its second half, as llama-perplexity does.
    pub nats: f64,
    /// How many these are.
    pub tokens: u32,
    /// Bytes of these tokens.
    pub bytes: u32,
}

/// How much each expert of each layer does on some text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// Tokens that were read.
    pub tokens: u64,
    /// Experts that a token goes through, a layer.
    pub used: u32,
    /// One for each layer that has experts.
    pub layers: Vec<Layer>,
}

/// The experts of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Layer {
    /// The layer's number in tensor names.
    pub layer: u32,
    /// How many tokens went through each expert.
    pub counts: Vec<u64>,
    /// For each expert the mean over its tokens of the gate's weight times the norm of its output (REAP, arXiv 2510.13999);
    /// 0 for one that no token went through.
    pub saliency: Vec<f64>,
}

/// An evaluation on a task.
#[derive(Debug, Clone, Copy)]
pub struct Eval<'a> {
    /// The model.
    pub model: &'a Path,
    /// A built-in task's name, or a task file.
    pub task: &'a str,
    /// The first so many items; `None`: all.
    pub limit: Option<u32>,
    /// The file that the result goes into, one line an item, as `eval -o` writes it.
    pub out: &'a Path,
}

/// Members that become a pack.
#[derive(Debug, Clone, Copy)]
pub struct Pack<'a> {
    /// The files.
    pub models: &'a [&'a Path],
    /// Their weights; empty: equal.
    pub weights: &'a [f32],
    /// The fusion's name; `None`: the stock one.
    pub fusion: Option<&'a str>,
    /// Names or files of policies.
    pub policies: &'a [String],
    /// An empty folder that the pack is written into.
    pub out: &'a Path,
}

/// A program that can load models.
pub trait Bench {
    /// The program, as statements name it.
    fn builder(&self) -> Builder;

    /// The header that a file with this header has once it is quantised to `to` ("Q4_K_M"): its size is that of the file, to the
    /// byte. Nothing is read but the header.
    fn quantized(&self, header: &gguf::Header, to: &str, imatrix: bool) -> Result<gguf::Header, Failure>;

    /// Quantises `model` to `to` into `out`, with buffers bounded by a constant.
    fn quantize(
        &self,
        model: &Path,
        to: &str,
        imatrix: Option<&Path>,
        out: &Path,
        watch: &dyn Watch,
    ) -> Result<(), Failure>;

    /// Writes the importance matrix of `model` on `text`, in llama.cpp's GGUF form.
    fn imatrix(&self, model: &Path, text: Text, out: &Path, watch: &dyn Watch) -> Result<(), Failure>;

    /// Counts and saliency of the experts of `model` on `text`.
    fn profile(&self, model: &Path, text: Text, watch: &dyn Watch) -> Result<Profile, Failure>;

    /// How many windows of `text` are full for `model`.
    fn windows(&self, model: &Path, text: Text) -> Result<u32, Failure>;

    /// What `text` costs `model`, window by window; of the `chosen` ones, by their numbers from 0 in ascending order, or of all.
    /// Two models of one vocabulary have the same windows.
    fn losses(
        &self,
        model: &Path,
        text: Text,
        chosen: Option<&[u32]>,
        watch: &dyn Watch,
    ) -> Result<Vec<Window>, Failure>;

    /// Has a task answered.
    fn eval(&self, eval: Eval, watch: &dyn Watch) -> Result<(), Failure>;

    /// Writes a pack.
    fn pack(&self, pack: Pack, watch: &dyn Watch) -> Result<(), Failure>;
}
