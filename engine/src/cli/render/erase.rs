//! Taking text back from a terminal: which escape sequence makes the screen look as if the end of the text had never
//! been written.
//!
//! A terminal cannot be asked what it did with a text, so the layout is worked out again from the text itself: rows
//! break at newlines and where a character no longer fits. The sequence goes up to the *row* in which the kept text
//! ends, clears from there on and writes that row once more. Writing the row anew, in place of moving to a column in
//! it, keeps the screen right where terminals disagree on how wide a character is, and where the cut stands between a
//! letter and its combining mark.

use unicode_width::UnicodeWidthChar;

/// How many columns a text takes on one row.
pub fn columns(text: &str) -> usize {
    text.chars().map(|character| character.width().unwrap_or(0)).sum()
}

/// Where the cursor stands. A text begins at the start of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Rows below the first.
    pub row: usize,
    /// From 0. Equal to the width after a character in the last column: the terminal wraps when the next one comes.
    pub column: usize,
}

impl Cursor {
    /// Writes a text of [`visible`](crate::cli::output::visible) characters on a terminal of `width` columns. `row_starts`
    /// hears of the byte at which each further row starts.
    fn write(&mut self, text: &str, width: usize, mut row_starts: impl FnMut(usize)) {
        for (index, character) in text.char_indices() {
            let columns = character.width().unwrap_or(0);
            if character == '\n' {
                *self = Self { row: self.row + 1, column: 0 };
                row_starts(index + 1);
            } else if columns > 0 && self.column + columns > width && self.column > 0 {
                *self = Self { row: self.row + 1, column: columns };
                row_starts(index);
            } else {
                self.column += columns;
            }
        }
    }

    /// Where the cursor stands after a text of [`visible`] characters on a terminal of `width` columns.
    pub fn after(mut self, text: &str, width: usize) -> Self {
        self.write(text, width, |_| {});
        self
    }
}

/// The size of a terminal, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

/// The answer of [`take_back`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Erasure {
    /// What to write to the terminal.
    pub sequence: String,
    /// False when part of the text had scrolled off the top, where nothing can be erased: the visible part is gone,
    /// and the last row of the kept text stands at the top of the screen.
    pub complete: bool,
}

/// Takes `gone` back: `kept` and `gone` are [`visible`] text, written one after the other from the start of a row on.
pub fn take_back(kept: &str, gone: &str, size: Size) -> Erasure {
    let width = size.width.max(1);
    let mut row_start = 0;
    let mut end = Cursor::default();
    end.write(kept, width, |byte| row_start = byte);
    let rows_up = end.after(gone, width).row - end.row;
    let reachable = rows_up.min(size.height.max(1) - 1);
    let mut sequence = String::new();
    if reachable > 0 {
        sequence += &format!("\x1b[{reachable}A");
    }
    sequence += "\r\x1b[J";
    sequence += &kept[row_start..];
    Erasure { sequence, complete: reachable == rows_up }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::visible;
    use proptest::prelude::*;
    use std::num::NonZero;

    const SIZE: Size = Size { height: 60, width: 11 };

    fn cells(count: usize) -> NonZero<u16> {
        NonZero::new(count as u16).unwrap()
    }

    fn terminal(text: &str) -> vt100::Parser {
        let mut parser = vt100::Parser::new(cells(SIZE.height), cells(SIZE.width), 0);
        parser.process(text.replace('\n', "\r\n").as_bytes());
        parser
    }

    fn screen(text: &str) -> (String, (u16, u16)) {
        let parser = terminal(text);
        (parser.screen().contents(), parser.screen().cursor_position())
    }

    fn retracted(kept: &str, gone: &str, rest: &str) -> String {
        let (kept, gone, rest) = (visible(kept), visible(gone), visible(rest));
        let erasure = take_back(&kept, &gone, SIZE);
        assert!(erasure.complete);
        format!("{kept}{gone}{}{rest}", erasure.sequence)
    }

    proptest! {
        #[test]
        fn the_screen_is_as_if_the_retracted_text_had_never_been_written(
            kept in "([a-z ]|[小さな猫]|\u{301}|\n|\t|é|😀){0,60}",
            gone in "([a-z ]|[小さな猫]|\u{301}|\n|\t|é|😀){0,60}",
            rest in "([a-z ]|[小さな猫]|\n|\t|é|😀){0,30}",
        ) {
            let straight = screen(&format!("{}{}", visible(&kept), visible(&rest)));
            prop_assert_eq!(screen(&retracted(&kept, &gone, &rest)), straight);
        }
    }

    #[test]
    fn a_combining_mark_alone_can_be_taken_back() {
        assert_eq!(screen(&retracted("cafe", "\u{301} au", " noir")), screen("cafe noir"));
    }

    #[test]
    fn a_row_that_is_exactly_full_stays_full() {
        assert_eq!(screen(&retracted("abcdefghijk", "lm\nno", "XY")), screen("abcdefghijkXY"));
    }

    #[test]
    fn a_wide_character_that_does_not_fit_starts_the_next_row() {
        assert_eq!(Cursor::default().after("0123456789小", 11), Cursor { row: 1, column: 2 });
    }

    #[test]
    fn text_above_the_top_of_the_screen_is_reported() {
        let erasure = take_back("a\n", &"b\n".repeat(SIZE.height), SIZE);
        assert!(!erasure.complete);
        assert!(take_back("a\n", &"b\n".repeat(SIZE.height - 1), SIZE).complete);
    }
}
