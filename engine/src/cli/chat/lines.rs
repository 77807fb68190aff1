//! The prompt of the chat.

use super::{input::LineHelper, say};
use crate::{
    Error,
    cli::{folders, interrupt::Interrupt},
};
use rustyline::{Config, Editor, error::ReadlineError, history::FileHistory};
use std::path::PathBuf;

/// The prompt, and the room it leaves for a line.
const PROMPT: &str = "> ";

/// The lines a person types, with editing and a history that outlives the chat.
pub struct Lines {
    editor: Editor<LineHelper, FileHistory>,
    history: Option<PathBuf>,
    interrupted: bool,
}

impl Lines {
    /// With the history of earlier chats.
    pub fn open() -> Result<Self, Error> {
        let config = Config::builder().auto_add_history(true).build();
        let mut editor = Editor::with_config(config).map_err(failure)?;
        editor.set_helper(Some(LineHelper));
        let history = folders::state().filter(|folder| std::fs::create_dir_all(folder).is_ok());
        let history = history.map(|folder| folder.join("history"));
        if let Some(path) = &history {
            // There is none at the first start.
            let _ = editor.load_history(path);
        }
        Ok(Self { editor, history, interrupted: false })
    }

    /// The next input; `None` when the person leaves.
    pub fn next(&mut self, interrupt: &Interrupt) -> Result<Option<String>, Error> {
        loop {
            // Pressed when no reply was there to hear it: as if here.
            let typed = match interrupt.take() {
                true => Err(ReadlineError::Interrupted),
                false => interrupt.while_asking(|| self.editor.readline(PROMPT)),
            };
            match typed {
                Ok(typed) => {
                    self.interrupted = false;
                    if let Some(path) = &self.history {
                        // A chat without history is still a chat.
                        let _ = self.editor.append_history(path);
                    }
                    return Ok(Some(typed));
                }
                Err(ReadlineError::Eof) => return Ok(None),
                Err(ReadlineError::Interrupted) if self.interrupted => return Ok(None),
                Err(ReadlineError::Interrupted) => {
                    self.interrupted = true;
                    say("Ctrl-C once more leaves");
                }
                Err(error) => return Err(failure(error)),
            }
        }
    }
}

fn failure(error: ReadlineError) -> Error {
    Error::Failure(format!("the terminal cannot be read: {error}"))
}
