//! One model tried by itself, for a process that may end over it: a file from the internet can hold what llama.cpp does not
//! survive. Who starts such a process, and what becomes of its end, is not the library's affair.

use super::{Vocabulary, backend, default_threads, devices, layers, new_context, read_models, unique_names};
use crate::error::Error;
use crate::member::llama::LlamaMember;
use crate::member::prompt::PromptForm;
use crate::member::{Member, Unit, inspect};
use crate::settings::{ModelSource, Prompt};
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
    let file = inspect::inspect(&source.path).map_err(|error| Error::Input(error.to_string()))?;
    let model =
        read_models(backend()?, std::slice::from_ref(source), std::slice::from_ref(&file), &|_, _| {})?.remove(0);
    let trained = model.n_ctx_train();
    let context = if trained > 0 { context.min(trained) } else { context };
    let threads = threads.unwrap_or_else(default_threads).max(1);
    let branches = if others { super::language::MOST_BRANCHES } else { 0 };
    let name = unique_names(std::slice::from_ref(source)).remove(0);
    let devices = devices().len();
    let (layers, on_gpu) = layers(source, &model, &file.architecture, devices);
    let llama = new_context(&model, &name, context, threads, on_gpu == layers && devices > 0, branches)?;
    let vocabulary = Arc::new(Vocabulary::of(&model));
    let form = PromptForm { template: None, raw: true, system: None };
    let mut member = LlamaMember::new(name, llama, vocabulary.clone(), form, 8);
    let text: String =
        TEXT.chars().filter(|character| vocabulary.inexpressible(&character.to_string()).is_none()).collect();
    let _ = decode(&mut member, &text, others);
    Ok(())
}

/// `None` as soon as something fails in an orderly way.
fn decode(member: &mut LlamaMember, text: &str, others: bool) -> Option<()> {
    let mut tokens = member.tokens_of(text).ok()?;
    tokens.truncate(TOKENS.min(member.context().saturating_sub(4)));
    let next: [Unit; 2] = [*tokens.first()?, *tokens.last()?];
    member.prime(&Prompt::Tokens(tokens)).ok()?;
    member.extend(&next).ok()?;
    if others {
        member.branch(&[&next, &next[..1]]).ok()?;
    }
    member.rewind(1).ok()?;
    member.extend(&next[..1]).ok()
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
