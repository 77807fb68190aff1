//! What the environment says about the hub, read in one place and as huggingface_hub reads it.

use crate::{HubError, Patience, Token};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// The hub that is meant when nothing names another.
const ENDPOINT: &str = "https://huggingface.co";

/// How the hub is reached and where its files are kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The hub's address, without a slash at its end: `HF_ENDPOINT`.
    pub endpoint: String,
    /// The account's token, if there is one: `HF_TOKEN`, `HUGGING_FACE_HUB_TOKEN`, the file `HF_TOKEN_PATH`, or the file
    /// that `hf auth login` writes.
    pub token: Option<Token>,
    /// Whether only the cache is asked: `HF_HUB_OFFLINE`.
    pub offline: bool,
    /// The folder of the cache: `HF_HUB_CACHE`, else `hub` in `HF_HOME`.
    pub cache: PathBuf,
    /// How often and how long a server is waited for.
    pub patience: Patience,
    /// Whether the proxy is used that `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` name.
    pub proxy: bool,
}

impl Settings {
    /// The settings that this process's environment gives.
    pub fn from_env() -> Result<Self, HubError> {
        Self::read(&|name| std::env::var_os(name))
    }

    /// The settings that an environment gives; `variable` tells each variable's value. The file of the token is read too.
    pub fn read(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self, HubError> {
        // The hub's other clients take an empty variable as one that is not set.
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).and_then(|value| value.into_string().ok());
        let home = variable("HOME").or_else(|| variable("USERPROFILE")).map(PathBuf::from);
        let path = |name: &str| variable(name).map(|value| expand(PathBuf::from(value), home.as_deref()));

        let hub_home = path("HF_HOME")
            .or_else(|| path("XDG_CACHE_HOME").map(|cache| cache.join("huggingface")))
            .or_else(|| home.as_ref().map(|home| home.join(".cache").join("huggingface")));
        let cache = path("HF_HUB_CACHE")
            .or_else(|| path("HUGGINGFACE_HUB_CACHE"))
            .or_else(|| hub_home.as_ref().map(|home| home.join("hub")))
            .ok_or_else(|| HubError::Setting {
                name: "HF_HUB_CACHE".into(),
                why: "neither it nor `HF_HOME` nor `HOME` names a folder for the cache".into(),
            })?;
        let offline =
            text("HF_HUB_OFFLINE").or_else(|| text("TRANSFORMERS_OFFLINE")).is_some_and(|value| is_true(&value));
        let endpoint = text("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.into());
        let endpoint = endpoint.trim_end_matches('/').to_owned();

        let token_file = path("HF_TOKEN_PATH").or_else(|| hub_home.map(|home| home.join("token")));
        let token = match ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"].into_iter().find_map(|name| Some((name, text(name)?)))
        {
            Some((name, secret)) if !secret.trim().is_empty() => {
                Some(Token::new(&secret, &format!("`{name}`")).ok_or_else(|| HubError::Setting {
                    name: name.into(),
                    why: "it has characters that no token has".into(),
                })?)
            }
            _ => token_file.and_then(|file| {
                let secret = std::fs::read_to_string(&file).ok()?;
                Token::new(&secret, &format!("`{}`", file.display()))
            }),
        };
        Ok(Self { endpoint, token, offline, cache, patience: Patience::default(), proxy: true })
    }
}

/// What huggingface_hub takes for a yes.
fn is_true(value: &str) -> bool {
    ["1", "ON", "YES", "TRUE"].contains(&value.to_ascii_uppercase().as_str())
}

/// A path with the home folder in place of a `~` at its beginning.
fn expand(path: PathBuf, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Settings {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into());
        Settings::read(&find).unwrap()
    }

    #[test]
    fn the_cache_is_where_the_other_clients_look_for_it() {
        let cache = |variables: &[(&str, &str)]| read(variables).cache;
        let home = ("HOME", "/home/ada");
        assert_eq!(cache(&[home]), Path::new("/home/ada/.cache/huggingface/hub"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x")]), Path::new("/x/huggingface/hub"));
        assert_eq!(cache(&[home, ("XDG_CACHE_HOME", "/x"), ("HF_HOME", "~/hf")]), Path::new("/home/ada/hf/hub"));
        assert_eq!(cache(&[home, ("HF_HOME", "/hf"), ("HF_HUB_CACHE", "/hub")]), Path::new("/hub"));
        assert_eq!(cache(&[home, ("HF_HUB_CACHE", "")]), Path::new("/home/ada/.cache/huggingface/hub"));
        let error = Settings::read(&|_| None).unwrap_err().to_string();
        assert!(error.contains("`HF_HUB_CACHE`"), "{error}");
    }

    #[test]
    fn offline_is_what_the_other_clients_take_for_a_yes() {
        let offline = |variables: &[(&str, &str)]| read(&[variables, &[("HOME", "/")]].concat()).offline;
        for yes in ["1", "on", "Yes", "TRUE"] {
            assert!(offline(&[("HF_HUB_OFFLINE", yes)]), "{yes}");
            assert!(offline(&[("TRANSFORMERS_OFFLINE", yes)]), "{yes}");
        }
        assert!(!offline(&[]));
        assert!(!offline(&[("HF_HUB_OFFLINE", "0"), ("TRANSFORMERS_OFFLINE", "1")]));
    }

    #[test]
    fn the_token_comes_from_a_variable_else_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "hf_file\n").unwrap();
        let home = ("HF_HOME", folder.path().to_str().unwrap());
        let token = |variables: &[(&str, &str)]| read(&[variables, &[home]].concat()).token.map(|token| token.header());
        assert_eq!(token(&[]).as_deref(), Some("Bearer hf_file"));
        assert_eq!(token(&[("HF_TOKEN", "hf_a"), ("HUGGING_FACE_HUB_TOKEN", "hf_b")]).as_deref(), Some("Bearer hf_a"));
        assert_eq!(token(&[("HUGGING_FACE_HUB_TOKEN", "hf_b")]).as_deref(), Some("Bearer hf_b"));
        assert_eq!(token(&[("HF_TOKEN_PATH", "/nowhere")]), None);
        let settings = read(&[("HF_TOKEN", "hf_secret"), home]);
        assert!(!format!("{settings:?}").contains("hf_secret"));
    }

    #[test]
    fn the_endpoint_has_no_slash_at_its_end() {
        assert_eq!(read(&[("HOME", "/")]).endpoint, "https://huggingface.co");
        assert_eq!(read(&[("HOME", "/"), ("HF_ENDPOINT", "http://x:1/")]).endpoint, "http://x:1");
    }
}
