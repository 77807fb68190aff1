//! What a policy answers.

use crate::abi::{self, RawVerdict};

/// What to do; ordered by precedence when several hooks answer, so `max` picks the winner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Nothing.
    #[default]
    Continue,
    /// Change sampling parameters.
    Adjust,
    /// Draw again, without this candidate. Only from `on_token`.
    Resample,
    /// Take this unit in place of the candidate. Only from `on_token`.
    Force(u32),
    /// Take the last n units back. Only from `on_assessment`.
    Retract(u32),
    /// End the reply.
    Stop,
}

/// New values for sampling parameters; `None` leaves one as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Adjustment {
    /// 0 is greedy.
    pub temperature: Option<f32>,
    /// In (0, 1].
    pub top_p: Option<f32>,
    /// In [0, 1].
    pub min_p: Option<f32>,
    /// At least 1.
    pub repeat_penalty: Option<f32>,
    /// 0 is off.
    pub top_k: Option<u32>,
    /// Keep these values; without it they decay back to the base.
    pub hold: bool,
}

impl Adjustment {
    /// True when no parameter is given a new value.
    pub fn is_empty(&self) -> bool {
        *self == Self { hold: self.hold, ..Self::default() }
    }

    /// An error names the value that is out of its range.
    pub fn check(&self) -> Result<(), String> {
        let ranges = [
            ("temperature", self.temperature, 0.0..=f32::MAX, "finite and at least 0"),
            ("top_p", self.top_p, f32::MIN_POSITIVE..=1.0, "above 0 and at most 1"),
            ("min_p", self.min_p, 0.0..=1.0, "in 0 to 1"),
            ("repeat_penalty", self.repeat_penalty, 1.0..=f32::MAX, "finite and at least 1"),
        ];
        for (name, value, range, words) in ranges {
            if let Some(value) = value.filter(|value| !range.contains(value)) {
                return Err(format!("the verdict's {name} is {value}; it has to be {words}"));
            }
        }
        Ok(())
    }
}

/// The answer of `on_token` and `on_assessment`. Any action can carry an adjustment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verdict {
    /// What to do.
    pub action: Action,
    /// Parameters to change, whatever the action.
    pub adjustment: Adjustment,
    /// Units banned at the position that is tried again, beside the one that stood there. The first
    /// [`abi::MAX_BANS`] count.
    pub bans: Vec<u32>,
    /// For people; the first [`abi::MAX_REASON`] bytes are kept.
    pub reason: String,
}

impl Verdict {
    /// Nothing to do.
    pub fn proceed() -> Self {
        Self::default()
    }

    /// Change sampling parameters.
    pub fn adjust(adjustment: Adjustment, reason: impl Into<String>) -> Self {
        Self { action: Action::Adjust, adjustment, reason: reason.into(), bans: Vec::new() }
    }

    /// Draw another candidate.
    pub fn resample(reason: impl Into<String>) -> Self {
        Self { action: Action::Resample, reason: reason.into(), ..Self::default() }
    }

    /// Take `unit` in place of the candidate.
    pub fn force(unit: u32, reason: impl Into<String>) -> Self {
        Self { action: Action::Force(unit), reason: reason.into(), ..Self::default() }
    }

    /// Take the last `units` back; the first of them is banned where it stood.
    pub fn retract(units: u32, reason: impl Into<String>) -> Self {
        Self { action: Action::Retract(units), reason: reason.into(), ..Self::default() }
    }

    /// End the reply.
    pub fn stop(reason: impl Into<String>) -> Self {
        Self { action: Action::Stop, reason: reason.into(), ..Self::default() }
    }

    /// With parameters to change.
    pub fn with(mut self, adjustment: Adjustment) -> Self {
        self.adjustment = adjustment;
        self
    }

    /// With further units to ban.
    pub fn ban(mut self, units: &[u32]) -> Self {
        self.bans.extend_from_slice(units);
        self
    }
}

impl RawVerdict {
    /// "Continue, change nothing": what the host puts into the buffer before a call.
    pub const NOTHING: Self = Self {
        struct_size: size_of::<Self>() as u32,
        action: abi::CONTINUE,
        units: 0,
        unit: 0,
        flags: 0,
        ban_count: 0,
        bans: [0; abi::MAX_BANS],
        temperature: f32::NAN,
        top_p: f32::NAN,
        min_p: f32::NAN,
        repeat_penalty: f32::NAN,
        top_k: -1,
        reason_len: 0,
        reason: [0; abi::MAX_REASON],
    };

