//! A conversation at the terminal.

mod commands;
mod conversation;
mod execute;
mod input;
mod saved;
mod tally;

use self::{
    conversation::Conversation,
    execute::Outcome,
    input::{Input, LineHelper},
    tally::Tally,
};
use super::{folders, hooks, render::visible, session::Session};
use crate::{settings::Prompt, Error};
use rustyline::{error::ReadlineError, history::FileHistory, Config, Editor};
use std::{
    io::{self, Write},
    path::PathBuf,
};

/// The prompt, and the room it leaves for a line.
const PROMPT: &str = "> ";

/// A session with a conversation.
pub struct Chat {
    session: Session,
    conversation: Conversation,
    tally: Tally,
    /// Of the chat; a reply that is written again gets its own.
    seed: u64,
}

impl Chat {
    /// With nothing said yet.
    pub fn new(session: Session) -> Self {
        let settings = session.engine.settings();
        let conversation = Conversation::new(settings.system.as_deref());
        Self { conversation, seed: settings.seed, tally: Tally::default(), session }
    }

    /// Talks until the person leaves. What goes wrong in between is said and does not end the chat.
    pub fn run(mut self) -> Result<(), Error> {
        let mut lines = Lines::open()?;
        self.greet();
        loop {
            let Some(typed) = lines.next()? else { return Ok(()) };
            let answer = match input::understand(&typed) {
                Input::Nothing => Ok(Outcome::Say(String::new())),
                Input::Message(text) => self.converse(text).map(|()| Outcome::Say(String::new())),
                Input::Command(line) => {
                    commands::parse(&line).map_err(Error::Input).and_then(|command| self.execute(command))
                }
            };
            let answer = match answer {
                Ok(Outcome::Rewrite(last)) => self.rewrite(last),
                Ok(Outcome::Leave) => return Ok(()),
                Ok(Outcome::Say(text)) => {
                    say(&text);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = answer {
                let paint = self.session.look.paint(&io::stderr());
                let _ = writeln!(io::stderr(), "{}", paint.red(&visible(&error.to_string())));
            }
        }
    }

    fn greet(&self) {
        let engine = &self.session.engine;
        let members: Vec<_> = engine.members().iter().map(|member| member.name.as_str()).collect();
        self.session.look.remark(&format!(
            "{} · fusion {} · policies {}\n/help lists the commands, Ctrl-D leaves",
            members.join(", "),
            engine.settings().fusion_mode,
            hooks::names(&engine.policies())
        ));
    }

    fn converse(&mut self, text: String) -> Result<(), Error> {
        self.conversation.ask(text);
        self.reply().inspect_err(|_| {
            // What could not be answered was not said.
            self.conversation.undo();
        })
    }

    fn rewrite(&mut self, last: String) -> Result<(), Error> {
        self.reply().inspect_err(|_| self.conversation.answer(last))
    }

    fn reply(&mut self) -> Result<(), Error> {
        self.session.engine.set_seed(self.conversation.seed(self.seed));
        let prompt = Prompt::Chat(self.conversation.messages().to_vec());
        let (reply, shown) = self.session.reply(&prompt)?;
        self.tally.add(&reply);
        self.conversation.forget(reply.dropped_messages);
        self.conversation.answer(reply.text);
        shown.map_err(|error| Error::Failure(format!("the terminal cannot be written: {error}")))
    }
}

fn say(text: &str) {
    if !text.is_empty() {
        // A terminal that is gone ends the chat at the next line.
        let _ = writeln!(io::stdout(), "{}", visible(text.trim_end()));
    }
}

/// The lines a person types, with editing and a history that outlives the chat.
struct Lines {
    editor: Editor<LineHelper, FileHistory>,
    history: Option<PathBuf>,
    interrupted: bool,
}

impl Lines {
    fn open() -> Result<Self, Error> {
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
    fn next(&mut self) -> Result<Option<String>, Error> {
        loop {
            match self.editor.readline(PROMPT) {
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
