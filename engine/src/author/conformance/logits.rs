//! What `on_logits` makes of rows.

use super::fixtures::{self, Draws};
use super::{Finding, Outcome, Subject};
use crate::hooks::HookError;
use crate::hooks::native::trial::{HookName, Specimen};
use plugin_api::Role;
use plugin_api::testing::Members;

/// How many scores before and after the fused row are watched.
const ZONE: usize = 1024;
/// What stands in them: a NaN that no arithmetic makes.
const PAINT: u32 = 0x7fda_5a5a;
/// How many calls are compared bit by bit.
const REPEATED: u32 = 40;

/// A fused row between two zones that nobody may write to.
struct Frame {
    scores: Vec<f32>,
    units: usize,
}

impl Frame {
    /// As a plugin finds it: with the members' mean, or the beginning of it, as much as fits into `units`.
    fn new(members: &Members, units: usize) -> Self {
        let mut mean = members.mean();
        mean.resize(units, f32::NEG_INFINITY);
        let zone = vec![f32::from_bits(PAINT); ZONE];
        Self { scores: [&zone[..], &mean, &zone].concat(), units }
    }

    fn call(&mut self, hook: &mut Specimen, members: &Members, position: u32) -> Result<(), HookError> {
        let step = fixtures::step_of(members, position);
        self.lend(|fused| hook.on_logits(&step, &members.rows(), fused))
    }

    /// Lends the row out of the middle.
    fn lend<T>(&mut self, call: impl FnOnce(&mut [f32]) -> T) -> T {
        // The compiler must not conclude that what lies around the lent part stays as it is.
        let scores = std::hint::black_box(&mut self.scores);
        let outcome = call(&mut scores[ZONE..ZONE + self.units]);
        std::hint::black_box(&mut self.scores);
        outcome
    }

    fn row(&self) -> &[f32] {
        &self.scores[ZONE..ZONE + self.units]
    }

    /// How many scores were written outside, and where.
    fn overrun(&self) -> Option<String> {
        let written = |zone: &[f32]| zone.iter().filter(|score| score.to_bits() != PAINT).count();
        let (before, after) = (written(&self.scores[..ZONE]), written(&self.scores[ZONE + self.units..]));
        match (before, after) {
            (0, 0) => None,
            (0, after) => Some(format!("wrote {} beyond the end of the row", scores(after))),
            (before, _) => Some(format!("wrote {} before the beginning of the row", scores(before))),
        }
    }
}

fn scores(count: usize) -> String {
    format!("{count} score{}", if count == 1 { "" } else { "s" })
}

/// An answer on every edge row: no NaN, no +∞, at least one finite score.
pub fn edge_rows(subject: &mut Subject) -> Outcome {
    let Some(mut hook) = subject.start_having(HookName::OnLogits)? else {
        return match subject.described().role {
            Role::Fusion => Err("is a fusion and has no on_logits; nobody could use it".into()),
            Role::Policy => Ok(Finding::Nothing),
        };
    };
    let rows = fixtures::edge_rows();
    for (name, members) in &rows {
        subject.doing(format!("in on_logits on {name}"));
        let mut frame = Frame::new(members, members.rows().units());
        frame.call(&mut hook, members, 40).map_err(|error| format!("failed on {name}: {error}"))?;
        crate::fuse::check(frame.row()).map_err(|error| format!("on {name} left a row that {error}"))?;
    }
    Ok(Finding::Passed(format!("{} kinds of rows, up to 262,144 units", rows.len())))
}

/// Nothing is written outside the fused row, and nothing into the members' rows.
pub fn keeps_to_its_buffer(subject: &mut Subject) -> Outcome {
    let Some(mut hook) = subject.start_having(HookName::OnLogits)? else { return Ok(Finding::Nothing) };
    for (name, members) in &fixtures::edge_rows() {
        subject.doing(format!("in on_logits on {name}"));
        let rows = members.rows();
        let all = || rows.iter().flat_map(|row| [row.logits, row.probabilities]);
        let before: Vec<Vec<f32>> = all().map(<[f32]>::to_vec).collect();
        let mut frame = Frame::new(members, rows.units());
        let step = fixtures::step_of(members, 40);
        let is_table_whole = frame.lend(|fused| hook.keeps_off_the_table(&step, std::hint::black_box(&rows), fused));
        if let Some(overrun) = frame.overrun() {
            return Err(format!("{overrun}, on {name}"));
        }
        let is_same = |(before, after): (&Vec<f32>, &[f32])| bits(before) == bits(after);
        if !is_table_whole {
            return Err(format!("wrote over the sizes or figures of the members' rows, which are borrowed, on {name}"));
        }
        if !before.iter().zip(std::hint::black_box(all())).all(is_same) {
            return Err(format!("wrote into the members' rows, which are borrowed, on {name}"));
        }
    }
    Ok(Finding::Passed(String::new()))
}

/// A buffer that does not fit the rows: an error or an answer, and the next call is answered as ever.
pub fn wrong_lengths(subject: &mut Subject) -> Outcome {
    let Some(mut hook) = subject.start_having(HookName::OnLogits)? else { return Ok(Finding::Nothing) };
    let members = Draws::new(3).members(2, 64);
    let mut refused = 0;
    for (units, words) in [(63, "one score less than units"), (65, "one score more than units"), (0, "no score at all")]
    {
        subject.doing(format!("in on_logits with room for {words}"));
        refused += usize::from(Frame::new(&members, units).call(&mut hook, &members, 40).is_err());
    }
    subject.doing("in on_logits after a buffer of a wrong length");
    let mut frame = Frame::new(&members, 64);
    frame.call(&mut hook, &members, 41).map_err(|error| format!("no longer answers after a wrong length: {error}"))?;
    crate::fuse::check(frame.row()).map_err(|error| format!("after a wrong length left a row that {error}"))?;
    Ok(Finding::Passed(format!("{refused} of 3 refused")))
}

/// Two instances with the same settings give the same bits.
pub fn repeatable(subject: &mut Subject) -> Outcome {
    let Some(hook) = subject.start_having(HookName::OnLogits)? else { return Ok(Finding::Nothing) };
    drop(hook);
    let (mut one, mut other) = (subject.start()?, subject.start()?);
    for (which, member_count) in [("two members", 2), ("four members", 4)] {
        subject.doing(format!("in on_logits on {which}, in two instances"));
        let mut draws = Draws::new(7);
        for position in 0..REPEATED {
            let members = draws.members(member_count, 300);
            let (mut left, mut right) = (Frame::new(&members, 300), Frame::new(&members, 300));
            let outcomes = (left.call(&mut one, &members, position), right.call(&mut other, &members, position));
            if outcomes.0.is_err() {
                // Another check's affair.
                return Ok(Finding::Nothing);
            }
            if outcomes.1.is_err() || bits(left.row()) != bits(right.row()) {
                return Err(format!(
                    "gave two instances different rows for the same input, in call {} on {which}; a draw belongs to \
                     step.seed, and state to the instance",
                    position + 1
                ));
            }
        }
    }
    Ok(Finding::Passed(format!("{} calls in two instances", 2 * REPEATED)))
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|score| score.to_bits()).collect()
}
