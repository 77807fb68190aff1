//! Keys pressed while a reply is being written: a terminal would echo them into the middle of the text, and text could
//! no longer be taken back from where it seems to stand. They are not lost, only not shown until the next prompt.

#[cfg(unix)]
mod terminal {
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
    use std::{
        io,
        sync::{Mutex, MutexGuard, PoisonError},
    };

    /// The terminal's modes before echo was turned off. Kept for the process as a whole, because Ctrl-C can end it from
    /// another thread.
    static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

    fn before() -> MutexGuard<'static, Option<Termios>> {
        BEFORE.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn silence() {
        // Standard input that is no terminal has no modes.
        let Ok(modes) = tcgetattr(io::stdin()) else { return };
        let mut silent = modes.clone();
        silent.local_modes.remove(LocalModes::ECHO);
        if tcsetattr(io::stdin(), OptionalActions::Now, &silent).is_ok() {
            *before() = Some(modes);
        }
    }

    pub fn restore() {
        if let Some(modes) = before().take() {
            // A terminal that is gone needs no echo.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &modes);
        }
    }
}

#[cfg(not(unix))]
mod terminal {
    pub fn silence() {}
    pub fn restore() {}
}

pub use terminal::restore;

/// No echo while it lives.
pub struct Silence(());

impl Silence {
    /// From now on.
    pub fn start() -> Self {
        terminal::silence();
        Self(())
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        restore();
    }
}
