//! The life of one reply.

use super::attempts::Attempts;
use super::fusion::{Fusion, Members};
use super::parameters::Adapted;
use super::record::Record;
use super::shift;
use super::text::ReplyText;
use super::window::{UnitRecord, Window};
use crate::events::{EndReason, Event, MemberProbability};
use crate::fuse::{PENALTY_WINDOW, Shortlist};
use crate::hooks::chain::{Chain, Merged};
use crate::member::sampler::{Noise, Sampler, seed_for};
use crate::member::{Ensemble, MemberError, MemberRow, Unit};
use crate::reply::{RetractionRecord, Timings};
use crate::settings::Prompt;
use plugin_api::{Action, Parameters, Retraction, Step, Token};
use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

mod tell;

/// Bounds of a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Longest reply, in units that stand.
    pub n_predict: u32,
    /// How many of the newest units can be taken back.
    pub horizon: u32,
    /// Retractions, over all policies.
    pub max_retractions: u32,
}

/// What a reply is made from.
#[derive(Debug, Clone)]
pub struct Request {
    /// What to continue.
    pub prompt: Prompt,
    /// The base sampling parameters.
    pub parameters: Parameters,
    /// Bounds.
    pub limits: Limits,
    /// Of the random draws.
    pub seed: u64,
    /// Texts that end a reply, beside those of the prompt's form.
    pub stop: Vec<String>,
    /// Whether to drop old text when the context is full.
    pub context_shift: bool,
}

/// What a reply came to.
#[derive(Debug)]
pub struct Outcome {
    /// Its text and all else there is to keep.
    pub reply: crate::reply::Reply,
    /// The units that stand.
    pub units: Vec<Unit>,
}

/// Ensemble, hooks and the buffers that outlive a reply.
pub struct Decoder {
    /// What decodes.
    pub ensemble: Ensemble,
    /// What hangs on the loop.
    pub chain: Chain,
    members: Members,
    fusion: Fusion,
    shortlist: Shortlist,
    sampler: Sampler,
}

/// The state of one reply.
struct Reply<'a> {
    decoder: &'a mut Decoder,
    request: &'a Request,
    prompt: Prompt,
    observer: &'a mut dyn FnMut(&Event),
    window: Window,
    text: ReplyText,
    parameters: Adapted,
    attempts: Attempts,
    record: Record,
    retractions: u32,
    /// Units at the start of the reply that the members no longer see, after a context shift.
    hidden: usize,
    dropped_messages: usize,
    /// Units that were told to be certain; never taken back, whatever happens to budgets and hooks later.
    certain: usize,
    /// False once a member refused to go back.
    can_retract: bool,
    budget_told: bool,
    /// The parameters as the observer last heard of them.
    told: Parameters,
}

/// Why the loop stops, or goes on.
type Flow = std::ops::ControlFlow<EndReason>;
use std::ops::ControlFlow::{Break, Continue};

impl Decoder {
    /// `weights`: the members' prior weights, not all 0.
    pub fn new(ensemble: Ensemble, chain: Chain, weights: &[f32]) -> Self {
        let total: f32 = weights.iter().sum();
        let members =
            Members { names: ensemble.names(), weights: weights.iter().map(|weight| weight / total).collect() };
        Self {
            sampler: Sampler::new(ensemble.vocabulary()),
            ensemble,
            chain,
            members,
            fusion: Fusion::default(),
            shortlist: Shortlist::new(),
        }
    }

    /// Names and weights of the members.
    pub fn members(&self) -> &Members {
        &self.members
    }

    /// The fused row for the next unit as the members stand, outside a reply: for scoring a text that is given.
    pub fn fuse(&mut self, step: &Step) -> &Fusion {
        self.fusion.make(&self.ensemble, &self.members, &mut self.chain, step);
        &self.fusion
    }

    /// The hooks hear that `unit` is what comes next in a text that is given, as if it had been drawn; their answers are
    /// for who records them. Belongs between [`Decoder::fuse`] and the decoding of the unit.
    pub fn witness(&mut self, step: &Step, unit: Unit, window: &mut Window) {
        let probabilities = member_probabilities(&self.ensemble, unit);
        let token = candidate(&self.ensemble, &self.members, &self.fusion, unit, &probabilities);
        let chain = &mut self.chain;
        chain.on_token(step, &token);
        window.push(UnitRecord::of(&token, &probabilities));
        let after = Step { position: step.position + 1, ..*step };
        window.assess(|assessment| chain.on_assessment(&after, assessment));
    }

