//! What `on_token`, `on_assessment` and `on_retract` answer.

use super::fixtures::{self, Draws};
use super::{Finding, Outcome, Subject};
use crate::hooks::HookError;
use crate::hooks::chain::Point;
use crate::hooks::native::trial::{Answered, HookName, Specimen};
use plugin_api::testing::{assessment_of, step, token};
use plugin_api::{Assessment, Step, Token, Verdict};

/// How many steps of a made-up reply two instances are compared over.
const STEPS: u32 = 60;

/// An answer to every edge candidate that the decode loop can use.
pub fn of_candidates(subject: &mut Subject) -> Outcome {
    let Some(mut hook) = subject.start_having(HookName::OnToken)? else { return Ok(Finding::Nothing) };
    let candidates = fixtures::edge_candidates();
    for (name, step, token) in &candidates {
        subject.doing(format!("in on_token on {name}"));
        usable(hook.on_token_watched(step, token), Point::Token, name)?;
    }
    Ok(Finding::Passed(format!("{} kinds of candidates", candidates.len())))
}

/// An answer to every edge window that the decode loop can use.
pub fn of_windows(subject: &mut Subject) -> Outcome {
    let Some(mut hook) = subject.start_having(HookName::OnAssessment)? else { return Ok(Finding::Nothing) };
    let windows = fixtures::edge_windows();
    for (name, step, assessment) in &windows {
        subject.doing(format!("in on_assessment on {name}"));
        usable(hook.on_assessment_watched(step, assessment), Point::Assessment, name)?;
    }
    Ok(Finding::Passed(format!("{} kinds of windows", windows.len())))
}

fn usable(answered: Answered, point: Point, name: &str) -> Result<(), String> {
    if let Some(overrun) = answered.overrun {
        return Err(format!("on {name}: {overrun}"));
    }
    let checked = answered.verdict.and_then(|verdict| point.check(&verdict).map(|()| verdict));
    let verdict = checked.map_err(|error| format!("on {name}: {error}"))?;
    if verdict.reason.chars().any(char::is_control) {
        return Err(format!("on {name}: its reason, {:?}, has a control character in it", verdict.reason));
    }
    Ok(())
}

/// It hears of retractions of every depth.
pub fn retractions(subject: &mut Subject) -> Outcome {
    let Some(mut hook) = subject.start_having(HookName::OnRetract)? else { return Ok(Finding::Nothing) };
    for units in [1, 5, 32, 40] {
        let told = if units == 1 { "1 unit was taken".into() } else { format!("{units} units were taken") };
        subject.doing(format!("in on_retract, told that {told} back"));
        let now = Step { position: 40 - units, ..step() };
        hook.on_retract(&now, &fixtures::retraction(units))
            .map_err(|error| format!("failed when told that {told} back: {error}"))?;
    }
    Ok(Finding::Passed(String::new()))
}

/// Two instances give the same verdicts in the same reply.
pub fn repeatable(subject: &mut Subject) -> Outcome {
    let (mut one, mut other) = (subject.start()?, subject.start()?);
    if !answers(&one) {
        return Ok(Finding::Nothing);
    }
    subject.doing("in on_token, on_assessment and on_retract, in two instances");
    let mut draws = Draws::new(9);
    for position in 0..STEPS {
        let moment = Moment::draw(&mut draws, position);
        let (left, right) = (moment.show(&mut one), moment.show(&mut other));
        if left.iter().any(Result::is_err) {
            // Another check's affair.
            return Ok(Finding::Nothing);
        }
        if left != right {
            return Err(format!(
                "gave two instances different verdicts at step {position} of the same reply; a draw belongs to \
                 step.random, and state to the instance"
            ));
        }
    }
    match answers(&one) {
        true => Ok(Finding::Passed(format!("{STEPS} steps in two instances"))),
        // In Rust every hook is there until it has been called.
        false => Ok(Finding::Nothing),
    }
}

fn answers(hook: &Specimen) -> bool {
    hook.hooks().iter().any(|hook| matches!(hook, HookName::OnToken | HookName::OnAssessment))
}

/// A step of a made-up reply, as a policy sees it.
pub struct Moment {
    step: Step,
    token: Token<'static>,
    assessment: Assessment<'static>,
    retracted: u32,
}

impl Moment {
    /// The next step; now and then text is taken back.
    pub fn draw(draws: &mut Draws, position: u32) -> Self {
        let seed = draws.below(1 << 24).into();
        let now = Step { position, seed, retractable: position.min(32), retractions_left: draws.below(4), ..step() };
        let confidence = draws.next();
        let report = Assessment {
            unit: draws.below(300),
            confidence,
            mean_confidence: draws.next(),
            minimum: confidence * draws.next(),
            minimum_back: 1 + draws.below(5),
            unique: 1 + draws.below(10),
            ..assessment_of(1 + position.min(31) as usize)
        };
        let token = Token { unit: report.unit, probability: confidence, ..token() };
        let retracted = if draws.next() < 0.1 { 1 + draws.below(5) } else { 0 };
        Self { step: now, token, assessment: report, retracted }
    }

    /// What a hook says to all of it.
    pub fn show(&self, hook: &mut Specimen) -> [Result<Option<Verdict>, HookError>; 3] {
        let token = hook.on_token(&self.step, &self.token).map(Some);
        let assessment =
            hook.on_assessment(&Step { position: self.step.position + 1, ..self.step }, &self.assessment).map(Some);
        let retracted = match self.retracted {
            0 => Ok(None),
            units => hook.on_retract(&self.step, &fixtures::retraction(units)).map(|()| None),
        };
        [token, assessment, retracted]
    }
}
