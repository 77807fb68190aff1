//! `--json-stream`: one JSON object per line and event.

use super::Renderer;
use crate::events::Event;
use std::io::{self, Write};

/// Writes the lines, each in one piece and at once.
pub struct JsonLines<W> {
    out: W,
}

impl<W: Write> JsonLines<W> {
    /// To this output.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> Renderer for JsonLines<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.out.write_all(&line)?;
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_is_one_line_with_its_type() {
        let mut lines = JsonLines::new(Vec::new());
        lines.event(&Event::Notice { text: "two\nlines".into() }).unwrap();
        lines
            .event(&Event::Reload { hook: "calm".into(), file: "calm.rhai".into(), version: 2, milliseconds: 1.5 })
            .unwrap();
        let text = String::from_utf8(lines.out).unwrap();
        let types: Vec<_> = text
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["type"].as_str().unwrap().to_owned())
            .collect();
        assert_eq!(types, ["notice", "reload"]);
    }
}
