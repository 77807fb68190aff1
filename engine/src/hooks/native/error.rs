//! Why a plugin is not there, in sentences for the user.

use plugin_api::abi;
use std::io;
use std::path::PathBuf;

/// More plugins than this in one library is a table that is not one.
pub(super) const MOST_PLUGINS: u32 = 1000;

/// Why a plugin is not there. `place` is a path in backticks, or the binary.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the sentences name the fields")]
pub enum LoadError {
    /// No file.
    #[error("`{}` does not exist; give the path of a shared library", .0.display())]
    Missing(PathBuf),
    /// A folder.
    #[error("`{}` is a folder; give the path of a shared library", .0.display())]
    Folder(PathBuf),
    /// The system refuses to read it.
    #[error("`{}` cannot be read: {error}", path.display())]
    Unreadable { path: PathBuf, error: io::Error },
    /// A file without content.
    #[error("`{}` is not a shared library; it is an empty file", .0.display())]
    Empty(PathBuf),
    /// A library whose end is missing.
    #[error("`{}` cannot be loaded: its end is missing; copy or build it again", .0.display())]
    CutOff(PathBuf),
    /// A file of another kind, found by its first bytes.
    #[error("`{}` is not a shared library; it is {found}", path.display())]
    NotALibrary { path: PathBuf, found: &'static str },
    /// The linker refuses it.
    #[error("`{}` cannot be loaded: {reason}", path.display())]
    Refused { path: PathBuf, reason: String },
    /// A library without the symbol of a plugin.
    #[error("`{}` is a shared library, but not a llama_selfmod plugin: it has no symbol `llama_selfmod_plugin_v1`; \
             `export_plugin!` of the plugin API makes it", .0.display())]
    NotAPlugin(PathBuf),
    /// The symbol leads to something else.
    #[error("`{}` has a symbol `llama_selfmod_plugin_v1`, but not a plugin's table behind it: its magic number is \
             {found:#018x}", path.display())]
    Magic { path: PathBuf, found: u64 },
    /// Built for another major version of the ABI.
    #[error("`{}` is built for version {found} of the plugin ABI, this program has version {}; build it again with the \
             plugin API of this program", path.display(), abi::ABI_MAJOR)]
    AbiMajor { path: PathBuf, found: u32 },
    /// A table that says it is smaller than the first version of it.
    #[error("the {table} of {place} says it has {found} bytes; it needs at least {least}")]
    TooSmall { place: String, table: &'static str, found: u32, least: u32 },
    /// No plugins in it, or impossibly many.
    #[error("`{}` says it has {found} plugins; it needs 1 to {MOST_PLUGINS} and a table of them", path.display())]
    PluginCount { path: PathBuf, found: u32 },
    /// A plugin's entry cannot be used.
    #[error("a plugin of {place} has {problem}")]
    Entry { place: String, problem: String },
    /// Settings that no plugin has or that do not fit: what is wrong, and over several lines what there is.
    #[error("{0}")]
    Settings(String),
    /// It does more than be there.
    #[error("`{}` is not used: as it was opened, {what}", path.display())]
    Disturbs { path: PathBuf, what: String },
    /// The plugin refuses to start: its own words.
    #[error("the plugin `{name}` of {place} could not start: {reason}")]
    Create { name: String, place: String, reason: String },
}

impl LoadError {
    /// True for what a library looks like while it is being built or copied.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::Empty(_) | Self::CutOff(_))
    }
}
