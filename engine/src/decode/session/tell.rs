//! What the loop tells of a reply: to the observer while it is written, to the record for the log.

use super::{Observer, Outcome, Session};
use crate::decode::record::who_and_why;
use crate::events::{EndReason, Event, MemberProbability};
use crate::hooks::Reloaded;
use crate::hooks::chain::{Adjusted, Merged};
use crate::reply::Reply;
use plugin_api::Parameters;
use std::borrow::Cow;

impl Session {
    /// Text that became whole with the unit at `position`; `committed` bytes of the reply are certain.
    pub(super) fn tell_unit(&self, position: usize, text: &str, committed: usize, out: Observer) {
        let Some(unit) = self.transcript.window().get(position) else { return };
        let names = &self.members.names;
        let members: Vec<MemberProbability> = names
            .iter()
            .zip(unit.member_probabilities)
            .map(|(name, &probability)| MemberProbability { name: name.into(), probability })
            .collect();
        out(&Event::Token {
            index: position as u32,
            text: text.into(),
            confidence: unit.confidence,
            entropy: unit.entropy,
            agreement: unit.agreement,
            leader: names[unit.leader as usize].as_str().into(),
            members: members.into(),
            committed,
            units: self.transcript.units_of(position).into(),
        });
    }

    pub(super) fn adjust(&mut self, merged: &Merged, out: Observer) {
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
            out(&Event::Adjust {
                policy: policy.into(),
                version: *version,
                temperature: now.temperature,
                repeat_penalty: now.repeat_penalty,
                reason: reason.into(),
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
        let position = self.transcript.len() as u32;
        let (window, fusion) = (self.transcript.window(), self.chain.fusion());
        self.record.modify(kind, position, description, window, &self.members, fusion);
    }

    pub(super) fn stopped(&mut self, merged: &Merged) -> EndReason {
        self.modify("stop", merged);
        EndReason::Policy(if merged.reason.is_empty() { merged.policy.clone() } else { merged.reason.clone() })
    }

    pub(super) fn reload(&mut self, out: Observer) {
        self.chain.reload_changed(&mut |reloaded| {
            let Reloaded { hook, file, version, milliseconds } = reloaded;
            out(&Event::Reload {
                hook: hook.into(),
                file: file.into(),
                version: *version,
                milliseconds: *milliseconds,
            });
        });
    }

    pub(super) fn tell_notices(&mut self, out: Observer) {
        for text in self.chain.take_notices().into_iter().chain(self.text.take_notices()) {
            out(&Event::Notice { text: text.into() });
        }
    }

    /// Once a reply: a policy asks for more than it can have.
    pub(super) fn tell_budget(&mut self, policy: &str, why: &str, out: Observer) {
        if !std::mem::replace(&mut self.budget_told, true) {
            out(&Event::Notice { text: format!("a request of `{policy}` is ignored: {why}").into() });
        }
    }

    pub(super) fn tell_dropped(&self, out: Observer) {
        let text = "the context is full: the oldest text is out of the members' sight";
        out(&Event::Notice { text: text.into() });
    }

    /// The first event.
    pub(super) fn tell_init(&mut self, out: Observer) {
        let policies = self.chain.policies();
        out(&Event::Init {
            models: (&self.members.names).into(),
            fusion_mode: self.chain.fusion().into(),
            policies: policies.into(),
            seed: self.request.seed,
        });
        for text in std::mem::take(&mut self.unread) {
            out(&Event::Notice { text: text.into() });
        }
        if self.dropped_messages > 0 {
            self.tell_dropped(out);
        }
    }

    /// The last ones, and the reply as it is.
    pub(super) fn tell_end(&mut self, reason: EndReason, out: Observer) -> Outcome {
        self.tell_notices(out);
        let rest = self.transcript.finish();
        if let (false, Some(newest)) = (rest.is_empty(), self.transcript.len().checked_sub(1)) {
            self.tell_unit(newest, &rest, self.transcript.text().shown().len(), out);
        }
        self.record.finish(self.transcript.text());
        let (window, text) = (self.transcript.window(), self.transcript.text().shown());
        let tokens = self.transcript.len() as u32;
        let avg_confidence = window.mean_confidence();
        out(&Event::Done {
            reason: Cow::Borrowed(&reason),
            text: text.into(),
            tokens,
            retractions: self.retractions,
            avg_confidence,
            tokens_per_second: f64::from(tokens) / self.began.elapsed().as_secs_f64().max(1e-9),
            adjustments: self.record.adjustments,
            leader: self.members.names[window.most_frequent_leader() as usize].as_str().into(),
            avg_agreement: window.mean_agreement(),
        });
        Outcome {
            units: self.transcript.units().to_vec(),
            reply: Reply {
                text: text.to_string(),
                stopped_by: self.transcript.text().stopped_by().map(String::from),
                reason,
                tokens,
                retractions: std::mem::take(&mut self.record.retractions),
                modifications: std::mem::take(&mut self.record.modifications),
                avg_confidence,
                final_parameters: self.parameters.now(),
                timings: self.timings,
                dropped_messages: self.dropped_messages,
                drafts: self.drafts.tally,
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
