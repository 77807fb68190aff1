//! Text on a terminal: it comes as it is written, and disappears when it is taken back.

use super::{
    erase::{Cursor, Size, take_back},
    view::Page,
    words::{Paint, shorten},
};
use crate::cli::output::visible;
use std::{
    io::{self, Write},
    time::{Duration, Instant},
};

/// How long a hint follows the text: long enough to be read, and the text may be much faster.
const HINT_TIME: Duration = Duration::from_secs(2);
/// Less room than this at the end of a row is not worth a hint.
const HINT_COLUMNS: usize = 12;

/// Shows the text as it comes. A hint stands behind the cursor, in the free part of the row, and goes with the text.
pub struct Terminal<W> {
    out: W,
    paint: Paint,
    size: Box<dyn Fn() -> Size>,
    /// Where the text ends, on a terminal of `width` columns.
    cursor: Cursor,
    width: usize,
    hint: Option<(String, Instant)>,
    hint_drawn: bool,
}

impl<W: Write> Terminal<W> {
    /// On the process's terminal.
    pub fn new(out: W, paint: Paint) -> Self {
        let size = || {
            let (height, width) = console::Term::stdout().size();
            Size { height: usize::from(height).max(1), width: usize::from(width).max(1) }
        };
        Self::with_size(out, paint, Box::new(size))
    }

    fn with_size(out: W, paint: Paint, size: Box<dyn Fn() -> Size>) -> Self {
        let width = size().width;
        Self { out, paint, size, cursor: Cursor::default(), width, hint: None, hint_drawn: false }
    }

    fn erase_hint(&mut self, sequence: &mut String) {
        if std::mem::take(&mut self.hint_drawn) {
            sequence.push_str("\x1b[K");
        }
    }

    /// Draws behind the cursor and comes back. The last column stays free: a character there would make the terminal
    /// want to wrap.
    fn draw_hint(&mut self, sequence: &mut String) {
        let Some((hint, since)) = &self.hint else { return };
        let room = self.width.saturating_sub(self.cursor.column + 1);
        if since.elapsed() > HINT_TIME {
            self.hint = None;
        } else if room >= HINT_COLUMNS {
            let shown = self.paint.dim(&shorten(&format!("  {hint}"), room));
            sequence.push_str(&format!("\x1b7{shown}\x1b8"));
            self.hint_drawn = true;
        }
    }

    fn write(&mut self, sequence: &str) -> io::Result<()> {
        self.out.write_all(sequence.as_bytes())?;
        self.out.flush()
    }
}

impl<W: Write> Page for Terminal<W> {
    fn append(&mut self, text: &str, added: usize, _committed: usize) -> io::Result<()> {
        let new = visible(&text[added..]);
        let width = (self.size)().width;
        if width == self.width {
            self.cursor = self.cursor.after(&new, width);
        } else {
            // The terminal was resized, and has wrapped the text anew.
            self.width = width;
            self.cursor = Cursor::default().after(&visible(text), width);
        }
        let mut sequence = String::new();
        self.erase_hint(&mut sequence);
        sequence.push_str(&new);
        self.draw_hint(&mut sequence);
        self.write(&sequence)
    }

    fn take_back(&mut self, text: &str, keep: usize) -> io::Result<bool> {
        let size = (self.size)();
        let kept = visible(&text[..keep]);
        let erasure = take_back(&kept, &visible(&text[keep..]), size);
        self.width = size.width;
        self.cursor = Cursor::default().after(&kept, size.width);
        // What it clears includes the hint.
        self.hint_drawn = false;
        self.write(&erasure.sequence)?;
        Ok(erasure.complete)
    }

    fn hint(&mut self, hint: &str) -> io::Result<()> {
        self.hint = Some((visible(hint).replace('\n', " "), Instant::now()));
        let mut sequence = String::new();
        self.erase_hint(&mut sequence);
        self.draw_hint(&mut sequence);
        self.write(&sequence)
    }

