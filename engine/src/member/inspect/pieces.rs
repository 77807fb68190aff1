//! The token strings of a vocabulary, and what llama.cpp takes for granted about them.
//!
//! It reads a string up to a zero byte, keeps all strings in a map, and ends the process when the map has fewer entries
//! than there are tokens (`llama-vocab.cpp`, `llama_vocab::impl::load`).

use std::borrow::Cow;
use std::collections::HashMap;

/// More than any vocabulary has; those of a quarter of a million tokens have some 3 MB.
const MOST_BYTES: u64 = 1 << 28;
/// The type of a token that stands for a byte.
const BYTE: i32 = 6;

/// The token strings and their types.
#[derive(Debug, Default)]
pub struct Pieces {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    /// By token, as far as the file has them.
    pub types: Vec<i32>,
}

impl Pieces {
    /// Room for one more string, which the caller fills; `None` when all together are too long.
    pub fn room_for(&mut self, bytes: u64) -> Option<&mut [u8]> {
        let start = self.bytes.len();
        let end = start + usize::try_from(bytes).ok().filter(|_| bytes <= MOST_BYTES - start as u64)?;
        self.bytes.resize(end, 0);
        self.ends.push(end);
        Some(&mut self.bytes[start..])
    }

    /// The strings as they stand in the file.
    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }

    /// What is wrong with them for llama.cpp's tokenizer of this name.
    pub fn fault(&self, tokenizer: &str) -> Option<String> {
        self.duplicate().or_else(|| match tokenizer {
            "bert" if self.types.contains(&BYTE) => {
                Some("it has tokens for bytes, and its tokenizer `bert` knows none".into())
            }
            // The number is read from the fourth character on.
            "llama" | "t5" | "gpt2" | "gemma4" | "hybriddna" | "whitespace" => {
                let short =
                    self.iter().map(seen).zip(&self.types).position(|(text, &kind)| kind == BYTE && text.len() < 3);
                short.map(|token| format!("its token {token} should stand for a byte and does not say for which"))
            }
            "rwkv" => self.endless_beginning(),
            _ => None,
        })
    }

    /// Two tokens that are the same string.
    fn duplicate(&self) -> Option<String> {
        let mut known: HashMap<Cow<[u8]>, usize> = HashMap::with_capacity(self.ends.len());
        for (token, text) in self.iter().enumerate() {
            let text = match seen(text) {
                b"" => Cow::Owned(format!("[EMPTY_{token}]").into_bytes()),
                text => Cow::Borrowed(text),
            };
            let shown: String = String::from_utf8_lossy(&text).chars().take(40).collect();
            if let Some(first) = known.insert(text, token) {
                let has_zero = |token: usize| self.iter().nth(token).is_some_and(|text| text.contains(&0));
                let why = if has_zero(first) || has_zero(token) { " up to a zero byte" } else { "" };
                return Some(format!("its tokens {first} and {token} are the same, `{}`{why}", shown.escape_debug()));
            }
        }
        None
    }

    /// The tokenizer of RWKV looks for the longest token, and where none is found begins again at the start of the text: it
    /// ends only if a byte that begins a token is a token, too.
    fn endless_beginning(&self) -> Option<String> {
        let (mut begun, mut alone) = ([false; 256], [false; 256]);
        for (first, is_all) in self.iter().filter_map(|text| first_byte(seen(text))) {
            begun[usize::from(first)] = true;
            alone[usize::from(first)] |= is_all;
        }
        let byte = (0..256).find(|&byte| begun[byte] && !alone[byte])?;
        Some(format!("it has tokens that begin with the byte 0x{byte:02X} and none for the byte alone"))
    }
}

/// The part of a token string that llama.cpp sees.
fn seen(text: &[u8]) -> &[u8] {
    text.split(|&byte| byte == 0).next().unwrap_or_default()
}

/// The first byte of a token as RWKV's vocabularies spell it, and whether there are no others.
fn first_byte(text: &[u8]) -> Option<(u8, bool)> {
    let (byte, rest) = match text {
        [b'\\', b'x', high, low, rest @ ..] => {
            // As llama.cpp reads them, which takes whatever stands there for digits.
            let digit = |digit: u8| {
                if digit >= b'a' { digit.wrapping_sub(b'a').wrapping_add(10) } else { digit.wrapping_sub(b'0') }
            };
            ((digit(*high) << 4).wrapping_add(digit(*low)), rest)
        }
        [b'\\', b't', rest @ ..] => (b'\t', rest),
        [b'\\', b'n', rest @ ..] => (b'\n', rest),
        [b'\\', b'r', rest @ ..] => (b'\r', rest),
        [b'\\', other, rest @ ..] => (*other, rest),
        [byte, rest @ ..] => (*byte, rest),
        [] => return None,
    };
    Some((byte, rest.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(texts: &[&[u8]], types: &[i32]) -> Pieces {
        let mut pieces = Pieces { types: types.to_vec(), ..Pieces::default() };
        for text in texts {
            pieces.room_for(text.len() as u64).unwrap().copy_from_slice(text);
        }
        pieces
    }

    #[test]
    fn tokens_are_the_same_when_llama_cpp_sees_the_same() {
        let fault = |texts: &[&[u8]]| pieces(texts, &[]).fault("llama");
        assert_eq!(fault(&[b"a", b"b", b"", b""]), None);
        assert_eq!(fault(&[b"a", b"b", b"a"]).unwrap(), "its tokens 0 and 2 are the same, `a`");
        assert_eq!(fault(&[b"a", b"a\0b"]).unwrap(), "its tokens 0 and 1 are the same, `a` up to a zero byte");
        assert_eq!(fault(&[b"[EMPTY_1]", b""]).unwrap(), "its tokens 0 and 1 are the same, `[EMPTY_1]`");
        assert_eq!(fault(&[b"a\0b", b"b"]), None, "what stands behind a zero byte is lost and harms nobody");
    }

    #[test]
    fn a_byte_says_which_it_is() {
        assert_eq!(pieces(&[b"<0x0A>", b"a"], &[6, 1]).fault("llama"), None);
        assert!(
            pieces(&[b"a", b"ab"], &[1, 6]).fault("llama").unwrap().contains("its token 1 should stand for a byte")
        );
        assert!(pieces(&[b"<0x0A>"], &[6]).fault("bert").unwrap().contains("knows none"));
    }

    #[test]
    fn rwkv_needs_the_bytes_that_tokens_begin_with() {
        let fault = |texts: &[&[u8]]| pieces(texts, &[]).fault("rwkv");
        assert_eq!(fault(&[b"\\x00", b"a", b"ab", b"\\n", b"\\nb"]), None);
        assert!(fault(&[b"ab", b"b"]).unwrap().contains("the byte 0x61 and none for the byte alone"));
        assert!(fault(&[b"\\xf0a"]).unwrap().contains("0xF0"));
    }

    #[test]
    fn too_long_a_vocabulary_has_no_room() {
        let mut pieces = Pieces::default();
        assert!(pieces.room_for(3).is_some() && pieces.room_for(u64::MAX).is_none());
    }
}
