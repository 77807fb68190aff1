//! Whether a stage's folder is what its statement says.

use super::digest::hash;
use super::envelope::{self, Envelope, Trust};
use super::folder::{Folder, SEAL, STATEMENT, files_in, name};
use super::statement::Statement;
use super::{Store, canonical};
use crate::bench::Watch;
use std::fmt::Display;
use std::fs;

/// Something that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stage or input it belongs to.
    pub owner: String,
    /// The file, or what else it is about.
    pub artifact: String,
    /// What is wrong with it.
    pub words: String,
    /// The digest that it should have, where bytes changed.
    pub expected: Option<String>,
    /// The digest that it has.
    pub found: Option<String>,
    /// Stages that were made from it, directly or not.
    pub dependents: Vec<String>,
}

impl Finding {
    pub(crate) fn new(owner: &str, artifact: impl Into<String>, words: impl Into<String>) -> Self {
        Self {
            owner: owner.into(),
            artifact: artifact.into(),
            words: words.into(),
            expected: None,
            found: None,
            dependents: Vec::new(),
        }
    }

    /// Bytes that have another digest.
    pub(crate) fn changed(owner: &str, artifact: impl Into<String>, expected: &str, found: String) -> Self {
        let words = "its bytes are not those that the statement names";
        Self { expected: Some(expected.into()), found: Some(found), ..Self::new(owner, artifact, words) }
    }
}

impl Display for Finding {
    fn fmt(&self, formatter: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(formatter, "{}: {}", self.artifact, self.words)?;
        if let (Some(expected), Some(found)) = (&self.expected, &self.found) {
            write!(formatter, "\n    expected {expected}\n    found    {found}")?;
        }
        if !self.dependents.is_empty() {
            write!(formatter, "\n    what depends on it: {}", self.dependents.join(", "))?;
        }
        Ok(())
    }
}

/// A stage's folder that was looked at.
pub(crate) struct Checked {
    /// The statement, if it can be read.
    pub(crate) statement: Option<Statement>,
    /// The key that signed it, if one did.
    pub(crate) signed_by: Option<Trust>,
    pub(crate) findings: Vec<Finding>,
}

impl Store {
    /// Checks a complete stage's folder by itself: its statement, its seal, its signature, and every file.
    pub(crate) fn check(&self, folder: &Folder, trust: Option<&Trust>, watch: &dyn Watch) -> Checked {
        let stage = folder.stage();
        let artifact = |file: &str| format!("{}/{file}", folder.name());
        let mut findings = Vec::new();
        let mut wrong = |file: &str, words: String| findings.push(Finding::new(&stage, artifact(file), words));
        let bytes = match folder.statement_bytes() {
            Ok(bytes) => bytes,
            Err(failure) => {
                wrong(STATEMENT, failure.to_string());
                return Checked { statement: None, signed_by: None, findings };
            }
        };
        match fs::read_to_string(folder.path().join(SEAL)) {
            Err(error) => wrong(SEAL, format!("it cannot be read: {error}")),
            Ok(seal) if seal != format!("{}  {STATEMENT}\n", hash(&bytes)) => {
                wrong(STATEMENT, format!("it is not the statement that `{SEAL}` was written of"));
            }
            Ok(_) => {}
        }
        let signed_by = signature(folder, &bytes, trust).unwrap_or_else(|words| {
            wrong(envelope::FILE, words);
            None
        });
        let statement: Statement = match serde_json::from_slice(&bytes) {
            Ok(statement) => statement,
            Err(error) => {
                wrong(STATEMENT, format!("it is no statement: {error}"));
                return Checked { statement: None, signed_by, findings };
            }
        };
        if !statement.is_ours() {
            wrong(STATEMENT, "it is not a statement of a stage".into());
        }
        if canonical(&statement).ok().as_deref() != Some(&bytes) {
            wrong(STATEMENT, "it is not as it was written".into());
        }
        if statement.definition().key().map(|key| name(&key, &stage)).ok() != Some(folder.name()) {
            wrong(STATEMENT, "it is the statement of another stage, or what it says was asked has been changed".into());
        }
        findings.extend(self.check_files(folder, &statement, watch));
        findings.extend(self.check_words(folder, &statement, watch));
        Checked { statement: Some(statement), signed_by, findings }
    }

    /// Checks the files of a stage: each is there with the digest of the statement, and no other is.
    fn check_files(&self, folder: &Folder, statement: &Statement, watch: &dyn Watch) -> Vec<Finding> {
        let stage = folder.stage();
        let mut findings = Vec::new();
        let artifact = |file: &str| format!("{}/out/{file}", folder.name());
        for subject in &statement.subject {
            let path = folder.out().join(&subject.name);
            match (path.exists(), self.digest(&path, watch)) {
                (false, _) => findings.push(Finding::new(&stage, artifact(&subject.name), "it is missing")),
                (true, Err(failure)) => {
                    findings.push(Finding::new(&stage, artifact(&subject.name), failure.to_string()));
                }
                (true, Ok(found)) if found != subject.digest.sha256 => {
                    findings.push(Finding::changed(&stage, artifact(&subject.name), &subject.digest.sha256, found));
                }
                (true, Ok(_)) => {}
            }
        }
        match files_in(&folder.out(), |_| false) {
            Err(failure) => findings.push(Finding::new(&stage, artifact(""), failure.to_string())),
            Ok(files) => {
                let added = files.iter().filter(|file| statement.digest_of(file).is_none());
                findings.extend(
                    added.map(|file| Finding::new(&stage, artifact(file), "it was added: no statement names it")),
                );
            }
        }
        findings
    }

    /// Checks what a stage said while it ran.
    fn check_words(&self, folder: &Folder, statement: &Statement, watch: &dyn Watch) -> Vec<Finding> {
        let mut findings = Vec::new();
        for by in statement.run().into_iter().flat_map(|run| &run.byproducts) {
            let path = folder.path().join(&by.name);
            let found = self.digest(&path, watch).unwrap_or_else(|failure| failure.to_string());
            if found != by.digest.sha256 {
                let name = format!("{}/{}", folder.name(), by.name);
                findings.push(Finding::changed(&folder.stage(), name, &by.digest.sha256, found));
            }
        }
        findings
    }
}

/// The key that signed a statement; `None` if none did and none is trusted.
fn signature(folder: &Folder, statement: &[u8], trust: Option<&Trust>) -> Result<Option<Trust>, String> {
    match fs::read(folder.path().join(envelope::FILE)) {
        Ok(bytes) => Envelope::read(&bytes)?.check(statement, trust).map(Some),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => match trust {
            None => Ok(None),
            Some(trust) => Err(format!("it is missing: the statement is not signed by {}", trust.id())),
        },
        Err(error) => Err(format!("it cannot be read: {error}")),
    }
}
