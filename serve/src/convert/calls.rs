//! The calls in a reply's text, taken out as it comes.
//!
//! Text goes in by pieces of any size, and what comes out is never taken back: whatever might still turn out to be the
//! beginning of a call is held until that is known. How the text is cut makes no difference to what comes out in all.

use crate::convert::neutral::{Delta, Reply};
use crate::convert::tools::{CLOSE, OPEN};
use serde_json::Value;

/// Takes a reply apart into text and calls.
///
/// Calls are expected as [`tools`](crate::convert::tools) describes them. What stands in the marks of a call and is none of a
/// known function is text, without the marks.
#[derive(Debug, Clone)]
pub struct Splitter {
    /// Names of the functions; `None` where there are none, and all is text.
    names: Option<Vec<String>>,
    unique: String,
    place: Place,
    /// What came and is not given out yet.
    pending: String,
    calls: usize,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Place {
    Text,
    /// After the opening mark, until the arguments begin.
    Head,
    /// In the arguments of the last call.
    Arguments {
        depth: usize,
        in_string: bool,
        escaped: bool,
    },
    /// After the arguments.
    Tail,
}

impl Splitter {
    /// For replies that may call these functions; the identifiers of the calls are made of `unique`.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>, unique: &str) -> Self {
        let names = Some(names.into_iter().map(str::to_owned).collect());
        Self { names, unique: unique.to_owned(), place: Place::Text, pending: String::new(), calls: 0 }
    }

    /// For replies without calls: marks in them are text.
    pub fn of_plain_text() -> Self {
        Self { names: None, unique: String::new(), place: Place::Text, pending: String::new(), calls: 0 }
    }

    /// How many calls have begun.
    pub fn calls(&self) -> usize {
        self.calls
    }

    /// Takes more of the reply.
    pub fn push(&mut self, text: &str) -> Vec<Delta> {
        let mut deltas = Vec::new();
        if self.names.is_none() {
            say(&mut deltas, text);
            return deltas;
        }
        self.pending.push_str(text);
        while self.step(&mut deltas) {}
        deltas
    }

    /// Ends the reply: what was held comes out.
    pub fn finish(&mut self) -> Vec<Delta> {
        let mut deltas = Vec::new();
        let rest = std::mem::take(&mut self.pending);
        match self.place {
            // White space after calls is what stood between them.
            Place::Text if self.calls > 0 && rest.trim().is_empty() => {}
            Place::Text => say(&mut deltas, &rest),
            // A call that was cut before its arguments has nothing that a client could use.
            Place::Head => {
                if !self.call_of_body(&rest, &mut deltas) && matches!(self.head(&rest), Head::Other) {
                    say(&mut deltas, rest.trim());
                }
            }
            Place::Arguments { .. } | Place::Tail => {}
        }
        self.place = Place::Text;
        deltas
    }

    /// Goes on by one place, if enough has come for that.
    fn step(&mut self, deltas: &mut Vec<Delta>) -> bool {
        match self.place {
            Place::Text => self.text(deltas),
            Place::Head => match self.head(&self.pending) {
                Head::Unfinished => false,
                Head::Call { name, arguments } => {
                    self.begin(name, deltas);
                    self.pending.drain(..arguments);
                    self.place = Place::Arguments { depth: 0, in_string: false, escaped: false };
                    true
                }
                Head::Other => self.body(deltas),
            },
            Place::Arguments { .. } => self.arguments(deltas),
            Place::Tail => self.tail(),
        }
    }

    fn text(&mut self, deltas: &mut Vec<Delta>) -> bool {
        let open = self.pending.find(OPEN);
        let end = open.unwrap_or(self.pending.len() - begun(&self.pending, OPEN));
        // White space before a call belongs to the marks.
        let certain = self.pending[..end].trim_end().len();
        say(deltas, &self.pending[..certain]);
        self.pending.drain(..open.map_or(certain, |open| open + OPEN.len()));
        if open.is_some() {
            self.place = Place::Head;
        }
        open.is_some()
    }

    /// A call whose fields stand in another order, or something else.
    fn body(&mut self, deltas: &mut Vec<Delta>) -> bool {
        let Some((end, after, place)) = self.mark() else { return false };
        let body = self.pending[..end].to_owned();
        if !self.call_of_body(&body, deltas) {
            say(deltas, body.trim());
        }
        self.pending.drain(..after);
        self.place = place;
        true
    }

    fn call_of_body(&mut self, body: &str, deltas: &mut Vec<Delta>) -> bool {
        let Ok(Value::Object(fields)) = serde_json::from_str(body.trim()) else { return false };
        let Some(name) = fields.get("name").and_then(Value::as_str).filter(|name| self.knows(name)) else {
            return false;
        };
        let arguments = match fields.get("arguments").or_else(|| fields.get("parameters")) {
            None | Some(Value::Null) => "{}".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(value) => value.to_string(),
        };
        self.begin(name.to_owned(), deltas);
        deltas.push(Delta::Arguments { index: self.calls - 1, fragment: arguments });
        true
    }

