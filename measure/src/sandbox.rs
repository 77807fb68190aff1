//! Programs that a model wrote, run where they can do no harm.
//!
//! A [`Sandbox`] runs Python, because that is what HumanEval and its relatives ask for. Nothing a program does outlives it:
//! it can read the interpreter and the system's libraries, write to its output, compute for ten seconds in 1 GiB, and no
//! more. It has no network, no other process, no thread, no environment, no home folder, no `/proc`, and **no file that it
//! could write**, so there is no scratch folder to fill or to clean up.
//!
//! Two mechanisms give the same promise, and whichever works first is used:
//!
//! * **bubblewrap**: namespaces of its own for files, processes, network and IPC, with a read-only root;
//! * **Landlock**: the kernel refuses every path outside the interpreter and the libraries (Linux 6.2 or later).
//!
//! In both, a seccomp filter lets through the hundred system calls that computing takes and refuses all others, resource
//! limits bound time and memory, and a caller who is root becomes nobody first. The list is of what is allowed: a system
//! call that a later kernel adds is refused until somebody has looked at it.
//!
//! There is no unsafe code here. Limits must be set in the child, between fork and exec, and the safe way there is to start
//! the program again: [`enter_if_asked`] is the first call of its `main`, recognises the hidden argument, sets the limits
//! on itself and becomes the interpreter.
//!
//! Landlock is the weaker one in this: it hides what files hold, not that they are there, so that a program sees sizes and
//! times of files in folders that its user may enter.
//!
//! What this is not: a judge of cheats. A program that wants to *look* right can, as with every harness that runs the tests
//! in the same interpreter; `sys.exit(0)` before the tests is noticed, malice is not.

#![forbid(unsafe_code)]

#[cfg(target_os = "linux")]
mod child;
#[cfg(target_os = "linux")]
mod files;
mod python;
#[cfg(target_os = "linux")]
mod system_calls;
mod watch;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use thiserror::Error;

use python::Python;

/// The hidden first argument with which the program starts itself again.
pub const ARGUMENT: &str = "__sandbox";

/// Becomes the sandboxed interpreter if the first argument is [`ARGUMENT`], and returns otherwise.
///
/// The first call of `main`, before there are threads: limits are those of a thread until there is an exec.
pub fn enter_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_some_and(|first| first == ARGUMENT) {
        #[cfg(target_os = "linux")]
        let why = child::enter(arguments);
        #[cfg(not(target_os = "linux"))]
        let why = "there is no sandbox on this system";
        eprintln!("sandbox: {why}");
        std::process::exit(125);
    }
}

/// What keeps a program from doing harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// Namespaces made by the tool bubblewrap (`bwrap`), and the seccomp filter.
    Bubblewrap,
    /// Landlock's rules for files, and the seccomp filter.
    Landlock,
    /// Nothing but a limit of time and output: `--unsafe-exec`.
    Unconfined,
}

impl Mechanism {
    /// Those that confine, best first.
    pub const CONFINING: [Self; 2] = [Self::Bubblewrap, Self::Landlock];

    /// The mechanism's name, as results record it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bubblewrap => "bubblewrap",
            Self::Landlock => "landlock",
            Self::Unconfined => "unconfined",
        }
    }
}

/// What a program may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Time by the clock, and of the processor.
    pub time: Duration,
    /// Address space of each program, in bytes. Python by itself takes some 20 MB.
    pub memory: u64,
    /// Output, in bytes, that a program may write before it is stopped.
    pub output: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { time: Duration::from_secs(10), memory: 1 << 30, output: 8 << 20 }
    }
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It ran to its last line, and the interpreter exited with 0.
    Completed,
    /// It exited before its last line or failed, with this code. 0 means that it called `exit` itself.
    Exited(i32),
    /// A signal ended it.
    Signalled(i32),
    /// It was stopped at the limit of time.
    TimedOut,
    /// It was stopped at the limit of output.
    TooMuchOutput,
}

/// One program's run.
#[derive(Debug, Clone)]
pub struct Run {
    /// How it ended.
    pub ending: Ending,
    /// What it wrote to standard output and standard error, in order.
    pub output: String,
    /// How long it took.
    pub took: Duration,
}

impl Run {
    /// Whether the program ran to its last line without an error.
    pub fn passed(&self) -> bool {
        self.ending == Ending::Completed
    }

    /// One sentence about the end: the last line of a traceback where there is one.
    pub fn reason(&self) -> String {
        match self.ending {
            Ending::Completed => "ran to its end".into(),
            Ending::Exited(0) => "exited before its tests were done".into(),
            Ending::Exited(code) => match self.output.lines().rev().find(|line| !line.trim().is_empty()) {
                Some(line) => line.trim().chars().take(200).collect(),
                None => format!("exited with {code}"),
            },
            Ending::Signalled(signal) => format!("ended by signal {signal}"),
            Ending::TimedOut => "took too long".into(),
            Ending::TooMuchOutput => "wrote too much output".into(),
        }
    }
}

