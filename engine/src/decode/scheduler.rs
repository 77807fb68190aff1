//! Who decodes for sessions: one step of many replies is one batch of each model. The command line is the case of one.

use super::draft::{Costs, Drafter, Plan};
use super::fusion::{Fusion, Members};
use super::session::{Outcome, Parts, Progress, Request, Session, Workspace, candidate, member_probabilities};
use super::window::{UnitRecord, Window};
use crate::events::Event;
use crate::hooks::chain::Chain;
use crate::member::ensemble::Who;
use crate::member::reader::Wanted;
use crate::member::{Ensemble, MemberError, MemberRow, Primed, Text, Unit, Vocabulary};
use crate::panics::guarded;
use crate::settings::Prompt;
use plugin_api::Step;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// The members, and what all sessions share.
pub struct Scheduler {
    /// What decodes.
    pub ensemble: Ensemble,
    members: Arc<Members>,
    workspace: Workspace,
}

impl Scheduler {
    /// `weights`: the members' prior weights, not all 0.
    pub fn new(ensemble: Ensemble, weights: &[f32]) -> Self {
        let total: f32 = weights.iter().sum();
        let weights = weights.iter().map(|weight| weight / total).collect();
        let members = Arc::new(Members { names: ensemble.names(), weights });
        Self { workspace: Workspace::new(ensemble.vocabulary()), ensemble, members }
    }

    /// Names and weights of the members.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// A session with these parts; they come back with an error, which means that the prompt cannot be read.
    pub fn begin(
        &self,
        parts: Parts,
        request: Request,
        interrupted: Arc<AtomicBool>,
    ) -> Result<Session, Box<(Parts, MemberError)>> {
        Session::begin(parts, self.members.clone(), self.ensemble.shared_vocabulary(), request, interrupted)
    }

    /// One step of each session, in one batch of each model; several where what was read ahead is what is written. `out` hears
    /// the events with the number of the session that they are of. A session that panics ends, and no other.
    pub fn tick(&mut self, sessions: &mut [&mut Session], out: &mut dyn FnMut(usize, &Event)) -> Vec<Progress> {
        let mut progress = vec![Progress::Over; sessions.len()];
        let mut active: Vec<(usize, &mut Session)> = Vec::with_capacity(sessions.len());
        for (number, session) in sessions.iter_mut().enumerate() {
            if alive(session, number, out, |session, out| session.prepare(out)).unwrap_or(false) {
                active.push((number, session));
            }
        }
        if active.is_empty() {
            return progress;
        }
        if self.ensemble.can_read_ahead() {
            self.draft(&mut active);
        }
        let mut texts: Vec<&mut Text> = active.iter_mut().map(|(_, session)| session.text()).collect();
        let advanced = self.ensemble.advance(&mut texts, Who::All);
        for ((number, session), advanced) in active.into_iter().zip(advanced) {
            let workspace = &mut self.workspace;
            let step = |session: &mut Session, out: &mut dyn FnMut(&Event)| session.step(advanced, workspace, out);
            progress[number] = alive(session, number, out, step).unwrap_or(Progress::Over);
        }
        progress
    }

    /// Lets drafters propose what is likely to come, and adds it to the texts.
    fn draft(&mut self, active: &mut [(usize, &mut Session)]) {
        let texts = active.len();
        let costs = self.relative_costs();
        let (members, drafter) =
            (&costs[..self.ensemble.count()], self.ensemble.drafter().map(|drafter| costs[drafter]));
        let plan = |(_, session): &mut (usize, &mut Session)| {
            let drafter = drafter.filter(|_| session.text().has_help());
            session.plan_draft(&Costs { members, drafter, texts }).map(|plan| (plan, Vec::new()))
        };
        let mut plans: Vec<Option<(Plan, Vec<Unit>)>> = active.iter_mut().map(plan).collect();
        for ((_, session), plan) in active.iter().zip(&mut plans) {
            if let Some((Plan { by: Drafter::Ngram, units }, proposed)) = plan {
                *proposed = session.look_up(*units);
            }
        }
        let end = self.ensemble.vocabulary().end();
        for member in 0..costs.len() {
            let is_its = |plan: &Option<(Plan, Vec<Unit>)>| match plan {
                Some((plan, proposed)) => {
                    plan.by == Drafter::Member(member) && proposed.len() < plan.units && proposed.last() != Some(&end)
                }
                None => false,
            };
            while plans.iter().any(is_its) {
                let chosen: Vec<usize> = (0..active.len()).filter(|&index| is_its(&plans[index])).collect();
                let mut texts: Vec<&mut Text> = active
                    .iter_mut()
                    .enumerate()
                    .filter(|(index, _)| chosen.contains(index))
                    .map(|(_, (_, session))| session.text())
                    .collect();
                let advanced = self.ensemble.advance(&mut texts, Who::Member(member));
                for (index, advanced) in chosen.into_iter().zip(advanced) {
                    let session = &mut active[index].1;
                    let guess = match advanced {
                        Ok(true) => session.guess(member, plans[index].as_ref(), &mut self.workspace),
                        Ok(false) | Err(_) => None,
                    };
                    match (guess, &mut plans[index]) {
                        (Some(unit), Some((_, proposed))) => {
                            // Nothing is read behind the end.
                            if unit != end {
                                session.text().extend_one(member, &[unit], Wanted::All);
                            }
                            proposed.push(unit);
                        }
                        // Whatever went wrong comes again when all decode.
                        (_, plan) => {
                            *plan = None;
                            session.catch_up();
                        }
                    }
                }
            }
        }
        for ((_, session), plan) in active.iter_mut().zip(plans) {
            if let Some((plan, mut proposed)) = plan {
                proposed.retain(|&unit| unit != end);
                session.read_ahead(plan.by, &proposed);
            }
        }
    }

    /// Of each member's token, and of one of the model that has no say; those of the members sum to their number.
    fn relative_costs(&self) -> Vec<f32> {
        let (models, members) = (self.ensemble.costs(), self.ensemble.count());
        let all = members + usize::from(self.ensemble.drafter().is_some());
        let costs: Vec<f32> = (0..all).map(|member| models[self.ensemble.model_of(member)] as f32).collect();
        let mean = costs[..members].iter().sum::<f32>() / members.max(1) as f32;
        costs.iter().map(|cost| cost / mean.max(1.0)).collect()
    }
}

/// Does something with a session, which ends if that panics; `None` then.
fn alive<R>(
    session: &mut Session,
    number: usize,
    out: &mut dyn FnMut(usize, &Event),
    act: impl FnOnce(&mut Session, &mut dyn FnMut(&Event)) -> R,
) -> Option<R> {
    match guarded(|| act(session, &mut |event| out(number, event))) {
        Ok(done) => Some(done),
        Err(panic) => {
            session.abandon(&format!("the program made a mistake ({panic})"), &mut |event| out(number, event));
            None
        }
    }
}

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
        let Some(text) = self.text.take().or_else(|| self.scheduler.ensemble.open()) else {
            return Err(no_place(self.members()));
        };
        let parts = Parts { text, chain: std::mem::take(&mut self.chain) };
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

    /// Its text, for others; what the members have read of it goes with it.
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

    fn take_back(&mut self, Parts { text, chain }: Parts) {
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
        let token = candidate(ensemble.vocabulary(), members, &workspace.fusion, unit, &probabilities);
        let chain = &mut *self.chain;
        chain.on_token(step, &token);
        window.push(UnitRecord::of(&token, &probabilities));
        let after = Step { position: step.position + 1, ..*step };
        window.assess(|assessment| chain.on_assessment(&after, assessment));
    }
}
