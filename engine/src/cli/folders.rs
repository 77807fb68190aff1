//! Where this user's files belong.

use etcetera::base_strategy::{BaseStrategy, choose_native_strategy};
use std::path::PathBuf;

/// For what can be made again.
pub fn cache() -> Option<PathBuf> {
    folder("XDG_CACHE_HOME", |system| system.cache_dir())
}

/// For what should outlive the program: the history of the chat's prompt, and conversations.
pub fn state() -> Option<PathBuf> {
    // macOS has no folder for it beside the one for data.
    folder("XDG_STATE_HOME", |system| system.state_dir().unwrap_or_else(|| system.data_dir()))
}

/// `~/file`, as a shell would read it.
pub fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), etcetera::home_dir()) {
        (Some(rest), Ok(home)) => home.join(rest),
        _ => path.into(),
    }
}

/// As the variable says on every system, otherwise as the system has it.
fn folder(variable: &str, of_system: impl FnOnce(&dyn BaseStrategy) -> PathBuf) -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let named = std::env::var_os(variable).map(PathBuf::from).filter(absolute);
    let native = || choose_native_strategy().ok().map(|system| of_system(&system)).filter(absolute);
    named.or_else(native).map(|path| path.join("llama_selfmod"))
}
