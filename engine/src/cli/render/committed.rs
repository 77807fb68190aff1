//! Text for a pipe or a file: only what can no longer be taken back.

use super::view::Page;
use std::io::{self, Write};

/// Writes text as soon as it is certain, and a line end after the last of it where there is none.
pub struct Committed<W> {
    out: W,
    written: usize,
}

impl<W: Write> Committed<W> {
    /// To this output.
    pub fn new(out: W) -> Self {
        Self { out, written: 0 }
    }

    fn write_up_to(&mut self, text: &str, end: usize) -> io::Result<()> {
        let mut end = end.min(text.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        if end > self.written {
            self.out.write_all(&text.as_bytes()[self.written..end])?;
            self.out.flush()?;
            self.written = end;
        }
        Ok(())
    }
}

impl<W: Write> Page for Committed<W> {
    fn append(&mut self, text: &str, _added: usize, committed: usize) -> io::Result<()> {
        self.write_up_to(text, committed)
    }

    fn take_back(&mut self, _text: &str, _keep: usize) -> io::Result<bool> {
        Ok(true)
    }

    fn finish(&mut self, text: &str) -> io::Result<()> {
        self.write_up_to(text, text.len())?;
        if !text.is_empty() && !text.ends_with('\n') {
            self.out.write_all(b"\n")?;
        }
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_can_be_taken_back_waits() {
        let mut page = Committed::new(Vec::new());
        page.append("a cat", 2, 0).unwrap();
        page.append("a cat sät", 5, 7).unwrap();
        assert_eq!(page.out, b"a cat s");
        page.append("a cat sät", 8, 8).unwrap();
        assert_eq!(page.out, b"a cat s", "not in the middle of a character");
        page.take_back("a cat sät", 7).unwrap();
        page.finish("a cat sits").unwrap();
        assert_eq!(page.out, b"a cat sits\n");
    }

    #[test]
    fn an_empty_reply_writes_nothing() {
        let mut page = Committed::new(Vec::new());
        page.finish("").unwrap();
        assert!(page.out.is_empty());
    }
}
