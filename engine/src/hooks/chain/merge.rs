//! What all hooks together answer: which verdicts count, and how they are joined.

use crate::hooks::HookError;
use plugin_api::{Action, Adjustment, Verdict};

/// What all hooks together answered.
#[derive(Debug, Default, PartialEq)]
pub struct Merged {
    /// The winner's action.
    pub action: Action,
    /// The winner's name and reason; empty when nobody asked for anything.
    pub policy: String,
    /// The winner's [`generation`](crate::hooks::Hook::generation); 0 when nobody asked for anything.
    pub version: u32,
    /// The winner's.
    pub reason: String,
    /// Of all verdicts, in order.
    pub adjustments: Vec<Adjusted>,
    /// Of all verdicts that ask for the winning kind of action.
    pub bans: Vec<u32>,
}

/// One hook's wish for other parameters.
#[derive(Debug, PartialEq)]
pub struct Adjusted {
    /// Who.
    pub policy: String,
    /// Its [`generation`](crate::hooks::Hook::generation).
    pub version: u32,
    /// What.
    pub adjustment: Adjustment,
    /// Why.
    pub reason: String,
}

impl Merged {
    /// Joins a verdict to those before: the higher action wins, of two retractions the deeper, and bans are united.
    pub(super) fn take(&mut self, name: &str, version: u32, verdict: Verdict) {
        if !verdict.adjustment.is_empty() {
            let reason = verdict.reason.clone();
            self.adjustments.push(Adjusted {
                policy: name.to_string(),
                version,
                adjustment: verdict.adjustment,
                reason,
            });
        }
        let kind = std::mem::discriminant(&verdict.action);
        let same = kind == std::mem::discriminant(&self.action);
        let wins = verdict.action > self.action;
        if wins {
            self.policy = name.to_string();
            self.version = version;
            self.reason = verdict.reason;
            self.action = verdict.action;
            if !same {
                self.bans.clear();
            }
        }
        if wins || same {
            self.bans.extend(verdict.bans);
        }
    }
}

/// Where a verdict was given; not every action makes sense everywhere.
#[derive(Clone, Copy)]
pub(crate) enum Point {
    Token,
    Assessment,
}

impl Point {
    /// Whether an answer makes sense there.
    pub(crate) fn check(self, verdict: &Verdict) -> Result<(), HookError> {
        let wrong = |text: &str| Err(HookError(text.to_string()));
        match (self, verdict.action) {
            (Self::Token, Action::Retract(_)) => {
                return wrong("it answered `retract` from on_token; that belongs to on_assessment");
            }
            (Self::Assessment, Action::Resample) => {
                return wrong("it answered `resample` from on_assessment; that belongs to on_token");
            }
            (Self::Assessment, Action::Force(_)) => {
                return wrong("it answered `force` from on_assessment; that belongs to on_token");
            }
            (_, Action::Retract(0)) => return wrong("it asked to retract 0 units"),
            _ => {}
        }
        verdict.adjustment.check().map_err(HookError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(verdicts: &[Verdict]) -> Merged {
        let mut merged = Merged::default();
        for (index, verdict) in verdicts.iter().enumerate() {
            merged.take(&format!("hook{index}"), 1, verdict.clone());
        }
        merged
    }

    #[test]
    fn the_highest_action_wins_whatever_the_order() {
        let verdicts = [Verdict::resample("a"), Verdict::stop("b"), Verdict::force(3, "c")];
        assert_eq!(merge(&verdicts).action, Action::Stop);
        assert_eq!(merge(&verdicts).policy, "hook1");
    }

    #[test]
    fn of_several_retractions_the_deepest_wins_and_bans_are_united() {
        let merged = merge(&[
            Verdict::retract(2, "a").ban(&[1]),
            Verdict::retract(5, "b").ban(&[2]),
            Verdict::retract(3, "c").ban(&[3]),
        ]);
        assert_eq!((merged.action, merged.policy.as_str()), (Action::Retract(5), "hook1"));
        assert_eq!(merged.bans, [1, 2, 3]);
    }

    #[test]
    fn bans_of_a_losing_kind_of_action_are_dropped() {
        let merged = merge(&[Verdict::resample("a").ban(&[1]), Verdict::force(7, "b").ban(&[2])]);
        assert_eq!(merged.bans, [2]);
    }

    #[test]
    fn adjustments_of_all_are_kept_in_order() {
        let warm = Adjustment { temperature: Some(1.0), ..Adjustment::default() };
        let merged = merge(&[Verdict::adjust(warm, "a"), Verdict::retract(1, "b").with(warm)]);
        assert_eq!(merged.adjustments.len(), 2);
        assert_eq!(merged.action, Action::Retract(1));
    }

    #[test]
    fn parameters_out_of_range_are_a_fault() {
        for bad in [f32::INFINITY, -0.1] {
            let adjustment = Adjustment { temperature: Some(bad), ..Adjustment::default() };
            assert!(Point::Assessment.check(&Verdict::adjust(adjustment, "")).is_err());
        }
    }
}
