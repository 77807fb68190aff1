//! What ends a reply or the program from outside: Ctrl-C, SIGTERM and SIGHUP. What they do depends on what would be lost.
//!
//! * Where nothing is lost, while models are loaded, say, the first one ends the program.
//! * In a reply the first one ends the reply, which keeps what is there and is logged; SIGTERM and SIGHUP then end the
//!   program.
//! * Elsewhere in a chat Ctrl-C is the first of two, which the prompt counts; SIGTERM and SIGHUP end the program, and the
//!   conversation is on the disk.
//! * What cannot be ended, a tokenizer at work on a long text, a hook that hangs, is not waited for: before a reply's first
//!   token the program ends after [`PATIENCE`], later a second Ctrl-C ends it, or SIGTERM after [`LONG_PATIENCE`].

use super::{output, signals};
use crate::Error;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long a reply without text may go on after a signal. A second Ctrl-C sooner than this is the same one, pressed twice.
const PATIENCE: Duration = Duration::from_millis(250);

/// How long a reply with text may go on after SIGTERM.
const LONG_PATIENCE: Duration = Duration::from_secs(5);

/// What the program does when a signal comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Phase {
    /// Nothing would be lost.
    #[default]
    Loading,
    /// The chat's prompt has the keys.
    Asking,
    /// The chat does what a command says.
    Between,
    /// A reply has begun and has no text.
    Reading,
    /// A reply has text, or is being logged and kept.
    Writing,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    is_chat: bool,
    /// Counts the phases.
    turn: u64,
    /// When Ctrl-C was pressed and was not yet answered.
    pressed: Option<Instant>,
    /// SIGTERM or SIGHUP.
    ended_by: Option<i32>,
}

/// What the signals' thread and the program share.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    wanted: Arc<AtomicBool>,
    state: Arc<Mutex<State>>,
}

impl Interrupt {
    /// Takes over the signals for this process.
    pub fn install() -> Result<Self, Error> {
        signals::guard_terminal();
        let interrupt = Self::default();
        let listener = interrupt.clone();
        let heard =
            [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|&signal| signal == SIGINT || !signals::is_ignored(signal));
        let failed = |error: std::io::Error| Error::Failure(format!("signals cannot be handled: {error}"));
        let mut heard = signal_hook::iterator::Signals::new(heard).map_err(failed)?;
        let listen = move || heard.forever().for_each(|signal| listener.hear(signal));
        thread::Builder::new().name("signals".into()).spawn(listen).map_err(failed)?;
        Ok(interrupt)
    }

    /// Is true from a signal on until it was answered: whatever takes long looks at it.
    pub fn flag(&self) -> &Arc<AtomicBool> {
        &self.wanted
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.state();
        state.phase = phase;
        state.turn += 1;
    }

    fn hear(&self, signal: i32) {
        let mut state = self.state();
        let first = *state.pressed.get_or_insert_with(Instant::now);
        let again = first.elapsed() > PATIENCE;
        match (state.phase, signal) {
            (Phase::Loading, _) => leave(signal),
            (Phase::Asking | Phase::Between, SIGTERM | SIGHUP) => leave(signal),
            // The prompt asks for it when it is answered.
            (Phase::Asking, _) => state.pressed = Some(Instant::now()),
            _ if again => leave(signal),
            _ => self.wanted.store(true, Ordering::SeqCst),
        }
        if signal != SIGINT {
            state.ended_by = Some(signal);
        }
        let patience = match state.phase {
            Phase::Reading => PATIENCE,
            Phase::Writing if signal != SIGINT => LONG_PATIENCE,
            _ => return,
        };
        let (waiting, turn) = (self.clone(), state.turn);
        // Without a thread to wait, the second signal ends the program.
        let _ = thread::Builder::new().spawn(move || {
            thread::sleep(patience);
            waiting.end_if_still(turn, signal);
        });
    }

    /// Ends the program when it is still in that phase.
    fn end_if_still(&self, turn: u64, signal: i32) {
        let state = self.state();
        match state.phase {
            _ if state.turn != turn => {}
            Phase::Reading if state.is_chat && signal == SIGINT => {
                output::stderr().say("the prompt is still being read; Ctrl-C once more ends the chat, which is saved");
            }
            _ => leave(signal),
        }
    }

    /// Runs `work`, a reply and its logging.
    pub fn during<T>(&self, work: impl FnOnce() -> T) -> T {
        self.enter(Phase::Reading);
        let result = work();
        // What has become of it is not on the disk yet.
        self.enter(Phase::Writing);
        result
    }

    /// The reply has text, which is worth waiting for.
    pub fn writing(&self) {
        if self.state().phase == Phase::Reading {
            self.enter(Phase::Writing);
        }
    }

    /// The reply ends because it was asked to, whoever asked.
    pub fn answered(&self) {
        self.wanted.store(false, Ordering::SeqCst);
        self.state().pressed = None;
    }

    /// What ended the program from outside, but for Ctrl-C.
    pub fn ended_by(&self) -> Option<i32> {
        self.state().ended_by
    }

    /// The exit code of a reply that was interrupted.
    pub fn exit_code(&self) -> u8 {
        exit_code(self.ended_by().unwrap_or(SIGINT))
    }

    /// From now on a conversation would be lost.
    pub fn open_chat(&self) {
        self.state().is_chat = true;
        self.enter(Phase::Between);
    }

    /// Whether Ctrl-C was pressed and nothing has answered it; it counts as answered then.
    pub fn take(&self) -> bool {
        self.state().pressed = None;
        self.wanted.swap(false, Ordering::SeqCst)
    }

    /// Runs the chat's prompt, at which Ctrl-C is a key.
    pub fn while_asking<T>(&self, ask: impl FnOnce() -> T) -> T {
        self.enter(Phase::Asking);
        if let Some(signal) = self.ended_by() {
            leave(signal);
        }
        let result = signals::while_editing(ask);
        self.enter(Phase::Between);
        // Pressed after Enter and before the editor was gone: it is for what was just typed. Otherwise it came before the
        // editor was there, and has passed.
        let pressed = self.state().pressed.take();
        if pressed.is_some_and(|pressed| pressed.elapsed() < PATIENCE) {
            self.wanted.store(true, Ordering::SeqCst);
        }
        result
    }
}

/// What a shell reports for a process that a signal ended.
fn exit_code(signal: i32) -> u8 {
    128 + u8::try_from(signal).unwrap_or(0)
}

/// Ends the program at once, from the signals' thread: what the others are doing must not be waited for.
fn leave(signal: i32) -> ! {
    signals::give_back();
    signal_hook::low_level::exit(exit_code(signal).into())
}
