//! What the loop tells of a reply: to the observer while it is written, to the record for the log.

use super::{EndReason, Event, MemberProbability, Merged, Outcome, Parameters, Reply, Timings};
use crate::decode::record::who_and_why;
use crate::hooks::{Reloaded, chain::Adjusted};
use std::time::Instant;

impl Reply<'_> {
    /// Text that became whole with the unit at `position`; `committed` bytes of the reply are certain.
    pub(super) fn tell_unit(&mut self, position: usize, text: &str, committed: usize) {
        let Some(unit) = self.window.get(position) else { return };
        let names = &self.decoder.members.names;
        let members: Vec<MemberProbability> = names
            .iter()
            .zip(unit.member_probabilities)
            .map(|(name, &probability)| MemberProbability { name, probability })
            .collect();
        (self.observer)(&Event::Token {
            index: position as u32,
            text,
            confidence: unit.confidence,
            entropy: unit.entropy,
            agreement: unit.agreement,
            leader: &names[unit.leader as usize],
            members: &members,
            committed,
        });
    }

    pub(super) fn adjust(&mut self, merged: &Merged) {
        for Adjusted { policy, version, adjustment, reason } in &merged.adjustments {
            // What decayed a little since and is set again is no news.
            let before = self.told;
            self.parameters.apply(adjustment);
            self.told = self.parameters.now();
            if !differs(&before, &self.told) {
                self.told = before;
                continue;
            }
            self.record.adjustments += 1;
            let now = self.parameters.now();
            (self.observer)(&Event::Adjust {
                policy,
                version: *version,
                temperature: now.temperature,
                repeat_penalty: now.repeat_penalty,
                reason,
            });
            let description = format!(
                "{}; temperature {:.2}, repeat penalty {:.2}",
                who_and_why(policy, reason),
                now.temperature,
                now.repeat_penalty
            );
            self.note("adjust", description);
        }
    }

    pub(super) fn modify(&mut self, kind: &'static str, merged: &Merged) {
        self.note(kind, who_and_why(&merged.policy, &merged.reason));
    }

    pub(super) fn note(&mut self, kind: &'static str, description: String) {
        let position = self.window.len() as u32;
        let decoder = &self.decoder;
        self.record.modify(kind, position, description, &self.window, &decoder.members, decoder.chain.fusion());
    }

    pub(super) fn stopped(&mut self, merged: &Merged) -> EndReason {
        self.modify("stop", merged);
        EndReason::Policy(if merged.reason.is_empty() { merged.policy.clone() } else { merged.reason.clone() })
    }

    pub(super) fn reload(&mut self) {
        let observer = &mut self.observer;
        self.decoder.chain.reload_changed(&mut |reloaded| {
            let Reloaded { hook, file, version, milliseconds } = reloaded;
            observer(&Event::Reload { hook, file, version: *version, milliseconds: *milliseconds });
        });
    }

    pub(super) fn tell_notices(&mut self) {
        for text in self.decoder.chain.take_notices() {
            (self.observer)(&Event::Notice { text: &text });
        }
    }

    /// Once a reply: a policy asks for more than it can have.
    pub(super) fn tell_budget(&mut self, policy: &str, why: &str) {
        if !std::mem::replace(&mut self.budget_told, true) {
            (self.observer)(&Event::Notice { text: &format!("a request of `{policy}` is ignored: {why}") });
        }
    }

    pub(super) fn tell_dropped(&mut self) {
        let text = "the context is full: the oldest text is out of the members' sight";
        (self.observer)(&Event::Notice { text });
    }

    pub(super) fn finish(mut self, reason: EndReason, start: Instant) -> Outcome {
        self.tell_notices();
        let rest = self.text.finish().to_string();
        if let (false, Some(newest)) = (rest.is_empty(), self.window.len().checked_sub(1)) {
            self.tell_unit(newest, &rest, self.text.shown().len());
        }
        let leader = self.decoder.members.names[self.window.most_frequent_leader() as usize].as_str();
        self.record.finish(&self.text);
        let tokens = self.window.len() as u32;
        let avg_confidence = self.window.mean_confidence();
        (self.observer)(&Event::Done {
            reason: &reason,
            text: self.text.shown(),
            tokens,
            retractions: self.retractions,
            avg_confidence,
            tokens_per_second: f64::from(tokens) / start.elapsed().as_secs_f64().max(1e-9),
            adjustments: self.record.adjustments,
            leader,
            avg_agreement: self.window.mean_agreement(),
        });
        Outcome {
            units: self.window.units().to_vec(),
            reply: crate::reply::Reply {
                text: self.text.shown().to_string(),
                reason,
                tokens,
                retractions: self.record.retractions,
                modifications: self.record.modifications,
                avg_confidence,
                final_parameters: self.parameters.now(),
                timings: Timings::default(),
                dropped_messages: self.dropped_messages,
            },
        }
    }
}

/// By as much as a person would notice.
fn differs(a: &Parameters, b: &Parameters) -> bool {
    let far = |a: f32, b: f32| (a - b).abs() >= 0.01;
    far(a.temperature, b.temperature)
        || far(a.repeat_penalty, b.repeat_penalty)
        || far(a.top_p, b.top_p)
        || far(a.min_p, b.min_p)
        || a.top_k != b.top_k
}
