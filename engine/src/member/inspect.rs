//! A look at a GGUF file before llama.cpp sees it.
//!
//! llama.cpp answers most unusable files with "failed to load", and some with an abort. This reads the header, a few
//! megabytes at most, and says what is wrong and what to do. It cannot know all that llama.cpp does not survive; what it
//! misses, a trial in a process of its own finds (`member/load/trial.rs`).

mod header;
mod kinds;
mod limits;
mod pieces;

use header::{Header, HeaderError, Value};
use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::{Path, PathBuf};

/// What a usable file says about itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GgufSummary {
    /// `llama`, `qwen2`, `mamba`, …
    pub architecture: String,
    /// The name its makers gave it.
    pub name: Option<String>,
    /// Longest text it was trained on, in tokens.
    pub context_length: Option<u64>,
    /// Size of the vocabulary, in tokens.
    pub vocabulary: Option<u64>,
    /// In bytes; of a split model the first part alone.
    pub file_size: u64,
    /// `Q8_0`, `Q4_K_M`, …; `None` when the file does not say.
    pub quantisation: Option<&'static str>,
    /// Whether it brings a chat template.
    pub has_chat_template: bool,
}

/// Why a file cannot be a member.
#[derive(Debug, thiserror::Error)]
pub enum InspectError {
    /// Nothing is there.
    #[error("`{0}` does not exist; check the path")]
    Missing(PathBuf),
    /// A folder.
    #[error("`{0}` is a folder; give a `.gguf` file in it")]
    Folder(PathBuf),
    /// A pipe, a device, a socket.
    #[error("`{0}` is not a regular file; save the model to one first")]
    Special(PathBuf),
    /// The system refuses.
    #[error("`{0}` may not be read by this user; change its permissions, for example with `chmod +r`")]
    Permission(PathBuf),
    /// The system fails.
    #[error("`{path}` cannot be read: {error}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// No bytes.
    #[error("`{0}` is empty; fetch the model again")]
    Empty(PathBuf),
    /// Another format.
    #[error("`{path}` is not a GGUF file: {look}")]
    NotGguf {
        /// The file.
        path: PathBuf,
        /// What it looks like, and what to do.
        look: &'static str,
    },
    /// Too old or too new.
    #[error(
        "`{path}` is GGUF version {version}, and versions 2 and 3 can be read; fetch a newer conversion of the model"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// The wrong byte order.
    #[error("`{0}` is for big-endian machines; fetch the usual little-endian file of the model")]
    BigEndian(PathBuf),
    /// Ends inside the header.
    #[error("`{path}` ends in the middle of its header, after {len} bytes; fetch it again")]
    TruncatedHeader {
        /// The file.
        path: PathBuf,
        /// Its length in bytes.
        len: u64,
    },
    /// Ends inside the tensors.
    #[error("`{path}` is cut off: {missing} of its {needed} bytes are missing; fetch it again")]
    TruncatedData {
        /// The file.
        path: PathBuf,
        /// How many bytes are missing.
        missing: u64,
        /// How long it should be, in bytes.
        needed: u64,
    },
    /// Nonsense in the header.
    #[error("`{path}` is damaged: {what}; fetch it again")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What cannot be.
        what: String,
    },
    /// A value that llama.cpp does not survive.
    #[error("`{path}` cannot be run: {what}; fetch it again, or another conversion of the model")]
    Impossible {
        /// The file.
        path: PathBuf,
        /// What cannot be, and what could.
        what: String,
    },
    /// Not UTF-8, which llama.cpp wants of a path.
    #[error("the path `{0}` is not UTF-8, and llama.cpp opens no other; rename the file or its folder")]
    NotUtf8(PathBuf),
    /// No weights.
    #[error("`{0}` holds a vocabulary and no weights; fetch the model itself")]
    VocabularyOnly(PathBuf),
    /// Text in, vector out.
    #[error("`{path}` is an embedding model (`{architecture}`) and cannot write text; choose a model that generates")]
    Embedding {
        /// The file.
        path: PathBuf,
        /// Its architecture.
        architecture: String,
    },
    /// Does not continue text.
    #[error("`{path}` is {what} and cannot write text by itself; choose a model that generates")]
    NotAWriter {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
    },
    /// A later part of a split model.
    #[error("`{path}` is part {part} of {parts} of a split model; give the first part, `{first}`")]
    LaterPart {
        /// The file.
        path: PathBuf,
        /// Which part it is, from 1.
        part: u64,
        /// How many there are.
        parts: u64,
        /// Name of the first part.
        first: String,
    },
    /// A split model with a part that is not there.
    #[error("`{path}` needs `{missing}` beside it, which does not exist; fetch all parts of the model")]
    PartMissing {
        /// The first part.
        path: PathBuf,
        /// Name of the missing one.
        missing: String,
    },
}

/// Looks whether `path` is a whole GGUF file of a model that writes text.
pub fn inspect(path: &Path) -> Result<GgufSummary, InspectError> {
    let (header, len) = read_header(path)?;
    judge(path.into(), &header, len)
}

/// Looks whether llama.cpp can read the vocabulary in `path`, which may hold nothing else.
pub fn inspect_vocabulary(path: &Path) -> Result<(), InspectError> {
    let (header, _) = read_header(path)?;
    if has_no_vocabulary(&header) {
        return Err(InspectError::NotAWriter { path: path.into(), what: "a model without a vocabulary".into() });
    }
    limits::vocabulary(&header).map_or(Ok(()), |what| Err(InspectError::Impossible { path: path.into(), what }))
}

