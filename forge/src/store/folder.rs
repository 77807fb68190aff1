//! The folder of a stage that was run.

use super::digest::hash;
use super::envelope::{self, Signer};
use super::json::{canonical, sync_folder, write_whole};
use super::statement::Statement;
use crate::bench::Failure;
use crate::recipe::files::file_name;
use std::fs;
use std::path::{Path, PathBuf};

pub(super) const STATEMENT: &str = "statement.json";
pub(super) const SEAL: &str = "statement.sha256";
pub(super) const OUT: &str = "out";
pub(crate) const LOG: &str = "log";
pub(crate) const HISTORY: &str = "history.jsonl";

/// Hexadecimal digits of the key in a folder's name.
const DIGITS: usize = 12;

/// A folder is read no deeper than this: a link may lead back.
const DEEPEST: usize = 40;

/// The largest statement that is read: one line a file, and a stage of a million files is none.
const LARGEST_STATEMENT: u64 = 256 << 20;

/// The name of a stage's folder.
pub(super) fn name(key: &str, stage: &str) -> String {
    format!("{}-{stage}", key.get(..DIGITS).unwrap_or(key))
}

/// Whether a folder in a store has the name of a stage's.
pub(super) fn is_stage(name: &str) -> bool {
    let hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let digits = name.as_bytes().get(..DIGITS).is_some_and(|digits| digits.iter().copied().all(hex));
    digits && name.as_bytes().get(DIGITS) == Some(&b'-') && !name.contains(super::PARTIAL)
}

/// A stage's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Folder {
    path: PathBuf,
}

/// A stage that was run.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) folder: Folder,
    pub(crate) statement: Statement,
}

impl Folder {
    /// A folder that is a stage's if it has the name of one.
    pub(crate) fn at(path: PathBuf) -> Self {
        Self { path }
    }

    /// The path of the folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its own name.
    pub fn name(&self) -> String {
        file_name(&self.path)
    }

    /// The stage's name.
    pub fn stage(&self) -> String {
        self.name().get(DIGITS + 1..).unwrap_or_default().to_owned()
    }

    /// What the stage made.
    pub fn out(&self) -> PathBuf {
        self.path.join(OUT)
    }

    /// What it said while it ran.
    pub fn log(&self) -> PathBuf {
        self.path.join(LOG)
    }

    /// Figures that it wrote while it ran.
    pub fn history(&self) -> PathBuf {
        self.path.join(HISTORY)
    }

    /// Whether the stage was finished.
    pub fn is_complete(&self) -> bool {
        self.path.join(STATEMENT).exists()
    }

    /// The statement's bytes.
    pub(super) fn statement_bytes(&self) -> Result<Vec<u8>, Failure> {
        let path = self.path.join(STATEMENT);
        let read = |error| Failure::read(&path, &error);
        if fs::metadata(&path).map_err(read)?.len() > LARGEST_STATEMENT {
            return Err(Failure::new(format!("`{}` is too large for a statement", path.display())));
        }
        fs::read(&path).map_err(read)
    }

    /// What the stage attests.
    pub fn statement(&self) -> Result<Statement, Failure> {
        let bytes = self.statement_bytes()?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Failure::new(format!("`{}` is no statement: {error}", self.path.join(STATEMENT).display()))
        })
    }

    /// Writes what the stage attests, which makes it complete.
    pub(crate) fn complete(&self, statement: &Statement, signer: Option<&Signer>) -> Result<(), Failure> {
        let bytes = canonical(statement)?;
        if let Some(signer) = signer {
            self.sign(&bytes, signer)?;
        }
        // `sha256sum -c` reads it.
        write_whole(&self.path.join(SEAL), format!("{}  {STATEMENT}\n", hash(&bytes)).as_bytes())?;
        write_whole(&self.path.join(STATEMENT), &bytes)
    }

    /// Signs a statement that was not signed when it was written.
    pub(crate) fn sign_late(&self, signer: &Signer) -> Result<(), Failure> {
        if self.path.join(envelope::FILE).exists() {
            return Ok(());
        }
        self.sign(&self.statement_bytes()?, signer)
    }

    fn sign(&self, bytes: &[u8], signer: &Signer) -> Result<(), Failure> {
        write_whole(&self.path.join(envelope::FILE), &canonical(&signer.envelope(bytes))?)
    }

    /// Takes away what makes the stage complete.
    pub(super) fn undo(&self) -> Result<(), Failure> {
        let path = self.path.join(STATEMENT);
        match fs::remove_file(&path) {
            Ok(()) => sync_folder(&self.path),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::write(&path, &error)),
        }
    }
}

/// All files below a folder, by their paths from there with `/`, in the order of their bytes. Links are followed.
pub(crate) fn files_in(folder: &Path, is_left_out: fn(&str) -> bool) -> Result<Vec<String>, Failure> {
    let mut files = Vec::new();
    walk(folder, "", 0, is_left_out, &mut files)?;
    files.sort();
    Ok(files)
}

fn walk(
    folder: &Path,
    before: &str,
    depth: usize,
    is_left_out: fn(&str) -> bool,
    files: &mut Vec<String>,
) -> Result<(), Failure> {
    if depth > DEEPEST {
        return Err(Failure::new(format!("`{}` is nested too deep; does a link lead back?", folder.display())));
    }
    let read = |error| Failure::read(folder, &error);
    for entry in fs::read_dir(folder).map_err(read)? {
        let entry = entry.map_err(read)?;
        let path = entry.path();
        let name = entry.file_name().into_string().map_err(|name| {
            Failure::new(format!("the name of `{}` is not UTF-8: rename it", folder.join(name).display()))
        })?;
        let metadata = fs::metadata(&path).map_err(|error| Failure::read(&path, &error))?;
        if is_left_out(&name) {
        } else if metadata.is_dir() {
            walk(&path, &format!("{before}{name}/"), depth + 1, is_left_out, files)?;
        } else if metadata.is_file() {
            files.push(format!("{before}{name}"));
        } else {
            return Err(Failure::new(format!("`{}` is neither a file nor a folder", path.display())));
        }
    }
    Ok(())
}
