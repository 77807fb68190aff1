//! Names of what stages make, in one place for who predicts, writes and reads it.

use std::path::Path;

/// An importance matrix.
pub(crate) const IMATRIX: &str = "imatrix.gguf";
/// What a text costs models.
pub(crate) const PERPLEXITY: &str = "perplexity.json";
/// What experts do on a text.
pub(crate) const PROFILE: &str = "profile.json";
/// Which experts were kept.
pub(crate) const EXPERTS: &str = "experts.json";
/// What a search came to.
pub(crate) const SEARCH: &str = "search.json";
/// Differences between results.
pub(crate) const COMPARISON: &str = "comparison.json";
/// The ending of a task's results.
pub(crate) const RESULTS: &str = ".jsonl";
/// A model card.
pub(crate) const CARD: &str = "README.md";
/// The address where files were published.
pub(crate) const PUBLISHED: &str = "published.json";

/// The name of a model in another type.
pub(crate) fn typed(stem: &str, to: &str) -> String {
    format!("{stem}-{to}.gguf")
}

/// The name of a model with so many experts.
pub(crate) fn pruned(stem: &str, experts: u32) -> String {
    format!("{stem}-{experts}-experts.gguf")
}

/// The name of a model whose experts cover a profile.
pub(crate) fn covering(stem: &str) -> String {
    format!("{stem}-pruned.gguf")
}

/// The name of what a search has found.
pub(crate) fn searched(stem: &str) -> String {
    format!("{stem}-search.gguf")
}

/// The name of a model's results.
pub(crate) fn results(stem: &str) -> String {
    format!("{stem}{RESULTS}")
}

/// A file's name without its ending, and without folders.
pub(crate) fn stem(file: &str) -> &str {
    let name = file.rsplit('/').next().unwrap_or(file);
    Path::new(name).file_stem().and_then(|stem| stem.to_str()).unwrap_or(name)
}

/// A path's last part; empty where there is none.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}