/// Why a program could not be run; nothing here is the program's own failure.
#[derive(Debug, Error)]
pub enum SandboxError {
    /// No interpreter was found.
    #[error("no Python 3 found to run programs with; install `python3`")]
    NoPython,
    /// No mechanism that confines works on this machine.
    #[error(
        "no sandbox works here, so programs that a model wrote are not run: bubblewrap: {bubblewrap}; Landlock: \
         {landlock}. Install `bubblewrap` (`apt install bubblewrap`, `dnf install bubblewrap`), or run them with all \
         that you may do yourself: `--unsafe-exec`"
    )]
    NoMechanism {
        /// Why bubblewrap does not work.
        bubblewrap: String,
        /// Why Landlock does not work.
        landlock: String,
    },
    /// The mechanism that was asked for does not work.
    #[error("the sandbox {} does not work here: {reason}", .mechanism.name())]
    Mechanism {
        /// The mechanism.
        mechanism: Mechanism,
        /// What it said.
        reason: String,
    },
    /// The interpreter did not begin, though it did when the sandbox was tried.
    #[error("the sandbox did not start: {output}")]
    NotStarted {
        /// What was written instead.
        output: String,
    },
    /// The system refused.
    #[error("cannot run a program: {0}")]
    System(#[from] std::io::Error),
}

/// A place where programs can do no harm.
#[derive(Debug, Clone)]
pub struct Sandbox {
    program: PathBuf,
    mechanism: Mechanism,
    bubblewrap: PathBuf,
    python: Python,
    /// What a program may use up.
    pub limits: Limits,
}

impl Sandbox {
    /// The best sandbox that works on this machine, tried with a small program.
    ///
    /// `program` is the file to start again, whose `main` calls [`enter_if_asked`] first: `std::env::current_exe()`.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NoMechanism`] says what to install; [`SandboxError::NoPython`].
    pub fn new(program: &Path) -> Result<Self, SandboxError> {
        let mut reasons = Vec::new();
        for mechanism in Mechanism::CONFINING {
            match Self::with(mechanism, program) {
                Err(SandboxError::Mechanism { reason, .. }) => reasons.push(reason),
                other => return other,
            }
        }
        let landlock = reasons.pop().unwrap_or_default();
        Err(SandboxError::NoMechanism { bubblewrap: reasons.pop().unwrap_or_default(), landlock })
    }

    /// A sandbox by one mechanism, tried with a small program. [`Mechanism::Unconfined`] is for `--unsafe-exec` alone.
    ///
    /// # Errors
    ///
    /// [`SandboxError::Mechanism`] if it does not work here; [`SandboxError::NoPython`].
    pub fn with(mechanism: Mechanism, program: &Path) -> Result<Self, SandboxError> {
        let refuse = |reason: String| SandboxError::Mechanism { mechanism, reason };
        if mechanism != Mechanism::Unconfined && cfg!(not(target_os = "linux")) {
            return Err(refuse("it needs Linux".into()));
        }
        let mut bubblewrap = PathBuf::new();
        if mechanism == Mechanism::Bubblewrap {
            bubblewrap = python::in_path("bwrap").next().ok_or_else(|| refuse("`bwrap` is not installed".into()))?;
        }
        let mut last = SandboxError::NoPython;
        for python in python::candidates() {
            let sandbox = Self {
                program: program.to_owned(),
                mechanism,
                bubblewrap: bubblewrap.clone(),
                python,
                limits: Limits::default(),
            };
            match sandbox.run("assert sum(range(5)) == 10") {
                Ok(run) if run.passed() => return Ok(sandbox),
                Ok(run) => last = refuse(run.reason()),
                Err(error) => last = refuse(error.to_string()),
            }
        }
        Err(last)
    }

    /// The mechanism in use.
    pub fn mechanism(&self) -> Mechanism {
        self.mechanism
    }

    /// Runs a Python program and waits for its end. May be called from several threads at once; the calling thread must
    /// live until the end, since the kernel ends the program with it.
    ///
    /// # Errors
    ///
    /// [`SandboxError::NotStarted`] and [`SandboxError::System`] mean that nothing is known about the program.
    pub fn run(&self, source: &str) -> Result<Run, SandboxError> {
        let token = python::token();
        let scratch;
        let mut command;
        if self.mechanism == Mechanism::Unconfined {
            scratch = tempfile::tempdir()?;
            command = Command::new(&self.python.executable);
            command.args(python::arguments(&token)).current_dir(scratch.path());
            // What a model wrote sees no key that stands in the environment. Windows' Python needs this one to start.
            let keep = std::env::var_os("SYSTEMROOT");
            command.env_clear().envs(keep.map(|root| ("SYSTEMROOT", root)));
        } else {
            command = Command::new(&self.program);
            command.arg(ARGUMENT).arg(self.mechanism.name());
            command.arg(self.limits.time.as_secs().max(1).to_string()).arg(self.limits.memory.to_string());
            command.arg(&self.bubblewrap).arg(&self.python.prefix).arg(&self.python.executable);
            command.args(python::arguments(&token)).current_dir("/");
        }
        watch::run(command, source, &token, self.limits)
    }
}
