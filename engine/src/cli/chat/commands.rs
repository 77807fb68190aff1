//! The chat's commands: their names, and what a line means.

/// A command as `/help` shows it.
pub struct Entry {
    /// Without the slash.
    pub name: &'static str,
    /// What can follow.
    pub arguments: &'static str,
    /// What it does.
    pub help: &'static str,
}

const fn entry(name: &'static str, arguments: &'static str, help: &'static str) -> Entry {
    Entry { name, arguments, help }
}

/// All of them.
pub const COMMANDS: [Entry; 14] = [
    entry("help", "", "this list"),
    entry("reset", "", "forget the conversation"),
    entry("undo", "", "take the last exchange back"),
    entry("retry", "", "write the last reply anew, with other random draws"),
    entry("params", "[NAME VALUE]", "show the sampling parameters, or set one"),
    entry("policy", "[NAME on|off | FILE]", "list the policies, switch one, or add a Rhai script"),
    entry("policy", "NAME KNOB VALUE", "set a knob of a script, as the list shows them"),
    entry("fusion", "[NAME]", "list the fusions, or choose one"),
    entry("reload", "", "read scripts again, changed or not"),
    entry("why", "[NUMBER | TEXT]", "why a token of the last reply is there, or gone"),
    entry("stats", "", "members, context, tokens, averages"),
    entry("save", "FILE", "write the conversation and its settings to a file"),
    entry("load", "FILE | last", "go on with one that was saved, or with the last one"),
    entry("quit", "", "leave; so do Ctrl-D, and Ctrl-C twice"),
];

