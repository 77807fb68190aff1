//! The demo's models: part of the binary, put into a file where the engine can map them.

use super::folders;
use crate::{Error, files};
use std::{
    io::{self, Write},
    path::{Path, PathBuf},
};

const MODELS: [(&str, &[u8]); 2] = [
    ("tale.gguf", include_bytes!("../../models/tale.gguf")),
    ("fable.gguf", include_bytes!("../../models/fable.gguf")),
];

/// Files with the models, in the user's cache folder or, where that cannot be written, in the temporary one.
pub fn demo_models() -> Result<Vec<PathBuf>, Error> {
    let temporary = std::env::temp_dir().join("llama_selfmod");
    if let Some(paths) = folders::cache().and_then(|folder| unpack(&folder).ok()) {
        return Ok(paths);
    }
    unpack(&temporary).map_err(|error| {
        Error::Failure(format!("the demo's models cannot be written to `{}`: {error}", temporary.display()))
    })
}

fn unpack(folder: &Path) -> io::Result<Vec<PathBuf>> {
    std::fs::create_dir_all(folder)?;
    MODELS.iter().map(|(name, bytes)| unpack_one(folder, name, bytes)).collect()
}

/// Writes a fresh file and renames it, so that a process that starts at the same moment never maps half a model.
fn unpack_one(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    let path = folder.join(name);
    if files::read(&path, bytes.len() as u64).is_ok_and(|there| there == bytes) {
        return Ok(path);
    }
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    file.write_all(bytes)?;
    file.persist(&path).map_err(|error| error.error)?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_file_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(MODELS[0].0), "GGUF, but not for long").unwrap();
        let paths = unpack(folder.path()).unwrap();
        for (path, (_, bytes)) in paths.iter().zip(MODELS) {
            assert!(std::fs::read(path).unwrap() == bytes);
        }
    }

    #[test]
    fn many_at_once_leave_whole_files() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| {
                    for path in unpack(folder.path()).unwrap() {
                        assert!(MODELS.iter().any(|(_, bytes)| std::fs::read(&path).unwrap() == *bytes));
                    }
                });
            }
        });
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), MODELS.len());
    }
}