    fn begin(&mut self, name: String, deltas: &mut Vec<Delta>) {
        let index = self.calls;
        self.calls += 1;
        deltas.push(Delta::Call { index, id: format!("call_{}{index}", self.unique), name });
    }

    fn arguments(&mut self, deltas: &mut Vec<Delta>) -> bool {
        let Place::Arguments { mut depth, mut in_string, mut escaped } = self.place else { return false };
        let mut end = None;
        for (at, byte) in self.pending.bytes().enumerate() {
            match byte {
                _ if escaped => escaped = false,
                b'\\' if in_string => escaped = true,
                b'"' => in_string = !in_string,
                _ if in_string => {}
                b'{' | b'[' => depth += 1,
                b'}' | b']' => {
                    depth = depth.saturating_sub(1);
                    if depth == 0 {
                        end = Some(at + 1);
                        break;
                    }
                }
                // No JSON has that: the model gave up.
                b'<' => {
                    end = Some(at);
                    break;
                }
                _ => {}
            }
        }
        let fragment: String = self.pending.drain(..end.unwrap_or(self.pending.len())).collect();
        if !fragment.is_empty() {
            deltas.push(Delta::Arguments { index: self.calls - 1, fragment });
        }
        self.place = if end.is_some() { Place::Tail } else { Place::Arguments { depth, in_string, escaped } };
        end.is_some()
    }

    fn tail(&mut self) -> bool {
        match self.mark() {
            Some((_, after, place)) => {
                self.pending.drain(..after);
                self.place = place;
                true
            }
            None => {
                let held = begun(&self.pending, CLOSE).max(begun(&self.pending, OPEN));
                self.pending.drain(..self.pending.len() - held);
                false
            }
        }
    }

    /// The next mark: where it begins and ends, and what follows it. A model may forget to close a call.
    fn mark(&self) -> Option<(usize, usize, Place)> {
        let of = |mark: &str, place| self.pending.find(mark).map(|at| (at, at + mark.len(), place));
        of(CLOSE, Place::Text).into_iter().chain(of(OPEN, Place::Head)).min_by_key(|(at, ..)| *at)
    }

    fn knows(&self, name: &str) -> bool {
        self.names.as_ref().is_some_and(|names| names.iter().any(|known| known == name))
    }

    /// Reads `{"name": "…", "arguments": {`, after which arguments can be given out as they come.
    fn head(&self, text: &str) -> Head {
        let mut reader = Reader { text, at: 0 };
        let read = |reader: &mut Reader<'_>| -> Result<(String, usize), Head> {
            reader.expect('{')?;
            let first = reader.string()?;
            reader.expect(':')?;
            if first != "name" {
                return Err(Head::Other);
            }
            let name = reader.string()?;
            reader.expect(',')?;
            let second = reader.string()?;
            reader.expect(':')?;
            let arguments = reader.expect('{')?;
            let is_known = matches!(second.as_str(), "arguments" | "parameters") && self.knows(&name);
            if is_known { Ok((name, arguments)) } else { Err(Head::Other) }
        };
        read(&mut reader).map_or_else(|head| head, |(name, arguments)| Head::Call { name, arguments })
    }
}

/// What stands after an opening mark.
enum Head {
    /// Too little to know.
    Unfinished,
    /// A call whose arguments begin at this byte.
    Call { name: String, arguments: usize },
    /// Something else.
    Other,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Result<char, Head> {
        let rest = self.text[self.at..].trim_start();
        self.at = self.text.len() - rest.len();
        rest.chars().next().ok_or(Head::Unfinished)
    }

    /// Where the sign stood.
    fn expect(&mut self, sign: char) -> Result<usize, Head> {
        if self.next()? != sign {
            return Err(Head::Other);
        }
        self.at += sign.len_utf8();
        Ok(self.at - sign.len_utf8())
    }

    fn string(&mut self) -> Result<String, Head> {
        let start = self.expect('"')?;
        let mut escaped = false;
        for (at, byte) in self.text.bytes().enumerate().skip(self.at) {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => {
                    self.at = at + 1;
                    return serde_json::from_str(&self.text[start..self.at]).map_err(|_| Head::Other);
                }
                _ => {}
            }
        }
        Err(Head::Unfinished)
    }
}

/// How many bytes at the end of `text` are the beginning of `mark`.
fn begun(text: &str, mark: &str) -> usize {
    (1..mark.len()).rev().find(|&length| text.ends_with(&mark[..length])).unwrap_or(0)
}

fn say(deltas: &mut Vec<Delta>, text: &str) {
    if !text.is_empty() {
        deltas.push(Delta::Text(text.to_owned()));
    }
}