/// A line, understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// The list.
    Help,
    /// A new conversation.
    Reset,
    /// One exchange less.
    Undo,
    /// Another reply.
    Retry,
    /// Show all.
    Parameters,
    /// Set one.
    SetParameter(&'a str, &'a str),
    /// List them.
    Policies,
    /// By name.
    SwitchPolicy(&'a str, bool),
    /// A policy's knob, and the value as it was typed.
    SetKnob(&'a str, &'a str, &'a str),
    /// A script.
    AddPolicy(&'a str),
    /// List them.
    Fusions,
    /// By name.
    ChooseFusion(&'a str),
    /// Scripts.
    Reload,
    /// A token's number, a text, or nothing for the last place where a policy acted.
    Why(&'a str),
    /// Figures.
    Stats,
    /// To a file.
    Save(&'a str),
    /// From a file.
    Load(&'a str),
    /// Leave.
    Quit,
}

/// Understands a line without its slash, or says what would be understood.
pub fn parse(line: &str) -> Result<Command<'_>, String> {
    let (name, rest) = split(line);
    let alone = |command| match rest {
        "" => Ok(command),
        _ => Err(format!("`/{name}` stands alone")),
    };
    let with_file = |command: fn(&str) -> Command, example| match rest {
        "" => Err(format!("`/{name}` needs a file: `/{name} {example}`")),
        file => Ok(command(file)),
    };
    match name {
        "help" | "?" => alone(Command::Help),
        "reset" => alone(Command::Reset),
        "undo" => alone(Command::Undo),
        "retry" => alone(Command::Retry),
        "params" => match split(rest) {
            ("", _) => Ok(Command::Parameters),
            (name, "") => Err(format!("`{name}` needs a value, as in `/params temperature 0.9`")),
            (name, value) => Ok(Command::SetParameter(name, value)),
        },
        "policy" => match rest.rsplit_once(char::is_whitespace) {
            Some((name, "on")) => Ok(Command::SwitchPolicy(name.trim_end(), true)),
            Some((name, "off")) => Ok(Command::SwitchPolicy(name.trim_end(), false)),
            _ if rest.is_empty() => Ok(Command::Policies),
            _ => Ok(knob(rest).unwrap_or(Command::AddPolicy(rest))),
        },
        "fusion" if rest.is_empty() => Ok(Command::Fusions),
        "fusion" => Ok(Command::ChooseFusion(rest)),
        "reload" => alone(Command::Reload),
        "why" => Ok(Command::Why(rest)),
        "stats" => alone(Command::Stats),
        "save" => with_file(|file| Command::Save(file), "chat.json"),
        "load" => with_file(|file| Command::Load(file), "chat.json"),
        "quit" | "exit" => alone(Command::Quit),
        _ => Err(format!("there is no command `/{name}`; {}", suggestion(name))),
    }
}

/// `NAME KNOB VALUE`: three words or more, of which the last is a number; or three, of which the last is no script, so that a
/// value that is no number gets an answer.
fn knob(rest: &str) -> Option<Command<'_>> {
    let (before, value) = rest.rsplit_once(char::is_whitespace)?;
    let (name, knob) = before.trim_end().rsplit_once(char::is_whitespace)?;
    let name = name.trim_end();
    let is_value = value.parse::<f64>().is_ok() || !(name.contains(char::is_whitespace) || value.ends_with(".rhai"));
    is_value.then_some(Command::SetKnob(name, knob, value))
}

fn split(text: &str) -> (&str, &str) {
    let text = text.trim();
    text.split_once(char::is_whitespace).map_or((text, ""), |(first, rest)| (first, rest.trim()))
}

fn suggestion(name: &str) -> String {
    let distance = |entry: &&Entry| {
        if !name.is_empty() && entry.name.starts_with(name) { 0 } else { strsim::damerau_levenshtein(name, entry.name) }
    };
    match COMMANDS.iter().min_by_key(distance).filter(|entry| distance(entry) <= 3) {
        Some(entry) if !name.is_empty() => format!("did you mean `/{}`?", entry.name),
        _ => "`/help` lists them".into(),
    }
}

/// What `/help` says.
pub fn help() -> String {
    let mut text = String::new();
    for Entry { name, arguments, help } in COMMANDS {
        text += &format!("{:28} {help}\n", format!("/{name} {arguments}"));
    }
    text + "End a line with \\ to go on in the next one, or put several between two \"\"\".\n\
            Ctrl-C ends a reply and keeps what is there."
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_in_the_list_is_understood() {
        for Entry { name, arguments, .. } in COMMANDS {
            let line = if arguments.starts_with('[') { name.to_owned() } else { format!("{name} {arguments}") };
            assert!(parse(&line).is_ok(), "{line}");
        }
    }

    #[test]
    fn the_list_fits_a_narrow_terminal() {
        for line in help().lines() {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }

    #[test]
    fn arguments_are_read() {
        assert_eq!(parse("params top-k  5"), Ok(Command::SetParameter("top-k", "5")));
        assert_eq!(parse("policy retraction off"), Ok(Command::SwitchPolicy("retraction", false)));
        assert_eq!(parse("policy my policies/calm.rhai"), Ok(Command::AddPolicy("my policies/calm.rhai")));
        assert_eq!(parse("policy retraction low 0.4"), Ok(Command::SetKnob("retraction", "low", "0.4")));
        assert_eq!(parse("policy two words  low 0.4"), Ok(Command::SetKnob("two words", "low", "0.4")));
        assert_eq!(parse("policy retraction low high"), Ok(Command::SetKnob("retraction", "low", "high")));
        assert_eq!(parse("policy my own calm.rhai"), Ok(Command::AddPolicy("my own calm.rhai")));
        assert_eq!(parse("save a chat.json"), Ok(Command::Save("a chat.json")));
    }

    #[test]
    fn a_slip_gets_the_nearest_command() {
        assert!(parse("rest").unwrap_err().contains("`/reset`"));
        assert!(parse("parms x 1").unwrap_err().contains("`/params`"));
        assert!(parse("stat").unwrap_err().contains("`/stats`"));
        assert!(parse("xylophone").unwrap_err().contains("`/help`"));
        assert!(parse("").unwrap_err().contains("`/help`"));
        assert!(parse("save").unwrap_err().contains("chat.json"));
    }
}
