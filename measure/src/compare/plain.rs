//! Text in columns.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A text of at most so many columns, with `…` for what is left out of its middle: names of models differ at their ends.
pub fn cut(text: &str, columns: usize) -> String {
    if text.width() <= columns {
        return text.into();
    }
    let room = columns.saturating_sub(1);
    let head: String = fitting(text.chars(), room - room / 3).collect();
    let mut tail: Vec<char> = fitting(text.chars().rev(), room / 3).collect();
    tail.reverse();
    head + "…" + &String::from_iter(tail)
}

/// The first characters that together have at most so many columns.
fn fitting(characters: impl Iterator<Item = char>, columns: usize) -> impl Iterator<Item = char> {
    characters
        .scan(0, |width, character| {
            *width += character.width().unwrap_or(0);
            Some((*width, character))
        })
        .take_while(move |(width, _)| *width <= columns)
        .map(|(_, character)| character)
}

/// A text with spaces after it up to so many columns.
pub(super) fn pad(text: &str, columns: usize) -> String {
    format!("{text}{}", " ".repeat(columns.saturating_sub(text.width())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain;

    #[test]
    fn nothing_that_a_terminal_obeys_is_left() {
        assert_eq!(plain("a\u{1b}[31mb\u{7}\u{9b}c\nd\u{202e}e"), "a\u{fffd}[31mb\u{fffd}\u{fffd}c d\u{fffd}e");
    }

    #[test]
    fn a_cut_counts_columns() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("model-of-stories-Q8_0", 12), "model-of…8_0");
        // Three characters of two columns each.
        assert_eq!(cut("模型名", 5), "模…");
        assert_eq!(cut("abc", 0), "…");
        assert_eq!(pad("模", 4), "模  ");
    }
}
