//! Text of files, as a terminal may have it.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Characters that stand for nothing visible and change the direction of the text around them (Unicode's `Bidi_Control`).
fn turns(character: char) -> bool {
    matches!(character, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A text on one line without control characters: white space becomes a space, and what a terminal would obey becomes `�`.
pub fn plain(text: &str) -> String {
    let replace = |character: char| match character {
        '\n' | '\r' | '\t' | '\u{2028}' | '\u{2029}' => ' ',
        character if character.is_control() || turns(character) => '\u{fffd}',
        character => character,
    };
    text.chars().map(replace).collect()
}

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
