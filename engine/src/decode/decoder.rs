//! One conversation, and a text that is given: the scheduler with one text.

use super::fusion::{Fusion, Members};
use super::scheduler::Scheduler;
use super::session::{Outcome, Parts, Progress, Request, candidate, member_probabilities};
use super::window::{UnitRecord, Window};
use crate::events::Event;
use crate::hooks::chain::Chain;
use crate::member::reader::Wanted;
use crate::member::{Ensemble, MemberError, MemberRow, Primed, Text, Unit, Vocabulary};
use crate::settings::Prompt;
use plugin_api::Step;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// One conversation: the case of one session after the other over the same text, with the same hooks.
pub struct Decoder {
    /// Who decodes.
    pub scheduler: Scheduler,
    /// What hangs on the loop.
    pub chain: Chain,
    text: Option<Text>,
}

impl Decoder {
    /// `weights`: the members' prior weights, not all 0.
    pub fn new(ensemble: Ensemble, chain: Chain, weights: &[f32]) -> Self {
        Self { scheduler: Scheduler::new(ensemble, weights), chain, text: None }
    }

    /// Names and weights of the members.
    pub fn members(&self) -> &Members {
        self.scheduler.members()
    }

    /// Writes a reply. An error means that the prompt could not be read; once text comes, nothing takes it away.
    pub fn reply(
        &mut self,
        request: &Request,
        interrupted: &Arc<AtomicBool>,
        observer: &mut dyn FnMut(&Event),
    ) -> Result<Outcome, MemberError> {
        let Some(parts) = self.lend() else { return Err(no_place(self.members())) };
        let mut session = match self.scheduler.begin(parts, request.clone(), interrupted.clone()) {
            Ok(session) => session,
            Err(refused) => {
                let (parts, error) = *refused;
                self.take_back(parts);
                return Err(error);
            }
        };
        let end = loop {
            let progress = self.scheduler.tick(&mut [&mut session], &mut |_, event| observer(event)).pop();
            match progress {
                Some(Progress::Goes) => {}
                Some(Progress::Unreadable(error)) => break Err(error),
                Some(Progress::Over) | None => break Ok(()),
            }
        };
        match end {
            Ok(()) => {
                let (outcome, parts) = session.finish(observer);
                self.take_back(parts);
                Ok(outcome)
            }
            Err(error) => {
                self.take_back(session.into_parts());
                Err(error)
            }
        }
    }

    /// Gives the conversation's place away; what the members have read there goes with it.
    pub fn take_text(&mut self) -> Option<Text> {
        self.text.take()
    }

    /// A text that others need no more, unless it has one.
    pub fn give_text(&mut self, text: impl FnOnce() -> Option<Text>) {
        if self.text.is_none() {
            self.text = text();
        }
    }

    /// Why there is no other text.
    pub fn no_place(&self) -> MemberError {
        no_place(self.members())
    }

    /// The text and the hooks, for who writes several texts at once; they come back with [`Decoder::take_back`].
    pub(crate) fn lend(&mut self) -> Option<Parts> {
        let text = self.text.take().or_else(|| self.scheduler.ensemble.open())?;
        Some(Parts { text, chain: std::mem::take(&mut self.chain) })
    }

    pub(crate) fn take_back(&mut self, Parts { text, chain }: Parts) {
        (self.text, self.chain) = (Some(text), chain);
    }

    /// The text as it stands in the members, outside a reply: for scoring a text that is given.
    pub fn reading(&mut self) -> Result<Reading<'_>, MemberError> {
        let Self { scheduler, chain, text } = self;
        if text.is_none() {
            *text = scheduler.ensemble.open();
        }
        match text {
            Some(text) => Ok(Reading { scheduler, chain, text }),
            None => Err(no_place(&scheduler.members)),
        }
    }
}

fn no_place(members: &Members) -> MemberError {
    let member = members.names.first().cloned().unwrap_or_default();
    MemberError::Decode { member, why: "all places for texts are taken".into() }
}

/// A text that is given, read by all members.
pub struct Reading<'a> {
    scheduler: &'a mut Scheduler,
    /// The hooks.
    pub chain: &'a mut Chain,
    text: &'a mut Text,
}