    /// Writes a reply. An error means that the prompt could not be read; once text comes, nothing takes it away.
    pub fn reply(
        &mut self,
        request: &Request,
        interrupted: &AtomicBool,
        observer: &mut dyn FnMut(&Event),
    ) -> Result<Outcome, MemberError> {
        let start = Instant::now();
        let mut prompt = request.prompt.clone();
        let reading = shift::prime(&mut self.ensemble, &mut prompt, request.context_shift);
        // Nothing was written, which is a reply as well.
        let is_unread = matches!(reading, Err(MemberError::Interrupted(_)));
        let (primed, dropped_messages) = if is_unread { Default::default() } else { reading? };
        let mut timings = Timings {
            prompt_ms: start.elapsed().as_secs_f64() * 1e3,
            prompt_tokens: primed.first().map_or(0, |primed| primed.tokens as u32),
            prompt_tokens_decoded: primed.first().map_or(0, |primed| primed.decoded as u32),
            ..Timings::default()
        };
        let mut stop = request.stop.clone();
        stop.extend(primed.into_iter().flat_map(|primed| primed.stop));
        self.chain.reset();
        let start = Instant::now();
        let members = self.members.names.len();
        let reply = Reply {
            window: Window::new(members, request.limits.n_predict as usize),
            text: ReplyText::new(stop),
            parameters: Adapted::new(request.parameters),
            attempts: Attempts::default(),
            record: Record::default(),
            retractions: 0,
            hidden: 0,
            dropped_messages,
            certain: 0,
            can_retract: true,
            budget_told: false,
            told: request.parameters,
            decoder: self,
            request,
            prompt,
            observer,
        };
        let mut outcome = reply.run(interrupted, is_unread, start);
        timings.reply_ms = start.elapsed().as_secs_f64() * 1e3;
        outcome.reply.timings = timings;
        let raw: usize = outcome.units.iter().map(|&unit| self.ensemble.vocabulary().bytes(unit).len()).sum();
        // Only when the text shown is exactly the units' bytes do later prompts continue where it ends; after a stop string
        // or in the middle of a character they are read anew, as far as their tokens differ.
        if raw == outcome.reply.text.len() && !is_unread {
            self.ensemble.adopt(&outcome.units, &outcome.reply.text);
        }
        Ok(outcome)
    }
}

