//! Addresses of files on the hub: `hf:owner/repo/folder/file.gguf@revision`, and llama.cpp's `-hf owner/repo:quant`.

use crate::HubError;
use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// The revision that an address means when it names none.
const MAIN: &str = "main";

/// A file of a repository at a revision, or the choice of one.
///
/// ```
/// use llama_selfmod_hub::{Address, Selection};
///
/// let address: Address = "hf:owner/repo/folder/model.gguf@v1".parse()?;
/// assert_eq!(address.repo(), "owner/repo");
/// assert_eq!(address.revision(), "v1");
///
/// let address = Address::from_hf("owner/repo:q4_k_m")?;
/// assert_eq!(address.selection(), &Selection::Quant("q4_k_m".into()));
/// assert_eq!(address.to_string(), "hf:owner/repo:q4_k_m");
/// # Ok::<(), llama_selfmod_hub::HubError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    repo: String,
    selection: Selection,
    revision: String,
}

/// The file of a repository that an address means.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Selection {
    /// A file by its path.
    File(String),
    /// The first GGUF with this tag of a quantization in its path, in capital or small letters.
    Quant(String),
    /// What llama.cpp takes without a tag: `Q4_K_M`, else `Q8_0`, else the first GGUF.
    Default,
}

impl Address {
    /// The address of one file.
    pub fn file(repo: &str, path: &str, revision: &str) -> Result<Self, HubError> {
        let address = Self { repo: repo.into(), selection: Selection::File(path.into()), revision: revision.into() };
        address.check().map_err(|why| HubError::Address { given: address.to_string(), why })?;
        Ok(address)
    }

    /// The address that llama.cpp's `-hf OWNER/REPO[:QUANT]` means. A name of a `.gguf` file may stand in place of the tag.
    pub fn from_hf(text: &str) -> Result<Self, HubError> {
        let refuse = |why: &str| HubError::HfAddress { given: text.into(), why: why.into() };
        let repo = text.split([':', '@']).next().unwrap_or_default();
        if repo.split('/').count() != 2 {
            return Err(refuse("before the colon stand an owner and a repository"));
        }
        let address = Self::split(text).map_err(|why| refuse(&why))?;
        address.check().map_err(|why| refuse(&why))?;
        Ok(address)
    }

    /// `owner/repo`.
    pub fn repo(&self) -> &str {
        &self.repo
    }

    /// The file, or how it is chosen.
    pub fn selection(&self) -> &Selection {
        &self.selection
    }

    /// A branch, a tag or a commit.
    pub fn revision(&self) -> &str {
        &self.revision
    }

    /// What stands behind `hf:`, in its parts.
    fn split(text: &str) -> Result<Self, String> {
        let (text, revision) = match text.rsplit_once('@') {
            Some((_, "")) => return Err("no revision stands behind the `@`".into()),
            Some((text, revision)) => (text, revision),
            None => (text, MAIN),
        };
        let mut parts = text.splitn(3, '/');
        let (Some(owner), Some(name)) = (parts.next(), parts.next()) else {
            return Err("an owner and a repository are needed".into());
        };
        let (name, selection) = match (parts.next(), name.split_once(':')) {
            (Some(""), _) | (None, Some((_, ""))) => return Err("no file is named".into()),
            (Some(path), _) => (name, Selection::File(path.into())),
            (None, Some((name, tag))) if tag.to_ascii_lowercase().ends_with(".gguf") => {
                (name, Selection::File(tag.into()))
            }
            (None, Some((name, tag))) => (name, Selection::Quant(tag.into())),
            (None, None) => (name, Selection::Default),
        };
        Ok(Self { repo: format!("{owner}/{name}"), selection, revision: revision.into() })
    }

    fn check(&self) -> Result<(), String> {
        check_repo(&self.repo)?;
        check_revision(&self.revision)?;
        match &self.selection {
            Selection::File(path) => check_path(path),
            Selection::Quant(tag)
                if !tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)) =>
            {
                Err(format!("`{tag}` is no tag of a quantization"))
            }
            _ => Ok(()),
        }
    }
}

