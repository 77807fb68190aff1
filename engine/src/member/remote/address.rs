//! Whom to ask: the address of a server, and the key that it wants.

use crate::error::Error;
use crate::files;
use crate::settings::RemoteSource;
use std::net::IpAddr;

/// A server's address, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// `http://host:port`.
    pub base: String,
    /// `host:port`, which is what a member without a name is called.
    pub host: String,
    is_encrypted: bool,
    is_here: bool,
}

impl Address {
    /// Takes `http://host:port` or `https://host:port`; what is wrong with anything else.
    pub fn parse(url: &str) -> Result<Self, String> {
        let (is_encrypted, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(format!("`{url}` is no address of a server; write `http://host:port`")),
        };
        let host = rest.strip_suffix('/').unwrap_or(rest);
        if host.contains('@') {
            return Err(
                "a key or password does not stand in an address, where others can read it; use `key-file=FILE`".into(),
            );
        }
        let is_known = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        if host.is_empty() || !host.chars().all(is_known) {
            return Err(format!("`{url}` is no address of a server; write `http://host:port`, without a path"));
        }
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(address, _)| address),
            None => host.split_once(':').map_or(host, |(name, _)| name),
        };
        let is_here = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        let scheme = if is_encrypted { "https" } else { "http" };
        Ok(Self { base: format!("{scheme}://{host}"), host: host.into(), is_encrypted, is_here })
    }

    /// The address of a source, if text and key may go there.
    pub fn of(source: &RemoteSource) -> Result<Self, Error> {
        let address = Self::parse(&source.url).map_err(Error::Input)?;
        if address.is_encrypted || address.is_here || source.insecure {
            return Ok(address);
        }
        Err(Error::Input(format!(
            "`{}` is on another machine and not encrypted: everybody on the way could read and change the text; use https, a \
             tunnel to this machine (`ssh -L`), or add `insecure=true` where the network is your own",
            address.base
        )))
    }
}

/// The key that a member's server asks for: the file's first line, or the environment's.
pub(super) fn key(source: &RemoteSource, member: &str) -> Result<Option<String>, Error> {
    let (key, place) = match &source.key_file {
        Some(file) => (Some(files::read_text(file, 1 << 16)?), format!("`{}`", file.display())),
        None => {
            let variable = variable(member);
            (std::env::var(&variable).ok(), format!("the environment's {variable}"))
        }
    };
    let Some(key) = key else { return Ok(None) };
    let key = key.lines().next().unwrap_or("").trim();
    if key.is_empty() || !key.chars().all(|c| c.is_ascii_graphic()) {
        return Err(Error::Input(format!("the key in {place} is empty or has characters that no key has")));
    }
    Ok(Some(key.into()))
}

/// `LLAMA_SELFMOD_KEY_` and the member's name in capitals.
fn variable(member: &str) -> String {
    let sign = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("LLAMA_SELFMOD_KEY_{}", member.chars().map(sign).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_and_no_path() {
        let host = |url: &str| Address::parse(url).map(|address| address.host);
        assert_eq!(host("http://127.0.0.1:8081"), Ok("127.0.0.1:8081".into()));
        assert_eq!(host("https://models.example/"), Ok("models.example".into()));
        for wrong in ["127.0.0.1:8081", "http://", "ftp://a", "http://a/b", "http://a?b", "http://a b"] {
            assert!(host(wrong).unwrap_err().contains("is no address of a server"), "{wrong}");
        }
        assert!(host("http://user:secret@a").unwrap_err().contains("key-file"));
    }

    #[test]
    fn text_goes_unencrypted_to_this_machine_alone() {
        let allowed = |url: &str| Address::of(&RemoteSource::new(url)).is_ok();
        for url in ["http://127.0.0.1:1", "http://localhost:1", "http://[::1]:1", "https://models.example"] {
            assert!(allowed(url), "{url}");
        }
        for url in ["http://10.0.0.2:1", "http://models.example", "http://127.0.0.1.example:1", "http://[::2]:1"] {
            assert!(!allowed(url), "{url}");
        }
        let insecure = RemoteSource { insecure: true, ..RemoteSource::new("http://10.0.0.2:1") };
        assert!(Address::of(&insecure).is_ok());
    }

    #[test]
    fn a_key_comes_from_a_file_and_never_shows() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        let source = RemoteSource { key_file: Some(file.clone()), ..RemoteSource::new("http://localhost:1") };
        std::fs::write(&file, "sk-123\n").unwrap();
        assert_eq!(key(&source, "a").unwrap().as_deref(), Some("sk-123"));
        std::fs::write(&file, "sk 123\n").unwrap();
        assert!(!key(&source, "a").unwrap_err().to_string().contains("123"));
        assert_eq!(variable("qwen-7b.q4"), "LLAMA_SELFMOD_KEY_QWEN_7B_Q4");
    }
}