    /// Writes a verdict into the buffer.
    pub fn set(&mut self, verdict: &Verdict) {
        let value = |x: Option<f32>| x.unwrap_or(f32::NAN);
        (self.action, self.units, self.unit) = match verdict.action {
            Action::Continue => (abi::CONTINUE, 0, 0),
            Action::Adjust => (abi::ADJUST, 0, 0),
            Action::Resample => (abi::RESAMPLE, 0, 0),
            Action::Force(unit) => (abi::FORCE, 0, unit),
            Action::Retract(units) => (abi::RETRACT, units, 0),
            Action::Stop => (abi::STOP, 0, 0),
        };
        let adjustment = &verdict.adjustment;
        self.flags = if adjustment.hold { abi::HOLD } else { 0 };
        self.temperature = value(adjustment.temperature);
        self.top_p = value(adjustment.top_p);
        self.min_p = value(adjustment.min_p);
        self.repeat_penalty = value(adjustment.repeat_penalty);
        self.top_k = adjustment.top_k.map_or(-1, |k| k.min(i32::MAX as u32) as i32);
        let bans = verdict.bans.len().min(abi::MAX_BANS);
        self.bans[..bans].copy_from_slice(&verdict.bans[..bans]);
        self.ban_count = bans as u32;
        let mut end = verdict.reason.len().min(abi::MAX_REASON);
        while !verdict.reason.is_char_boundary(end) {
            end -= 1;
        }
        self.reason[..end].copy_from_slice(&verdict.reason.as_bytes()[..end]);
        self.reason_len = end as u32;
    }

    /// Reads the buffer after a call; an error says which field is nonsense.
    pub fn get(&self) -> Result<Verdict, String> {
        let action = match self.action {
            abi::CONTINUE => Action::Continue,
            abi::ADJUST => Action::Adjust,
            abi::RESAMPLE => Action::Resample,
            abi::FORCE => Action::Force(self.unit),
            abi::RETRACT => Action::Retract(self.units),
            abi::STOP => Action::Stop,
            other => return Err(format!("the verdict's action {other} is none of 0 to 5")),
        };
        let bans = self.ban_count as usize;
        if bans > abi::MAX_BANS {
            return Err(format!("the verdict's ban_count {bans} is above {}", abi::MAX_BANS));
        }
        let reason = self.reason_len as usize;
        if reason > abi::MAX_REASON {
            return Err(format!("the verdict's reason_len {reason} is above {}", abi::MAX_REASON));
        }
        let value = |x: f32| (!x.is_nan()).then_some(x);
        let adjustment = Adjustment {
            temperature: value(self.temperature),
            top_p: value(self.top_p),
            min_p: value(self.min_p),
            repeat_penalty: value(self.repeat_penalty),
            top_k: u32::try_from(self.top_k).ok(),
            hold: self.flags & abi::HOLD != 0,
        };
        adjustment.check()?;
        Ok(Verdict {
            action,
            adjustment,
            bans: self.bans[..bans].to_vec(),
            reason: if reason == 0 {
                String::new()
            } else {
                String::from_utf8_lossy(&self.reason[..reason]).into_owned()
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_survives_the_border() {
        let verdict = Verdict::retract(3, "mean confidence 0.21 is below 0.35").ban(&[7, 9]).with(Adjustment {
            temperature: Some(0.9),
            top_k: Some(0),
            hold: true,
            ..Adjustment::default()
        });
        let mut raw = RawVerdict::NOTHING;
        raw.set(&verdict);
        assert_eq!(raw.get().unwrap(), verdict);
    }

    #[test]
    fn a_long_reason_is_cut_at_a_character() {
        let mut raw = RawVerdict::NOTHING;
        raw.set(&Verdict::stop("é".repeat(100)));
        assert_eq!(raw.get().unwrap().reason, "é".repeat(80));
    }

    #[test]
    fn nonsense_is_named() {
        let raw = RawVerdict { action: 77, ..RawVerdict::NOTHING };
        assert!(raw.get().unwrap_err().contains("77"));
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let told = |raw: RawVerdict| raw.get().unwrap_err();
        let raw = RawVerdict { temperature: f32::INFINITY, ..RawVerdict::NOTHING };
        assert_eq!(told(raw), "the verdict's temperature is inf; it has to be finite and at least 0");
        let raw = RawVerdict { top_p: 0.0, ..RawVerdict::NOTHING };
        assert_eq!(told(raw), "the verdict's top_p is 0; it has to be above 0 and at most 1");
        let raw = RawVerdict { repeat_penalty: 0.5, ..RawVerdict::NOTHING };
        assert_eq!(told(raw), "the verdict's repeat_penalty is 0.5; it has to be finite and at least 1");
    }

    #[test]
    fn precedence_is_the_order_of_actions() {
        assert!(Action::Stop > Action::Retract(9) && Action::Retract(1) > Action::Force(9));
        assert!(
            Action::Force(0) > Action::Resample
                && Action::Resample > Action::Adjust
                && Action::Adjust > Action::Continue
        );
    }
}
