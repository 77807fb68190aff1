//! What a request asks of a reply's units beside the sampling: with which it begins, which are more or less likely or
//! impossible, and what a grammar lets follow.

use crate::member::{MemberRow, Unit};
use constrain::State;

/// What a reply has to be like.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The pieces it begins with: a unit each, or, where units are bytes, the bytes of one. They are told like all others,
    /// with what the members gave them; no hook judges them, and they are never taken back.
    pub given: Vec<Vec<Unit>>,
    /// Added to the scores of units; −∞ for one that may not come. Where units are bytes, that of the end of the text alone
    /// counts, and only as −∞.
    pub bias: Vec<(Unit, f32)>,
    /// What may follow, as a constraint at its beginning: [`Engine::constraint`](crate::Engine::constraint) makes it. It goes
    /// back with every retraction.
    pub constraint: Option<State>,
}

/// A reply's shape while it is written.
#[derive(Debug, Default)]
pub(super) struct Form {
    bias: Vec<(Unit, f32)>,
    constraint: Option<State>,
    /// The row as units are drawn from it.
    row: Vec<f32>,
}

impl Form {
    pub fn new(shape: &mut Shape) -> Self {
        Self { bias: shape.bias.clone(), constraint: shape.constraint.take(), row: Vec::new() }
    }

    /// Whether every unit is as likely as the members say.
    pub fn is_free(&self) -> bool {
        self.bias.is_empty() && self.constraint.is_none()
    }

    /// These units stand. An error says why nothing can follow them.
    pub fn follow(&mut self, units: &[Unit]) -> Result<(), String> {
        let Some(state) = &mut self.constraint else { return Ok(()) };
        let common = state.written().iter().zip(units).take_while(|(one, other)| one == other).count();
        state.truncate(common)?;
        units[common..].iter().try_for_each(|&unit| state.push(unit))
    }

    /// Whether a unit may follow what stands.
    pub fn allows(&mut self, unit: Unit) -> bool {
        !self.is_forbidden(unit)
            && self.constraint.as_mut().is_none_or(|state| state.allowed().is_ok_and(|mask| mask.allows(unit)))
    }

    /// Whether these bytes may follow what stands, where units are bytes; no bytes are the end of the text.
    pub fn allows_bytes(&mut self, bytes: &[u8], end: Unit) -> bool {
        let Some(&first) = bytes.first() else { return self.allows(end) };
        let Some(state) = &mut self.constraint else { return true };
        // Most are out at their first byte.
        state.allowed().is_ok_and(|mask| mask.allows(first.into())) && state.accepts_bytes(bytes) == bytes.len()
    }

    fn is_forbidden(&self, unit: Unit) -> bool {
        self.bias.iter().any(|&(biased, by)| biased == unit && by == f32::NEG_INFINITY)
    }

    /// The row to draw from, of what may follow what stands: log-probabilities that need not sum to 1. A fusion may give no
    /// chance to any of these; then the members' own rows decide. An error says why nothing can follow.
    pub fn shape<'a>(&'a mut self, fused: &'a [f32], rows: &[&MemberRow]) -> Result<&'a [f32], String> {
        if self.is_free() {
            return Ok(fused);
        }
        let Self { bias, constraint, row, .. } = self;
        row.clear();
        match constraint {
            None => row.extend_from_slice(fused),
            Some(state) => {
                let mask = state.allowed()?;
                row.resize(fused.len(), f32::NEG_INFINITY);
                let units = || mask.iter().map(|unit| unit as usize).filter(|&unit| unit < fused.len());
                units().for_each(|unit| row[unit] = fused[unit]);
                if row.iter().all(|&score| score == f32::NEG_INFINITY) {
                    let given = |unit: usize| rows.iter().filter(|row| !row.abstains).map(|row| row.probabilities[unit]).sum::<f32>();
                    units().for_each(|unit| row[unit] = given(unit).ln());
                }
            }
        }
        for &(unit, by) in &*bias {
            if let Some(score) = row.get_mut(unit as usize) {
                *score += by;
            }
        }
        Ok(row)
    }

    /// The likeliest unit that may come; `None` where none has a chance.
    pub fn best(&mut self, fused: &[f32], rows: &[&MemberRow]) -> Result<Option<Unit>, String> {
        let best = |best: Option<(Unit, f32)>, (unit, &score): (Unit, &f32)| match best {
            Some((_, highest)) if score <= highest => best,
            _ => Some((unit, score)),
        };
        let best = (0..).zip(self.shape(fused, rows)?).fold(None, best);
        Ok(best.filter(|&(_, score)| score > f32::NEG_INFINITY).map(|(unit, _)| unit))
    }
}
