//! The methods that Python's values have and that change nothing.

mod cut;
mod shape;

pub use cut::{lines, words};
pub use shape::{Side, capitalised, padded, replaced, stripped};

use super::arguments::Arguments;
use super::interpreter::Interpreter;
use super::text::{Text, TextBuilder};
use super::value::{Loop, Value};
use super::work::{Done, broken};
use super::{format, show};
use std::ops::Range;

const OF_TEXT: &[&str] = &[
    "capitalize",
    "casefold",
    "center",
    "count",
    "endswith",
    "expandtabs",
    "find",
    "format",
    "format_map",
    "index",
    "isalnum",
    "isalpha",
    "isascii",
    "isdecimal",
    "isdigit",
    "isidentifier",
    "islower",
    "isnumeric",
    "isprintable",
    "isspace",
    "istitle",
    "isupper",
    "join",
    "ljust",
    "lower",
    "lstrip",
    "partition",
    "removeprefix",
    "removesuffix",
    "replace",
    "rfind",
    "rindex",
    "rjust",
    "rpartition",
    "rsplit",
    "rstrip",
    "split",
    "splitlines",
    "startswith",
    "strip",
    "swapcase",
    "title",
    "upper",
    "zfill",
];

/// Whether `value.name` is a method.
pub fn has(value: &Value, name: &str) -> bool {
    let names: &[&str] = match value {
        Value::Text(_) => OF_TEXT,
        Value::List(_) => &["copy", "count", "index"],
        Value::Tuple(_) => &["count", "index"],
        Value::Dict(_) => &["copy", "get", "items", "keys", "values"],
        Value::Loop(_) => &["changed", "cycle"],
        Value::Int(_) | Value::Float(_) => &["is_integer"],
        _ => &[],
    };
    names.contains(&name)
}

/// `value.name(arguments)`.
pub fn call(run: &mut Interpreter, value: &Value, name: &str, arguments: &Arguments) -> Done<Value> {
    match value {
        Value::Text(text) => {
            run.work.spend(text.len())?;
            of_text(run, text, name, arguments)
        }
        Value::List(items) | Value::Tuple(items) => match name {
            "copy" => Ok(value.clone()),
            "count" => {
                let mut count = 0;
                for item in &items.items {
                    count += i64::from(item.equals(run.work, arguments.needed(0, "value")?)?);
                }
                Ok(Value::Int(count))
            }
            _ => {
                for (index, item) in items.items.iter().enumerate() {
                    if item.equals(run.work, arguments.needed(0, "value")?)? {
                        return Ok(Value::Int(index as i64));
                    }
                }
                broken("the list does not have it")
            }
        },
        Value::Dict(dict) => {
            run.work.spend_places(2 * dict.pairs.len())?;
            match name {
                "copy" => Ok(value.clone()),
                "get" => {
                    let found = dict.get(run.work, arguments.needed(0, "key")?)?;
                    Ok(found.or(arguments.get(1, "default")).cloned().unwrap_or(Value::None))
                }
                "keys" => Value::list(run.work, dict.pairs.iter().map(|(key, _)| key.clone()).collect()),
                "values" => Value::list(run.work, dict.pairs.iter().map(|(_, value)| value.clone()).collect()),
                _ => {
                    let pair = |(key, value): &(Value, Value)| Value::tuple(run.work, vec![key.clone(), value.clone()]);
                    let pairs = dict.pairs.iter().map(pair).collect::<Done<_>>()?;
                    Value::list(run.work, pairs)
                }
            }
        }
        Value::Loop(state) => of_loop(run, state, name, arguments),
        Value::Float(number) => Ok(Value::Bool(number.fract() == 0.0)),
        Value::Int(_) => Ok(Value::Bool(true)),
        _ => broken(format!("'{}' object has no method '{name}'", value.type_name())),
    }
}

fn of_loop(run: &Interpreter, state: &Loop, name: &str, arguments: &Arguments) -> Done<Value> {
    let values = &arguments.positional;
    if name == "cycle" {
        return match values.len() {
            0 => broken("no items for cycling given"),
            count => Ok(values[state.index.get() % count].clone()),
        };
    }
    let value = Value::tuple(run.work, values.clone())?;
    let before = state.changed.replace(Some(value.clone()));
    Ok(Value::Bool(match before {
        Some(before) => !before.equals(run.work, &value)?,
        None => true,
    }))
}

