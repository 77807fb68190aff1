//! What a person or a program sees of a reply. Nothing else writes to the terminal while text is being written.

mod committed;
mod erase;
mod json;
mod terminal;
mod view;
mod words;

pub use erase::columns;
pub use words::{Paint, quote, shorten};

use super::output::{self, Output, visible};
use crate::{events::Event, settings::Prompt};
use same_file::Handle;
use std::io;

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
            return Box::new(json::JsonLines::new(output::stdout().json()));
        }
        let page: Box<dyn view::Page> = if can_erase() {
            Box::new(terminal::Terminal::new(output::stdout(), self.paint(&output::stdout())))
        } else {
            Box::new(committed::Committed::new(output::stdout().plain()))
        };
        let verbose = self.detail == Detail::Verbose;
        // Text and notes that go the same way would run into each other: one of the two waits.
        let shared = is_shared();
        let page = if shared && verbose { Box::new(view::AtTheEnd { page }) } else { page };
        let page = match prompt {
            Prompt::Chat(_) => Box::new(view::FromFirstWord { page }),
            // What is continued may end where a space must follow, or the indentation of a program.
            Prompt::Text(_) | Prompt::Raw(_) | Prompt::Tokens(_) => page,
        };
        let hold_notes = shared && !verbose;
        Box::new(view::View::new(
            page,
            output::stderr(),
            note_width(),
            self.paint(&output::stderr()),
            self.detail,
            hold_notes,
        ))
    }

    /// Colours for this output: asked for, and shown by it.
    pub fn paint(self, output: &Output) -> Paint {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Paint { on: self.color && !refused && output.is_terminal() && !is_dumb() }
    }

    /// Says in a chat what went wrong.
    pub fn error(self, text: &str) {
        let mut output = output::stderr();
        let text = self.paint(&output).red(&visible(text));
        output.say(&text);
    }

    /// Says why the program ends.
    pub fn error_line(self, text: &str) {
        let mut output = output::stderr();
        let mark = self.paint(&output).red("error:");
        output.say(&format!("{mark} {}", visible(text)));
    }

    /// Says something beside a reply, dimly, unless only the text is wanted.
    pub fn remark(self, text: &str) {
        if !matches!(self.detail, Detail::Quiet | Detail::Json) {
            let mut output = output::stderr();
            let text = self.paint(&output).dim(&visible(text));
            output.say(&text);
        }
    }
}

/// Whether text can be taken back from standard output.
fn can_erase() -> bool {
    output::stdout().is_terminal() && !is_dumb()
}

/// Whether standard output and standard error are one terminal, or one file or pipe (`2>&1`).
fn is_shared() -> bool {
    let terminals = output::stdout().is_terminal() && output::stderr().is_terminal();
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
