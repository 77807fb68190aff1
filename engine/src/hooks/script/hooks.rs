//! The hook points of a program: what goes in, and what its answer means.

use plugin_api::{Assessment, Retraction, Rows, Step, Token, Verdict};
use rhai::{Dynamic, Map};

use super::diagnose::Diagnosis;
use super::program::{Function, Program};
use super::surface::{AssessmentView, RetractionView, TokenView};
use super::{rows, verdicts};

/// The state that `init` makes from nothing.
pub(super) fn init(program: &Program, settings: &Map) -> Result<Dynamic, Box<Diagnosis>> {
    let mut state = Dynamic::from(Map::new());
    if program.defines(Function::Init) {
        program
            .call(&mut state, Function::Init, None, (settings.clone(),))
            .map(drop)
            .map_err(|fault| fault.while_doing("running `init`"))?;
    }
    Ok(state)
}

/// Lets the new version make its state of the old one's. `state` is what its `init` made.
pub(super) fn migrate(program: &Program, state: &mut Dynamic, old: Dynamic) -> Result<(), Box<Diagnosis>> {
    program
        .call(state, Function::Migrate, None, (old,))
        .map(drop)
        .map_err(|fault| fault.while_doing("running `migrate` on the old version's state"))
}

pub(super) fn reset(program: &Program, state: &mut Dynamic) -> Result<(), Box<Diagnosis>> {
    program.call(state, Function::Reset, None, ()).map(drop)
}

pub(super) fn on_logits(
    program: &Program,
    state: &mut Dynamic,
    step: &Step,
    rows: &Rows,
    fused: &mut [f32],
) -> Result<(), Box<Diagnosis>> {
    let answer = rows::lend(rows, fused, program.clock(), |rows, fused| {
        program.call(state, Function::OnLogits, Some(step), (*step, rows, fused))
    })?;
    no_verdict(program, Function::OnLogits, &answer)
}

pub(super) fn on_token(
    program: &Program,
    state: &mut Dynamic,
    step: &Step,
    token: &Token,
) -> Result<Verdict, Box<Diagnosis>> {
    let answer = program.call(state, Function::OnToken, Some(step), (*step, TokenView::new(token)))?;
    verdict(program, Function::OnToken, step, answer)
}

pub(super) fn on_assessment(
    program: &Program,
    state: &mut Dynamic,
    step: &Step,
    assessment: &Assessment,
) -> Result<Verdict, Box<Diagnosis>> {
    let answer = program.call(state, Function::OnAssessment, Some(step), (*step, AssessmentView::new(assessment)))?;
    verdict(program, Function::OnAssessment, step, answer)
}

pub(super) fn on_retract(
    program: &Program,
    state: &mut Dynamic,
    step: &Step,
    retraction: &Retraction,
) -> Result<(), Box<Diagnosis>> {
    let answer = program.call(state, Function::OnRetract, Some(step), (*step, RetractionView::new(retraction)))?;
    no_verdict(program, Function::OnRetract, &answer)
}

fn verdict(program: &Program, function: Function, step: &Step, answer: Dynamic) -> Result<Verdict, Box<Diagnosis>> {
    verdicts::read(answer, function, step).map_err(|message| program.fault_of(function, message))
}

/// A value that happens to be the last one of a function does no harm; a verdict that nobody would carry out does.
fn no_verdict(program: &Program, function: Function, answer: &Dynamic) -> Result<(), Box<Diagnosis>> {
    if answer.is::<Verdict>() {
        let message = format!("`{}` cannot answer with a verdict; `on_token` and `on_assessment` can", function.name());
        return Err(program.fault_of(function, message));
    }
    Ok(())
}
