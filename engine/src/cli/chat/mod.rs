//! A conversation at the terminal.

mod commands;
mod conversation;
mod execute;
mod input;
mod lines;
mod saved;
mod story;
mod tally;

use self::{conversation::Conversation, execute::Outcome, input::Input, story::Story, tally::Tally};
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
    /// Where what is said is one text that goes on (`--raw`).
    story: Option<Story>,
    tally: Tally,
    /// Of the chat; a reply that is written again gets its own.
    seed: u64,
}

impl Chat {
    /// With nothing said yet.
    pub fn new(session: Session) -> Self {
        let settings = session.engine.settings();
        let conversation = Conversation::new(settings.system.as_deref());
        let story = settings.raw.then(Story::default);
        Self { conversation, story, seed: settings.seed, tally: Tally::default(), session }
    }

    /// Talks until the person leaves. What goes wrong in between is said and does not end the chat.
    pub fn run(mut self, mut lines: Lines) -> Result<(), Error> {
        self.greet();
        while let Some(typed) = lines.next()? {
            let answer = match input::understand(&typed) {
                // A story goes on by itself.
                Input::Nothing if self.story.is_some() && self.conversation.turns() > 0 => {
                    self.converse(String::new()).map(|()| Outcome::Say(String::new()))
                }
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
        let story = match self.story {
            Some(_) => "what you type becomes part of the text, and Enter alone lets it go on; ",
            None => "",
        };
        self.session.look.remark(&format!("{}\n{story}/help lists the commands, Ctrl-D leaves\n", status(&parts)));
    }

    fn converse(&mut self, text: String) -> Result<(), Error> {
        let text = match self.story {
            Some(_) => story::joined(&self.conversation.text(), &text),
            None => text,
        };
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
        // A quarter of the context or so: a token has some four bytes.
        let part = self.session.engine.context() as usize;
        let prompt = match &mut self.story {
            Some(story) => story.prompt(&self.conversation, part),
            None => Prompt::Chat(self.conversation.messages().to_vec()),
        };
        let (reply, shown) = self.session.reply(&prompt)?;
        self.tally.add(&reply);
        match &mut self.story {
            Some(story) => story.forget(&prompt, reply.dropped_messages),
            None => self.conversation.forget(reply.dropped_messages),
        }
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
