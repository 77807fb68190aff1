//! The token of an account: kept out of every message.

use std::fmt::{Debug, Formatter};

/// A token and where it came from.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    secret: String,
    source: String,
}

impl Token {
    /// The token that `source` holds: a variable's name, or a file's path. None when it has characters that no token has.
    pub fn new(secret: &str, source: &str) -> Option<Self> {
        let secret = secret.trim();
        let is_token = !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic());
        is_token.then(|| Self { secret: secret.into(), source: source.into() })
    }

    /// Where it came from, for messages.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The value of the header that carries it.
    pub(crate) fn header(&self) -> String {
        format!("Bearer {}", self.secret)
    }
}

impl Debug for Token {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        write!(out, "Token(from {})", self.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_not_printed() {
        let token = Token::new(" hf_secret\n", "HF_TOKEN").unwrap();
        assert_eq!(format!("{token:?}"), "Token(from HF_TOKEN)");
        assert_eq!(token.header(), "Bearer hf_secret");
        assert_eq!(Token::new("a\r\nX-Header: b", "HF_TOKEN"), None);
    }
}
