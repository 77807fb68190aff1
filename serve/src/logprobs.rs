//! Log-probabilities in OpenAI's two forms.

use crate::backend::{About, Alternative, Piece};
use serde_json::{Map, Value, json};

/// What OpenAI says instead of −∞, which JSON cannot say.
const IMPOSSIBLE: f32 = -9999.0;

/// A piece's text, or `bytes:\xe2\x82` where it is no UTF-8.
pub fn token(about: &About, units: &[u32], bytes: &[u8]) -> String {
    if bytes.is_empty() && units == [about.end.0] {
        return about.end.1.clone();
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold(String::from("bytes:"), |text, byte| text + &format!("\\x{byte:02x}")),
    }
}

/// As JSON: never ±∞ or NaN.
fn finite(logprob: f32) -> f32 {
    if logprob.is_finite() { logprob } else { IMPOSSIBLE }
}

/// A chat's `logprobs` of these pieces, with so many alternatives each.
pub fn chat(about: &About, pieces: &[Piece], alternatives: usize) -> Value {
    let entry = |units: &[u32], bytes: &[u8], logprob: f32| {
        let listed = (!bytes.is_empty()).then_some(bytes);
        json!({"token": token(about, units, bytes), "logprob": finite(logprob), "bytes": listed})
    };
    let content = pieces.iter().map(|piece| {
        let mut content = entry(&piece.units, &piece.bytes, piece.logprob);
        let top = piece.alternatives.iter().take(alternatives).map(|one| entry(&one.units, &one.bytes, one.logprob));
        content["top_logprobs"] = top.collect();
        content
    });
    json!({"content": content.collect::<Value>(), "refusal": null})
}

/// A completion's `logprobs`, which grows by pieces.
#[derive(Debug, Default)]
pub struct Columns {
    tokens: Vec<String>,
    token_logprobs: Vec<Option<f32>>,
    top_logprobs: Vec<Value>,
    text_offset: Vec<usize>,
    /// Characters that the pieces so far have begun.
    characters: usize,
}

impl Columns {
    /// Columns of a text that begins after so many characters.
    pub fn from(characters: usize) -> Self {
        Self { characters, ..Self::default() }
    }

    /// A token of which nothing is known: the first one of an echoed prompt.
    pub fn push_unknown(&mut self, about: &About, units: &[u32], bytes: &[u8]) {
        self.begin(token(about, units, bytes), bytes);
        self.token_logprobs.push(None);
        self.top_logprobs.push(Value::Null);
    }

    /// A piece, with so many alternatives and itself.
    pub fn push(&mut self, about: &About, piece: &Piece, alternatives: usize) {
        let name = token(about, &piece.units, &piece.bytes);
        let logprob = finite(piece.logprob);
        // The key of the piece itself is its text. Another one with the same text is named by its units.
        let mut top = Map::new();
        for Alternative { units, bytes, logprob: other } in piece.alternatives.iter().take(alternatives) {
            let mut key = token(about, units, bytes);
            if *units != piece.units && (key == name || top.contains_key(&key)) {
                key = format!("{key} {units:?}");
            }
            let other = if *units == piece.units { logprob } else { finite(*other) };
            top.insert(key, json!(other));
        }
        if !top.contains_key(&name) {
            top.insert(name.clone(), json!(logprob));
        }
        self.begin(name, &piece.bytes);
        self.token_logprobs.push(Some(logprob));
        self.top_logprobs.push(Value::Object(top));
    }

    fn begin(&mut self, token: String, bytes: &[u8]) {
        self.tokens.push(token);
        self.text_offset.push(self.characters);
        // A character is where its first byte is.
        self.characters += bytes.iter().filter(|byte| **byte & 0xc0 != 0x80).count();
    }

    /// The columns so far, which begin anew.
    pub fn flush(&mut self) -> Value {
        let Self { tokens, token_logprobs, top_logprobs, text_offset, characters } =
            std::mem::replace(self, Self::from(self.characters));
        debug_assert_eq!(tokens.len(), text_offset.len(), "characters so far: {characters}");
        json!({
            "tokens": tokens,
            "token_logprobs": token_logprobs,
            "top_logprobs": top_logprobs,
            "text_offset": text_offset,
        })
    }
}
