//! What a person sees of a recipe that runs: a line for each stage that is done, a bar for the one that runs; and the signals
//! that end it.

use crate::{
    Error,
    cli::{
        output::{self, visible},
        progress::{self, Bar, Size},
        render::Look,
    },
};
use ::forge::{
    bench::Watch,
    run::{Event, Observer},
};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

/// The terminal, or a log where nobody is watching.
pub struct Terminal {
    look: Look,
    /// Of what runs, and its name.
    bar: RefCell<Option<(String, Bar)>>,
    /// The signal that came; 0 before.
    signal: Arc<AtomicUsize>,
}

impl Terminal {
    /// From now on the first signal ends the stage that runs, and the second one the program.
    pub fn new(look: Look) -> Result<Self, Error> {
        let failed = |error: std::io::Error| Error::Failure(format!("signals cannot be handled: {error}"));
        let (came, signal) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        for number in [SIGINT, SIGTERM, SIGHUP] {
            // The order counts: it does nothing the first time.
            signal_hook::flag::register_conditional_shutdown(number, 128 + number, came.clone()).map_err(failed)?;
            signal_hook::flag::register_usize(number, signal.clone(), number as usize).map_err(failed)?;
            signal_hook::flag::register(number, came.clone()).map_err(failed)?;
        }
        Ok(Self { look, bar: RefCell::default(), signal })
    }

    /// The signal that ended it, if one did.
    pub fn ended_by(&self) -> Option<usize> {
        Some(self.signal.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some((_, bar)) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }

    fn say(&self, text: &str) {
        self.end();
        self.look.remark(&visible(text));
    }

    fn begin(&self, name: &str, prefix: String) {
        self.end();
        if !output::stderr().is_terminal() {
            self.look.remark(&visible(&prefix));
            return;
        }
        let bar = progress::told(&prefix);
        *self.bar.borrow_mut() = Some((name.into(), bar));
    }
}

impl Watch for Terminal {
    fn progress(&self, done: u64, total: u64, unit: &str) {
        self.event("hashing", Event::Progress { done, total, unit });
    }

    fn history(&self, _: serde_json::Value) {}

    fn log(&self, _: &str) {}

    fn cancelled(&self) -> bool {
        self.ended_by().is_some()
    }
}

impl Observer for Terminal {
    fn event(&self, name: &str, event: Event) {
        match event {
            Event::Skipped => self.say(&format!("{name}: done before")),
            Event::Started { number, of } => self.begin(name, format!("[{number}/{of}] {name}")),
            Event::Progress { done, total, unit } => {
                let is_same = self.bar.borrow().as_ref().is_some_and(|(own, _)| own == name);
                if !is_same && output::stderr().is_terminal() {
                    self.begin(name, name.into());
                }
                if let Some((_, bar)) = &*self.bar.borrow() {
                    bar.set_length(total);
                    bar.set_position(done);
                    bar.set_message(if unit == "bytes" {
                        format!("{} of {}", Size(done), Size(total))
                    } else {
                        format!("{done} of {total} {unit}")
                    });
                }
            }
            Event::Line(line) => {
                if let Some((_, bar)) = &*self.bar.borrow() {
                    bar.set_message(visible(line));
                }
            }
            Event::Finished { seconds, folder } => {
                let folder = folder.file_name().unwrap_or_default().to_string_lossy();
                self.say(&format!("{name}: {seconds:.1} s, {folder}"));
            }
        }
    }

    fn cancelled(&self) -> bool {
        self.signal.load(Ordering::Relaxed) != 0
    }
}
