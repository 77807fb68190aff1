//! Lines that fit a terminal.

use unicode_width::UnicodeWidthChar;

/// Columns that a line which is a part of something is indented by, and what continues a line once more.
const INDENT: usize = 2;

/// Below so many columns nothing is indented: it would cost more room than it is worth.
const NARROW: usize = 24;

/// Text whose lines are no wider than a terminal.
pub(super) struct Lines {
    width: usize,
    text: String,
}

impl Lines {
    pub(super) fn new(width: usize) -> Self {
        Self { width, text: String::new() }
    }

    /// Adds a paragraph at a level of indentation. It must have no line breaks of its own.
    pub(super) fn add(&mut self, level: usize, paragraph: &str) {
        let indent = |level: usize| if self.width < NARROW { 0 } else { level * INDENT };
        let margin = indent(level + 1);
        let mut line = " ".repeat(indent(level));
        let mut used = line.len();
        let mut is_empty = true;
        let mut next_line = |line: &mut String| {
            self.text += line.trim_end();
            self.text.push('\n');
            *line = " ".repeat(margin);
            margin
        };
        for (place, word) in paragraph.split(' ').enumerate() {
            if place > 0 && used + 1 + word.chars().map(columns).sum::<usize>() > self.width && !is_empty {
                used = next_line(&mut line);
                is_empty = true;
            } else if place > 0 {
                line.push(' ');
                used += 1;
            }
            for character in word.chars() {
                if used + columns(character) > self.width && !is_empty {
                    used = next_line(&mut line);
                }
                line.push(character);
                used += columns(character);
                is_empty = false;
            }
        }
        next_line(&mut line);
    }

    pub(super) fn finish(self) -> String {
        self.text.trim_end().into()
    }
}

/// Columns of a character, summed up because measuring the line anew at each character would take the square of its length.
fn columns(character: char) -> usize {
    match character {
        // Asks for the wide form of the character before it.
        '\u{fe0f}' => 1,
        character => character.width().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(width: usize, paragraph: &str) -> String {
        let mut lines = Lines::new(width);
        lines.add(1, paragraph);
        lines.finish()
    }

    #[test]
    fn lines_break_at_spaces_and_words_that_are_too_long_anywhere() {
        assert_eq!(wrapped(24, "one two three four five six"), "  one two three four\n    five six");
        assert_eq!(wrapped(4, "abcdefghij kl"), "abcd\nefgh\nij\nkl");
    }

    #[test]
    fn wide_characters_count_as_two_columns() {
        assert_eq!(wrapped(5, "漢字漢字"), "漢字\n漢字");
        assert_eq!(wrapped(1, "漢字"), "漢\n字", "what never fits has a line of its own");
        assert_eq!(wrapped(0, "ab"), "a\nb");
    }
}
