//! A conversation at the terminal.

mod commands;
mod conversation;
mod execute;
mod input;
mod kept;
mod lines;
mod saved;
mod story;
mod tally;

use self::{conversation::Conversation, execute::Outcome, input::Input, kept::Kept, saved::Saved, tally::Tally};
use super::{folders, hooks, output, render::status, session::Session};
use crate::{Error, events::EndReason, settings::Prompt};
use std::process::ExitCode;

pub use self::lines::Lines;

/// A session with a conversation.
pub struct Chat {
    session: Session,
    conversation: Conversation,
    tally: Tally,
    kept: Kept,
    /// Of the chat; a reply that is written again gets its own.
    seed: u64,
}

impl Chat {
    /// With nothing said yet.
    pub fn new(session: Session) -> Self {
        let settings = session.engine.settings();
        let conversation = Conversation::new(settings.system.as_deref());
        Self { conversation, seed: settings.seed, tally: Tally::default(), kept: Kept::default(), session }
    }

    /// Talks until the person leaves. What goes wrong in between is said and does not end the chat.
    pub fn run(mut self, mut lines: Lines) -> Result<ExitCode, Error> {
        self.kept = Kept::in_folder(folders::state());
        self.session.interrupt.open_chat();
        self.greet();
        while let Some(typed) = lines.next(&self.session.interrupt)? {
            let answer = match input::understand(&typed) {
                // A story goes on by itself.
                Input::Nothing if self.is_story() && self.conversation.turns() > 0 => {
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
                Ok(Outcome::Leave) => break,
                Ok(Outcome::Say(text)) => {
                    say(&text);
                    Ok(())
                }
                Err(error) => Err(error),
            };
            if let Err(error) = answer {
                self.session.look.error(&error.to_string());
            }
            self.keep();
            if self.session.interrupt.ended_by().is_some() {
                return Ok(ExitCode::from(self.session.interrupt.exit_code()));
            }
            // Exchanges stand apart.
            output::stdout().say("");
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Puts the conversation on the disk, where it is found when the program is ended.
    fn keep(&mut self) {
        let saved = self.saved();
        if let Err(error) = self.kept.keep(&saved) {
            self.session.look.remark(&format!("the conversation is not kept for `/load last`: {error}"));
        }
    }

    /// The chat as it stands.
    fn saved(&self) -> Saved {
        Saved::new(self.model_names(), self.session.engine.settings(), self.seed, self.conversation.messages())
    }

    /// Whether what is said is one text that goes on (`--raw`).
    fn is_story(&self) -> bool {
        self.session.engine.settings().raw
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
        let story = match self.is_story() {
            true => "what you type becomes part of the text, and Enter alone lets it go on; ",
            false => "",
        };
        self.session.look.remark(&format!("{}\n{story}/help lists the commands, Ctrl-D leaves\n", status(&parts)));
    }

    fn converse(&mut self, text: String) -> Result<(), Error> {
        let text = if self.is_story() { story::joined(&self.conversation.text(), &text) } else { text };
        self.conversation.ask(text);
        let outcome = self.reply();
        if !matches!(outcome, Ok(Written::Something)) {
            // What could not be answered was not said.
            self.conversation.undo();
        }
        outcome.map(|written| self.tell(written, "what you said is taken back, and ↑ has it again"))
    }

    fn rewrite(&mut self, last: String) -> Result<(), Error> {
        let outcome = self.reply();
        if !matches!(outcome, Ok(Written::Something)) {
            self.conversation.answer(last);
        }
        outcome.map(|written| self.tell(written, "the reply before stays"))
    }

    fn tell(&self, written: Written, instead: &str) {
        if written == Written::Nothing {
            self.session.look.remark(&format!("nothing was written; {instead}"));
        }
    }

    fn reply(&mut self) -> Result<Written, Error> {
        self.session.engine.set_seed(self.conversation.seed(self.seed));
        // A quarter of the context or so: a token has some four bytes.
        let part = self.session.engine.context() as usize;
        let prompt = match self.is_story() {
            true => story::prompt(&self.conversation, part),
            false => Prompt::Chat(self.conversation.messages().to_vec()),
        };
        let (reply, shown) = self.session.reply(&prompt)?;
        if reply.reason == EndReason::Interrupted && reply.text.is_empty() {
            return Ok(Written::Nothing);
        }
        self.tally.add(&reply);
        match self.is_story() {
            true => self.conversation.hide(story::bytes_of(&prompt, reply.dropped_messages)),
            false => self.conversation.forget(reply.dropped_messages),
        }
        self.conversation.answer(reply.text);
        shown
            .map(|()| Written::Something)
            .map_err(|error| Error::Failure(format!("the terminal cannot be written: {error}")))
    }
}

/// What became of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Written {
    /// Text, perhaps none at its end.
    Something,
    /// It was interrupted before its first token.
    Nothing,
}

fn say(text: &str) {
    if !text.is_empty() {
        // A terminal that is gone ends the chat at the next line.
        output::stdout().plain().say(text.trim_end());
    }
}