/// Takes a finished reply apart.
pub fn parse(mut splitter: Splitter, text: &str) -> Reply {
    let mut deltas = splitter.push(text);
    deltas.extend(splitter.finish());
    Reply::collect(deltas)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn splitter() -> Splitter {
        Splitter::new(["add", "weather"], "x")
    }

    /// Text, and calls as `name(arguments)`.
    fn read(text: &str) -> (String, Vec<String>) {
        let reply = parse(splitter(), text);
        (reply.text, reply.calls.iter().map(|call| format!("{}({})", call.name, call.arguments)).collect())
    }

    fn is(text: &str, content: &str, calls: &[&str]) {
        assert_eq!(read(text), (content.to_owned(), calls.iter().map(|&call| call.to_owned()).collect()), "{text}");
    }

    #[test]
    fn text_and_calls_are_told_apart() {
        is("Hello. 1 < 2 <tool", "Hello. 1 < 2 <tool", &[]);
        is(
            "Let me see.\n<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": [2]}}\n</tool_call>\n",
            "Let me see.",
            &["add({\"a\": 1, \"b\": [2]})"],
        );
        let two = "<tool_call>\n{\"name\": \"add\", \"arguments\": {}}\n</tool_call>\n<tool_call>{\"name\":\"weather\",\"arguments\"\
            :{\"city\":\"}</tool_call>\\\"\"}}</tool_call> Done.";
        is(two, " Done.", &["add({})", "weather({\"city\":\"}</tool_call>\\\"\"})"]);
        let ids: Vec<String> = parse(splitter(), two).calls.into_iter().map(|call| call.id).collect();
        assert_eq!(ids, ["call_x0", "call_x1"]);
    }

    #[test]
    fn calls_in_another_form_are_read_as_well() {
        is("<tool_call>{\"arguments\": {\"a\": 1}, \"name\": \"add\"}</tool_call>", "", &["add({\"a\":1})"]);
        is("<tool_call>{\"name\": \"add\"}</tool_call>", "", &["add({})"]);
        is("<tool_call>{\"name\": \"add\", \"arguments\": \"{\\\"a\\\":1}\"}</tool_call>", "", &["add({\"a\":1})"]);
        is(
            "<tool_call>{\"name\": \"add\", \"parameters\": {\"a\": 1}}<tool_call>{\"name\": \"add\"}",
            "",
            &["add({\"a\": 1})", "add({})"],
        );
    }

    #[test]
    fn what_is_no_call_is_text_without_the_marks() {
        is("<tool_call>no JSON</tool_call>", "no JSON", &[]);
        is(
            "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>",
            "{\"name\": \"rm\", \"arguments\": {}}",
            &[],
        );
        is("<tool_call></tool_call>", "", &[]);
    }

    #[test]
    fn a_call_that_was_cut_keeps_the_arguments_it_has() {
        is("<tool_call>\n{\"name\": \"ad", "", &[]);
        is("<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1", "", &["add({\"a\": 1)"]);
        is("<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": </tool_call>ok", "ok", &["add({\"a\": )"]);
    }

    #[test]
    fn without_functions_all_is_text() {
        let text = "<tool_call>{}</tool_call> ";
        assert_eq!(parse(Splitter::of_plain_text(), text), Reply { text: text.to_owned(), calls: Vec::new() });
    }

    #[test]
    fn however_the_text_is_cut_the_same_comes_out() {
        let parts = [
            "<tool_call>",
            "</tool_call>",
            "<tool",
            "_call>",
            "</tool_",
            "{\"name\": \"add\", \"arguments\": ",
            "{\"a\": 1}",
            "}",
            "{\"name\":\"weather\",\"arguments\":{\"c\":\"",
            "é\\\"",
            "\"}}",
            "\n",
            "  ",
            "Well",
            " <",
            "{\"arguments\": {}, \"name\": ",
            "\"add\"",
            "\\",
            "\"",
            "[",
            "]",
            "<",
            "ß",
        ];
        let mut seed = 99_u64;
        let mut below = move |bound: usize| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            (seed >> 11) as usize % bound
        };
        for _ in 0..20_000 {
            let text: String = (0..below(12)).map(|_| parts[below(parts.len())]).collect();
            let whole = parse(splitter(), &text);
            let mut pieces = splitter();
            let mut deltas = Vec::new();
            let mut rest = text.as_str();
            while !rest.is_empty() {
                let mut cut = 1 + below(rest.len());
                while !rest.is_char_boundary(cut) {
                    cut += 1;
                }
                let (piece, after) = rest.split_at(cut);
                deltas.extend(pieces.push(piece));
                rest = after;
            }
            deltas.extend(pieces.finish());
            assert!(deltas.iter().all(|delta| !matches!(delta, Delta::Text(text) if text.contains(OPEN))), "{text}");
            assert_eq!(Reply::collect(deltas), whole, "{text}");
        }
    }
}
