//! What a request asks of a reply's units beside the sampling: with which it begins, and which are more or less likely, or
//! impossible.

use crate::member::Unit;

/// What a reply has to be like.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    /// The pieces it begins with: a unit each, or, where units are bytes, the bytes of one. They are told like all others,
    /// with what the members gave them; no hook judges them, and they are never taken back.
    pub given: Vec<Vec<Unit>>,
    /// Added to the scores of units; −∞ for one that may not come. Where units are bytes, that of the end of the text alone
    /// counts, and only as −∞.
    pub bias: Vec<(Unit, f32)>,
}

/// A reply's shape while it is written.
#[derive(Debug, Default)]
pub(super) struct Form {
    bias: Vec<(Unit, f32)>,
    /// The row as units are drawn from it.
    row: Vec<f32>,
}

impl Form {
    pub fn new(shape: &Shape) -> Self {
        Self { bias: shape.bias.clone(), row: Vec::new() }
    }

    /// Whether every unit is as likely as the members say.
    pub fn is_free(&self) -> bool {
        self.bias.is_empty()
    }

    /// Whether a unit may come next at all.
    pub fn allows(&self, unit: Unit) -> bool {
        !self.bias.iter().any(|&(biased, by)| biased == unit && by == f32::NEG_INFINITY)
    }

    /// The likeliest unit that may come; `None` where none has a chance.
    pub fn best(&mut self, fused: &[f32]) -> Option<Unit> {
        let row = self.shape(fused);
        let best = (0..).zip(row).fold(None, |best: Option<(Unit, f32)>, (unit, &score)| match best {
            Some((_, highest)) if score <= highest => best,
            _ => Some((unit, score)),
        });
        best.filter(|&(_, score)| score > f32::NEG_INFINITY).map(|(unit, _)| unit)
    }

    /// The row to draw from: log-probabilities that need not sum to 1. Empty where none of the units has a chance.
    pub fn shape<'a>(&'a mut self, fused: &'a [f32]) -> &'a [f32] {
        if self.is_free() {
            return fused;
        }
        self.row.clear();
        self.row.extend_from_slice(fused);
        for &(unit, by) in &self.bias {
            if let Some(score) = self.row.get_mut(unit as usize) {
                *score += by;
            }
        }
        &self.row
    }
}
