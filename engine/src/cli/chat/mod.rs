//! A conversation at the terminal.

mod commands;
mod conversation;
mod execute;
mod input;
mod lines;
mod saved;
mod tally;

use self::{conversation::Conversation, execute::Outcome, input::Input, tally::Tally};
use super::{
    hooks,
    render::{status, visible},
    session::Session,
};
use crate::{Error, settings::Prompt};
use std::io::{self, Write};

pub use self::lines::Lines;

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
    pub fn run(mut self, mut lines: Lines) -> Result<(), Error> {
        self.greet();
        while let Some(typed) = lines.next()? {
            let answer = match input::understand(&typed) {
                Input::Nothing => continue,
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
            // Exchanges stand apart.
            let _ = writeln!(io::stdout());
        }
        Ok(())
    }

    fn greet(&self) {
        let engine = &self.session.engine;
        let members: Vec<_> = engine.members().iter().map(|member| member.name.as_str()).collect();
        let parts = [
            members.join(", "),
            format!("fusion {}", engine.settings().fusion_mode),
            format!("policies {}", hooks::names(&engine.policies())),
            format!("context {} tokens", engine.context()),
        ];
        self.session.look.remark(&format!("{}\n/help lists the commands, Ctrl-D leaves\n", status(&parts)));
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