/// The header of a GGUF file, and the file's length.
fn read_header(path: &Path) -> Result<(Header, u64), InspectError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => InspectError::Missing(path.into()),
        io::ErrorKind::PermissionDenied => InspectError::Permission(path.into()),
        _ => InspectError::Unreadable { path: path.into(), error },
    };
    // Before opening: opening a pipe would wait for its writer.
    let metadata = std::fs::metadata(path).map_err(failed)?;
    if metadata.is_dir() {
        return Err(InspectError::Folder(path.into()));
    }
    if !metadata.is_file() {
        return Err(InspectError::Special(path.into()));
    }
    if path.to_str().is_none() {
        return Err(InspectError::NotUtf8(path.into()));
    }
    let mut file = File::open(path).map_err(failed)?;
    let len = metadata.len();
    if len == 0 {
        return Err(InspectError::Empty(path.into()));
    }
    let path = path.to_path_buf();
    match Header::read(BufReader::with_capacity(1 << 16, &file), len) {
        Ok(header) => Ok((header, len)),
        Err(HeaderError::NotGguf) => {
            let mut start = Vec::new();
            // Best effort: without it the answer is only less exact.
            let _ = file.rewind().and_then(|()| file.take(64).read_to_end(&mut start));
            Err(InspectError::NotGguf { path, look: kinds::look_of(&start) })
        }
        Err(HeaderError::Version(version)) => Err(InspectError::Version { path, version }),
        Err(HeaderError::BigEndian) => Err(InspectError::BigEndian(path)),
        Err(HeaderError::Truncated) => Err(InspectError::TruncatedHeader { path, len }),
        Err(HeaderError::Damaged(what)) => Err(InspectError::Damaged { path, what }),
        Err(HeaderError::Io(error)) => Err(InspectError::Unreadable { path, error }),
    }
}

/// llama.cpp loads such files, and ends the process when it is asked for a token.
fn has_no_vocabulary(header: &Header) -> bool {
    matches!(header.text("tokenizer.ggml.model"), Some("no_vocab" | "none"))
}

/// Whether a file of `len` bytes with this header can be a member.
fn judge(path: PathBuf, header: &Header, len: u64) -> Result<GgufSummary, InspectError> {
    let parts = header.number("split.count").unwrap_or(1);
    let part = header.number("split.no").unwrap_or(0).saturating_add(1);
    if part > 1 {
        let first = part_name(&path, part, parts, 1).unwrap_or_else(|| "…-00001-of-….gguf".into());
        return Err(InspectError::LaterPart { path, part, parts, first });
    }
    if header.text("general.type") == Some("adapter") {
        return Err(InspectError::NotAWriter { path, what: "an adapter (LoRA) for another model".into() });
    }
    let Some(architecture) = header.text("general.architecture").filter(|name| !name.is_empty()) else {
        return Err(InspectError::Damaged { path, what: "it does not name its architecture".into() });
    };
    let of_architecture = |key: &str| header.number(&format!("{architecture}.{key}"));
    if let Some((_, what)) = kinds::OTHER.iter().find(|(name, _)| *name == architecture) {
        return Err(InspectError::NotAWriter { path, what: format!("{what} (`{architecture}`)") });
    }
    // Pooling 0 is none: some converters write it into models that generate.
    let pools = of_architecture("pooling_type").is_some_and(|pooling| pooling > 0);
    if kinds::EMBEDDING.contains(&architecture) || pools || of_architecture("attention.causal") == Some(0) {
        return Err(InspectError::Embedding { path, architecture: architecture.into() });
    }
    if has_no_vocabulary(header) {
        return Err(InspectError::NotAWriter { path, what: "a model without a vocabulary".into() });
    }
    // The first part of a split model may hold the metadata alone.
    if !header.has_layers && parts <= 1 {
        return Err(InspectError::VocabularyOnly(path));
    }
    if header.needed > len {
        return Err(InspectError::TruncatedData { path, missing: header.needed - len, needed: header.needed });
    }
    for other in 2..=parts.min(99_999) {
        match part_name(&path, 1, parts, other) {
            Some(missing) if !path.with_file_name(&missing).exists() => {
                return Err(InspectError::PartMissing { path, missing });
            }
            Some(_) => {}
            None => break,
        }
    }
    if let Some(what) = limits::fault(header, architecture) {
        return Err(InspectError::Impossible { path, what });
    }
    let tokens = match header.value("tokenizer.ggml.tokens") {
        Some(&Value::Array(count)) => Some(count),
        _ => None,
    };
    Ok(GgufSummary {
        architecture: architecture.into(),
        name: header.text("general.name").filter(|name| !name.is_empty()).map(str::to_string),
        context_length: of_architecture("context_length"),
        vocabulary: tokens.or_else(|| of_architecture("vocab_size")),
        file_size: len,
        quantisation: header.number("general.file_type").and_then(kinds::quantisation),
        has_chat_template: header.value("tokenizer.chat_template").is_some(),
    })
}

/// The files of a model: `path`, and those of its other parts beside it.
pub fn parts(path: &Path) -> Vec<PathBuf> {
    let of = |name: &str| name.strip_suffix(".gguf")?.rsplit_once("-of-")?.1.parse().ok();
    let parts: u64 = path.file_name().and_then(|name| of(name.to_str()?)).unwrap_or(1);
    let others = (2..=parts).map_while(|other| part_name(path, 1, parts, other).map(|name| path.with_file_name(name)));
    std::iter::once(path.to_path_buf()).chain(others.take_while(|part| part.exists())).collect()
}

/// Name of part `other` of a split model whose part `part` is `path`, if it is named as llama.cpp names parts.
fn part_name(path: &Path, part: u64, parts: u64, other: u64) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let stem = name.strip_suffix(&format!("-{part:05}-of-{parts:05}.gguf"))?;
    Some(format!("{stem}-{other:05}-of-{parts:05}.gguf"))
}

#[cfg(test)]
mod tests;