impl Reply<'_> {
    fn run(mut self, interrupted: &AtomicBool, is_unread: bool, start: Instant) -> Outcome {
        let policies = self.decoder.chain.policies();
        (self.observer)(&Event::Init {
            models: &self.decoder.members.names,
            fusion_mode: self.decoder.chain.fusion(),
            policies: &policies,
            seed: self.request.seed,
        });
        if self.dropped_messages > 0 {
            self.tell_dropped();
        }
        let mut flow = if is_unread { Break(EndReason::Interrupted) } else { Continue(()) };
        let reason = loop {
            match flow {
                Break(reason) => break reason,
                Continue(()) => flow = self.step(interrupted),
            }
        };
        self.finish(reason, start)
    }

    /// One unit more, or some fewer.
    fn step(&mut self, interrupted: &AtomicBool) -> Flow {
        self.reload();
        self.tell_notices();
        if interrupted.load(Ordering::Relaxed) {
            return Break(EndReason::Interrupted);
        }
        if self.window.len() as u32 >= self.request.limits.n_predict {
            return Break(EndReason::Length);
        }
        self.catch_up()?;
        let step = self.where_it_stands();
        let decoder = &mut *self.decoder;
        decoder.fusion.make(&decoder.ensemble, &decoder.members, &mut decoder.chain, &step);
        let unit = self.choose()?;
        if unit == self.decoder.ensemble.vocabulary().end() {
            return Break(EndReason::End);
        }
        self.accept(unit)?;
        self.parameters.decay();
        self.assess()
    }

    /// Decodes the newest unit. This is put off until its row is needed, so that a unit that is taken back at once, and the
    /// last of a reply, cost no forward pass.
    fn catch_up(&mut self) -> Flow {
        let position = self.window.len() - self.hidden;
        if self.decoder.ensemble.len() >= position {
            return Continue(());
        }
        let newest = self.window.units()[self.window.len() - 1];
        match self.decoder.ensemble.extend(newest) {
            Ok(()) => Continue(()),
            Err(MemberError::Full(_)) if self.request.context_shift => self.shift(),
            Err(MemberError::Full(_)) => Break(EndReason::Context),
            Err(error) => self.fail(&error),
        }
    }

    fn shift(&mut self) -> Flow {
        let units = self.window.units()[self.hidden..].to_vec();
        match shift::make_room(&mut self.decoder.ensemble, &mut self.prompt, &units) {
            Ok(Some(shifted)) => {
                self.hidden += shifted.units;
                self.dropped_messages += shifted.messages;
                if shifted.messages > 0 {
                    self.tell_dropped();
                }
                // Once a reply: a long one goes on in this way.
                if shifted.units > 0 && self.hidden == shifted.units {
                    let text = format!(
                        "the context is full: the first {} tokens of the reply are out of sight, and others will be",
                        self.hidden
                    );
                    (self.observer)(&Event::Notice { text: &text });
                }
                Continue(())
            }
            Ok(None) => Break(EndReason::Context),
            Err(error) => self.fail(&error),
        }
    }

    fn fail(&mut self, error: &MemberError) -> Flow {
        if let MemberError::Interrupted(_) = error {
            return Break(EndReason::Interrupted);
        }
        (self.observer)(&Event::Notice { text: &format!("{error}; the text so far stands") });
        Break(EndReason::Failed)
    }

    /// Draws candidates until no hook objects.
    fn choose(&mut self) -> std::ops::ControlFlow<EndReason, Unit> {
        loop {
            let step = self.where_it_stands();
            let parameters = self.parameters.now();
            let decoder = &mut *self.decoder;
            let recent = &penalised(self.window.units(), decoder.ensemble.vocabulary().letters());
            let bans = self.attempts.bans(step.position);
            let fusion = &decoder.fusion;
            let selection = decoder.shortlist.select(&fusion.row, fusion.offset, bans, recent, &parameters);
            let noise = Noise::at(self.request.seed, step.position, step.attempt);
            let unit = decoder.sampler.draw(selection.candidates, recent, &parameters, noise);
            let probabilities = member_probabilities(&decoder.ensemble, unit);
            let token = candidate(&decoder.ensemble, &decoder.members, fusion, unit, &probabilities);
            let merged = decoder.chain.on_token(&step, &token);
            self.adjust(&merged);
            match merged.action {
                Action::Resample if self.attempts.may_retry(step.position) => {
                    self.modify("resample", &merged);
                    self.attempts.retry(step.position, merged.bans.into_iter().chain([unit]));
                }
                Action::Resample => {
                    self.tell_budget(&merged.policy, "this position was tried often enough");
                    return Continue(unit);
                }
                Action::Force(forced) if self.decoder.ensemble.vocabulary().can_emit(forced) => {
                    self.modify("force", &merged);
                    return Continue(forced);
                }
                Action::Force(forced) => {
                    let text =
                        format!("`{}` forced token {forced}, which cannot be written; it is ignored", merged.policy);
                    (self.observer)(&Event::Notice { text: &text });
                    return Continue(unit);
                }
                Action::Stop => return Break(self.stopped(&merged)),
                Action::Continue | Action::Adjust | Action::Retract(_) => return Continue(unit),
            }
        }
    }

    /// The unit enters the window and the text.
    fn accept(&mut self, unit: Unit) -> Flow {
        let decoder = &*self.decoder;
        let probabilities = member_probabilities(&decoder.ensemble, unit);
        let token = candidate(&decoder.ensemble, &decoder.members, &decoder.fusion, unit, &probabilities);
        let index = self.window.len();
        self.window.push(UnitRecord::of(&token, &probabilities));
        let pushed = self.text.push(decoder.ensemble.vocabulary().bytes(unit));
        let (text, stopped) = (pushed.text.to_string(), pushed.stopped);
        self.certain = self.window.len() - self.retractable();
        self.tell_unit(index, &text, self.text.shown_len_at(self.certain));
        if stopped { Break(EndReason::StopString) } else { Continue(()) }
    }

    /// The hooks judge the window.
    fn assess(&mut self) -> Flow {
        let step = self.where_it_stands();
        let chain = &mut self.decoder.chain;
        let Some(merged) = self.window.assess(|assessment| chain.on_assessment(&step, assessment)) else {
            return Continue(());
        };
        self.adjust(&merged);
        match merged.action {
            Action::Stop => Break(self.stopped(&merged)),
            Action::Retract(units) => self.retract(units, merged),
            _ => Continue(()),
        }
    }

    /// Takes the last `units` back in members, window, text and hooks, or in none of them.
    fn retract(&mut self, units: u32, merged: Merged) -> Flow {
        let units = (units as usize).min(self.retractable());
        let keep = self.window.len() - units;
        if units == 0 || !self.attempts.may_retry(keep as u32) {
            self.tell_budget(&merged.policy, "there is nothing that may still be taken back");
            return Continue(());
        }
        // The members have not seen the newest unit; only what they have seen must be undone there.
        let seen = keep - self.hidden;
        if seen < self.decoder.ensemble.len() {
            match self.decoder.ensemble.rewind(seen) {
                Ok(()) => {}
                Err(error @ MemberError::CannotRewind { .. }) => {
                    self.can_retract = false;
                    self.note("refused", error.to_string());
                    (self.observer)(&Event::Notice { text: &format!("{error}; nothing is taken back in this reply") });
                    return Continue(());
                }
                Err(error) => return self.fail(&error),
            }
        }
        self.modify("retract", &merged);
        self.record.retractions.push(RetractionRecord {
            index: keep as u32,
            tokens: units as u32,
            policy: merged.policy.clone(),
            reason: merged.reason.clone(),
            rejected: self.text.text_of(keep..self.window.len()),
            chosen: String::new(),
        });
        self.retractions += 1;
        let first = self.window.units()[keep];
        self.attempts.retry(keep as u32, merged.bans.iter().copied().chain([first]));
        self.window.retract(units);
        let bytes = self.text.retract(units);
        let step = self.where_it_stands();
        self.decoder
            .chain
            .on_retract(&step, &Retraction { units: units as u32, position: keep as u32, policy: &merged.policy });
        (self.observer)(&Event::Retract {
            index: keep as u32,
            tokens: units as u32,
            bytes,
            policy: &merged.policy,
            version: merged.version,
            reason: &merged.reason,
        });
        Continue(())
    }

    /// How many of the newest units can be taken back right now.
    fn retractable(&self) -> usize {
        let budget = self.retractions < self.request.limits.max_retractions && self.can_retract;
        if !budget || !self.decoder.chain.has_policies() {
            return 0;
        }
        (self.window.len() - self.hidden.max(self.certain)).min(self.request.limits.horizon as usize)
    }

    fn where_it_stands(&self) -> Step {
        let position = self.window.len() as u32;
        let attempt = self.attempts.count(position);
        Step {
            position,
            attempt,
            retractable: self.retractable() as u32,
            retractions_left: if self.can_retract { self.request.limits.max_retractions - self.retractions } else { 0 },
            members: self.decoder.members.names.len() as u32,
            seed: seed_for(self.request.seed, position, attempt),
            parameters: self.parameters.now(),
            base: self.parameters.base(),
        }
    }
}

