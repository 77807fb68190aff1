//! llama.cpp's grammars, GBNF, as grammars in llguidance's form of Lark.
//!
//! The reader takes what llama.cpp takes, but for literals of tokens, whose numbers mean something else in every vocabulary.
//! The module `lark` writes what was read.

mod lark;

use std::collections::HashMap;

/// Deepest nesting of groups.
const DEEPEST: usize = 40;
/// Most repetitions: llama.cpp's limit.
const MOST_REPETITIONS: u32 = 2000;

/// A part of a rule.
#[derive(Debug, Clone, PartialEq)]
enum Node {
    /// One character.
    Class(Class),
    /// A rule, by its number.
    Rule(usize),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    /// So often at least, and at most.
    Repeat(Box<Node>, u32, Option<u32>),
}

/// Some characters, or all but some.
#[derive(Debug, Clone, PartialEq)]
struct Class {
    is_negated: bool,
    ranges: Vec<(char, char)>,
}

/// The same grammar in Lark. An error says what is wrong and in which line.
pub fn to_lark(text: &str) -> Result<String, String> {
    read(text).map(|(rules, root)| lark::write(&rules, root))
}

/// The rules, and which of them is the root.
fn read(text: &str) -> Result<(Vec<Node>, usize), String> {
    let mut reader = Reader { text, at: 0, numbers: HashMap::new(), rules: Vec::new(), depth: 0 };
    let wrong = |reader: &Reader<'_>, message: String| {
        let line = text[..reader.at.min(text.len())].matches('\n').count() + 1;
        format!("Line {line} of the grammar: {message}")
    };
    if let Err(message) = reader.grammar() {
        return Err(wrong(&reader, message));
    }
    let Some(&root) = reader.numbers.get("root") else {
        return Err("The grammar has no rule `root`.".to_owned());
    };
    let mut rules = Vec::new();
    for (name, rule) in reader.rules {
        match rule {
            Some(rule) => rules.push(rule),
            None => return Err(format!("The grammar has no rule `{name}`, which another one uses.")),
        }
    }
    Ok((rules, root))
}

