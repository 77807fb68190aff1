//! Values as text: as Python prints them, and as JSON.

use super::interpreter::Interpreter;
use super::text::{TEMPLATE, Text, TextBuilder};
use super::value::{Value, sort};
use super::work::{Done, broken};

/// How deep namespaces in namespaces are shown; one can contain itself.
const DEEPEST_NAMESPACE: usize = 20;

/// The value as a template prints it: `str(value)`.
pub fn string(run: &Interpreter, value: &Value) -> Done<Text> {
    if let Value::Text(text) = value {
        return Ok(text.clone());
    }
    let mut shown = TextBuilder::new(run.work);
    push_string(run, &mut shown, value)?;
    shown.finish()
}

/// Appends `str(value)`.
pub fn push_string(run: &Interpreter, out: &mut TextBuilder, value: &Value) -> Done<()> {
    match value {
        Value::Text(text) => out.push(text),
        Value::Undefined(_) => Ok(()),
        _ => push_repr(run, out, value, 0),
    }
}

/// `repr(value)`.
pub fn repr(run: &Interpreter, value: &Value) -> Done<Text> {
    let mut shown = TextBuilder::new(run.work);
    push_repr(run, &mut shown, value, 0)?;
    shown.finish()
}

fn push_repr(run: &Interpreter, out: &mut TextBuilder, value: &Value, namespaces: usize) -> Done<()> {
    run.work.spend(super::work::STEP)?;
    match value {
        Value::Undefined(_) => out.push_own("Undefined"),
        Value::None => out.push_own("None"),
        Value::Bool(true) => out.push_own("True"),
        Value::Bool(false) => out.push_own("False"),
        Value::Int(number) => out.push_own(&number.to_string()),
        Value::Float(number) => out.push_own(&float(*number)),
        Value::Text(text) => push_quoted(out, text),
        Value::List(list) => {
            out.push_own("[")?;
            push_all(run, out, &list.items, namespaces)?;
            out.push_own("]")
        }
        Value::Tuple(tuple) => {
            out.push_own("(")?;
            push_all(run, out, &tuple.items, namespaces)?;
            out.push_own(if tuple.items.len() == 1 { ",)" } else { ")" })
        }
        Value::Dict(dict) => {
            out.push_own("{")?;
            for (index, (key, value)) in dict.pairs.iter().enumerate() {
                out.push_own(if index > 0 { ", " } else { "" })?;
                push_repr(run, out, key, namespaces)?;
                out.push_own(": ")?;
                push_repr(run, out, value, namespaces)?;
            }
            out.push_own("}")
        }
        Value::Namespace(_) if namespaces == DEEPEST_NAMESPACE => broken("a namespace contains itself"),
        Value::Namespace(number) => {
            out.push_own("<Namespace {")?;
            for (index, (name, value)) in run.namespaces[*number].iter().enumerate() {
                out.push_own(if index > 0 { ", '" } else { "'" })?;
                out.push_own(name)?;
                out.push_own("': ")?;
                push_repr(run, out, value, namespaces + 1)?;
            }
            out.push_own("}>")
        }
        Value::Loop(state) => {
            out.push_own(&format!("<LoopContext {}/{}>", state.index.get() + 1, state.items.items.len()))
        }
        Value::Macro(number) => {
            out.push_own("<Macro '")?;
            out.push_own(run.macro_name(*number))?;
            out.push_own("'>")
        }
        Value::Function(function) => out.push_own(&format!("<function {function:?}>")),
        Value::Method(method) => out.push_own(&format!("<built-in method {}>", method.1)),
    }
}

fn push_all(run: &Interpreter, out: &mut TextBuilder, items: &[Value], namespaces: usize) -> Done<()> {
    for (index, item) in items.iter().enumerate() {
        out.push_own(if index > 0 { ", " } else { "" })?;
        push_repr(run, out, item, namespaces)?;
    }
    Ok(())
}

fn push_quoted(out: &mut TextBuilder, text: &Text) -> Done<()> {
    let quote = if text.as_str().contains('\'') && !text.as_str().contains('"') { "\"" } else { "'" };
    out.push_own(quote)?;
    push_escaped(out, text, |character| match character {
        '\\' => Some("\\\\".into()),
        '\n' => Some("\\n".into()),
        '\r' => Some("\\r".into()),
        '\t' => Some("\\t".into()),
        _ if quote.starts_with(character) => Some(format!("\\{character}")),
        '\0'..='\x1f' | '\x7f'..='\u{a0}' | '\u{ad}' => Some(format!("\\x{:02x}", character as u32)),
        _ if is_printable(character) => None,
        '\0'..='\u{ffff}' => Some(format!("\\u{:04x}", character as u32)),
        _ => Some(format!("\\U{:08x}", character as u32)),
    })?;
    out.push_own(quote)
}

/// What Python does not escape in `repr`, but for rare categories of Unicode.
pub fn is_printable(character: char) -> bool {
    character == ' '
        || !(character.is_control()
            || character.is_whitespace()
            || matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}'
                | '\u{feff}' | '\u{e000}'..='\u{f8ff}' | '\u{f0000}'..='\u{10ffff}'))
}

