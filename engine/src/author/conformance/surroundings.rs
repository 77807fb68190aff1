//! What a plugin leaves behind in the process, which it shares with the program and with other plugins.

use super::fixtures::Draws;
use super::verdicts::Moment;
use super::{Finding, Outcome, Subject, fixtures};
use crate::hooks::native::trial::{HookName, Specimen, Surroundings};
use crate::resident::resident;
use std::time::{Duration, Instant};

/// How many steps of a made-up reply a plugin sees between two looks.
const STEPS: u32 = 40;
/// How many for its memory: a plugin may keep a little for each.
const LONG: u32 = 2000;
/// More memory than that is not a little, in MiB.
const MUCH: f64 = 16.0;
/// No reply goes on for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The standard streams are what they were, and nothing was printed to the one that the text goes to.
pub fn streams(subject: &mut Subject) -> Outcome {
    let now = live(subject)?;
    told(now.streams_changed(subject.before))
}

/// The processor computes as it did.
pub fn arithmetic(subject: &mut Subject) -> Outcome {
    let now = live(subject)?;
    if now.computes_otherwise(subject.before) {
        return Err(
            "changed how the processor computes (rounding, tiny numbers or traps) and did not put it back".into()
        );
    }
    Ok(Finding::Passed(String::new()))
}

/// Working folder, signals, limits, locale, environment and children are what they were.
pub fn process(subject: &mut Subject) -> Outcome {
    let now = live(subject)?;
    told(now.process_changed(subject.before))
}

fn told(changed: Vec<String>) -> Outcome {
    match changed[..] {
        [] => Ok(Finding::Passed(String::new())),
        _ => Err(format!("{}, which is the whole program's", changed.join(", "))),
    }
}

/// What a reply with the plugin leaves behind.
fn live(subject: &mut Subject) -> Result<Surroundings, String> {
    let mut hook = subject.start()?;
    reply(subject, &mut hook, STEPS, &mut || true);
    subject.doing("in destroy");
    drop(hook);
    Ok(Surroundings::now())
}

/// Steps of a made-up reply, as many as `goes_on` allows.
fn reply(subject: &mut Subject, hook: &mut Specimen, steps: u32, goes_on: &mut dyn FnMut() -> bool) {
    let mut draws = Draws::new(21);
    let members = draws.members(2, 300);
    let has = |subject: &Subject, name| !subject.without.contains(&name);
    let begin = Instant::now();
    for position in 0..steps {
        if begin.elapsed() > PATIENCE || !goes_on() {
            return;
        }
        if has(subject, HookName::OnLogits) {
            subject.doing_again("in on_logits, in a made-up reply");
            // Whether it answers is another check's affair.
            drop(hook.on_logits(&fixtures::step_of(&members, position), &members.rows(), &mut members.mean()));
        }
        if has(subject, HookName::OnToken) && has(subject, HookName::OnAssessment) && has(subject, HookName::OnRetract)
        {
            subject.doing_again("in on_token, on_assessment or on_retract, in a made-up reply");
            drop(Moment::draw(&mut draws, position).show(hook));
        }
    }
}

/// Neither memory nor threads grow with the text.
pub fn growth(subject: &mut Subject) -> Outcome {
    let mut hook = subject.start()?;
    let memory = || resident("VmRSS:");
    // What it makes once and keeps.
    reply(subject, &mut hook, STEPS, &mut || true);
    let (before, threads) = (memory(), Surroundings::now().threads());
    let mut steps = 0;
    reply(subject, &mut hook, LONG, &mut || {
        steps += 1;
        memory() - before < 2.0 * MUCH
    });
    let more = memory() - before;
    let more_threads = Surroundings::now().threads().saturating_sub(threads);
    subject.doing("in destroy");
    drop(hook);
    // Threads take memory, too.
    if more_threads > 0 {
        return Err(format!("starts {more_threads} more threads in {steps} steps of a reply"));
    }
    if more > MUCH {
        return Err(format!("takes {more:.0} MiB more memory in {steps} steps of a reply"));
    }
    let left = Surroundings::now().threads().saturating_sub(subject.before.threads());
    Ok(match left {
        0 => Finding::Passed(format!("{steps} steps of a reply")),
        left => Finding::Warning(format!("leaves {left} threads running when its instances are gone")),
    })
}
