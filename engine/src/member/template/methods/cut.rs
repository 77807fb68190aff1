//! Cuts a text into parts, as Python does.

use super::super::arguments::Arguments;
use super::super::text::{TEMPLATE, Text};
use super::super::value::Value;
use super::super::work::{Done, Work, broken};
use std::ops::Range;

/// White space after Python's `str.isspace`.
pub fn is_space(character: char) -> bool {
    character.is_whitespace() || ('\x1c'..='\x1f').contains(&character)
}

/// Where a line stands in a text, without its end and with it.
pub struct Line {
    pub text: Range<usize>,
    pub with_end: Range<usize>,
}

/// The lines of `str.splitlines`.
pub fn lines(work: &Work, text: &str) -> Done<Vec<Line>> {
    let mut lines = Vec::new();
    let mut start = 0;
    while start < text.len() {
        let is_end = |character| {
            matches!(
                character,
                '\n' | '\r' | '\x0b' | '\x0c' | '\x1c' | '\x1d' | '\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
            )
        };
        let end = text[start..].find(is_end).map_or(text.len(), |at| start + at);
        let width = match &text[end..] {
            rest if rest.starts_with("\r\n") => 2,
            rest => rest.chars().next().map_or(0, char::len_utf8),
        };
        work.spend_places(1)?;
        lines.push(Line { text: start..end, with_end: start..end + width });
        start = end + width;
    }
    Ok(lines)
}

/// Where the words stand that white space separates.
pub fn words(work: &Work, text: &str) -> Done<Vec<Range<usize>>> {
    let mut words = Vec::new();
    let mut start = 0;
    for part in text.split(is_space) {
        if !part.is_empty() {
            work.spend_places(1)?;
            words.push(start..start + part.len());
        }
        start += part.len();
        start += text[start..].chars().next().map_or(0, char::len_utf8);
    }
    Ok(words)
}

pub fn split_lines(work: &Work, text: &Text, keep_ends: bool) -> Done<Value> {
    let mut parts = Vec::new();
    for line in lines(work, text.as_str())? {
        parts.push(Value::Text(text.slice(work, if keep_ends { line.with_end } else { line.text })?));
    }
    Value::list(work, parts)
}

/// `split` and, from the right, `rsplit`.
pub fn split(work: &Work, text: &Text, arguments: &Arguments, from_right: bool) -> Done<Value> {
    let limit = arguments.int(1, "maxsplit")?.unwrap_or(-1);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let string = text.as_str();
    let parts: Vec<Range<usize>> = match arguments.text(0, "sep")? {
        None => {
            let words = words(work, string)?;
            match words.len().checked_sub(limit).filter(|&rest| rest > 0) {
                // What is not split any more keeps its inner white space and that at its far end.
                Some(rest) if from_right => {
                    let end = words[rest - 1].end;
                    std::iter::once(0..end).chain(words[rest..].iter().cloned()).collect()
                }
                Some(_) => {
                    let start = words[limit].start;
                    words[..limit].iter().cloned().chain(std::iter::once(start..string.len())).collect()
                }
                None => words,
            }
        }
        Some(separator) if separator.is_empty() => return broken("empty separator"),
        Some(separator) => {
            let mut places = Vec::new();
            let mut add = |(place, _): (usize, &str)| work.spend_places(1).map(|()| places.push(place));
            if from_right {
                string.rmatch_indices(separator.as_str()).take(limit).try_for_each(&mut add)?;
                places.reverse();
            } else {
                string.match_indices(separator.as_str()).take(limit).try_for_each(&mut add)?;
            }
            let starts = std::iter::once(0).chain(places.iter().map(|place| place + separator.len()));
            let ends = places.iter().copied().chain(std::iter::once(string.len()));
            starts.zip(ends).map(|(start, end)| start..end).collect()
        }
    };
    work.spend_places(parts.len())?;
    let mut list = Vec::with_capacity(parts.len());
    for part in parts {
        list.push(Value::Text(text.slice(work, part)?));
    }
    Value::list(work, list)
}

/// `partition` and, at the last place, `rpartition`.
pub fn partition(work: &Work, text: &Text, arguments: &Arguments, from_right: bool) -> Done<Value> {
    let separator = arguments.needed_text(0, "sep")?;
    if separator.is_empty() {
        return broken("empty separator");
    }
    let string = text.as_str();
    let at = if from_right { string.rfind(separator.as_str()) } else { string.find(separator.as_str()) };
    let nothing = Text::new(work, "", TEMPLATE)?;
    let parts = match at {
        Some(at) => {
            let end = at + separator.len();
            [text.slice(work, 0..at)?, text.slice(work, at..end)?, text.slice(work, end..text.len())?]
        }
        None if from_right => [nothing.clone(), nothing, text.clone()],
        None => [text.clone(), nothing.clone(), nothing],
    };
    Value::tuple(work, parts.map(Value::Text).into())
}
