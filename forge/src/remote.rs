//! What stages need of a place for models on the network.

use crate::bench::{Failure, Watch};
use std::path::{Path, PathBuf};

/// A client of the hub.
pub trait Remote {
    /// The file of an address `hf:owner/repo/file@revision`, if it is on this machine already.
    fn have(&self, address: &str) -> Option<PathBuf>;

    /// Gets the file of an address, and checks what came.
    fn fetch(&self, address: &str, watch: &dyn Watch) -> Result<PathBuf, Failure>;

    /// Puts files on the hub, and says where they are: an address with the revision.
    fn publish(&self, upload: &Upload, watch: &dyn Watch) -> Result<String, Failure>;
}

/// What is put on the hub.
#[derive(Debug, Clone, Copy)]
pub struct Upload<'a> {
    /// `owner/name`.
    pub repo: &'a str,
    /// Whether only the owner sees it, if it is made now.
    pub private: bool,
    /// The branch; the main one by default.
    pub branch: Option<&'a str>,
    /// Names there and the files here.
    pub files: &'a [(String, &'a Path)],
}

/// No network: every address is refused.
#[derive(Debug, Clone, Copy)]
pub struct Offline;

impl Remote for Offline {
    fn have(&self, _: &str) -> Option<PathBuf> {
        None
    }

    fn fetch(&self, address: &str, _: &dyn Watch) -> Result<PathBuf, Failure> {
        Err(Failure::new(format!(
            "`{address}` is on the hub, which this program does not reach: name a file on this machine"
        )))
    }

    fn publish(&self, upload: &Upload, _: &dyn Watch) -> Result<String, Failure> {
        Err(Failure::new(format!("`{}` is on the hub, which this program does not reach", upload.repo)))
    }
}
