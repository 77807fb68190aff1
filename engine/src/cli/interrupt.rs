//! Ctrl-C: the first one ends the reply, a second one the process. Where no reply is being written, the first one does.

use super::echo;
use crate::Error;
use std::{
    process,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

/// What a shell reports for a process that Ctrl-C ended: 128 and the number of SIGINT.
pub const EXIT_CODE: u8 = 130;

/// The state that the signal handler and the reply share.
#[derive(Debug, Clone, Default)]
pub struct Interrupt {
    wanted: Arc<AtomicBool>,
    replying: Arc<AtomicBool>,
}

impl Interrupt {
    /// Takes over Ctrl-C for this process.
    pub fn install() -> Result<Self, Error> {
        let interrupt = Self::default();
        let handler = interrupt.clone();
        ctrlc::set_handler(move || {
            let first = !handler.wanted.swap(true, Ordering::SeqCst);
            if !(first && handler.replying.load(Ordering::SeqCst)) {
                echo::restore();
                process::exit(EXIT_CODE.into());
            }
        })
        .map_err(|error| Error::Failure(format!("Ctrl-C cannot be handled: {error}")))?;
        Ok(interrupt)
    }

    /// Runs `work`, which ends early when the flag it is given becomes true.
    pub fn during<T>(&self, work: impl FnOnce(&AtomicBool) -> T) -> T {
        self.wanted.store(false, Ordering::SeqCst);
        self.replying.store(true, Ordering::SeqCst);
        let result = work(&self.wanted);
        self.replying.store(false, Ordering::SeqCst);
        self.wanted.store(false, Ordering::SeqCst);
        result
    }
}
