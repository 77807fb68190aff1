//! The files of a folder that are published.

use crate::HubError;
use crate::address::check_path;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Bytes of a file's beginning by which the hub tells text from the rest.
const SAMPLE: u64 = 512;

/// A file on this machine.
#[derive(Debug)]
pub(super) struct Local {
    pub path: PathBuf,
    /// Its path below the folder, with `/` on every system.
    pub name: String,
    pub size: u64,
}

impl Local {
    pub fn sample(&self) -> io::Result<Vec<u8>> {
        let mut sample = Vec::new();
        File::open(&self.path)?.take(SAMPLE).read_to_end(&mut sample)?;
        Ok(sample)
    }
}

/// All files but hidden ones, by their names. A link must lead to a file of the folder itself.
pub(super) fn files(folder: &Path) -> Result<Vec<Local>, HubError> {
    let root = fs::canonicalize(folder).map_err(HubError::file("read", folder))?;
    let mut found = Vec::new();
    walk(folder, &root, "", &mut found)?;
    if found.is_empty() {
        return Err(HubError::Empty { folder: folder.into() });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// Files under the paths that they are to have, by these.
pub(super) fn named(files: &[(String, PathBuf)]) -> Result<Vec<Local>, HubError> {
    let mut found = Vec::new();
    for (name, path) in files {
        let unusable =
            |_| HubError::Name { path: path.clone(), why: "it has characters that the hub does not take".into() };
        name.split('/').try_for_each(check_path).map_err(unusable)?;
        let size = fs::metadata(path).map_err(HubError::file("read", path))?.len();
        found.push(Local { path: path.clone(), name: name.clone(), size });
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

fn walk(folder: &Path, root: &Path, prefix: &str, found: &mut Vec<Local>) -> Result<(), HubError> {
    for entry in fs::read_dir(folder).map_err(HubError::file("read", folder))? {
        let entry = entry.map_err(HubError::file("read", folder))?;
        let path = entry.path();
        let unusable = |why: &str| HubError::Name { path: path.clone(), why: why.into() };
        let name = entry.file_name().into_string().map_err(|_| unusable("it is not UTF-8"))?;
        if name.starts_with('.') {
            continue;
        }
        check_path(&name).map_err(|_| unusable("it has characters that the hub does not take"))?;
        let name = format!("{prefix}{name}");
        let kind = entry.file_type().map_err(HubError::file("read", &path))?;
        if kind.is_dir() {
            walk(&path, root, &format!("{name}/"), found)?;
            continue;
        }
        let about = fs::metadata(&path).map_err(HubError::file("read", &path))?;
        if kind.is_symlink() {
            let target = fs::canonicalize(&path).map_err(HubError::file("read", &path))?;
            if !target.starts_with(root) {
                return Err(HubError::Link { path, where_to: "that leads out of the folder" });
            }
            let is_hidden = target.strip_prefix(root).is_ok_and(|inside| {
                inside.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
            });
            if is_hidden {
                return Err(HubError::Link { path, where_to: "to a hidden file" });
            }
            if about.is_dir() {
                return Err(HubError::Link { path, where_to: "to a folder" });
            }
        }
        // Pipes and sockets are no files to publish, and reading them would wait.
        if about.is_file() {
            found.push(Local { path, name, size: about.len() });
        }
    }
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn files_are_in_order_and_hidden_ones_are_left_out() {
        let folder = folder(&["b/z", "a", "b/y", ".git/config", ".env", "b/.hidden", "b.txt"]);
        symlink("a", folder.path().join("link")).unwrap();
        let names: Vec<_> = files(folder.path()).unwrap().into_iter().map(|local| local.name).collect();
        assert_eq!(names, ["a", "b.txt", "b/y", "b/z", "link"]);
    }

    #[test]
    fn links_out_of_the_folder_are_refused() {
        let outside = folder(&["secret"]);
        for (target, why) in [
            (outside.path().join("secret"), "leads out of the folder"),
            (outside.path().to_owned(), "leads out of the folder"),
            ("..".into(), "leads out of the folder"),
            ("sub".into(), "to a folder"),
            (".env".into(), "to a hidden file"),
        ] {
            let folder = folder(&["a", "sub/b", ".env"]);
            symlink(&target, folder.path().join("link")).unwrap();
            let error = files(folder.path()).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
        let error = files(folder(&[".hidden"]).path()).unwrap_err().to_string();
        assert!(error.contains("has no file to publish"), "{error}");
    }
}
