//! Changes how a text looks: its ends, its width, its letters.

use super::super::text::{TEMPLATE, Text, TextBuilder};
use super::super::work::{Done, Work};
use super::cut::is_space;
use std::ops::Range;

/// Where a text gets what it lacks in width.
#[derive(Clone, Copy, PartialEq)]
pub enum Side {
    Left,
    Right,
    Both,
}

/// Without white space, or without these characters, at its ends.
pub fn stripped(work: &Work, text: &Text, characters: Option<&Text>, left: bool, right: bool) -> Done<Text> {
    let unwanted = |character: char| match characters {
        Some(characters) => characters.as_str().contains(character),
        None => is_space(character),
    };
    // Each character of the text may be looked for in all of `characters`.
    work.spend(text.len().saturating_mul(characters.map_or(0, Text::len)) / 16)?;
    let string = text.as_str();
    let start = if left { string.len() - string.trim_start_matches(unwanted).len() } else { 0 };
    let end = if right { start + string[start..].trim_end_matches(unwanted).len() } else { string.len() };
    text.slice(work, start..end)
}

pub fn replaced(work: &Work, text: &Text, old: &Text, new: &Text, count: Option<i64>) -> Done<Text> {
    let most = usize::try_from(count.unwrap_or(-1)).unwrap_or(usize::MAX);
    let mut out = TextBuilder::new(work);
    let mut end = 0;
    for (at, _) in text.as_str().match_indices(old.as_str()).take(most) {
        work.spend(1)?;
        out.push_part(text, end..at)?;
        out.push(new)?;
        end = at + old.len();
    }
    out.push_part(text, end..text.len())?;
    out.finish()
}

/// `width` characters wide at least, with a space or `fill` where it lacks some.
pub fn padded(work: &Work, text: &Text, width: usize, fill: Option<&Text>, side: Side) -> Done<Text> {
    let missing = width.saturating_sub(text.as_str().chars().count());
    let fill = match fill {
        Some(fill) => fill.clone(),
        None => Text::new(work, " ", TEMPLATE)?,
    };
    let left = match side {
        Side::Left => missing,
        Side::Right => 0,
        // As Python does it: the odd one goes to the left if the width is odd too.
        Side::Both => missing / 2 + (missing & width & 1),
    };
    let mut out = TextBuilder::new(work);
    out.push_times(&fill, left)?;
    out.push(text)?;
    out.push_times(&fill, missing - left)?;
    out.finish()
}

pub fn zero_filled(work: &Work, text: &Text, width: usize) -> Done<Text> {
    let sign = usize::from(text.as_str().starts_with(['+', '-']));
    let zero = Text::new(work, "0", TEMPLATE)?;
    let mut out = TextBuilder::new(work);
    out.push_part(text, 0..sign)?;
    out.push_times(&zero, width.saturating_sub(text.as_str().chars().count()))?;
    out.push_part(text, sign..text.len())?;
    out.finish()
}

/// Tabs as spaces up to the next column that `size` divides.
pub fn without_tabs(work: &Work, text: &Text, size: usize) -> Done<Text> {
    let space = Text::new(work, " ", TEMPLATE)?;
    let mut out = TextBuilder::new(work);
    let mut column: usize = 0;
    for (at, character) in text.as_str().char_indices() {
        match character {
            '\t' => {
                let width = size - column.checked_rem(size).unwrap_or(size);
                out.push_times(&space, width)?;
                column += width;
            }
            _ => {
                out.push_part(text, at..at + character.len_utf8())?;
                column = if matches!(character, '\n' | '\r') { 0 } else { column + 1 };
            }
        }
    }
    out.finish()
}

/// The part at `range` with a capital first and small letters after it.
pub fn capitalised(work: &Work, text: &Text, range: Range<usize>) -> Done<Text> {
    let part = text.slice(work, range)?;
    let first = part.as_str().chars().next().map_or(0, char::len_utf8);
    let mut out = TextBuilder::new(work);
    out.push(&part.slice(work, 0..first)?.map(work, str::to_uppercase)?)?;
    out.push(&part.slice(work, first..part.len())?.map(work, str::to_lowercase)?)?;
    out.finish()
}

/// `str.title`: a capital wherever a letter follows something else.
pub fn title(work: &Work, text: &Text) -> Done<Text> {
    let mut out = TextBuilder::new(work);
    let mut start = 0;
    let is_letter = |character: char| character.is_alphabetic();
    for part in text.as_str().split_inclusive(|character| !is_letter(character)) {
        out.push(&capitalised(work, text, start..start + part.len())?)?;
        start += part.len();
    }
    out.finish()
}

pub fn swapped(text: &str) -> String {
    let mut swapped = String::with_capacity(text.len());
    for character in text.chars() {
        if character.is_lowercase() {
            swapped.extend(character.to_uppercase());
        } else {
            swapped.extend(character.to_lowercase());
        }
    }
    swapped
}