/// The units that the repeat penalty counts, newest last: all but letters.
fn penalised(units: &[Unit], letters: Unit) -> Cow<'_, [Unit]> {
    if letters == 0 {
        return Cow::Borrowed(units);
    }
    let mut newest: Vec<Unit> =
        units.iter().rev().filter(|&&unit| unit >= letters).take(PENALTY_WINDOW).copied().collect();
    newest.reverse();
    Cow::Owned(newest)
}

/// What hooks see of a unit that could come next, with what each member gave it.
pub(super) fn candidate<'a>(
    ensemble: &'a Ensemble,
    members: &Members,
    fusion: &Fusion,
    unit: Unit,
    probabilities: &'a [f32],
) -> Token<'a> {
    let vocabulary = ensemble.vocabulary();
    Token {
        unit,
        bytes: vocabulary.bytes(unit),
        leader: leader(probabilities, &members.weights),
        probability: fusion.probability(unit),
        entropy: fusion.statistics.entropy,
        agreement: fusion.agreement,
        is_end: unit == vocabulary.end(),
        member_probabilities: probabilities,
    }
}

pub(super) fn member_probabilities(ensemble: &Ensemble, unit: Unit) -> Vec<f32> {
    let of = |row: &MemberRow| match row.abstains {
        true => 0.0,
        false => row.probabilities.get(unit as usize).copied().unwrap_or(0.0),
    };
    ensemble.rows().map(of).collect()
}

/// The member that gave a unit most weight; of equals the first.
fn leader(probabilities: &[f32], weights: &[f32]) -> u32 {
    let weighted = probabilities.iter().zip(weights).map(|(probability, weight)| probability * weight);
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in weighted.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0 as u32
}
