//! The terminal's modes, given back by whatever ends or stops the program. While a reply is written keys are not echoed,
//! and at the chat's prompt the line editor has the terminal in raw mode; a signal whose default is to end the process
//! would leave it so. The handlers here put back the modes from before and let the signal do what it does. What they call
//! is safe in a signal handler (POSIX: `tcsetattr`, `tcgetpgrp`, `write`, `sigaction`, `raise`).

use libc::{c_int, c_void, sigaction, siginfo_t, termios};
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

/// Signals that end the process by default, but for those that [`Interrupt`](super::interrupt::Interrupt) hears.
const FATAL: [c_int; 15] = [
    libc::SIGQUIT,
    libc::SIGABRT,
    libc::SIGSEGV,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGILL,
    libc::SIGTRAP,
    libc::SIGSYS,
    libc::SIGALRM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGXCPU,
    libc::SIGXFSZ,
    libc::SIGVTALRM,
    libc::SIGPROF,
];

/// Those that an instruction causes, which is executed again when the handler returns.
const FAULTS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

/// What to do with a signal that has come after all: in the standard library's handlers, a stack overflow is told.
static PREVIOUS: [OnceLock<sigaction>; FATAL.len()] = [const { OnceLock::new() }; FATAL.len()];

/// The modes from before the program changed them; none where standard input is no terminal.
static BEFORE: OnceLock<termios> = OnceLock::new();

/// Who has changed them.
static CHANGED: AtomicU8 = AtomicU8::new(NOBODY);
const NOBODY: u8 = 0;
const SILENCE: u8 = 1;
const EDITOR: u8 = 2;

const INPUT: c_int = libc::STDIN_FILENO;

/// Keeps the terminal's modes as they are now, for whatever ends the program.
pub fn guard_terminal() {
    if let Some(modes) = modes() {
        let _ = BEFORE.set(modes);
    }
    for (&signal, previous) in FATAL.iter().zip(&PREVIOUS) {
        handle(signal, fatal as *const () as usize, libc::SA_SIGINFO | libc::SA_ONSTACK, Some(previous));
    }
    handle(libc::SIGTSTP, stop as *const () as usize, libc::SA_RESTART, None);
    handle(libc::SIGCONT, go_on as *const () as usize, libc::SA_RESTART, None);
}

/// Whether the program was started with a signal ignored, as `nohup` does with SIGHUP.
pub fn is_ignored(signal: c_int) -> bool {
    current(signal).is_some_and(|action| action.sa_sigaction == libc::SIG_IGN)
}

fn current(signal: c_int) -> Option<sigaction> {
    let mut action = MaybeUninit::<sigaction>::zeroed();
    // SAFETY: asks only, and writes to the place that it is given; all zeros are a valid action, too.
    unsafe { (sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0).then(|| action.assume_init()) }
}

fn handle(signal: c_int, handler: usize, flags: c_int, previous: Option<&OnceLock<sigaction>>) {
    let Some(before) = current(signal).filter(|before| before.sa_sigaction != libc::SIG_IGN) else { return };
    if let Some(previous) = previous {
        let _ = previous.set(before);
    }
    let mut action = sigaction { sa_sigaction: handler, sa_flags: flags, ..before };
    // SAFETY: the handler has the signature that its flags ask for, and calls only what is safe in a handler.
    unsafe {
        libc::sigemptyset(&mut action.sa_mask);
        sigaction(signal, &action, std::ptr::null_mut());
    }
}

fn modes() -> Option<termios> {
    let mut modes = MaybeUninit::<termios>::uninit();
    // SAFETY: fills the place that it is given, or says that it did not.
    unsafe { (libc::tcgetattr(INPUT, modes.as_mut_ptr()) == 0).then(|| modes.assume_init()) }
}

/// A program in the background that sets modes is stopped, and the terminal is another program's then.
fn set(modes: &termios) {
    // SAFETY: plain system calls on valid modes.
    unsafe {
        if libc::tcgetpgrp(INPUT) == libc::getpgrp() {
            libc::tcsetattr(INPUT, libc::TCSANOW, modes);
        }
    }
}

fn write(stream: c_int, text: &str) {
    // SAFETY: a valid buffer of that length. A stream that is gone hears nothing.
    let _ = unsafe { libc::write(stream, text.as_ptr().cast::<c_void>(), text.len()) };
}

/// Turns echo off.
fn silence() {
    let Some(before) = BEFORE.get() else { return };
    CHANGED.store(SILENCE, Ordering::SeqCst);
    set(&termios { c_lflag: before.c_lflag & !libc::ECHO, ..*before });
}

