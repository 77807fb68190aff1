//! A recipe's text as values that know their lines.

use super::problem::Problem;
use toml::de::{DeTable, DeValue};

/// A value and the line where it stands, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Nothing,
    Flag(bool),
    Whole(i64),
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
}

/// A key of a table with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) line: usize,
    pub(super) node: Node,
}

impl Node {
    /// Reads TOML.
    pub(super) fn from_toml(text: &str) -> Result<Self, Problem> {
        let lines = Lines::of(text);
        let table = DeTable::parse(text).map_err(|error| Problem {
            line: error.span().map(|span| lines.at(span.start)),
            words: error.message().to_owned(),
        })?;
        Ok(Self { line: 1, value: Value::Table(entries(table.get_ref(), &lines)?) })
    }

    /// The entries of a table; `None` of anything else.
    pub(super) fn entries(&self) -> Option<&[Entry]> {
        match &self.value {
            Value::Table(entries) => Some(entries),
            _ => None,
        }
    }

    /// What stands under a key of a table.
    pub(super) fn get(&self, key: &str) -> Option<&Self> {
        self.entries()?.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// The text, if it is one.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The line of a text in this value or below; the value's own line if the text does not stand there.
    pub(super) fn line_of(&self, text: &str) -> usize {
        self.find(text).unwrap_or(self.line)
    }

    fn find(&self, text: &str) -> Option<usize> {
        match &self.value {
            Value::Text(found) => (found == text).then_some(self.line),
            Value::List(nodes) => nodes.iter().find_map(|node| node.find(text)),
            Value::Table(entries) => entries.iter().find_map(|entry| entry.node.find(text)),
            _ => None,
        }
    }
}

fn entries(table: &DeTable, lines: &Lines) -> Result<Vec<Entry>, Problem> {
    let entry = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue>)| {
        let key: &toml::Spanned<std::borrow::Cow<str>> = key;
        let node = Node { line: lines.at(value.span().start), value: convert(value, lines)? };
        Ok(Entry { key: key.get_ref().to_string(), line: lines.at(key.span().start), node })
    };
    table.iter().map(entry).collect()
}

fn convert(value: &toml::Spanned<DeValue>, lines: &Lines) -> Result<Value, Problem> {
    let line = lines.at(value.span().start);
    Ok(match value.get_ref() {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(flag) => Value::Flag(*flag),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map(Value::Whole)
            .map_err(|_| Problem::at(line, format!("`{}` is too large", number.as_str())))?,
        DeValue::Float(number) => number
            .as_str()
            .parse()
            .map(Value::Number)
            .map_err(|_| Problem::at(line, format!("`{}` is no number", number.as_str())))?,
        DeValue::Datetime(time) => return Err(Problem::at(line, format!("`{time}` is a date, which no key takes"))),
        DeValue::Array(values) => {
            let nodes = values
                .iter()
                .map(|value| Ok(Node { line: lines.at(value.span().start), value: convert(value, lines)? }));
            Value::List(nodes.collect::<Result<_, Problem>>()?)
        }
        DeValue::Table(table) => Value::Table(entries(table, lines)?),
    })
}

/// The bytes where the lines of a text begin.
pub(super) struct Lines(Vec<usize>);

impl Lines {
    pub(super) fn of(text: &str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        Self(std::iter::once(0).chain(ends).collect())
    }

    /// The line of a byte, from 1.
    pub(super) fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|start| *start <= byte).max(1)
    }
}
