//! From a fused row to a unit that stands, or to fewer units: the draw, and what the hooks say of it.

use super::{Flow, Observer, Session, Workspace};
use crate::decode::draft::Plan;
use crate::decode::fusion::{Fusion, Members};
use crate::decode::window::{UnitRecord, Window};
use crate::events::{EndReason, Event};
use crate::fuse::PENALTY_WINDOW;
use crate::hooks::chain::Merged;
use crate::member::sampler::{Noise, seed_for};
use crate::member::{MemberRow, Unit, Vocabulary};
use crate::reply::RetractionRecord;
use plugin_api::{Action, Retraction, Step, Token, surprise};
use std::ops::ControlFlow::{Break, Continue};

impl Session {
    /// Draws candidates until no hook objects.
    pub(super) fn choose(
        &mut self,
        workspace: &mut Workspace,
        out: Observer,
    ) -> std::ops::ControlFlow<EndReason, Unit> {
        let Workspace { fusion, shortlist, sampler, .. } = workspace;
        if let Some(&unit) = self.given(0).and_then(|piece| piece.first()) {
            return Continue(unit);
        }
        loop {
            let step = self.where_it_stands();
            let parameters = self.parameters.now();
            let recent = &self.penalised(&[]);
            let bans = self.transcript.attempts.bans(step.position);
            let is_free = self.form.is_free();
            let rows = self.text.rows(self.transcript.seen().len()).unwrap_or_default();
            let shaped = self.form.follow(self.transcript.units()).and_then(|()| self.form.shape(&fusion.row, &rows));
            let row = match shaped {
                Ok(row) => row,
                Err(why) => return Break(cannot_go_on(&why, out)),
            };
            let selection = shortlist.select(row, fusion.offset, bans, recent, &parameters);
            if selection.candidates.is_empty() {
                return Break(cannot_go_on("none of the tokens that may come next is possible", out));
            }
            let noise = Noise::at(self.request.seed, step.position, step.attempt);
            let drawn = sampler.draw(selection.candidates, recent, &parameters, noise);
            let unit = self.drafts.pretended(self.request.seed, step.position).unwrap_or(drawn);
            let likeliest = if is_free { fusion.likeliest_but(bans) } else { likeliest_but(row, bans) };
            let probabilities = member_probabilities(&rows, unit);
            let stands = (self.transcript.window(), likeliest);
            let token = candidate(&self.vocabulary, &self.members, fusion, stands, unit, &probabilities);
            let merged = self.chain.on_token(&step, &token);
            self.adjust(&merged, out);
            match merged.action {
                Action::Resample if self.transcript.attempts.may_retry(step.position) => {
                    self.modify("resample", &merged);
                    self.transcript.attempts.retry(step.position, merged.bans.into_iter().chain([unit]));
                }
                Action::Resample => {
                    self.tell_budget(&merged.policy, "this position was tried often enough", out);
                    return Continue(unit);
                }
                Action::Force(forced) if self.vocabulary.can_emit(forced) && self.form.allows(forced) => {
                    self.modify("force", &merged);
                    return Continue(forced);
                }
                Action::Force(forced) => {
                    let text =
                        format!("`{}` forced token {forced}, which cannot be written; it is ignored", merged.policy);
                    out(&Event::Notice { text: text.into() });
                    return Continue(unit);
                }
                Action::Stop => return Break(self.stopped(&merged)),
                Action::Continue | Action::Adjust | Action::Retract(_) => return Continue(unit),
            }
        }
    }

    /// The units that the repeat penalty counts where `ahead` stands behind the reply.
    fn penalised(&self, ahead: &[Unit]) -> Vec<Unit> {
        let stands = self.transcript.units();
        let before = (stands.len() + ahead.len()).saturating_sub(PENALTY_WINDOW);
        let counted = stands.iter().chain(ahead).skip(before).copied();
        counted.filter(|&unit| !self.vocabulary.is_number(unit)).collect()
    }