/// Gives the terminal back as it was.
pub fn give_back() {
    let changed = CHANGED.load(Ordering::SeqCst);
    if let Some(before) = BEFORE.get().filter(|_| changed != NOBODY) {
        if changed == EDITOR {
            write(libc::STDOUT_FILENO, "\x1b[?2004l\r\n");
        }
        set(before);
    }
}

/// Keys pressed while a reply is being written: a terminal would echo them into the middle of the text, and text could no
/// longer be taken back from where it seems to stand. They are not lost, only not shown until the next prompt.
pub struct Silence(());

impl Silence {
    /// No echo from now on, while it lives.
    pub fn start() -> Self {
        silence();
        Self(())
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        give_back();
        CHANGED.store(NOBODY, Ordering::SeqCst);
    }
}

/// The line editor has the terminal while `work` runs, and gives it back by itself.
pub fn while_editing<T>(work: impl FnOnce() -> T) -> T {
    CHANGED.store(EDITOR, Ordering::SeqCst);
    let result = work();
    CHANGED.store(NOBODY, Ordering::SeqCst);
    result
}

extern "C" fn fatal(signal: c_int, info: *mut siginfo_t, _: *mut c_void) {
    give_back();
    // SAFETY: the system passes a valid description of the signal.
    let from_outside = unsafe { (*info).si_code } <= 0;
    let is_fault = FAULTS.contains(&signal) && !from_outside;
    if is_fault && signal == libc::SIGBUS {
        write(
            libc::STDERR_FILENO,
            "\nerror: a file became shorter while it was in use, a model perhaps; the program ends\n",
        );
    }
    let previous = FATAL.iter().position(|&fatal| fatal == signal).and_then(|index| PREVIOUS[index].get());
    // SAFETY: sets what was in force before, or the default, which is all zeros; both are async-signal-safe calls.
    unsafe {
        let default = MaybeUninit::<sigaction>::zeroed().assume_init();
        sigaction(signal, previous.filter(|_| is_fault).unwrap_or(&default), std::ptr::null_mut());
        if !is_fault {
            // Comes when this handler returns.
            libc::raise(signal);
        }
    }
}

/// Ctrl-Z: stops with the terminal as it was, and has it as it is again afterwards.
extern "C" fn stop(signal: c_int) {
    let error = Errno::keep();
    let changed = CHANGED.load(Ordering::SeqCst);
    let now = modes().filter(|_| changed != NOBODY);
    give_back();
    // SAFETY: all of it is async-signal-safe; the sets and actions are initialised before they are read.
    unsafe {
        let default = MaybeUninit::<sigaction>::zeroed().assume_init();
        let mut own = default;
        let mut signals = MaybeUninit::zeroed().assume_init();
        let mut blocked = MaybeUninit::zeroed().assume_init();
        libc::sigemptyset(&mut signals);
        libc::sigaddset(&mut signals, signal);
        sigaction(signal, &default, &mut own);
        libc::raise(signal);
        // Here it stops, and here it goes on.
        libc::pthread_sigmask(libc::SIG_UNBLOCK, &signals, &mut blocked);
        libc::pthread_sigmask(libc::SIG_SETMASK, &blocked, std::ptr::null_mut());
        sigaction(signal, &own, std::ptr::null_mut());
    }
    if let Some(now) = now {
        set(&now);
        if changed == EDITOR && now.c_lflag & libc::ICANON == 0 {
            write(libc::STDOUT_FILENO, "\x1b[?2004h");
        }
    }
    error.put_back();
}

/// A shell that stopped the program may have set modes of its own.
extern "C" fn go_on(_: c_int) {
    let error = Errno::keep();
    if CHANGED.load(Ordering::SeqCst) == SILENCE {
        silence();
    }
    error.put_back();
}

/// The calling code's error number, which a handler must leave alone.
struct Errno(c_int);

impl Errno {
    fn place() -> *mut c_int {
        // SAFETY: gives the thread's own place, which is always valid.
        unsafe {
            #[cfg(target_os = "linux")]
            return libc::__errno_location();
            #[cfg(not(target_os = "linux"))]
            return libc::__error();
        }
    }

    fn keep() -> Self {
        // SAFETY: the thread's own place.
        Self(unsafe { *Self::place() })
    }

    fn put_back(self) {
        // SAFETY: the thread's own place.
        unsafe { *Self::place() = self.0 }
    }
}