/// The rules of the hub for `owner/repo`: what they leave out could lead out of the cache's folder.
pub(crate) fn check_repo(repo: &str) -> Result<(), String> {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && !name.starts_with(['.', '-'])
            && !name.ends_with(['.', '-'])
            && !name.contains("--")
            && !name.contains("..")
    };
    match repo.split_once('/') {
        Some((owner, name)) if is_name(owner) && is_name(name) && repo.len() <= 96 => Ok(()),
        _ => Err(format!("`{repo}` is no name of a repository")),
    }
}

/// A revision becomes a path in the folder of references.
pub(crate) fn check_revision(revision: &str) -> Result<(), String> {
    let is_usable = check_path(revision).is_ok() && !revision.contains(char::is_whitespace);
    if is_usable { Ok(()) } else { Err(format!("`{revision}` is no name of a revision")) }
}

/// A path that stays below its folder on every system.
pub(crate) fn check_path(path: &str) -> Result<(), String> {
    let is_usable = !path.contains(['\\', ':', '\0'])
        && !path.contains(char::is_control)
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    if is_usable { Ok(()) } else { Err(format!("`{path}` is no path in a repository")) }
}

impl FromStr for Address {
    type Err = HubError;

    fn from_str(text: &str) -> Result<Self, HubError> {
        let refuse = |why: String| HubError::Address { given: text.into(), why };
        let rest = text.strip_prefix("hf:").ok_or_else(|| refuse("it begins with `hf:`".into()))?;
        let address = Self::split(rest).map_err(refuse)?;
        address.check().map_err(refuse)?;
        Ok(address)
    }
}

impl Display for Address {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "hf:{}", self.repo)?;
        let has_at = match &self.selection {
            Selection::File(path) => {
                write!(out, "/{path}")?;
                path.contains('@')
            }
            Selection::Quant(tag) => {
                write!(out, ":{tag}")?;
                false
            }
            Selection::Default => false,
        };
        // Behind a path with an `@` a revision must stand, or the path's own end would be read as one.
        if self.revision != MAIN || has_at { write!(out, "@{}", self.revision) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_in_one_form() {
        for text in [
            "hf:o/r/model.gguf",
            "hf:o/r/a/b/model.gguf@v1",
            "hf:o/r/a@b.gguf@main",
            "hf:o/r/m.gguf@refs/pr/3",
            "hf:o/r",
            "hf:o/r@v1",
            "hf:o/r:Q4_K_M",
            "hf:o/r:UD-Q4_K_XL@v2",
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
        assert_eq!("hf:o/r/m.gguf@main".parse::<Address>().unwrap().to_string(), "hf:o/r/m.gguf");
        assert_eq!(Address::from_hf("o/r:m-Q8_0.gguf").unwrap().to_string(), "hf:o/r/m-Q8_0.gguf");
    }

    #[test]
    fn what_could_leave_the_cache_is_no_address() {
        for text in [
            "model.gguf",
            "hf:",
            "hf:repo",
            "hf:o/r/",
            "hf:o/r/a//b",
            "hf:o/r/../x",
            "hf:../r/x",
            "hf:o/../x",
            "hf:o/r/x@..",
            "hf:o/r/x@",
            "hf:o/r/x@/etc",
            "hf:o/r/x@a b",
            "hf:o/r/C:x",
            "hf:o/r/a\\b",
            "hf:o/r:",
            "hf:o--x/r/f",
            "hf:o/r/a\nb",
        ] {
            let error = text.parse::<Address>().expect_err(text);
            assert!(error.to_string().contains("hf:OWNER/REPO/FILE.gguf"), "{error}");
        }
        for text in ["o", "o/r/x.gguf", "o/r:a b", "o/r:", "http://x/o"] {
            let error = Address::from_hf(text).expect_err(text);
            assert!(error.to_string().contains("OWNER/REPO:QUANT"), "{error}");
        }
    }
}