fn of_text(run: &mut Interpreter, text: &Text, name: &str, arguments: &Arguments) -> Done<Value> {
    let work = run.work;
    let string = text.as_str();
    let is_all = |test: fn(char) -> bool| Ok(Value::Bool(!string.is_empty() && string.chars().all(test)));
    let changed = match name {
        "upper" => text.map(work, str::to_uppercase)?,
        "lower" | "casefold" => text.map(work, str::to_lowercase)?,
        "swapcase" => text.map(work, shape::swapped)?,
        "capitalize" => capitalised(work, text, 0..text.len())?,
        "title" => shape::title(work, text)?,
        "strip" => stripped(work, text, arguments.text(0, "chars")?, true, true)?,
        "lstrip" => stripped(work, text, arguments.text(0, "chars")?, true, false)?,
        "rstrip" => stripped(work, text, arguments.text(0, "chars")?, false, true)?,
        "replace" => {
            let (old, new) = (arguments.needed_text(0, "old")?, arguments.needed_text(1, "new")?);
            replaced(work, text, old, new, arguments.int(2, "count")?)?
        }
        "removeprefix" => {
            let prefix = arguments.needed_text(0, "prefix")?.as_str();
            text.slice(work, string.strip_prefix(prefix).map_or(0, |_| prefix.len())..text.len())?
        }
        "removesuffix" => {
            let suffix = arguments.needed_text(0, "suffix")?.as_str();
            text.slice(work, 0..string.strip_suffix(suffix).map_or(text.len(), str::len))?
        }
        "center" | "ljust" | "rjust" => {
            let side = match name {
                "center" => Side::Both,
                "ljust" => Side::Right,
                _ => Side::Left,
            };
            padded(work, text, arguments.size(0, "width", 0)?, arguments.text(1, "fillchar")?, side)?
        }
        "zfill" => shape::zero_filled(work, text, arguments.size(0, "width", 0)?)?,
        "expandtabs" => shape::without_tabs(work, text, arguments.size(0, "tabsize", 8)?)?,
        "format" => format::braces(run, text, arguments)?,
        "format_map" => {
            let Value::Dict(dict) = arguments.needed(0, "mapping")? else { return broken("it needs a dictionary") };
            let mut named = Arguments::default();
            for (key, value) in &dict.pairs {
                named.named.push((show::string(run, key)?.as_str().into(), value.clone()));
            }
            format::braces(run, text, &named)?
        }
        "join" => {
            let mut joined = TextBuilder::new(work);
            for (index, item) in arguments.needed(0, "iterable")?.items(work)?.items.iter().enumerate() {
                if index > 0 {
                    joined.push(text)?;
                }
                match item {
                    Value::Text(item) => joined.push(item)?,
                    _ => return broken(format!("sequence item {index}: expected str, {} found", item.type_name())),
                }
            }
            joined.finish()?
        }
        "split" | "rsplit" => return cut::split(work, text, arguments, name == "rsplit"),
        "splitlines" => return cut::split_lines(work, text, arguments.flag(0, "keepends")),
        "partition" | "rpartition" => return cut::partition(work, text, arguments, name == "rpartition"),
        "startswith" | "endswith" => {
            let range = window(text, arguments)?;
            let part = range.map_or("", |range| &string[range]);
            let matches = |other: &Text| match name {
                "startswith" => part.starts_with(other.as_str()),
                _ => part.ends_with(other.as_str()),
            };
            return match arguments.needed(0, "prefix")? {
                Value::Text(other) => Ok(Value::Bool(matches(other))),
                Value::Tuple(others) => Ok(Value::Bool(others.items.iter().filter_map(Value::as_text).any(matches))),
                other => broken(format!("{name} first arg must be str or a tuple of str, not {}", other.type_name())),
            };
        }
        "count" | "find" | "rfind" | "index" | "rindex" => return find(text, name, arguments),
        "isalnum" => return is_all(char::is_alphanumeric),
        "isalpha" => return is_all(char::is_alphabetic),
        "isdecimal" | "isdigit" | "isnumeric" => return is_all(char::is_numeric),
        "isspace" => return is_all(cut::is_space),
        "isascii" => return Ok(Value::Bool(string.is_ascii())),
        "isprintable" => return Ok(Value::Bool(string.chars().all(show::is_printable))),
        "isidentifier" => {
            let is_inner = |character: char| character == '_' || character.is_alphanumeric();
            let starts = string.chars().next().is_some_and(|first| is_inner(first) && !first.is_numeric());
            return Ok(Value::Bool(starts && string.chars().all(is_inner)));
        }
        "islower" => {
            return Ok(Value::Bool(string.contains(char::is_lowercase) && !string.contains(char::is_uppercase)));
        }
        "isupper" => {
            return Ok(Value::Bool(string.contains(char::is_uppercase) && !string.contains(char::is_lowercase)));
        }
        "istitle" => {
            let cased = |character: char| character.is_lowercase() || character.is_uppercase();
            return Ok(Value::Bool(string.contains(cased) && shape::title(work, text)?.as_str() == string));
        }
        _ => return broken(format!("'str' object has no method '{name}'")),
    };
    Ok(Value::Text(changed))
}

/// The bytes between the arguments `start` and `end`, which count characters. `None` if `start` is beyond the end.
fn window(text: &Text, arguments: &Arguments) -> Done<Option<Range<usize>>> {
    let (start, end) = (arguments.int(1, "start")?, arguments.int(2, "end")?);
    if (start, end) == (None, None) {
        return Ok(Some(0..text.len()));
    }
    let count = text.as_str().chars().count() as i64;
    let cut = |bound: i64| if bound < 0 { bound.saturating_add(count).max(0) } else { bound };
    let (start, end) = (cut(start.unwrap_or(0)), cut(end.unwrap_or(count)).min(count));
    let byte = |index: i64| text.as_str().char_indices().nth(index as usize).map_or(text.len(), |(at, _)| at);
    Ok((start <= end).then(|| byte(start)..byte(end)))
}

fn find(text: &Text, name: &str, arguments: &Arguments) -> Done<Value> {
    let needle = arguments.needed_text(0, "sub")?.as_str();
    let Some(range) = window(text, arguments)? else {
        return if name.ends_with("index") {
            broken("substring not found")
        } else {
            Ok(Value::Int(if name == "count" { 0 } else { -1 }))
        };
    };
    let part = &text.as_str()[range.clone()];
    let at = match name {
        "count" => return Ok(Value::Int(part.matches(needle).count() as i64)),
        "find" | "index" => part.find(needle),
        _ => part.rfind(needle),
    };
    match at {
        Some(at) => Ok(Value::Int(text.as_str()[..range.start + at].chars().count() as i64)),
        None if name.ends_with("index") => broken("substring not found"),
        None => Ok(Value::Int(-1)),
    }
}
