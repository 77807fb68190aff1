//! What the chat's commands do.

use super::{
    Chat,
    commands::{self, Command},
    conversation::Conversation,
    saved::Saved,
};
use crate::{
    Error,
    cli::{
        folders, hooks,
        meaning::policy_source,
        ranges,
        render::{page_width, quote},
    },
    settings::{PolicySource, Speaker},
};
use plugin_api::Role;

/// What follows from a command.
#[derive(Debug, PartialEq)]
pub enum Outcome {
    /// Lines for the person.
    Say(String),
    /// The last reply is gone, and is to be written again.
    Rewrite(String),
    /// The chat is over.
    Leave,
}

impl Chat {
    /// Does what a command says. On an error nothing has changed.
    pub(super) fn execute(&mut self, command: Command) -> Result<Outcome, Error> {
        let engine = &mut self.session.engine;
        Ok(Outcome::Say(match command {
            Command::Help => commands::help(),
            Command::Quit => return Ok(Outcome::Leave),
            Command::Reset => {
                self.kept.begin_another();
                self.conversation = Conversation::new(engine.settings().system.as_deref());
                "the conversation is forgotten".into()
            }
            Command::Undo => {
                if !self.conversation.undo() {
                    return Err(Error::Input("there is nothing to undo".into()));
                }
                format!("undone; {}", self.last_message())
            }
            Command::Retry => {
                let last = self.conversation.reopen();
                return last
                    .map(Outcome::Rewrite)
                    .ok_or_else(|| Error::Input("there is no reply to write again; say something first".into()));
            }
            Command::Parameters => {
                let parameters = engine.settings().parameters;
                let line = |name: &&str| format!("{name:15} {}", ranges::parameter(&parameters, name));
                ranges::PARAMETERS.iter().map(line).collect::<Vec<_>>().join("\n")
            }
            Command::SetParameter(name, value) => {
                let name = name.replace('_', "-");
                let mut parameters = engine.settings().parameters;
                ranges::set_parameter(&mut parameters, &name, value)
                    .map_err(|error| Error::Input(format!("`{name} {value}` cannot be set: {error}")))?;
                engine.set_parameters(parameters);
                format!("{name} is {} now", ranges::parameter(&parameters, &name))
            }
            Command::Policies => hooks::list(&engine.hooks(), Role::Policy),
            Command::SwitchPolicy(name, running) => {
                engine.set_policy(name, running)?;
                format!("{name} is {} now", if running { "on" } else { "off" })
            }
            Command::SetKnob(name, knob, value) => {
                let number = value
                    .parse()
                    .map_err(|_| Error::Input(format!("`{knob}` takes a number, and this is `{value}`")))?;
                engine.set_knob(name, knob, number)?;
                format!("{knob} of {name} is {number} now")
            }
            Command::AddPolicy(given) => match policy_source(&folders::expand(given).to_string_lossy())? {
                PolicySource::Named(name) => {
                    return Err(Error::Input(format!(
                        "say `/policy {name} on` or `/policy {name} off`, or name the file of a script to add"
                    )));
                }
                script => {
                    let runs = format!("{} runs now", engine.add_policy(&script)?);
                    engine.take_notices().into_iter().fold(runs, |lines, notice| format!("{lines}\n{notice}"))
                }
            },
            Command::Fusions => hooks::list(&engine.hooks(), Role::Fusion),
            Command::ChooseFusion(name) => {
                engine.set_fusion(name)?;
                format!("{name} fuses from now on")
            }
            Command::Reload => match engine.reload() {
                lines if lines.is_empty() => "there are no scripts to reload".into(),
                lines => lines.join("\n"),
            },
            Command::Why(what) => match &self.session.explaining {
                Some(explaining) => explaining.why(what, page_width())?,
                None => return Err(Error::Input("there is no reply to explain yet".into())),
            },
            Command::Stats => self.tally.describe(engine, self.seed),
            Command::Save(file) => {
                let path = folders::expand(file);
                self.saved().write(&path)?;
                format!("saved to `{}`", path.display())
            }
            Command::Load(file) => self.load(file)?,
        }))
    }

    fn load(&mut self, file: &str) -> Result<String, Error> {
        let nothing = || Error::Input("there is no earlier conversation; `/load ./last` loads a file `last`".into());
        let path = if file == "last" { self.kept.last().ok_or_else(nothing)? } else { folders::expand(file) };
        let saved = Saved::read(&path)?;
        let conversation = Conversation::restore(saved.messages).ok_or_else(|| {
            Error::Input(format!("in `{}` the messages of user and assistant do not take turns", path.display()))
        })?;
        let mut lines = Vec::new();
        let here = self.model_names();
        if saved.models != here {
            lines.push(format!(
                "the models differ: it was saved with {}, here are {}",
                saved.models.join(", "),
                here.join(", ")
            ));
        }
        let engine = &mut self.session.engine;
        if let Err(error) = engine.set_fusion(&saved.fusion_mode) {
            lines.push(format!("{error}; `{}` stays", engine.settings().fusion_mode));
        }
        engine.set_parameters(saved.parameters.into());
        self.seed = saved.seed;
        self.conversation = conversation;
        self.kept.begin_another();
        lines.push(format!("{} loaded; {}", turns(self.conversation.turns()), self.last_message()));
        Ok(lines.join("\n"))
    }

    fn last_message(&self) -> String {
        match self.conversation.messages().last() {
            Some(message) if message.role == Speaker::Assistant => {
                format!("the last message is {}", quote(message.content.trim()))
            }
            _ => "the conversation is empty".into(),
        }
    }

    pub(super) fn model_names(&self) -> Vec<String> {
        self.session.engine.members().iter().map(|member| member.name.clone()).collect()
    }
}

