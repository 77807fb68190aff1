//! Looks for libclang where bindgen will: `LIBCLANG_PATH` alone if it is set, else the folders that `llvm-config` and
//! `xcode-select` name, the linker's, and the system's.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Whether there is a libclang that bindgen can use.
pub fn is_found() -> bool {
    match std::env::var_os("LIBCLANG_PATH") {
        Some(chosen) => is_file_or_folder_of(Path::new(&chosen)),
        None => search_path().iter().any(|folder| is_usable(folder)),
    }
}

fn is_file_or_folder_of(path: &Path) -> bool {
    path.is_file() || holds_library(path)
}

/// Whether the library lies in `folder` and its own headers near it. Programs that merely show C++ bring the library
/// alone, and without `stddef.h` bindgen fails.
fn is_usable(folder: &Path) -> bool {
    let bases = [folder.to_path_buf(), folder.join(".."), folder.join("../lib")];
    let has_header = |version: &PathBuf| version.join("include/stddef.h").is_file();
    holds_library(folder) && bases.iter().any(|base| children(&base.join("clang"), "").iter().any(has_header))
}

fn holds_library(folder: &Path) -> bool {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    // A link may point nowhere; `is_file` follows it.
    entries.into_iter().any(|entry| is_library(&entry.file_name()) && entry.path().is_file())
}

/// `libclang-cpp` is another library.
fn is_library(name: &OsStr) -> bool {
    let name = name.to_string_lossy();
    let versioned = name.starts_with("libclang-") && name.contains(".so") && !name.contains("-cpp.");
    name == "libclang.dylib" || name == "libclang.so" || name.starts_with("libclang.so.") || versioned
}

fn search_path() -> Vec<PathBuf> {
    let mut folders = Vec::new();
    let llvm_config = std::env::var_os("LLVM_CONFIG_PATH").unwrap_or("llvm-config".into());
    if let Some(prefix) = first_line(Command::new(llvm_config).arg("--prefix")) {
        folders.extend(["lib", "lib64"].map(|name| prefix.join(name)));
    }
    for variable in ["LD_LIBRARY_PATH", "LIBRARY_PATH"] {
        folders.extend(std::env::split_paths(&std::env::var_os(variable).unwrap_or_default()));
    }
    if cfg!(target_os = "macos") {
        if let Some(developer) = first_line(Command::new("xcode-select").arg("--print-path")) {
            folders.push(developer.join("Toolchains/XcodeDefault.xctoolchain/usr/lib"));
        }
        folders.push("/Library/Developer/CommandLineTools/usr/lib".into());
        folders.extend(children(Path::new("/usr/local/opt"), "llvm").iter().map(|version| version.join("lib")));
    } else {
        for base in ["/usr/local", "/usr"] {
            for library in children(Path::new(base), "lib") {
                let below = children(&library, "");
                folders.extend(below.iter().flat_map(|folder| children(folder, "")));
                folders.extend(below);
                folders.push(library);
            }
        }
        let versions = children(Path::new("/usr/local"), "llvm");
        folders.extend(versions.iter().flat_map(|version| children(version, "lib")));
    }
    folders
}

/// The folders in `folder` whose names begin with `start`.
fn children(folder: &Path, start: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let named = entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(start));
    named.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

fn first_line(command: &mut Command) -> Option<PathBuf> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    String::from_utf8_lossy(&output.stdout).lines().next().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of empty files, gone at the end.
    struct Files(PathBuf);

    impl Files {
        fn new(name: &str, files: &[&str]) -> Self {
            let root = std::env::temp_dir().join(format!("xtask-libclang-{}-{name}", std::process::id()));
            for file in files {
                let path = root.join(file);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
            Self(root)
        }
    }

    impl Drop for Files {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_library_is_known_by_all_its_names() {
        for name in ["libclang.so", "libclang.so.1", "libclang-14.so", "libclang-14.so.14.0.6", "libclang.dylib"] {
            assert!(is_library(OsStr::new(name)), "{name}");
        }
        for name in ["libclang-cpp.so.14", "libclangBasic.a", "libclang.a"] {
            assert!(!is_library(OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn a_library_without_its_headers_does_not_count() {
        let alone = Files::new("alone", &["lib/libclang-14.so.1"]);
        assert!(!is_usable(&alone.0.join("lib")));
        let whole = Files::new("whole", &["lib/libclang.so", "lib/clang/14.0.6/include/stddef.h"]);
        assert!(is_usable(&whole.0.join("lib")));
    }

    #[test]
    fn headers_may_lie_in_the_neighbouring_lib_folder() {
        let files = Files::new("lib64", &["lib64/libclang.so", "lib/clang/19/include/stddef.h"]);
        assert!(is_usable(&files.0.join("lib64")));
    }

    #[test]
    fn a_chosen_path_may_be_the_library_or_its_folder() {
        let files = Files::new("chosen", &["here/libclang.so", "there/other.so"]);
        assert!(is_file_or_folder_of(&files.0.join("here")));
        assert!(is_file_or_folder_of(&files.0.join("here/libclang.so")));
        assert!(!is_file_or_folder_of(&files.0.join("there")));
    }
}
