//! Filters that make text of text.

use super::super::arguments::Arguments;
use super::super::interpreter::Interpreter;
use super::super::methods::{self, lines, words};
use super::super::show;
use super::super::text::{TEMPLATE, Text, TextBuilder};
use super::super::value::Value;
use super::super::work::{Done, Work, broken};

pub fn apply(run: &Interpreter, name: &str, text: &Text, arguments: &Arguments) -> Done<Value> {
    let work = run.work;
    work.spend(text.len())?;
    let changed = match name {
        "upper" => text.map(work, str::to_uppercase)?,
        "lower" => text.map(work, str::to_lowercase)?,
        "capitalize" => methods::capitalised(work, text, 0..text.len())?,
        "title" => title(work, text)?,
        "trim" => methods::stripped(work, text, arguments.text(0, "chars")?, true, true)?,
        "center" => methods::padded(work, text, arguments.size(0, "width", 80)?, None, methods::Side::Both)?,
        "replace" => {
            let part = |index, name| show::string(run, arguments.needed(index, name)?);
            methods::replaced(work, text, &part(0, "old")?, &part(1, "new")?, arguments.int(2, "count")?)?
        }
        "indent" => indented(run, text, arguments)?,
        "truncate" => truncated(work, text, arguments)?,
        "wordcount" => {
            let is_word = |character: char| character.is_alphanumeric() || character == '_';
            return Ok(Value::Int(text.as_str().split(|c| !is_word(c)).filter(|word| !word.is_empty()).count() as i64));
        }
        "wordwrap" => wrapped(work, text, arguments)?,
        "striptags" => without_tags(work, text)?,
        "urlencode" => text.map(work, url_encoded)?,
        "e" | "escape" | "forceescape" => text.map(work, |text| {
            let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            text.replace('"', "&#34;").replace('\'', "&#39;")
        })?,
        _ => return broken(format!("there is no filter `{name}`")),
    };
    Ok(Value::Text(changed))
}

/// A capital at the beginning of each word; words are separated by white space, hyphens and opening brackets.
fn title(work: &Work, text: &Text) -> Done<Text> {
    let mut titled = TextBuilder::new(work);
    let is_between = |character: char| character.is_whitespace() || "-({[<".contains(character);
    let mut start = 0;
    for part in text.as_str().split_inclusive(is_between) {
        titled.push(&methods::capitalised(work, text, start..start + part.len())?)?;
        start += part.len();
    }
    titled.finish()
}

fn indented(run: &Interpreter, text: &Text, arguments: &Arguments) -> Done<Text> {
    let space = Text::new(run.work, " ", TEMPLATE)?;
    let mut indent = TextBuilder::new(run.work);
    match arguments.get(0, "width") {
        Some(Value::Text(width)) => indent.push(width)?,
        _ => indent.push_times(&space, arguments.size(0, "width", 4)?)?,
    }
    let indent = indent.finish()?;
    let (first, blank) = (arguments.flag(1, "first"), arguments.flag(2, "blank"));
    let mut out = TextBuilder::new(run.work);
    let mut ends_open = text.as_str().is_empty();
    for (index, line) in lines(run.work, text.as_str())?.into_iter().enumerate() {
        let is_blank = line.text.is_empty();
        out.push_own(if index > 0 { "\n" } else { "" })?;
        if index == 0 && first || index > 0 && (blank || !is_blank) {
            out.push(&indent)?;
        }
        out.push_part(text, line.text.clone())?;
        ends_open = line.with_end.end > line.text.end && line.with_end.end == text.len();
    }
    // Jinja adds a line's end before it splits, so an end of the text's own stays.
    if ends_open && !text.is_empty() {
        out.push_own("\n")?;
        if blank {
            out.push(&indent)?;
        }
    }
    if text.is_empty() && first {
        out.push(&indent)?;
    }
    out.finish()
}

