//! What could have been written at each place: the likeliest units of the fused row, and of each member.

use crate::fuse;
use crate::hooks::chain::{Choice, Recorder, Seen};
use crate::member::Unit;
use serve::backend::Alternative;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The alternatives of a text's places, while it is written.
#[derive(Clone, Default)]
pub(super) struct Choices(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    by_place: HashMap<u32, Place>,
}

/// What could have been written at a place.
#[derive(Default)]
pub(super) struct Place {
    attempt: u32,
    pub fused: Vec<Alternative>,
    pub members: Vec<Vec<Alternative>>,
}

/// What is wanted of a place.
pub(super) struct Wanted {
    /// So many alternatives.
    pub most: usize,
    /// Each member's, too.
    pub members: bool,
    /// Where units are bytes: at so many places at the beginning a piece is a single byte, and the alternatives are bytes.
    pub single_bytes: Option<u32>,
    /// The bytes of each unit; none for the end of the text.
    pub bytes: Box<dyn Fn(Unit) -> Vec<u8> + Send>,
    /// The unit that ends a text.
    pub end: Unit,
}

impl Choices {
    /// With what writes to it.
    pub fn new(wanted: Wanted) -> (Self, Recorder) {
        let choices = Self::default();
        let kept = choices.clone();
        let recorder = move |seen: &Seen| {
            kept.kept().see(seen, &wanted);
            None
        };
        (choices, Box::new(recorder))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What could have been written there. Places are asked for in order, and once.
    pub fn take(&self, position: u32) -> Place {
        self.kept().by_place.remove(&position).unwrap_or_default()
    }
}

impl Kept {
    fn see(&mut self, seen: &Seen, wanted: &Wanted) {
        match seen {
            Seen::Start => self.by_place.clear(),
            Seen::Logits(step, rows, fused) => {
                let place = self.by_place.entry(step.position).or_default();
                // Where units are bytes the row of a piece's first byte comes first.
                let is_known = place.attempt == step.attempt && !place.fused.is_empty();
                if is_known || wanted.single_bytes.is_some_and(|places| step.position >= places) {
                    return;
                }
                *place = Place { attempt: step.attempt, ..Place::default() };
                let total = log_sum_exp(fused);
                place.fused = best(fused, total, wanted);
                if wanted.members {
                    place.members = rows.iter().map(|row| best(row.logits, row.log_sum_exp, wanted)).collect();
                }
            }
            Seen::Choices(step, choices) => {
                let place = self.by_place.entry(step.position).or_default();
                let is_known = place.attempt == step.attempt && !place.fused.is_empty();
                if is_known || wanted.single_bytes.is_some_and(|places| step.position < places) {
                    return;
                }
                *place = Place { attempt: step.attempt, ..Place::default() };
                place.fused = strings(choices, wanted, |choice| choice.share);
                if wanted.members {
                    let members = choices.first().map_or(0, |choice| choice.members.len());
                    place.members =
                        (0..members).map(|member| strings(choices, wanted, |choice| choice.members[member])).collect();
                }
            }
            Seen::Token(..) | Seen::Assessment(..) => {}
            Seen::Retract(step, _) => self.by_place.retain(|&position, _| position < step.position),
        }
    }
}

fn best(row: &[f32], total: f32, wanted: &Wanted) -> Vec<Alternative> {
    let best = fuse::top(row, wanted.most);
    let alternative = |(unit, score): (Unit, f32)| Alternative {
        units: vec![unit],
        bytes: (wanted.bytes)(unit),
        logprob: score - total,
    };
    best.into_iter().map(alternative).collect()
}

fn strings(choices: &[Choice], wanted: &Wanted, given: impl Fn(&Choice) -> f64) -> Vec<Alternative> {
    let mut strings: Vec<Alternative> = choices
        .iter()
        .filter(|choice| given(choice) > 0.0)
        .map(|choice| Alternative {
            units: match choice.bytes.is_empty() {
                true => vec![wanted.end],
                false => choice.bytes.iter().map(|&byte| Unit::from(byte)).collect(),
            },
            bytes: choice.bytes.clone(),
            logprob: given(choice).ln() as f32,
        })
        .collect();
    strings.sort_by(|one, other| other.logprob.total_cmp(&one.logprob));
    strings.truncate(wanted.most);
    strings
}

/// `ln Σ exp` of a row of scores, in double precision.
fn log_sum_exp(row: &[f32]) -> f32 {
    let best = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = row.iter().map(|&score| f64::from(score - best).exp()).sum();
    (f64::from(best) + sum.ln()) as f32
}
