//! What a stage attests: an in-toto Statement v1 with SLSA provenance v1.
//!
//! Two digests matter. The key, of `buildDefinition`, says what a stage was asked; it names the folder. The chain digest, of
//! the statement without `runDetails`, says what came out; later statements name it among their dependencies. Neither has a
//! time or a machine in it, so two runs of a recipe give the same chain. What a chain digest leaves out is covered by
//! `statement.sha256` beside the statement, and by its signature.

use super::digest::hash;
use super::json::canonical;
use crate::bench::{Builder, Failure};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

const TYPE: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
const BUILD: &str = "urn:llama_selfmod:forge";

/// Bytes by their digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Digest {
    /// SHA-256 in hexadecimal.
    pub sha256: String,
}

/// A file, a folder or a statement with its digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Artifact {
    /// Its name: from `out/` for subjects, as in the recipe for dependencies.
    pub name: String,
    /// Its digest.
    pub digest: Digest,
    /// Annotations of dependencies: the parameter (`for`), the file's own name (`file`), the address of an input on the hub
    /// (`source`), and what was hashed where that is not a file's bytes (`of`).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Artifact {
    /// A file of a stage.
    pub(crate) fn new(name: impl Into<String>, sha256: String) -> Self {
        Self { name: name.into(), digest: Digest { sha256 }, annotations: BTreeMap::new() }
    }

    /// The same with an annotation.
    #[must_use]
    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.annotations.insert(key.into(), value.into());
        self
    }

    /// The address on the hub that an input came from.
    pub fn source(&self) -> Option<&str> {
        self.annotations.get(SOURCE).map(String::as_str)
    }

    /// The stage whose statement it is, if it is one.
    pub fn statement_of(&self) -> Option<&str> {
        self.name.strip_suffix("/statement.json").filter(|_| self.annotations.get("of").is_some_and(|of| of == CHAIN))
    }
}

/// The annotation with an input's address.
pub(crate) const SOURCE: &str = "source";

/// What is hashed of a statement.
const CHAIN: &str = "the statement without predicate.runDetails, in canonical JSON (RFC 8785)";

/// What was asked of a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BuildDefinition {
    /// The kind and its version.
    pub build_type: String,
    /// The parameters, as the recipe has them, with defaults.
    pub external_parameters: Value,
    /// All that it read.
    pub resolved_dependencies: Vec<Artifact>,
}

impl BuildDefinition {
    /// What is asked of a stage of this kind and version.
    pub(crate) fn new(kind: &str, version: u32, parameters: Value, dependencies: Vec<Artifact>) -> Self {
        Self {
            build_type: format!("{BUILD}/{kind}/v{version}"),
            external_parameters: parameters,
            resolved_dependencies: dependencies,
        }
    }

    /// The stage's key.
    pub fn key(&self) -> Result<String, Failure> {
        Ok(hash(&canonical(self)?))
    }
}

/// The program that ran a stage, and the time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RunDetails {
    /// The program.
    pub builder: BuilderId,
    /// The time that it took place.
    pub metadata: Metadata,
    /// The log and the history.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub byproducts: Vec<Artifact>,
}

/// The program that ran a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuilderId {
    /// Its name, version and digest.
    pub id: String,
    /// Versions of what it is built from.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub version: BTreeMap<String, String>,
}

/// The time at which a stage ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Metadata {
    /// Its beginning, as `2026-11-28T02:35:16Z`.
    pub started_on: String,
    /// Its end.
    pub finished_on: String,
}

impl Metadata {
    /// Seconds from beginning to end; `None` where the times are none.
    pub(crate) fn seconds(&self) -> Option<u64> {
        crate::clock::seconds(&self.finished_on)?.checked_sub(crate::clock::seconds(&self.started_on)?)
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Predicate {
    build_definition: BuildDefinition,
    #[serde(skip_serializing_if = "Option::is_none")]
    run_details: Option<RunDetails>,
}

/// What a stage attests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    /// What it made.
    pub subject: Vec<Artifact>,
    predicate_type: String,
    predicate: Predicate,
}

impl Statement {
    /// A statement of what a stage made.
    pub(crate) fn new(definition: BuildDefinition, subject: Vec<Artifact>, run: RunDetails) -> Self {
        Self {
            kind: TYPE.into(),
            subject,
            predicate_type: PREDICATE.into(),
            predicate: Predicate { build_definition: definition, run_details: Some(run) },
        }
    }

    /// What was asked.
    pub fn definition(&self) -> &BuildDefinition {
        &self.predicate.build_definition
    }

    /// The program that ran it, and the time.
    pub fn run(&self) -> Option<&RunDetails> {
        self.predicate.run_details.as_ref()
    }

    /// The kind of stage.
    pub fn stage_kind(&self) -> &str {
        let kind = self.definition().build_type.strip_prefix(BUILD).unwrap_or_default();
        kind.trim_start_matches('/').split('/').next().unwrap_or_default()
    }

    /// What later statements know it by.
    pub fn chain(&self) -> Result<String, Failure> {
        let mut lasting = self.clone();
        lasting.predicate.run_details = None;
        Ok(hash(&canonical(&lasting)?))
    }

    /// The statement of a stage as a dependency of another.
    pub(crate) fn as_dependency(&self, stage: &str) -> Result<Artifact, Failure> {
        Ok(Artifact::new(format!("{stage}/statement.json"), self.chain()?).with("of", CHAIN))
    }

    /// Whether it is of the types that this program writes.
    pub(super) fn is_ours(&self) -> bool {
        self.kind == TYPE && self.predicate_type == PREDICATE && self.definition().build_type.starts_with(BUILD)
    }

    /// The digest of one of its files.
    pub fn digest_of(&self, file: &str) -> Option<&str> {
        self.subject.iter().find(|subject| subject.name == file).map(|subject| subject.digest.sha256.as_str())
    }
}

impl RunDetails {
    pub(crate) fn new(builder: Builder, metadata: Metadata, byproducts: Vec<Artifact>) -> Self {
        let version = BTreeMap::from([("llama.cpp".to_owned(), builder.llama_cpp)]);
        Self { builder: BuilderId { id: builder.id, version }, metadata, byproducts }
    }
}
