//! Who decodes for sessions: one step of many replies is one batch of each model. The command line is the case of one.

use super::draft::{Costs, Drafter, Plan};
use super::fusion::Members;
use super::session::{Parts, Progress, Request, Session, Workspace};
use crate::events::Event;
use crate::member::ensemble::Who;
use crate::member::reader::Wanted;
use crate::member::{Ensemble, MemberError, Text};
use crate::panics::guarded;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Bytes of a model's weights from which on decoding is what a step takes its time for.
const LARGE: u64 = 64 << 20;

/// The members, and what all sessions share.
pub struct Scheduler {
    /// What decodes.
    pub ensemble: Ensemble,
    pub(super) members: Arc<Members>,
    pub(super) workspace: Workspace,
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
        let are_large = self.ensemble.costs().iter().all(|&bytes| bytes >= LARGE);
        let costs = self.relative_costs();
        let (members, drafter) =
            (&costs[..self.ensemble.count()], self.ensemble.drafter().map(|drafter| costs[drafter]));
        let plan = |(_, session): &mut (usize, &mut Session)| {
            let drafter = drafter.filter(|_| session.text().has_help());
            session.plan_draft(&Costs { members, drafter, texts, are_large })
        };
        let mut plans: Vec<Option<Plan>> = active.iter_mut().map(plan).collect();
        let end = self.ensemble.vocabulary().end();
        for member in 0..costs.len() {
            let is_its = |plan: &Option<Plan>| {
                plan.as_ref().is_some_and(|Plan { by, units, proposed }| {
                    *by == Drafter::Member(member) && proposed.len() < *units && proposed.last() != Some(&end)
                })
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
                        (Some(unit), Some(Plan { proposed, .. })) => {
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
            if let Some(Plan { by, mut proposed, .. }) = plan {
                proposed.retain(|&unit| unit != end);
                session.read_ahead(by, &proposed);
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
