//! What a person or a program sees of a reply. Nothing else writes to the terminal while text is being written.

mod committed;
mod erase;
mod json;
mod terminal;
mod view;
mod words;

pub use erase::{columns, visible};
pub use words::{Paint, quote, shorten};

use crate::{events::Event, settings::Prompt};
use same_file::Handle;
use std::io::{self, IsTerminal, Write};

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The text, and what happened to it.
    Normal,
    /// The text alone.
    Quiet,
    /// Every token's leader, agreement and confidence as well.
    Verbose,
    /// Events for a program.
    Json,
}

/// How replies are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// How much.
    pub detail: Detail,
    /// Colours are welcome, as far as the terminal can show them.
    pub color: bool,
}

/// Shows the events of one reply.
pub trait Renderer {
    /// Shows one. Fails when standard output cannot be written; trouble with standard error is ignored, because there
    /// is nobody to tell.
    fn event(&mut self, event: &Event) -> io::Result<()>;
}

impl Look {
    /// For a reply to this prompt on the process's own output.
    pub fn renderer(self, prompt: &Prompt) -> Box<dyn Renderer> {
        if self.detail == Detail::Json {
            return Box::new(json::JsonLines::new(io::stdout()));
        }
        let page: Box<dyn view::Page> = if can_erase() {
            Box::new(terminal::Terminal::new(io::stdout(), self.paint(&io::stdout())))
        } else {
            Box::new(committed::Committed::new(io::stdout()))
        };
        let verbose = self.detail == Detail::Verbose;
        // Text and notes that go the same way would run into each other: one of the two waits.
        let shared = is_shared();
        let page = if shared && verbose { Box::new(view::AtTheEnd { page }) } else { page };
        let page = match prompt {
            Prompt::Chat(_) => Box::new(view::FromFirstWord { page }),
            // What is continued may end where a space must follow, or the indentation of a program.
            Prompt::Text(_) | Prompt::Tokens(_) => page,
        };
        let hold_notes = shared && !verbose;
        Box::new(view::View::new(page, io::stderr(), note_width(), self.paint(&io::stderr()), self.detail, hold_notes))
    }

    /// Colours for this output: asked for, and shown by it.
    pub fn paint(self, output: &impl IsTerminal) -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint { on: self.color && !refused && output.is_terminal() && !is_dumb() }
    }

    /// Says something beside a reply, dimly, unless only the text is wanted.
    pub fn remark(self, text: &str) {
        if !matches!(self.detail, Detail::Quiet | Detail::Json) {
            // A closed standard error leaves nobody to tell.
            let _ = writeln!(io::stderr(), "{}", self.paint(&io::stderr()).dim(&visible(text)));
        }
    }
}

/// Whether text can be taken back from standard output.
fn can_erase() -> bool {
    io::stdout().is_terminal() && !is_dumb()
}

/// Whether standard output and standard error are one terminal, or one file or pipe (`2>&1`).
fn is_shared() -> bool {
    let terminals = io::stdout().is_terminal() && io::stderr().is_terminal();
    terminals || matches!((Handle::stdout(), Handle::stderr()), (Ok(out), Ok(error)) if out == error)
}

/// The parts of a status in lines that fit standard error.
pub fn status(parts: &[String]) -> String {
    words::status(parts, note_width())
}

/// How long a line on standard error may be.
fn note_width() -> usize {
    width(&console::Term::stderr())
}

/// How long a line on standard output may be.
pub fn page_width() -> usize {
    width(&console::Term::stdout())
}

fn width(output: &console::Term) -> usize {
    if output.is_term() { usize::from(output.size().1).max(1) } else { usize::MAX }
}

fn is_dumb() -> bool {
    std::env::var_os("TERM").is_some_and(|terminal| terminal == "dumb")
}