    /// The piece that is given for the position that is `ahead` of the one to be written, if one is.
    pub(super) fn given(&self, ahead: usize) -> Option<&[Unit]> {
        self.request.shape.given.get(self.transcript.len() + ahead).map(Vec::as_slice)
    }

    /// The members' rows for the unit that comes next.
    fn rows(&self) -> Option<Vec<&MemberRow>> {
        self.text.rows(self.transcript.seen().len())
    }

    /// The unit enters the transcript.
    pub(super) fn accept(&mut self, unit: Unit, workspace: &Workspace, out: Observer) -> Flow {
        let probabilities = self.rows().map(|rows| member_probabilities(&rows, unit)).unwrap_or_default();
        let stands = (self.transcript.window(), workspace.fusion.likeliest_but(&[]));
        let token = candidate(&self.vocabulary, &self.members, &workspace.fusion, stands, unit, &probabilities);
        let record = UnitRecord::of(&token, &probabilities);
        let index = self.transcript.len();
        self.transcript.add(unit);
        let (text, stopped) = self.transcript.push(record, self.vocabulary.bytes(unit));
        self.note_certain();
        let committed = self.transcript.text().shown_len_at(self.transcript.certain);
        self.tell_unit(index, &text, committed, out);
        if stopped { Break(EndReason::StopString) } else { Continue(()) }
    }

    /// The hooks judge the window.
    pub(super) fn assess(&mut self, out: Observer) -> Flow {
        let step = self.where_it_stands();
        let chain = &mut self.chain;
        let merged = self.transcript.window().assess(|assessment| chain.on_assessment(&step, assessment));
        let Some(merged) = merged else { return Continue(()) };
        self.adjust(&merged, out);
        match merged.action {
            Action::Stop => Break(self.stopped(&merged)),
            Action::Retract(units) => {
                self.retract(units, &merged, out);
                Continue(())
            }
            _ => Continue(()),
        }
    }

    /// Takes the last `units` back in members, transcript and hooks.
    fn retract(&mut self, units: u32, merged: &Merged, out: Observer) {
        let units = (units as usize).min(self.retractable());
        let keep = self.transcript.len() - units;
        if units == 0 || !self.transcript.attempts.may_retry(keep as u32) {
            return self.tell_budget(&merged.policy, "there is nothing that may still be taken back", out);
        }
        self.modify("retract", merged);
        self.record.retractions.push(RetractionRecord {
            index: keep as u32,
            tokens: units as u32,
            policy: merged.policy.clone(),
            reason: merged.reason.clone(),
            rejected: self.transcript.text().text_of(keep..self.transcript.len()),
            chosen: String::new(),
        });
        self.retractions += 1;
        let first = self.transcript.window().units()[keep];
        self.transcript.attempts.retry(keep as u32, merged.bans.iter().copied().chain([first]));
        let bytes = self.transcript.truncate(keep);
        self.text.rewind(self.transcript.seen().len());
        self.begin_piece();
        let step = self.where_it_stands();
        let policy = &merged.policy;
        self.chain.on_retract(&step, &Retraction { units: units as u32, position: keep as u32, policy });
        out(&Event::Retract {
            index: keep as u32,
            tokens: units as u32,
            bytes,
            policy: merged.policy.as_str().into(),
            version: merged.version,
            reason: merged.reason.as_str().into(),
        });
    }

    /// What can be taken back no more, now that a piece stands that did not.
    pub(super) fn note_certain(&mut self) {
        let given = self.request.shape.given.len().min(self.transcript.len());
        self.transcript.certain = (self.transcript.len() - self.retractable()).max(given);
    }

    /// How many of the newest units can be taken back right now.
    pub(super) fn retractable(&self) -> usize {
        let budget = self.retractions < self.request.limits.max_retractions;
        if !budget {
            return 0;
        }
        let open = self.transcript.len() - self.transcript.hidden_pieces().max(self.transcript.certain);
        open.min(self.request.limits.horizon.min(self.chain.reach()) as usize)
    }

