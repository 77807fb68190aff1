//! One model tried by itself, for a process that may end over it: a file from the internet can hold what llama.cpp does not
//! survive. Who starts such a process, and what becomes of its end, is not the library's affair.

use super::attention::Layers;
use super::files::{Files, read_models};
use super::{Room, Vocabulary, backend, default_threads, devices, layers, member_names, new_context};
use crate::error::Error;
use crate::member::Token;
use crate::member::inspect;
use crate::member::model::context::MOST_ROWS;
use crate::member::model::llama::Llama;
use crate::member::model::{Model, Need, Sequence, Tail};
use crate::member::reader::tokens::tokenise_text;
use crate::settings::{CacheType, ModelSource};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Letters of several scripts, digits and signs, for the tokenizer.
const TEXT: &str =
    "Once upon a time, 12 + 3 = 15.\n\tZoë wrote: “naïve” \u{1f642}, 你好, привет! She said that it was all right.";

/// Tokens of the prompt: a batch without rows and batches with rows.
const TOKENS: usize = 36;

/// Loads a model as an ensemble would, and decodes a prompt, single tokens and, when it has `others` beside it, several
/// sequences in one batch. What fails in an orderly way later than the loading is nobody's concern here.
pub fn try_model(source: &ModelSource, context: u32, threads: Option<usize>, others: bool) -> Result<(), Error> {
    let files = Files::of(std::slice::from_ref(source))?;
    let Some(model) = read_models(backend()?, &files, &|_, _| {})?.remove(0) else { return Ok(()) };
    let trained = model.n_ctx_train();
    let context = if trained > 0 { context.min(trained) } else { context };
    let threads = threads.unwrap_or_else(default_threads).max(1);
    let branches = if others { super::language::MOST_BRANCHES } else { 0 };
    let name = member_names(std::slice::from_ref(source)).remove(0);
    let (layers, on_gpu) = layers(source, &model, &files.summaries[0], devices().len());
    let room = Room { context, texts: 1, branches, rows: MOST_ROWS, threads };
    let llama = new_context(&model, &name, &room, CacheType::F16, Layers::of(layers, on_gpu))?;
    let vocabulary = Vocabulary::of(&model);
    let text: String =
        TEXT.chars().filter(|character| vocabulary.inexpressible(&character.to_string()).is_none()).collect();
    let tokens = tokenise_text(&model, &vocabulary, &text);
    let _ = decode(Llama::new(llama, 8), &tokens, context as usize, others);
    Ok(())
}

/// `None` as soon as something fails in an orderly way.
fn decode(mut model: Llama, tokens: &[i32], context: usize, others: bool) -> Option<()> {
    let sequence = model.open()?;
    let mut tokens: Vec<Token> = tokens.iter().filter_map(|&token| Token::try_from(token).ok()).collect();
    tokens.truncate(TOKENS.min(context.saturating_sub(4)));
    let prompt = tokens.len();
    let next = [*tokens.first()?, *tokens.last()?];
    read(&mut model, &sequence, &tokens, prompt.saturating_sub(8), &[])?;
    for token in next {
        tokens.push(token);
        read(&mut model, &sequence, &tokens, tokens.len(), &[])?;
    }
    if others {
        let tail = |tokens: &[Token]| Tail { at: prompt, tokens: tokens.to_vec() };
        read(&mut model, &sequence, &tokens, tokens.len() + 1, &[tail(&next), tail(&next[..1])])?;
    }
    tokens.pop();
    read(&mut model, &sequence, &tokens, tokens.len(), &[])
}

/// Decodes to the end of `tokens`, with rows from a length on, and the tails behind it.
fn read(model: &mut Llama, sequence: &Sequence, tokens: &[Token], rows: usize, tails: &[Tail]) -> Option<()> {
    let interrupted = Arc::default();
    let (prompt, agreed, rows) = (tokens.len(), tokens.len(), rows.max(1));
    let mut need = Need { sequence, tokens, agreed, rows, prompt, tails: &[], anew: false, interrupted: &interrupted };
    loop {
        let (progress, outputs) = model.decode(std::slice::from_ref(&need));
        for output in outputs {
            model.logits(output.index)?;
        }
        let progress = progress.first()?;
        progress.outcome.ok()?;
        if progress.read < tokens.len() {
            need.rows = progress.read + 1;
        } else if need.tails.len() < tails.len() {
            need = Need { rows: tokens.len() + 1, tails, ..need };
        } else {
            return Some(());
        }
    }
}

/// The files that make up a model: one, or all parts of a split one.
pub fn model_files(path: &Path) -> Vec<PathBuf> {
    inspect::parts(path)
}

/// Keeps ggml from starting a debugger on its way out, which takes seconds and fills the terminal. For the first moment of a
/// program: where there is more than one thread, nothing is done.
pub fn without_debugger() {
    let threads = std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads == 1 {
        // SAFETY: nobody else reads or writes the environment, as there is no other thread; where the system does not tell
        // how many there are, it is the caller that says so.
        unsafe { std::env::set_var("GGML_NO_BACKTRACE", "1") }
    }
}