fn truncated(work: &Work, text: &Text, arguments: &Arguments) -> Done<Text> {
    let length = arguments.size(0, "length", 255)?;
    let end = match arguments.text(2, "end")? {
        Some(end) => end.clone(),
        None => Text::new(work, "...", TEMPLATE)?,
    };
    let leeway = arguments.size(3, "leeway", 5)?;
    if text.as_str().chars().count() <= length.saturating_add(leeway) {
        return Ok(text.clone());
    }
    let Some(kept) = length.checked_sub(end.as_str().chars().count()) else {
        return broken(format!("expected length >= {}, got {length}", end.as_str().chars().count()));
    };
    let mut stop = text.as_str().char_indices().nth(kept).map_or(text.len(), |(at, _)| at);
    if !arguments.flag(1, "killwords") {
        stop = text.as_str()[..stop].rfind(' ').unwrap_or(stop);
    }
    let mut out = TextBuilder::new(work);
    out.push_part(text, 0..stop)?;
    out.push(&end)?;
    out.finish()
}

/// Lines of at most so many characters, cut between words, or in words that are longer.
fn wrapped(work: &Work, text: &Text, arguments: &Arguments) -> Done<Text> {
    let width = arguments.size(0, "width", 79)?.max(1);
    let break_words = arguments.get(1, "break_long_words").is_none_or(Value::is_true);
    let line_end = match arguments.text(2, "wrapstring")? {
        Some(end) => end.clone(),
        None => Text::new(work, "\n", TEMPLATE)?,
    };
    let mut out = TextBuilder::new(work);
    for (index, line) in lines(work, text.as_str())?.into_iter().enumerate() {
        if index > 0 {
            out.push(&line_end)?;
        }
        let mut column = 0;
        let mut end = None;
        for word in words(work, &text.as_str()[line.text.clone()])? {
            let mut word = line.text.start + word.start..line.text.start + word.end;
            let mut length = text.as_str()[word.clone()].chars().count();
            let gap = end.map_or(0, |end| text.as_str()[end..word.start].chars().count());
            if column > 0 && column + gap + length <= width {
                out.push_part(text, end.unwrap_or(word.start)..word.start)?;
                column += gap;
            } else if column > 0 {
                out.push(&line_end)?;
                column = 0;
            }
            end = Some(word.end);
            while break_words && length > width {
                let cut =
                    text.as_str()[word.clone()].char_indices().nth(width).map_or(word.end, |(at, _)| word.start + at);
                out.push_part(text, word.start..cut)?;
                out.push(&line_end)?;
                (word.start, length) = (cut, length - width);
            }
            out.push_part(text, word)?;
            column += length;
        }
    }
    out.finish()
}

/// Without comments and tags, and each white space as one space.
fn without_tags(work: &Work, text: &Text) -> Done<Text> {
    let mut kept = TextBuilder::new(work);
    let mut rest = 0..text.len();
    while let Some(start) = text.as_str()[rest.clone()].find('<').map(|at| rest.start + at) {
        let comment = text.as_str()[start..].starts_with("<!--");
        let close = if comment { "-->" } else { ">" };
        let Some(end) = text.as_str()[start..].find(close).map(|at| start + at + close.len()) else { break };
        kept.push_part(text, rest.start..start)?;
        rest.start = end;
    }
    kept.push_part(text, rest)?;
    let kept = kept.finish()?;
    let mut out = TextBuilder::new(work);
    for (index, word) in words(work, kept.as_str())?.into_iter().enumerate() {
        out.push_own(if index > 0 { " " } else { "" })?;
        out.push_part(&kept, word)?;
    }
    out.finish()
}

fn url_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' | b'/' => encoded.push(byte.into()),
            _ => {
                let digit = |value: u8| char::from(b"0123456789ABCDEF"[usize::from(value)]);
                encoded.extend(['%', digit(byte >> 4), digit(byte & 15)]);
            }
        }
    }
    encoded
}