impl Reading<'_> {
    /// Nothing is read while this is true.
    pub fn heed(&mut self, interrupted: &Arc<AtomicBool>) {
        self.text.heed(interrupted);
    }

    /// Reads a prompt.
    pub fn prime(&mut self, prompt: &Prompt) -> Result<Vec<Primed>, MemberError> {
        let primed = self.text.prime(prompt)?;
        self.scheduler.ensemble.advance_one(self.text)?;
        Ok(primed)
    }

    /// Reads a unit more.
    pub fn extend(&mut self, unit: Unit) -> Result<(), MemberError> {
        self.read(&[unit], Wanted::Last)
    }

    /// Reads units, in as few batches as there can be.
    pub fn read(&mut self, units: &[Unit], rows: Wanted) -> Result<(), MemberError> {
        self.text.extend(units, rows);
        self.scheduler.ensemble.advance_one(self.text)
    }

    /// Goes back to the first `len` units.
    pub fn rewind(&mut self, len: usize) -> Result<(), MemberError> {
        self.text.rewind(len);
        self.scheduler.ensemble.advance_one(self.text)
    }

    /// The text is over and is exactly these units with this text: a next prompt that goes on from it is read from here on.
    pub fn adopt(&mut self, units: &[Unit], text: &str) {
        self.text.adopt(units, text);
    }

    /// Units that were read behind the prompt.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// True behind the prompt.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// How many more units fit.
    pub fn room(&self) -> usize {
        self.text.room()
    }

    /// The members' rows for the next unit.
    pub fn rows(&self) -> Vec<&MemberRow> {
        self.rows_after(self.text.len()).unwrap_or_default()
    }

    /// In how many tokens each member reads a text by itself; `None` where one cannot read it.
    pub fn tokens_in(&self, text: &str) -> Option<Vec<usize>> {
        self.text.tokens_in(text)
    }

    /// Whether all members most likely read the first `len` units as whole tokens.
    pub fn ends_tokens(&self, len: usize) -> bool {
        self.text.ends_tokens(len)
    }

    /// The members' rows after the first `len` units; `None` where they are not kept.
    pub fn rows_after(&self, len: usize) -> Option<Vec<&MemberRow>> {
        self.text.rows(len)
    }

    /// What the units are.
    pub fn vocabulary(&self) -> &Vocabulary {
        self.scheduler.ensemble.vocabulary()
    }

    /// Batches of each model so far.
    pub fn batches(&self) -> Vec<u64> {
        self.scheduler.ensemble.batches()
    }

    /// All that decodes, and the text: for measurements.
    pub fn bare(&mut self) -> (&mut Ensemble, &mut Text) {
        (&mut self.scheduler.ensemble, self.text)
    }

    /// The fused row after the first `len` units.
    pub fn fuse(&mut self, len: usize, step: &Step) -> &Fusion {
        let Scheduler { ensemble, members, workspace } = &mut *self.scheduler;
        if let Some(rows) = self.text.rows(len) {
            workspace.fusion.make(&rows, ensemble.vocabulary(), members, self.chain, step);
        }
        &workspace.fusion
    }

    /// The hooks hear that `unit` is what comes after the first `len` in a text that is given, as if it had been drawn; their
    /// answers are for who records them. Belongs behind [`Reading::fuse`].
    pub fn witness(&mut self, len: usize, step: &Step, unit: Unit, window: &mut Window) {
        let Scheduler { ensemble, members, workspace } = &*self.scheduler;
        let probabilities = self.text.rows(len).map(|rows| member_probabilities(&rows, unit)).unwrap_or_default();
        let token = candidate(
            ensemble.vocabulary(),
            members,
            &workspace.fusion,
            (&*window, workspace.fusion.likeliest_but(&[])),
            unit,
            &probabilities,
        );
        let chain = &mut *self.chain;
        chain.on_token(step, &token);
        window.push(UnitRecord::of(&token, &probabilities));
        let after = Step { position: step.position + 1, ..*step };
        window.assess(|assessment| chain.on_assessment(&after, assessment));
    }
}
