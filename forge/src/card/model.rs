//! What a model's file says of itself.

use crate::bench::Failure;
use crate::run::Read;
use gguf::{Header, Type};
use std::collections::BTreeMap;
use std::path::Path;

/// A file that the card is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Model {
    /// Its name.
    pub(crate) file: String,
    pub(crate) sha256: String,
    /// Its bytes.
    pub(crate) size: u64,
    /// The address on the hub, of a model that is an input from there.
    pub(crate) source: Option<String>,
    /// What it says, if it is a GGUF file. Packs have others too.
    pub(crate) says: Option<Says>,
}

/// What a GGUF file says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Says {
    pub(crate) name: Option<String>,
    /// The type as llama.cpp calls it, or that of most bytes.
    pub(crate) kind: String,
    /// Experts of a layer; 0 where it has none.
    pub(crate) experts: u64,
    pub(crate) license: Option<String>,
    pub(crate) license_name: Option<String>,
    pub(crate) license_link: Option<String>,
    /// Its author or organisation.
    pub(crate) by: Option<String>,
    /// Repositories that it was made of.
    pub(crate) from: Vec<String>,
    /// Whether it was made of several.
    pub(crate) is_merge: bool,
}

/// At most so many base models are listed: the count in a file may be anything.
const MOST_BASES: u64 = 32;

impl Model {
    /// Reads what a model's file says.
    pub(crate) fn read(model: &Read) -> Result<Self, Failure> {
        let Read { file, path, sha256, source, .. } = model;
        Ok(Self { source: source.clone(), ..Self::at(file, sha256, path)? })
    }

    /// Reads what the file at `path` says, which is called `file` and comes from nowhere that is known.
    pub(super) fn at(file: &str, sha256: &str, path: &Path) -> Result<Self, Failure> {
        let size = std::fs::metadata(path).map_err(|error| Failure::read(path, &error))?.len();
        let is_gguf = file.to_ascii_lowercase().ends_with(".gguf");
        let header =
            is_gguf.then(|| Header::read(path)).transpose().map_err(|error| Failure::new(error.to_string()))?;
        let says = header.as_ref().map(Says::of);
        Ok(Self { file: file.into(), sha256: sha256.into(), size, source: None, says })
    }
}

impl Says {
    fn of(header: &Header) -> Self {
        let text = |key: &str| header.text(key).map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned);
        let bases = header.number("general.base_model.count").unwrap_or(0);
        let listed = (0..bases.min(MOST_BASES)).filter_map(|at| {
            ["repo_url", "url"].into_iter().find_map(|key| text(&format!("general.base_model.{at}.{key}")))
        });
        let mut from: Vec<String> = listed.map(|url| repository(&url)).collect();
        if from.is_empty() {
            let source = ["repo_url", "huggingface.repository", "url"];
            from.extend(
                source.into_iter().find_map(|key| text(&format!("general.source.{key}"))).map(|url| repository(&url)),
            );
        }
        Self {
            name: text("general.name"),
            kind: kind(header),
            experts: header.arch_number("expert_count").unwrap_or(0),
            license: text("general.license"),
            license_name: text("general.license.name"),
            license_link: text("general.license.link"),
            by: text("general.author").or_else(|| text("general.organization")),
            from,
            is_merge: bases > 1,
        }
    }
}

/// `owner/name` of a repository's address on the hub; another address as it is.
pub(super) fn repository(address: &str) -> String {
    let hosts = ["https://huggingface.co/", "http://huggingface.co/", "https://hf.co/", "hf:"];
    let on_hub = hosts.into_iter().find_map(|host| address.strip_prefix(host));
    let mut parts = on_hub.unwrap_or(address).trim_end_matches('/').split('/');
    match (on_hub, parts.next(), parts.next()) {
        (Some(_), Some(owner), Some(name)) => {
            format!("{owner}/{}", name.split(['@', '?', '#', ':']).next().unwrap_or(name))
        }
        _ => address.into(),
    }
}

