//! An ensemble at work for a person or a program: replies are written, shown and logged.

use super::{
    explain::Explaining, interrupt::Interrupt, log::Log, progress, render::Look, signals::Silence, trial::Admission,
};
use crate::{
    Error,
    engine::Engine,
    events::{EndReason, Event},
    reply::Reply,
    settings::{Prompt, Settings},
};
use std::{io, path::PathBuf, sync::atomic::Ordering};

/// The ensemble, and where its replies go.
pub struct Session {
    /// The ensemble.
    pub engine: Engine,
    /// How replies are shown.
    pub look: Look,
    /// What ends replies from outside.
    pub interrupt: Interrupt,
    log: Option<Log>,
    /// Of a chat, and where a page is wanted.
    pub explaining: Option<Explaining>,
}

impl Session {
    /// Opens the log, which should fail before minutes are spent on loading, and loads the ensemble.
    pub fn open(
        settings: Settings,
        look: Look,
        memory: Option<PathBuf>,
        interrupt: Interrupt,
        admission: Admission,
    ) -> Result<Self, Error> {
        let memory = memory.map(|path| Log::open(&path)).transpose()?;
        let engine = progress::load(settings, look, admission)?;
        let log = memory.map(|memory| Log::new(memory, engine.settings()));
        for note in engine.notes() {
            look.remark(note);
        }
        let mut session = Self { engine, look, interrupt, log, explaining: None };
        session.tell_log_notices();
        Ok(session)
    }

    /// Writes one reply, shows it and logs it. The second part says whether it could be shown: when standard output
    /// cannot be written any more, the reply ends there, and is logged all the same.
    pub fn reply(&mut self, prompt: &Prompt) -> Result<(Reply, io::Result<()>), Error> {
        let interrupt = self.interrupt.clone();
        interrupt.during(|| self.write(prompt))
    }

    fn write(&mut self, prompt: &Prompt) -> Result<(Reply, io::Result<()>), Error> {
        let mut renderer = self.look.renderer(prompt);
        let mut shown = Ok(());
        let interrupt = &self.interrupt;
        let _silent = Silence::start();
        let reply = self.engine.reply(prompt, interrupt.flag(), &mut |event| {
            if let Event::Token { .. } = event {
                interrupt.writing();
            }
            if shown.is_ok() {
                shown = renderer.event(event);
                if shown.is_err() {
                    interrupt.flag().store(true, Ordering::SeqCst);
                }
            }
        })?;
        if reply.reason == EndReason::Interrupted {
            interrupt.answered();
        }
        if let Some(log) = &mut self.log {
            // The text is written; a log that fails now is told and takes nothing with it.
            if let Err(error) = log.append(&self.engine.request(prompt), &reply, &self.engine) {
                self.look.remark(&error.to_string());
            }
        }
        if let Some(explaining) = &mut self.explaining
            && let Err(error) = explaining.reply(&self.engine, prompt)
        {
            self.look.remark(&error.to_string());
        }
        self.tell_log_notices();
        Ok((reply, shown))
    }

    fn tell_log_notices(&mut self) {
        if let Some(notice) = self.log.as_mut().and_then(Log::take_notice) {
            self.look.remark(&notice);
        }
    }
}
