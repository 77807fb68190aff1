//! The sampling parameters in force: the user's, changed by verdicts, decaying back.

use plugin_api::{Adjustment, Parameters};

/// Units after which half of a change is gone.
const HALF_LIFE: f32 = 16.0;

/// Base values and what they are now.
#[derive(Debug, Clone)]
pub struct Adapted {
    base: Parameters,
    now: Parameters,
    held: Held,
}

#[derive(Debug, Clone, Copy, Default)]
struct Held {
    temperature: bool,
    top_p: bool,
    min_p: bool,
    repeat_penalty: bool,
    top_k: bool,
}

impl Adapted {
    /// Starts at the base.
    pub fn new(base: Parameters) -> Self {
        Self { base, now: base, held: Held::default() }
    }

    /// What the user set.
    pub fn base(&self) -> Parameters {
        self.base
    }

    /// In force.
    pub fn now(&self) -> Parameters {
        self.now
    }

    /// Takes over the values that are given.
    pub fn apply(&mut self, adjustment: &Adjustment) {
        let hold = adjustment.hold;
        let set = |value: Option<f32>, now: &mut f32, held: &mut bool| {
            if let Some(value) = value {
                *now = value;
                *held = hold;
            }
        };
        set(adjustment.temperature, &mut self.now.temperature, &mut self.held.temperature);
        set(adjustment.top_p, &mut self.now.top_p, &mut self.held.top_p);
        set(adjustment.min_p, &mut self.now.min_p, &mut self.held.min_p);
        set(adjustment.repeat_penalty, &mut self.now.repeat_penalty, &mut self.held.repeat_penalty);
        if let Some(top_k) = adjustment.top_k {
            self.now.top_k = top_k;
            self.held.top_k = hold;
        }
    }

    /// One unit later: changes that are not held go back towards the base, by half in [`HALF_LIFE`] units. `top_k` is a
    /// count and is rounded.
    pub fn decay(&mut self) {
        let keep = 0.5f32.powf(1.0 / HALF_LIFE);
        let decay = |base: f32, now: &mut f32, held: bool| {
            if !held && *now != base {
                let rest = (*now - base) * keep;
                // Below a thousandth nobody can tell.
                *now = if rest.abs() < 1e-3 { base } else { base + rest };
            }
        };
        decay(self.base.temperature, &mut self.now.temperature, self.held.temperature);
        decay(self.base.top_p, &mut self.now.top_p, self.held.top_p);
        decay(self.base.min_p, &mut self.now.min_p, self.held.min_p);
        decay(self.base.repeat_penalty, &mut self.now.repeat_penalty, self.held.repeat_penalty);
        if !self.held.top_k && self.now.top_k != self.base.top_k {
            let (base, now) = (self.base.top_k as f32, self.now.top_k as f32);
            let next = base + (now - base) * keep;
            // Rounded towards the base, so that it gets there.
            self.now.top_k = if now > base { next.floor() } else { next.ceil() } as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BASE: Parameters = Parameters { temperature: 0.7, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 };

    #[test]
    fn half_of_a_change_is_gone_after_the_half_life() {
        let mut adapted = Adapted::new(BASE);
        adapted.apply(&Adjustment { temperature: Some(1.3), top_k: Some(80), ..Adjustment::default() });
        (0..16).for_each(|_| adapted.decay());
        assert!((adapted.now().temperature - 1.0).abs() < 1e-3);
        (0..400).for_each(|_| adapted.decay());
        assert_eq!(adapted.now(), BASE);
    }

    #[test]
    fn what_is_held_stays() {
        let mut adapted = Adapted::new(BASE);
        adapted.apply(&Adjustment { temperature: Some(1.3), hold: true, ..Adjustment::default() });
        (0..400).for_each(|_| adapted.decay());
        assert_eq!(adapted.now().temperature, 1.3);
    }

    #[test]
    fn top_k_finds_back_from_both_sides() {
        for top_k in [0, 41, 1000] {
            let mut adapted = Adapted::new(BASE);
            adapted.apply(&Adjustment { top_k: Some(top_k), ..Adjustment::default() });
            (0..400).for_each(|_| adapted.decay());
            assert_eq!(adapted.now().top_k, 40);
        }
    }
}
