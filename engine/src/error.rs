//! What can go wrong before or outside a reply, in words for the user.

use crate::files::FileError;

/// An error with the side it comes from, which decides the exit code.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What the user gave cannot be used: exit code 2. One sentence that says what to do.
    #[error("{0}")]
    Input(String),
    /// Something else failed: exit code 1.
    #[error("{0}")]
    Failure(String),
}

impl From<FileError> for Error {
    fn from(error: FileError) -> Self {
        Self::Input(error.to_string())
    }
}

impl Error {
    /// 2 for what the user gave, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Input(_) => 2,
            Self::Failure(_) => 1,
        }
    }
}
