//! Tries a newer version of a plugin on samples before it takes over: an ordinary moment and a bad one. What it says there
//! is not heeded, only whether it is something that could be heeded.

use super::instance::Instance;
use crate::fuse;
use crate::hooks::HookError;
use crate::hooks::chain::{BUDGET, Point};
use plugin_api::testing::{self, Members};
use plugin_api::{Assessment, Retraction, Step, Token};
use std::time::Instant;

/// How many members and units the rows have that a plugin is called with: it may look for some unit by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub members: u32,
    pub units: u32,
}

/// Where no row was seen yet: as many units as any vocabulary has.
pub(super) const UNSEEN: Shape = Shape { members: 2, units: 1 << 18 };

/// Calls every hook, in the order of a reply. The instance is of no use afterwards. An error says what was tried.
pub(super) fn run(instance: &mut Instance, shape: Shape) -> Result<(), String> {
    let step = |position| Step { position, members: shape.members, ..testing::step() };

    // Sure of one unit, that of another member, of none; and a unit that cannot come where there are several.
    let units = shape.units.max(1) as usize;
    let rows: Vec<Vec<f32>> = (0..shape.members.max(1) as usize)
        .map(|member| {
            let mut row = vec![0.0; units];
            row[member % units] = 9.0;
            if units > 1 {
                row[units - 1] = f32::NEG_INFINITY;
            }
            row
        })
        .collect();
    let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
    if instance.edits_logits() {
        let members = Members::new(&rows);
        let mut fused: Vec<f32> = rows[0].iter().map(|logit| logit - members.rows().get(0).log_sum_exp).collect();
        timed("on_logits", || {
            instance.on_logits(&step(0), &members.rows(), &mut fused)?;
            fuse::check(&fused).map_err(|error| HookError(format!("it left a row that {error}")))
        })?;
    }

    let probabilities = vec![0.3; shape.members as usize];
    for (bytes, is_end) in [(&b" the"[..], false), (&[], true)] {
        let token = Token {
            unit: 0,
            bytes,
            leader: 0,
            probability: 0.3,
            entropy: 1.2,
            agreement: 0.8,
            is_end,
            member_probabilities: &probabilities,
            surprise_mean: 0.9,
            surprise_deviation: 0.7,
            behind: 0.2,
        };
        timed("on_token", || Point::Token.check(&instance.on_token(&step(0), &token)?))?;
    }

    let ordinary = Assessment { unit: 0, ..testing::assessment() };
    let bad = Assessment {
        confidence: 0.01,
        mean_confidence: 0.1,
        slope: -0.1,
        minimum: 0.01,
        agreement: 0.1,
        unique: 2,
        repeated: 8,
        period: 2,
        ..ordinary
    };
    for assessment in [ordinary, bad] {
        timed("on_assessment", || Point::Assessment.check(&instance.on_assessment(&step(40), &assessment)?))?;
    }

    let retraction = Retraction { units: 2, position: 38, policy: "probe" };
    timed("on_retract", || instance.on_retract(&step(38), &retraction))
}

fn timed(hook: &str, call: impl FnOnce() -> Result<(), HookError>) -> Result<(), String> {
    let start = Instant::now();
    let outcome = call();
    let time = start.elapsed();
    let outcome = outcome.and_then(|()| match time > BUDGET {
        true => Err(HookError(format!("it took {} ms, the limit is {} ms", time.as_millis(), BUDGET.as_millis()))),
        false => Ok(()),
    });
    outcome.map_err(|error| format!("`{hook}` on a sample: {error}"))
}