struct Reader<'a> {
    text: &'a str,
    /// The next byte.
    at: usize,
    numbers: HashMap<&'a str, usize>,
    /// Names, and what was read of them.
    rules: Vec<(&'a str, Option<Node>)>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn grammar(&mut self) -> Result<(), String> {
        self.space(true);
        while self.peek().is_some() {
            let name = self.name().ok_or_else(|| format!("A rule's name is missing before `{}`.", self.shown()))?;
            let number = self.number_of(name);
            self.space(false);
            if !self.takes("::=") {
                return Err(format!("`::=` is missing after `{name}`."));
            }
            self.space(true);
            let node = self.choice()?;
            match self.peek() {
                None | Some('\r' | '\n') => {}
                Some(_) => return Err(format!("`{}` cannot stand here.", self.shown())),
            }
            if self.rules[number].1.replace(node).is_some() {
                return Err(format!("There are two rules `{name}`."));
            }
            self.space(true);
        }
        Ok(())
    }

    fn choice(&mut self) -> Result<Node, String> {
        let mut alternatives = vec![self.sequence()?];
        loop {
            let here = self.at;
            // llama.cpp wants the `|` at the end of a line. At the beginning of one it can mean nothing else.
            self.space(true);
            if !self.takes("|") {
                self.at = here;
                break;
            }
            self.space(true);
            alternatives.push(self.sequence()?);
        }
        Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Node::Choice(alternatives) })
    }

    fn sequence(&mut self) -> Result<Node, String> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            // What a repetition repeats is the last of these, a literal as a whole.
            let node = match self.peek() {
                Some('"') => Node::Sequence(self.literal()?),
                Some('[') => Node::Class(self.class()?),
                Some('.') => {
                    self.at += 1;
                    Node::Class(Class { is_negated: true, ranges: Vec::new() })
                }
                Some('(') => self.group()?,
                Some('<' | '!') => {
                    return Err(format!(
                        "`{}` names a token, and the members have different ones: write its text in quotes.",
                        self.shown()
                    ));
                }
                _ => match self.name() {
                    Some(name) => Node::Rule(self.number_of(name)),
                    None => break,
                },
            };
            self.space(self.depth > 0);
            let node = self.repeated(node)?;
            items.push(node);
        }
        Ok(if items.len() == 1 { items.remove(0) } else { Node::Sequence(items) })
    }

    fn group(&mut self) -> Result<Node, String> {
        if self.depth == DEEPEST {
            return Err(format!("Groups are nested deeper than {DEEPEST}."));
        }
        self.at += 1;
        self.depth += 1;
        self.space(true);
        let node = self.choice()?;
        self.space(true);
        if !self.takes(")") {
            return Err(format!("`)` is missing before `{}`.", self.shown()));
        }
        self.depth -= 1;
        Ok(node)
    }

    fn repeated(&mut self, mut node: Node) -> Result<Node, String> {
        loop {
            let (least, most) = match self.peek() {
                Some('*') => (0, None),
                Some('+') => (1, None),
                Some('?') => (0, Some(1)),
                Some('{') => {
                    let bounds = self.bounds()?;
                    self.space(self.depth > 0);
                    node = Node::Repeat(Box::new(node), bounds.0, bounds.1);
                    continue;
                }
                _ => return Ok(node),
            };
            self.at += 1;
            self.space(self.depth > 0);
            node = Node::Repeat(Box::new(node), least, most);
        }
    }

    /// `{n}`, `{n,}`, `{,m}` or `{n,m}`.
    fn bounds(&mut self) -> Result<(u32, Option<u32>), String> {
        let end = self.text[self.at..].find('}').ok_or("`}` is missing.")?;
        let inner = &self.text[self.at + 1..self.at + end];
        let wrong = || format!("`{{{inner}}}` is no number of repetitions up to {MOST_REPETITIONS}.");
        let number =
            |text: &str| text.trim().parse::<u32>().ok().filter(|&number| number <= MOST_REPETITIONS).ok_or_else(wrong);
        let bounds = match inner.split_once(',') {
            None => (number(inner)?, Some(number(inner)?)),
            Some((least, most)) => {
                let least = if least.trim().is_empty() { 0 } else { number(least)? };
                (least, if most.trim().is_empty() { None } else { Some(number(most)?) })
            }
        };
        if bounds.1.is_some_and(|most| most < bounds.0) {
            return Err(wrong());
        }
        self.at += end + 1;
        Ok(bounds)
    }

    fn literal(&mut self) -> Result<Vec<Node>, String> {
        self.at += 1;
        let mut characters = Vec::new();
        loop {
            match self.peek() {
                None | Some('\n') => return Err("`\"` is missing at the end of a literal.".to_owned()),
                Some('"') => {
                    self.at += 1;
                    return Ok(characters);
                }
                Some(_) => {
                    let character = self.character()?;
                    characters.push(Node::Class(Class { is_negated: false, ranges: vec![(character, character)] }));
                }
            }
        }
    }

    fn class(&mut self) -> Result<Class, String> {
        self.at += 1;
        let is_negated = self.takes("^");
        let mut ranges = Vec::new();
        while self.peek() != Some(']') {
            if matches!(self.peek(), None | Some('\n')) {
                return Err("`]` is missing at the end of a class.".to_owned());
            }
            let first = self.character()?;
            let is_range = self.text[self.at..].starts_with('-') && !self.text[self.at..].starts_with("-]");
            let last = if is_range {
                self.at += 1;
                self.character()?
            } else {
                first
            };
            if last < first {
                return Err(format!("The range `{first}-{last}` is the wrong way round."));
            }
            ranges.push((first, last));
        }
        self.at += 1;
        if ranges.is_empty() && !is_negated {
            return Err("`[]` has no character, so nothing could stand there.".to_owned());
        }
        Ok(Class { is_negated, ranges })
    }

    /// A character of a literal or a class, with its escapes.
    fn character(&mut self) -> Result<char, String> {
        let mut next = || {
            let character = self.text[self.at..].chars().next()?;
            self.at += character.len_utf8();
            Some(character)
        };
        match next() {
            None => Err("The grammar ends in the middle of a literal.".to_owned()),
            Some('\\') => {
                let escape = next().ok_or("The grammar ends in the middle of an escape.")?;
                let digits = match escape {
                    'n' => return Ok('\n'),
                    'r' => return Ok('\r'),
                    't' => return Ok('\t'),
                    '\\' | '"' | '[' | ']' | '-' | '^' | '/' => return Ok(escape),
                    'x' => 2,
                    'u' => 4,
                    'U' => 8,
                    other => return Err(format!("`\\{other}` is no escape.")),
                };
                let code = self.text.get(self.at..self.at + digits).unwrap_or_default();
                let character =
                    code.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u32::from_str_radix(code, 16));
                self.at += code.len();
                character
                    .and_then(Result::ok)
                    .and_then(char::from_u32)
                    .ok_or_else(|| format!("`\\{escape}{code}` is no character."))
            }
            Some(character) => Ok(character),
        }
    }

    fn number_of(&mut self, name: &'a str) -> usize {
        *self.numbers.entry(name).or_insert_with(|| {
            self.rules.push((name, None));
            self.rules.len() - 1
        })
    }

    fn name(&mut self) -> Option<&'a str> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte)).count();
        self.at += length;
        (length > 0).then(|| &rest[..length])
    }

    /// Passes over white space and comments.
    fn space(&mut self, over_lines: bool) {
        loop {
            match self.peek() {
                Some(' ' | '\t') => self.at += 1,
                Some('#') => self.at += self.text[self.at..].find('\n').unwrap_or(self.text.len() - self.at),
                Some('\n' | '\r') if over_lines => self.at += 1,
                _ => return,
            }
        }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is_there = self.text[self.at..].starts_with(sign);
        self.at += if is_there { sign.len() } else { 0 };
        is_there
    }

    /// The next few characters, for a message.
    fn shown(&self) -> String {
        let shown: String = self.text[self.at..].chars().take_while(|&c| c != '\n').take(12).collect();
        if shown.is_empty() { "the end of the line".to_owned() } else { shown }
    }
}

#[cfg(test)]
mod tests;