/// Whether a text is `owner/name`.
pub(super) fn is_repository(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'))
    };
    text.split_once('/').is_some_and(|(owner, name)| is_name(owner) && is_name(name))
}

/// Types of whole files by llama.cpp's number (`llama_ftype` in `include/llama.h` of llama-cpp-sys-2 0.1.161).
const FILE_TYPES: [(u64, &str); 38] = [
    (0, "F32"),
    (1, "F16"),
    (2, "Q4_0"),
    (3, "Q4_1"),
    (7, "Q8_0"),
    (8, "Q5_0"),
    (9, "Q5_1"),
    (10, "Q2_K"),
    (11, "Q3_K_S"),
    (12, "Q3_K_M"),
    (13, "Q3_K_L"),
    (14, "Q4_K_S"),
    (15, "Q4_K_M"),
    (16, "Q5_K_S"),
    (17, "Q5_K_M"),
    (18, "Q6_K"),
    (19, "IQ2_XXS"),
    (20, "IQ2_XS"),
    (21, "Q2_K_S"),
    (22, "IQ3_XS"),
    (23, "IQ3_XXS"),
    (24, "IQ1_S"),
    (25, "IQ4_NL"),
    (26, "IQ3_S"),
    (27, "IQ3_M"),
    (28, "IQ2_S"),
    (29, "IQ2_M"),
    (30, "IQ4_XS"),
    (31, "IQ1_M"),
    (32, "BF16"),
    (36, "TQ1_0"),
    (37, "TQ2_0"),
    (38, "MXFP4_MOE"),
    (39, "NVFP4"),
    (40, "Q1_0"),
    (41, "Q2_0"),
    (1024, "F32"),
    (1025, "F16"),
];

/// The type of a whole file, or that of most bytes of its tensors.
fn kind(header: &Header) -> String {
    let named = header.number("general.file_type").and_then(|number| FILE_TYPES.iter().find(|(of, _)| *of == number));
    if let Some((_, name)) = named {
        return (*name).into();
    }
    let mut bytes: BTreeMap<u32, u64> = BTreeMap::new();
    for tensor in header.tensors() {
        let sum = bytes.entry(tensor.kind().number()).or_default();
        *sum = sum.saturating_add(tensor.bytes());
    }
    let most = bytes.into_iter().max_by_key(|(_, bytes)| *bytes).and_then(|(kind, _)| Type::from_number(kind));
    most.map_or("none".into(), |kind| format!("{} in most tensors", kind.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use gguf::Value;

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn a_header_says_type_experts_licence_and_origin() {
        let mut header = Header::default();
        for (key, value) in [
            ("general.architecture", text("llama")),
            ("general.file_type", Value::U32(15)),
            ("general.license", text(" mit ")),
            ("general.license.name", text("")),
            ("llama.expert_count", Value::U32(8)),
            ("general.base_model.count", Value::U32(u32::MAX)),
            ("general.base_model.0.repo_url", text("https://huggingface.co/one/base")),
            ("general.base_model.1.url", text("https://example.org/two")),
        ] {
            header.set(key, value).unwrap();
        }
        let says = Says::of(&header);
        assert_eq!((says.kind.as_str(), says.experts, says.license.as_deref()), ("Q4_K_M", 8, Some("mit")));
        assert_eq!((says.license_name, says.is_merge), (None, true));
        assert_eq!(says.from, ["one/base", "https://example.org/two"]);
        header.set("general.file_type", Value::U32(999)).unwrap();
        assert_eq!(Says::of(&header).kind, "none");
    }

    #[test]
    fn addresses_become_repositories_where_they_are_on_the_hub() {
        assert_eq!(repository("https://huggingface.co/owner/name/tree/main"), "owner/name");
        assert_eq!(repository("hf:owner/name/file.gguf@v1"), "owner/name");
        assert_eq!(repository("https://example.org/owner/name"), "https://example.org/owner/name");
        assert!(is_repository("owner/name") && !is_repository("owner/name/x") && !is_repository("a/b\nc"));
    }
}
