//! Where this user's files belong.

use std::path::PathBuf;

/// For what can be made again.
pub fn cache() -> Option<PathBuf> {
    folder("XDG_CACHE_HOME", if cfg!(target_os = "macos") { "Library/Caches" } else { ".cache" })
}

/// For what should outlive the program: the history of the chat prompt.
pub fn state() -> Option<PathBuf> {
    let place = if cfg!(target_os = "macos") { "Library/Application Support" } else { ".local/state" };
    folder("XDG_STATE_HOME", place)
}

/// `~/file`, as a shell would read it.
pub fn expand(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), home()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}

fn folder(variable: &str, in_home: &str) -> Option<PathBuf> {
    let named = std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    let windows = || std::env::var_os("LOCALAPPDATA").map(PathBuf::from);
    named.or_else(windows).or_else(|| Some(home()?.join(in_home))).map(|path| path.join("llama_selfmod"))
}

fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|path| path.is_absolute())
}
