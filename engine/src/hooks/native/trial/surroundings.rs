//! The state of the process that plugins share with the program and with each other, to see what one of them did to it.

use crate::hooks::native::arithmetic::Arithmetic;
use crate::hooks::native::surroundings::identity;
use rustix::fd::BorrowedFd;
use rustix::process::{Resource, Rlimit, getrlimit};
use rustix::stdio;
use std::collections::BTreeMap;
use std::ffi::{CStr, OsString};
use std::path::PathBuf;

/// The standard streams by descriptor, as sentences name them.
const STREAMS: [&str; 3] = ["standard input", "standard output", "standard error"];
/// What a plugin may want more or less of.
const LIMITS: [Resource; 7] =
    [Resource::As, Resource::Core, Resource::Cpu, Resource::Data, Resource::Fsize, Resource::Nofile, Resource::Stack];

/// The state at a moment.
#[derive(Debug)]
pub struct Surroundings {
    /// Device and number of the files behind the standard streams; `None` for a closed one.
    streams: [Option<(u64, u64)>; 3],
    /// Bytes in the file behind standard output.
    printed: i64,
    arithmetic: Arithmetic,
    folder: Option<PathBuf>,
    /// Handlers by signal, from 1.
    signals: Vec<usize>,
    limits: Vec<Rlimit>,
    mask: u32,
    locale: Vec<u8>,
    environment: BTreeMap<OsString, OsString>,
    has_children: bool,
    threads: usize,
}

impl Surroundings {
    /// As they are now.
    pub fn now() -> Self {
        // SAFETY: null stands for all streams of C; what a plugin printed may still be in them.
        unsafe { libc::fflush(std::ptr::null_mut()) };
        let streams: [fn() -> BorrowedFd<'static>; 3] = [stdio::stdin, stdio::stdout, stdio::stderr];
        let stat = streams.map(|stream| rustix::fs::fstat(stream()).ok());
        let mask = rustix::process::umask(rustix::fs::Mode::empty());
        rustix::process::umask(mask);
        Self {
            streams: stat.each_ref().map(|stat| stat.as_ref().map(identity)),
            printed: stat[1].as_ref().map_or(0, |stat| stat.st_size),
            arithmetic: Arithmetic::now(),
            folder: std::env::current_dir().ok(),
            signals: (1..32).map(handler).collect(),
            limits: LIMITS.map(getrlimit).into(),
            mask: mask.bits(),
            locale: locale(),
            environment: std::env::vars_os().collect(),
            has_children: has_children(),
            threads: std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count),
        }
    }

    /// What became of the standard streams since then, in words.
    pub fn streams_changed(&self, then: &Self) -> Vec<String> {
        let mut changed = Vec::new();
        for (name, (now, before)) in STREAMS.into_iter().zip(self.streams.into_iter().zip(then.streams)) {
            match now {
                None if before.is_some() => changed.push(format!("closed {name}")),
                now if now != before => changed.push(format!("redirected {name}")),
                _ if name == STREAMS[1] && self.printed != then.printed => {
                    changed.push("printed to standard output, into the text; print to standard error".into());
                }
                _ => {}
            }
        }
        changed
    }

    /// Whether floating-point numbers are computed otherwise than then.
    pub fn computes_otherwise(&self, then: &Self) -> bool {
        self.arithmetic != then.arithmetic
    }

    /// What else changed since then, in words.
    pub fn process_changed(&self, then: &Self) -> Vec<String> {
        let mut changed = Vec::new();
        if self.folder != then.folder {
            changed.push("changed the working folder".to_owned());
        }
        let signals = self.signals.iter().zip(&then.signals).zip(1..);
        let signals: Vec<String> =
            signals.filter(|((now, then), _)| now != then).map(|(_, number)| signal_name(number)).collect();
        if !signals.is_empty() {
            changed.push(format!("took over {}", signals.join(", ")));
        }
        let parts = [
            (self.limits != then.limits, "changed a limit of the process (setrlimit)"),
            (self.mask != then.mask, "changed the mask of new files (umask)"),
            (self.locale != then.locale, "changed the locale"),
            (self.environment != then.environment, "changed the environment"),
            (self.has_children && !then.has_children, "started a process"),
        ];
        changed.extend(parts.into_iter().filter(|(is_so, _)| *is_so).map(|(_, what)| what.to_owned()));
        changed
    }

    /// How many threads there are; 0 where the system does not tell.
    pub fn threads(&self) -> usize {
        self.threads
    }
}

/// What a signal leads to, as a number to compare; 0 where the signal has no handler that could be asked for.
fn handler(signal: i32) -> usize {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action the call only writes the present one.
    match unsafe { libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) } {
        // SAFETY: written by the call; all zeros would be an action, too.
        0 => unsafe { action.assume_init() }.sa_sigaction,
        _ => 0,
    }
}

fn signal_name(signal: i32) -> String {
    let names = [
        (libc::SIGHUP, "SIGHUP"),
        (libc::SIGINT, "SIGINT"),
        (libc::SIGQUIT, "SIGQUIT"),
        (libc::SIGABRT, "SIGABRT"),
        (libc::SIGBUS, "SIGBUS"),
        (libc::SIGFPE, "SIGFPE"),
        (libc::SIGSEGV, "SIGSEGV"),
        (libc::SIGPIPE, "SIGPIPE"),
        (libc::SIGALRM, "SIGALRM"),
        (libc::SIGTERM, "SIGTERM"),
        (libc::SIGCHLD, "SIGCHLD"),
        (libc::SIGTSTP, "SIGTSTP"),
        (libc::SIGWINCH, "SIGWINCH"),
    ];
    let name = names.into_iter().find(|(number, _)| *number == signal);
    name.map_or_else(|| format!("signal {signal}"), |(_, name)| name.to_owned())
}

fn locale() -> Vec<u8> {
    // SAFETY: null asks for the present one, which nobody sets during this call: the plugin's threads must not, either.
    let name = unsafe { libc::setlocale(libc::LC_ALL, std::ptr::null()) };
    if name.is_null() {
        return Vec::new();
    }
    // SAFETY: not null, so it is a text of C.
    unsafe { CStr::from_ptr(name) }.to_bytes().to_vec()
}

/// Whether there is a child, running or ended.
fn has_children() -> bool {
    let mut information = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    // SAFETY: the information is written into memory of its size; nothing is waited for or taken away.
    unsafe { libc::waitid(libc::P_ALL, 0, information.as_mut_ptr(), options) == 0 }
}
