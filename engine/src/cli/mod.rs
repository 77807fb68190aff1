//! The command line: `args` holds what was typed, `meaning` what is meant, `render` what is seen. Only this module
//! touches the terminal.

mod args;
mod author;
mod chat;
mod demo;
mod echo;
mod folders;
mod hooks;
mod interrupt;
mod log;
mod meaning;
mod measure;
mod oneshot;
mod progress;
mod ranges;
mod render;
mod replay;
mod session;
mod spec;
mod trial;
mod vocab;

use self::{
    args::CommandLine,
    chat::{Chat, Lines},
    interrupt::Interrupt,
    meaning::{Mode, Stdin, Task},
    render::{Detail, Look},
    session::Session,
};
use crate::{Error, settings::Settings};
use clap::Parser;
use std::{
    io::{self, ErrorKind, IsTerminal, Write},
    process::ExitCode,
};

/// Does what the command line says. Errors are said on standard error, once.
pub fn run() -> ExitCode {
    // First of all, while there are no threads.
    crate::engine::without_debugger();
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            // Help and version come this way, too; a reader that has gone needs neither.
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    log_to_stderr();
    let color = !line.reply.no_color;
    perform(line).unwrap_or_else(|error| {
        let paint = Look { detail: Detail::Normal, color }.paint(&io::stderr());
        let _ = writeln!(io::stderr(), "{} {}", paint.red("error:"), render::visible(&error.to_string()));
        ExitCode::from(error.exit_code())
    })
}

/// Below the demo's story: a chat, a measurement, a policy.
const WHAT_NEXT: &str = "next: `llama_selfmod --demo` to write together, `score --demo FILE` to measure, `new policy calm` to \
                         change how it corrects itself";

fn perform(line: CommandLine) -> Result<ExitCode, Error> {
    let demo = line.ensemble.demo;
    let stdin = io::stdin();
    let mut stdin = Stdin { is_terminal: stdin.is_terminal(), reader: &mut stdin.lock() };
    let Task { mode, settings, look, memory, trust } = Task::understand(line, &mut stdin)?;
    let settings = if trust { settings } else { trial::usable(settings, &mode, look)? };
    match mode {
        Mode::Reply(prompt) => {
            let code = oneshot::run(Session::open(settings, look, memory, Interrupt::install()?)?, prompt)?;
            if demo {
                look.remark(WHAT_NEXT);
            }
            Ok(code)
        }
        Mode::Chat => {
            // In this order: both take over Ctrl-C, and during a reply it is `Interrupt` that must have it.
            let lines = Lines::open()?;
            let session = Session::open(settings, look, memory, Interrupt::install()?)?;
            Chat::new(session).run(lines)?;
            Ok(ExitCode::SUCCESS)
        }
        Mode::ListHooks => list_hooks(&settings),
        Mode::New(beginning, name) => author::new(beginning, &name),
        Mode::Check(file) => author::check(&file, look),
        Mode::CheckHere(work) => author::work(&work),
        Mode::TryHere(args) => trial::here(args),
        Mode::Score { file, json } => measure::score(settings, look, &file, json),
        Mode::Vocab { files, json } => vocab::run(&settings, &files, json),
        Mode::Replay { file, json } => replay::run(&settings, &file, json),
        Mode::Bench { steps, json } => measure::bench(settings, look, steps, json),
    }
}

fn list_hooks(settings: &Settings) -> Result<ExitCode, Error> {
    print(&hooks::list_all(&crate::engine::list_hooks(settings)?))
}

/// Puts text on standard output; a reader that has gone does not matter.
fn print(text: &str) -> Result<ExitCode, Error> {
    match io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Error::Failure(format!("standard output cannot be written: {error}")))
        }
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// llama.cpp and the hooks say what they do to `LLAMA_SELFMOD_LOG`, in the syntax of tracing's filters: `info`, say.
fn log_to_stderr() {
    if let Ok(filter) = tracing_subscriber::EnvFilter::try_from_env("LLAMA_SELFMOD_LOG") {
        let _ = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(io::stderr)
            .with_ansi(io::stderr().is_terminal())
            .try_init();
    }
}
