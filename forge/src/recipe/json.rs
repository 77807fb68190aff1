//! JSON with its lines, which serde_json does not keep: it says whether the text is JSON, and this where each value stands.

use super::node::{Entry, Lines, Node, Value};
use super::problem::Problem;

impl Node {
    /// Reads JSON.
    pub(super) fn from_json(text: &str) -> Result<Self, Problem> {
        // Refuses all that is no JSON, and what is nested too deep.
        let _: serde_json::Value = serde_json::from_str(text).map_err(|error| {
            let words = error.to_string();
            let words = words.rsplit_once(" at line ").map_or(words.as_str(), |(words, _)| words);
            Problem::at(error.line().max(1), words)
        })?;
        let mut scanner = Scanner { text, at: 0, lines: Lines::of(text) };
        scanner.node().ok_or_else(|| Problem { line: None, words: "this is no JSON".into() })
    }
}

/// Walks JSON that is known to be sound.
struct Scanner<'a> {
    text: &'a str,
    at: usize,
    lines: Lines,
}

impl<'a> Scanner<'a> {
    fn peek(&mut self) -> Option<u8> {
        let rest = self.text.get(self.at..)?;
        self.at += rest.len() - rest.trim_start_matches([' ', '\t', '\r', '\n', ',', ':']).len();
        self.text.as_bytes().get(self.at).copied()
    }

    fn node(&mut self) -> Option<Node> {
        let first = self.peek()?;
        let line = self.lines.at(self.at);
        let value = match first {
            b'{' => Value::Table(self.several(b'}', Self::entry)?),
            b'[' => Value::List(self.several(b']', Self::node)?),
            _ => scalar(serde_json::from_str(self.token()?).ok()?)?,
        };
        Some(Node { line, value })
    }

    fn several<T>(&mut self, end: u8, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        self.at += 1;
        let mut found = Vec::new();
        while self.peek()? != end {
            found.push(one(self)?);
        }
        self.at += 1;
        Some(found)
    }

    fn entry(&mut self) -> Option<Entry> {
        self.peek()?;
        let line = self.lines.at(self.at);
        let key = serde_json::from_str(self.token()?).ok()?;
        Some(Entry { key, line, node: self.node()? })
    }

    /// A string with its quotes, a number or a word.
    fn token(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        let length = if rest.starts_with('"') {
            let mut escaped = false;
            let end = rest.bytes().skip(1).position(|byte| {
                let ends = byte == b'"' && !escaped;
                escaped = byte == b'\\' && !escaped;
                ends
            })?;
            end + 2
        } else {
            rest.find([' ', '\t', '\r', '\n', ',', ':', ']', '}']).unwrap_or(rest.len())
        };
        self.at += length;
        rest.get(..length)
    }
}

fn scalar(value: serde_json::Value) -> Option<Value> {
    Some(match value {
        serde_json::Value::Null => Value::Nothing,
        serde_json::Value::Bool(flag) => Value::Flag(flag),
        serde_json::Value::String(text) => Value::Text(text),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(whole) => Value::Whole(whole),
            None => Value::Number(number.as_f64()?),
        },
        _ => return None,
    })
}