/// Appends `text` with some characters written in another way, which stay their owner's.
fn push_escaped(out: &mut TextBuilder, text: &Text, escape: impl Fn(char) -> Option<String>) -> Done<()> {
    for (stretch, owner) in text.stretches(0..text.len()) {
        let mut start = 0;
        for (at, character) in stretch.char_indices() {
            if let Some(escaped) = escape(character) {
                out.push_str(&stretch[start..at], owner)?;
                out.push_str(&escaped, owner)?;
                start = at + character.len_utf8();
            }
        }
        out.push_str(&stretch[start..], owner)?;
    }
    Ok(())
}

/// A float as Python writes it: the shortest digits, with an exponent below 1e-4 and from 1e16 on.
pub fn float(number: f64) -> String {
    if !number.is_finite() {
        return if number.is_nan() { "nan".into() } else { if number > 0.0 { "inf" } else { "-inf" }.into() };
    }
    let scientific = format!("{number:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&exponent) {
        let plain = number.to_string();
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    format!("{digits}e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs())
}

/// How JSON is written, after `json.dumps`.
pub struct JsonStyle {
    pub ascii: bool,
    /// White space of one step of depth; without it all stands in one line.
    pub indent: Option<Text>,
    pub between_items: Text,
    pub after_key: Text,
    pub sort_keys: bool,
}

pub fn push_json(run: &Interpreter, out: &mut TextBuilder, value: &Value, style: &JsonStyle, depth: usize) -> Done<()> {
    run.work.spend(super::work::STEP)?;
    match value {
        Value::None => out.push_own("null"),
        Value::Bool(true) => out.push_own("true"),
        Value::Bool(false) => out.push_own("false"),
        Value::Int(number) => out.push_own(&number.to_string()),
        Value::Float(number) => out.push_own(&json_float(*number)),
        Value::Text(text) => push_json_text(out, text, style.ascii),
        Value::List(list) | Value::Tuple(list) => {
            let each =
                |run: &Interpreter, out: &mut TextBuilder, item: &Value| push_json(run, out, item, style, depth + 1);
            push_json_container(run, out, style, depth, ["[", "]"], &list.items, each)
        }
        Value::Dict(dict) => {
            let mut pairs = dict.pairs.clone();
            run.work.spend_places(pairs.len())?;
            if style.sort_keys {
                pairs = sort(pairs, &mut |a, b| Ok(a.0.order(run.work, &b.0)?.is_lt()))?;
            }
            push_json_container(run, out, style, depth, ["{", "}"], &pairs, |run, out, (key, value)| {
                match key {
                    Value::Text(text) => push_json_text(out, text, style.ascii)?,
                    Value::None | Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
                        out.push_own("\"")?;
                        push_json(run, out, key, style, depth)?;
                        out.push_own("\"")?;
                    }
                    _ => return broken(format!("keys of JSON must be text, not {}", key.type_name())),
                }
                out.push(&style.after_key)?;
                push_json(run, out, value, style, depth + 1)
            })
        }
        _ => broken(format!("Object of type {} is not JSON serializable", value.type_name())),
    }
}

fn push_json_container<T>(
    run: &Interpreter,
    out: &mut TextBuilder,
    style: &JsonStyle,
    depth: usize,
    [open, close]: [&str; 2],
    items: &[T],
    mut each: impl FnMut(&Interpreter, &mut TextBuilder, &T) -> Done<()>,
) -> Done<()> {
    out.push_own(open)?;
    let new_line = |out: &mut TextBuilder, depth: usize| match &style.indent {
        Some(indent) => out.push_own("\n").and_then(|()| out.push_times(indent, depth)),
        None => Ok(()),
    };
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(&style.between_items)?;
        }
        new_line(out, depth + 1)?;
        each(run, out, item)?;
    }
    if !items.is_empty() {
        new_line(out, depth)?;
    }
    out.push_own(close)
}

fn json_float(number: f64) -> String {
    match number {
        _ if number.is_nan() => "NaN".into(),
        f64::INFINITY => "Infinity".into(),
        f64::NEG_INFINITY => "-Infinity".into(),
        _ => float(number),
    }
}

fn push_json_text(out: &mut TextBuilder, text: &Text, ascii: bool) -> Done<()> {
    out.push_str("\"", TEMPLATE)?;
    push_escaped(out, text, |character| match character {
        '"' => Some("\\\"".into()),
        '\\' => Some("\\\\".into()),
        '\n' => Some("\\n".into()),
        '\r' => Some("\\r".into()),
        '\t' => Some("\\t".into()),
        '\x08' => Some("\\b".into()),
        '\x0c' => Some("\\f".into()),
        '\0'..='\x1f' => Some(format!("\\u{:04x}", character as u32)),
        _ if ascii && !character.is_ascii() => {
            let mut units = [0; 2];
            Some(character.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect())
        }
        _ => None,
    })?;
    out.push_own("\"")
}