fn turns(count: usize) -> String {
    format!("{count} {}", if count == 1 { "exchange" } else { "exchanges" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cli::{
            demo,
            interrupt::Interrupt,
            render::{Detail, Look},
            session::Session,
            trial::Admission,
        },
        settings::{ModelSource, Settings},
    };

    fn chat() -> Chat {
        let models = demo::demo_models().unwrap().into_iter().map(ModelSource::new).collect();
        let settings = Settings { models, threads: Some(1), ..Settings::default() };
        let look = Look { detail: Detail::Quiet, color: false };
        Chat::new(Session::open(settings, look, None, Interrupt::default(), Admission::Trusted).unwrap())
    }

    fn say(chat: &mut Chat, line: &str) -> Result<String, String> {
        let command = commands::parse(line)?;
        match chat.execute(command).map_err(|error| error.to_string())? {
            Outcome::Say(text) => Ok(text),
            outcome => Ok(format!("{outcome:?}")),
        }
    }

    #[test]
    fn parameters_are_set_within_the_range_of_the_flag() {
        let mut chat = chat();
        assert!(say(&mut chat, "params temperature 0.9").unwrap().contains("0.9"));
        assert!(say(&mut chat, "params").unwrap().contains("temperature     0.9"));
        assert!(say(&mut chat, "params temperature 9").unwrap_err().contains("to 5"));
        assert!(say(&mut chat, "params nonsense 1").unwrap_err().contains("top-k"));
        assert_eq!(chat.session.engine.settings().parameters.temperature, 0.9);
    }

    #[test]
    fn fusions_and_policies_are_listed_and_switched() {
        let mut chat = chat();
        say(&mut chat, "fusion average").unwrap();
        assert!(say(&mut chat, "fusion").unwrap().contains("* average"));
        assert!(say(&mut chat, "fusion nonsense").is_err());
        say(&mut chat, "policy retraction off").unwrap();
        assert!(say(&mut chat, "policy").unwrap().contains("  retraction"));
        assert!(say(&mut chat, "policy retraction").unwrap_err().contains("on"));
        assert!(say(&mut chat, "policy absent.rhai").unwrap_err().contains("absent.rhai"));
    }

    #[test]
    fn knobs_of_a_script_are_listed_and_set_and_a_reload_says_which_version_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calm.rhai");
        let source =
            "const LOW = knob(\"low\", 0.35, 0.0, 1.0);\nfn on_token(step, token) { if token.probability < LOW { } }";
        std::fs::write(&path, source).unwrap();
        let mut chat = chat();
        let add = format!("policy {}", path.display());
        assert_eq!(say(&mut chat, &add).unwrap(), "calm runs now");
        assert!(say(&mut chat, &add).unwrap().ends_with("was there already, and is loaded anew"));
        assert_eq!(say(&mut chat, "policy").unwrap().matches("calm.rhai").count(), 1);
        assert!(say(&mut chat, "policy").unwrap().contains("low = 0.35 (0 to 1, 0.35 by default)"));
        assert_eq!(say(&mut chat, "policy calm low 0.5").unwrap(), "low of calm is 0.5 now");
        assert!(say(&mut chat, "policy").unwrap().contains("low = 0.5 (0 to 1, 0.35 by default)"));
        assert!(say(&mut chat, "policy calm low 2").unwrap_err().contains("`low` takes 0 to 1"));
        assert!(say(&mut chat, "policy calm low much").unwrap_err().contains("a number, and this is `much`"));
        assert!(say(&mut chat, "policy calm lwo 0.5").unwrap_err().contains("did you mean `low`?"));
        assert!(say(&mut chat, "policy clam low 0.5").unwrap_err().contains("there is no hook `clam`"));
        assert!(say(&mut chat, "reload").unwrap().contains("calm.rhai reloaded (2nd version, "));
    }

    #[test]
    fn undo_and_retry_need_something_to_work_on() {
        let mut chat = chat();
        assert!(say(&mut chat, "undo").is_err() && say(&mut chat, "retry").is_err());
        chat.conversation.ask("one".into());
        chat.conversation.answer("reply".into());
        assert_eq!(say(&mut chat, "retry").unwrap(), "Rewrite(\"reply\")");
        chat.conversation.answer("other".into());
        assert!(say(&mut chat, "undo").unwrap().contains("empty"));
    }

    #[test]
    fn a_saved_chat_is_loaded_with_its_settings_and_says_when_the_models_differ() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        let mut first = chat();
        first.conversation.ask("one".into());
        first.conversation.answer("reply one".into());
        for line in ["params top-k 7", "fusion average", &format!("save {}", path.display())] {
            say(&mut first, line).unwrap();
        }
        let mut second = chat();
        let said = say(&mut second, &format!("load {}", path.display())).unwrap();
        assert!(said.contains("1 exchange") && said.contains("reply one") && !said.contains("differ"), "{said}");
        assert_eq!(second.conversation.messages(), first.conversation.messages());
        let settings = second.session.engine.settings();
        assert_eq!((settings.parameters.top_k, settings.fusion_mode.as_str()), (7, "average"));

        let text = std::fs::read_to_string(&path).unwrap().replace("fable", "another");
        std::fs::write(&path, text).unwrap();
        assert!(say(&mut second, &format!("load {}", path.display())).unwrap().contains("the models differ"));
    }

    #[test]
    fn a_broken_file_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("chat.json");
        std::fs::write(&path, "{").unwrap();
        let mut chat = chat();
        chat.conversation.ask("one".into());
        chat.conversation.answer("reply one".into());
        assert!(say(&mut chat, &format!("load {}", path.display())).unwrap_err().contains("/save"));
        assert_eq!(chat.conversation.turns(), 1);
    }
}
