//! The observer of a run, which may stop it.

use crate::bench::Watch;
use std::path::Path;

/// What happens to a stage, or to an input that is fetched.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// It was done before.
    Skipped,
    /// It begins.
    Started {
        /// Its number, from 1.
        number: usize,
        /// How many stages there are.
        of: usize,
    },
    /// So much of it is done.
    Progress {
        /// What is done.
        done: u64,
        /// What there is to do.
        total: u64,
        /// What is counted.
        unit: &'a str,
    },
    /// A line of its log.
    Line(&'a str),
    /// It is done.
    Finished {
        /// Seconds that it took.
        seconds: f64,
        /// Its folder.
        folder: &'a Path,
    },
}

/// An observer of a run.
pub trait Observer {
    /// Tells what happens to the stage or the input with this name.
    fn event(&self, name: &str, event: Event);

    /// Whether the person wants it to end; stages ask between units of their work.
    fn cancelled(&self) -> bool {
        false
    }
}

/// An observer that nobody is behind.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Observer for Silent {
    fn event(&self, _: &str, _: Event) {}
}

/// Work outside a stage, which has neither a log nor a history.
pub(super) struct Told<'a> {
    pub(super) observer: &'a dyn Observer,
    pub(super) name: &'a str,
}

impl Watch for Told<'_> {
    fn progress(&self, done: u64, total: u64, unit: &str) {
        self.observer.event(self.name, Event::Progress { done, total, unit });
    }

    fn history(&self, _: serde_json::Value) {}

    fn log(&self, line: &str) {
        self.observer.event(self.name, Event::Line(line));
    }

    fn cancelled(&self) -> bool {
        self.observer.cancelled()
    }
}