    fn finish(&mut self, _text: &str) -> io::Result<()> {
        let mut sequence = String::new();
        self.erase_hint(&mut sequence);
        if self.cursor.column > 0 {
            sequence.push('\n');
        }
        self.write(&sequence)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, num::NonZero, rc::Rc};

    const PAINT: Paint = Paint { on: true };

    fn screen(bytes: &[u8], width: usize) -> vt100::Parser {
        let mut parser = vt100::Parser::new(NonZero::new(20).unwrap(), NonZero::new(width as u16).unwrap(), 0);
        parser.process(String::from_utf8_lossy(bytes).replace('\n', "\r\n").as_bytes());
        parser
    }

    /// Plays a reply: `+text` appends, `-n` takes n bytes back, `!note` hints.
    fn play(steps: &[&str], width: usize) -> (Vec<u8>, String) {
        let size = Size { height: 20, width };
        let mut page = Terminal::with_size(Vec::new(), PAINT, Box::new(move || size));
        let mut text = String::new();
        for step in steps {
            match step.split_at(1) {
                ("+", new) => {
                    text.push_str(new);
                    page.append(&text, text.len() - new.len(), 0).unwrap();
                }
                ("-", bytes) => {
                    let keep = text.len() - bytes.parse::<usize>().unwrap();
                    page.take_back(&text, keep).unwrap();
                    text.truncate(keep);
                }
                (_, hint) => page.hint(hint).unwrap(),
            }
        }
        (page.out, text)
    }

    #[test]
    fn a_hint_stands_behind_the_text_and_leaves_no_trace() {
        let shown = play(&["+A cat", "!took back: unsure"], 40).0;
        assert_eq!(screen(&shown, 40).screen().contents(), "A cat  took back: unsure");
        let moved = play(&["+A cat", "!took back: unsure", "+ sat\non"], 40).0;
        assert_eq!(screen(&moved, 40).screen().contents(), "A cat sat\non  took back: unsure");
        assert_eq!(screen(&moved, 40).screen().cursor_position(), (1, 2));
        let erased = play(&["+A cat", "!took back: unsure", "+ sat", "-4"], 40).0;
        assert_eq!(screen(&erased, 40).screen().contents(), "A cat");
    }

    #[test]
    fn a_hint_never_wraps() {
        for width in 1..60 {
            let (shown, text) = play(&["+0123456789", "!a long hint that says why text was taken back", "+ab"], width);
            let row = screen(&shown, width).screen().cursor_position().0;
            assert_eq!(usize::from(row), (text.len() - 1) / width, "at width {width}");
        }
    }

    #[test]
    fn retracting_over_lines_and_going_on_equals_the_final_text() {
        let steps = ["+小さな cat\nsat on", "!x", "+ the the the", "-14", "!why", "+\ndog", "+. End", "-4", "+!"];
        for width in [5, 7, 10, 33] {
            let (shown, text) = play(&steps, width);
            let straight = screen(text.as_bytes(), width);
            let played = screen(&shown, width);
            assert_eq!(played.screen().cursor_position(), straight.screen().cursor_position(), "at width {width}");
            if width < HINT_COLUMNS {
                assert_eq!(played.screen().contents(), straight.screen().contents(), "at width {width}");
            }
        }
    }

    #[test]
    fn a_retraction_after_a_resize_uses_the_new_width() {
        let width = Rc::new(Cell::new(10));
        let measured = width.clone();
        let size = move || Size { height: 20, width: measured.get() };
        let mut page = Terminal::with_size(Vec::new(), PAINT, Box::new(size));
        page.append("0123456789abcdef", 0, 0).unwrap();
        width.set(20);
        page.out.clear();
        page.take_back("0123456789abcdef", 4).unwrap();
        assert_eq!(page.out, b"\r\x1b[J0123", "all of it is one row now");
    }
}
