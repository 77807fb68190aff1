//! The command line: `args` holds what was typed, `meaning` what is meant, `render` what is seen. Only this module
//! touches the terminal.

mod args;
mod author;
mod chat;
mod compare;
mod demo;
mod drafting;
mod evaluate;
mod explain;
mod folders;
mod forge;
mod hooks;
mod hub;
mod interrupt;
mod log;
mod meaning;
mod measure;
mod members;
mod oneshot;
mod output;
mod progress;
mod ranges;
mod render;
mod replay;
#[cfg(feature = "serve")]
mod serve;
mod session;
mod signals;
mod spec;
mod team;
mod trial;
mod vocab;

use self::{
    args::CommandLine,
    chat::{Chat, Lines},
    explain::Explaining,
    interrupt::Interrupt,
    meaning::{Mode, Stdin, Task},
    output::visible,
    render::{Detail, Look},
    session::Session,
    trial::Admission,
};
use crate::{Error, hooks::native, settings::Settings};
use clap::{CommandFactory, Parser};
use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    process::ExitCode,
};

/// The command line in clap's terms, for what is made from it: completions and man pages.
pub fn command() -> clap::Command {
    CommandLine::command()
}

/// Does what the command line says. Errors are said on standard error, once.
pub fn run() -> ExitCode {
    // First of all, while there are no threads: a process that is to run a model's program becomes that.
    ::measure::sandbox::enter_if_asked();
    crate::engine::without_debugger();
    let mut line = match CommandLine::try_parse_from(words()) {
        Ok(line) => line,
        Err(error) => return refused(error),
    };
    log_to_stderr();
    let color = !line.reply.no_color;
    let look = Look { detail: Detail::Normal, color };
    hub::fetch(&mut line, look).and_then(|()| perform(line)).unwrap_or_else(|error| {
        look.error_line(&error.to_string());
        ExitCode::from(error.exit_code())
    })
}

/// Below the demo's story: a chat, a measurement, a policy.
const WHAT_NEXT: [&str; 3] =
    ["next: `llama_selfmod --demo` to chat", "`score --demo FILE` to measure", "`new policy calm` for a policy"];

/// The command line, with `-hf` as llama.cpp's users know it: clap has short flags of one letter.
fn words() -> impl Iterator<Item = std::ffi::OsString> {
    let long = |word: std::ffi::OsString| if word == "-hf" || word == "-hfr" { "--hf-repo".into() } else { word };
    std::env::args_os().map(long)
}

/// Says what is wrong with the command line, or shows the help or the version, which come this way, too.
fn refused(error: clap::Error) -> ExitCode {
    let mut output = if error.use_stderr() { output::stderr() } else { output::stdout() };
    let paint = Look { detail: Detail::Normal, color: true }.paint(&output);
    // What was typed stands in the message, among clap's colours: the same mistake, typed in plain characters.
    let typed = words().map(|word| visible(&word.to_string_lossy()));
    let shown = if output.is_terminal() { CommandLine::try_parse_from(typed).err() } else { None };
    let message = shown.as_ref().unwrap_or(&error).render();
    let message = if paint.on { message.ansi().to_string() } else { message.to_string() };
    match output.write_all(message.as_bytes()).and_then(|()| output.flush()) {
        // A reader that has gone needs neither help nor version.
        Err(why) if !error.use_stderr() && why.kind() != ErrorKind::BrokenPipe => {
            output::stderr().say(&format!("error: standard output cannot be written: {why}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2)),
    }
}

fn perform(line: CommandLine) -> Result<ExitCode, Error> {
    let demo = line.ensemble.demo;
    let stdin = io::stdin();
    let mut stdin = Stdin { is_terminal: stdin.is_terminal(), reader: &mut stdin.lock() };
    let Task { mode, settings, look, memory, trust, explain } = Task::understand(line, &mut stdin)?;
    if !matches!(mode, Mode::CheckHere(_)) {
        // The checks of a plugin tell it themselves.
        native::tell_of_exit(say_last);
    }
    let tried = |otherwise| if trust { Admission::Trusted } else { otherwise };
    match mode {
        Mode::Reply(prompt) => {
            Explaining::open(explain.as_deref())?;
            let mut session = Session::open(settings, look, memory, Interrupt::install()?, tried(Admission::All))?;
            if explain.is_some() {
                session.explaining = Some(Explaining::of(&mut session.engine, explain));
            }
            let code = oneshot::run(session, prompt)?;
            if demo {
                look.remark(&render::status(&WHAT_NEXT.map(String::from)));
            }
            Ok(code)
        }
        Mode::Chat => {
            let lines = Lines::open()?;
            Explaining::open(explain.as_deref())?;
            let mut session = Session::open(settings, look, memory, Interrupt::install()?, tried(Admission::Usable))?;
            session.explaining = Some(Explaining::of(&mut session.engine, explain));
            Chat::new(session).run(lines)
        }
        Mode::ListHooks => list_hooks(&settings),
        Mode::New(beginning, name) => author::new(beginning, &name),
        Mode::Check(file) => author::check(&file, look),
        Mode::CheckHere(work) => author::work(&work),
        Mode::TryHere(args) => trial::here(args),
        Mode::Score { file, json } => measure::score(settings, look, tried(Admission::All), &file, json),
        Mode::Eval(args) => evaluate::run(&settings, look, tried(Admission::All), &args),
        Mode::Compare(args) => compare::run(&args),
        Mode::TeamSearch(args) => team::search(&settings, look, tried(Admission::All), &args),
        Mode::TeamPack(args) => team::pack(&settings, &args),
        Mode::TeamVerify(folder) => team::verify(&folder),
        Mode::Forge(args) => forge::run(&args, look),
        Mode::Publish(args) => forge::publish(&args, look),
        #[cfg(feature = "serve")]
        Mode::Serve(args) => serve::run(settings, look, memory, tried(Admission::All), &args),
        Mode::Vocab { files, json } => {
            if !trust {
                trial::vocabularies(&files, settings.cache.as_deref(), look)?;
            }
            vocab::run(&files, json)
        }
        Mode::Replay { file, json } => replay::run(&settings, &file, json),
        Mode::Bench { scope, json } => measure::bench(settings, look, tried(Admission::All), scope, json),
    }
}

/// Said when a plugin has called `exit`, and then the process is gone.
fn say_last(text: &str) {
    signals::give_back();
    output::stderr().plain().say(&format!("error: {text}"));
}

fn list_hooks(settings: &Settings) -> Result<ExitCode, Error> {
    output::print(&hooks::list_all(&crate::registry::list_hooks(settings)?))
}

/// llama.cpp and the hooks say what they do to `LLAMA_SELFMOD_LOG`, in the syntax of tracing's filters: `info`, say.
fn log_to_stderr() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("LLAMA_SELFMOD_LOG") {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(|| output::stderr().plain())
            .with_ansi(false)
            .try_init();
    }
}