    pub(super) fn where_it_stands(&self) -> Step {
        let position = self.transcript.len() as u32;
        let attempt = self.transcript.attempts.count(position);
        Step {
            position,
            attempt,
            retractable: self.retractable() as u32,
            retractions_left: self.request.limits.max_retractions - self.retractions,
            members: self.members.names.len() as u32,
            seed: seed_for(self.request.seed, position, attempt),
            parameters: self.parameters.now(),
            base: self.parameters.base(),
        }
    }

    /// What a member would write behind what it has proposed: the draw of the loop, with the member's own row in place of the
    /// fused one.
    pub(in crate::decode) fn guess(
        &self,
        member: usize,
        plan: Option<&Plan>,
        workspace: &mut Workspace,
    ) -> Option<Unit> {
        let Plan { proposed: ahead, .. } = plan?;
        let row = self.text.row(member, self.transcript.seen().len() + ahead.len())?;
        let position = (self.transcript.len() + ahead.len()) as u32;
        let attempts = &self.transcript.attempts;
        let parameters = self.parameters.now();
        let recent = &self.penalised(ahead);
        let selection = workspace.shortlist.select(&row.logits, 0.0, attempts.bans(position), recent, &parameters);
        if row.abstains || selection.candidates.is_empty() {
            return None;
        }
        let noise = Noise::at(self.request.seed, position, attempts.count(position));
        Some(workspace.sampler.draw(selection.candidates, recent, &parameters, noise))
    }
}

/// Why a reply whose shape nothing can fill ends.
pub(super) fn cannot_go_on(why: &str, out: Observer) -> EndReason {
    out(&Event::Notice { text: format!("what the reply has to look like cannot go on here: {why}; the text so far stands").into() });
    EndReason::Failed
}

/// What hooks see of a unit that could come next behind the units of a window, with what each member gave it, where the likeliest
/// that may come has a log-probability.
pub(in crate::decode) fn candidate<'a>(
    vocabulary: &'a Vocabulary,
    members: &Members,
    fusion: &Fusion,
    (stands, likeliest): (&Window, f32),
    unit: Unit,
    probabilities: &'a [f32],
) -> Token<'a> {
    let (surprise_mean, surprise_deviation) = stands.surprise();
    let own = fusion.row.get(unit as usize).copied().unwrap_or(f32::NEG_INFINITY);
    Token {
        unit,
        bytes: vocabulary.bytes(unit),
        leader: leader(probabilities, &members.weights),
        probability: fusion.probability(unit),
        entropy: fusion.statistics.entropy,
        agreement: fusion.agreement,
        is_end: unit == vocabulary.end(),
        member_probabilities: probabilities,
        surprise_mean,
        surprise_deviation,
        behind: behind(likeliest, own),
    }
}

/// The best score of a unit that is not among `bans`.
pub(in crate::decode) fn likeliest_but(row: &[f32], bans: &[Unit]) -> f32 {
    let allowed = (0..).zip(row).filter(|(unit, _)| !bans.contains(unit));
    allowed.fold(f32::NEG_INFINITY, |best, (_, &score)| best.max(score))
}

/// By how much a score is behind the best one, never less than 0 nor more than what counts as impossible.
pub(super) fn behind(best: f32, own: f32) -> f32 {
    // Where a unit was forced, both may be -inf.
    let behind = best.max(own) - own;
    if behind.is_nan() { 0.0 } else { behind.min(surprise(0.0)) }
}

pub(in crate::decode) fn member_probabilities(rows: &[&MemberRow], unit: Unit) -> Vec<f32> {
    let of = |row: &&MemberRow| match row.abstains {
        true => 0.0,
        false => row.probabilities.get(unit as usize).copied().unwrap_or(0.0),
    };
    rows.iter().map(of).collect()
}

/// The member that gave a unit most weight; of equals the first.
pub(super) fn leader(probabilities: &[f32], weights: &[f32]) -> u32 {
    let weighted = probabilities.iter().zip(weights).map(|(probability, weight)| probability * weight);
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in weighted.enumerate() {
        if value > best.1 {
            best = (index, value);
        }
    }
    best.0 as u32
}
