//! A file with settings behind it, as `--plugin` and `--policy` take it: `FILE:key=value,key=value`. A server's address stands
//! in the place of the file: `remote:http://host:port,key=value`.

use crate::Error;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};

/// A file and what stands behind its colon.
#[derive(Debug, PartialEq)]
pub struct Spec {
    /// The file; whether it exists is for the reader to see.
    pub file: PathBuf,
    /// By key. What does not parse as JSON is a text.
    pub settings: Map<String, Value>,
}

impl Spec {
    /// Takes it apart. A file whose whole name is that of `given` is that file.
    pub fn parse(given: &str) -> Result<Self, Error> {
        let parts = if given.starts_with(REMOTE) { split_address(given) } else { split(given) };
        let Some((file, rest)) = parts else {
            return Ok(Self { file: given.into(), settings: Map::new() });
        };
        let settings = settings(rest).map_err(|error| Error::Input(format!("`{given}`: {error}")))?;
        Ok(Self { file: file.into(), settings })
    }
}

/// What an address begins with.
pub const REMOTE: &str = "remote:";

/// At the first comma, or at the first colon with `key=` behind it: an address has neither.
fn split_address(given: &str) -> Option<(&str, &str)> {
    let signs = given.match_indices([',', ':']);
    let mut parts = signs.map(|(at, sign)| (sign, &given[..at], &given[at + 1..]));
    parts.find(|(sign, _, rest)| *sign == "," || starts_with_key(rest)).map(|(_, address, rest)| (address, rest))
}

/// At the first colon with `key=` behind it; better at one with a file in front of it.
fn split(given: &str) -> Option<(&str, &str)> {
    if Path::new(given).exists() {
        return None;
    }
    let colons = || given.match_indices(':').map(|(at, _)| (&given[..at], &given[at + 1..]));
    let mut parts = colons().filter(|(file, rest)| !file.is_empty() && starts_with_key(rest));
    parts.clone().find(|(file, _)| Path::new(file).is_file()).or_else(|| parts.next())
}

fn starts_with_key(rest: &str) -> bool {
    rest.split_once('=').is_some_and(|(key, _)| is_key(key))
}

fn is_key(key: &str) -> bool {
    !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-')
}

fn settings(text: &str) -> Result<Map<String, Value>, String> {
    let mut settings = Map::new();
    let mut rest = Some(text);
    while let Some(text) = rest {
        let (key, after) = text
            .split_once('=')
            .filter(|(key, _)| is_key(key))
            .ok_or_else(|| format!("`{text}` is no `key=value`; a text with a comma in it needs quotes: \"a,b\""))?;
        let (value, end) = value(after);
        if settings.insert(key.to_owned(), value).is_some() {
            return Err(format!("`{key}` is given twice"));
        }
        rest = after.get(end..).and_then(|after| after.strip_prefix(','));
    }
    Ok(settings)
}

/// The value at the start of a text, and where it ends: JSON up to a comma or the end, or else a text up to there.
fn value(text: &str) -> (Value, usize) {
    let mut json = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    if let Some(Ok(value)) = json.next() {
        let end = json.byte_offset();
        if end == text.len() || text[end..].starts_with(',') {
            return (value, end);
        }
    }
    let end = text.find(',').unwrap_or(text.len());
    (text[..end].into(), end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(given: &str) -> (String, Value) {
        let Spec { file, settings } = Spec::parse(given).unwrap();
        (file.to_str().unwrap().into(), settings.into())
    }

    #[test]
    fn values_are_json_or_text() {
        assert_eq!(parsed("a.so"), ("a.so".into(), json!({})));
        assert_eq!(parsed("a.so:x=0.1,y=true,z=word"), ("a.so".into(), json!({"x": 0.1, "y": true, "z": "word"})));
        let lists = r#"a.so:x=["p,q",1],y={"k":[2,3]},z="a=b:c""#;
        assert_eq!(parsed(lists), ("a.so".into(), json!({"x": ["p,q", 1], "y": {"k": [2, 3]}, "z": "a=b:c"})));
        assert_eq!(parsed("a.so:x=,y=1.5s,z=null"), ("a.so".into(), json!({"x": "", "y": "1.5s", "z": null})));
    }

    #[test]
    fn a_colon_without_a_key_belongs_to_the_file() {
        assert_eq!(parsed("c:/a.so"), ("c:/a.so".into(), json!({})));
        assert_eq!(parsed("c:/a.so:x=1"), ("c:/a.so".into(), json!({"x": 1})));
        assert_eq!(parsed("a.so:x=http://b:c=1"), ("a.so".into(), json!({"x": "http://b:c=1"})));
    }

    #[test]
    fn settings_follow_an_address_behind_a_comma_or_a_colon() {
        let address = "remote:http://127.0.0.1:8081";
        for sign in [",", ":"] {
            let given = format!("{address}{sign}vocab=a.gguf,weight=2");
            assert_eq!(parsed(&given), (address.into(), json!({"vocab": "a.gguf", "weight": 2})));
        }
        assert_eq!(parsed(address), (address.into(), json!({})));
        assert_eq!(
            parsed("remote:http://[::1]:80:rows=full"),
            ("remote:http://[::1]:80".into(), json!({"rows": "full"}))
        );
    }

    #[test]
    fn a_file_with_such_a_name_is_that_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let odd = path("odd:x=1");
        std::fs::write(&odd, "").unwrap();
        assert_eq!(parsed(&odd), (odd.clone(), json!({})));
        assert_eq!(parsed(&format!("{odd}:y=2")), (odd, json!({"y": 2})));
    }

    #[test]
    fn what_is_no_setting_is_named() {
        let told = |given: &str| Spec::parse(given).unwrap_err().to_string();
        assert_eq!(
            told("a.so:x=1,y"),
            "`a.so:x=1,y`: `y` is no `key=value`; a text with a comma in it needs quotes: \"a,b\""
        );
        assert_eq!(told("a.so:x=1,x=2"), "`a.so:x=1,x=2`: `x` is given twice");
    }
}
