//! How long calls take: a plugin runs at every token.

use super::fixtures::{self, Draws};
use super::{Finding, Outcome, Subject};
use crate::hooks::native::trial::HookName;
use plugin_api::testing::{assessment, step, token};
use std::time::{Duration, Instant};

/// A call that takes longer is skipped by the decode loop.
const LIMIT: Duration = Duration::from_millis(250);
/// Over 262,144 units and four members; the program's own mixture takes a tenth of it.
const SLOW_FUSION: Duration = Duration::from_millis(20);
/// A hundred times what a stock policy takes.
const SLOW_POLICY: Duration = Duration::from_micros(100);
/// No measurement goes on for longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The median of up to `times` calls.
fn median(times: usize, mut call: impl FnMut()) -> Duration {
    let start = Instant::now();
    let mut taken = Vec::with_capacity(times);
    while taken.len() < times && (taken.is_empty() || start.elapsed() < PATIENCE) {
        let start = Instant::now();
        call();
        taken.push(start.elapsed());
    }
    taken.sort();
    taken[taken.len() / 2]
}

/// In the unit that suits it.
pub fn duration(time: Duration) -> String {
    match time.as_nanos() {
        nanos @ 0..1_000 => format!("{nanos} ns"),
        nanos @ 1_000..1_000_000 => format!("{:.1} µs", nanos as f64 / 1e3),
        nanos => format!("{:.1} ms", nanos as f64 / 1e6),
    }
}

/// `on_logits` over the largest rows.
pub fn of_logits(subject: &mut Subject) -> Outcome {
    let Some(mut hook) = subject.start_having(HookName::OnLogits)? else { return Ok(Finding::Nothing) };
    let members = Draws::new(2).members(4, fixtures::MANY_UNITS);
    let (rows, now) = (members.rows(), fixtures::step_of(&members, 40));
    let mut fused = members.mean();
    subject.doing("in on_logits on 262,144 units and four members");
    if hook.on_logits(&now, &rows, &mut fused).is_err() {
        // Another check's affair.
        return Ok(Finding::Nothing);
    }
    let time = median(21, || drop(hook.on_logits(&now, &rows, &mut fused)));
    let text = format!("{} a call, over 262,144 units and four members", duration(time));
    Ok(match time {
        time if time > LIMIT => return Err(format!("takes {text}; a call of more than 250 ms is skipped")),
        time if time > SLOW_FUSION => Finding::Warning(format!(
            "{text}, which is slow: build it with optimisation, keep buffers in the instance, mix with the host"
        )),
        _ => Finding::Passed(text),
    })
}

/// `on_token` and `on_assessment` on usual input.
pub fn of_verdicts(subject: &mut Subject) -> Outcome {
    let mut hook = subject.start()?;
    subject.doing("in on_token, many times");
    let (token, report, now) = (token(), assessment(), step());
    let token = hook.on_token(&now, &token).is_ok().then(|| median(501, || drop(hook.on_token(&now, &token))));
    subject.doing("in on_assessment, many times");
    let report =
        hook.on_assessment(&now, &report).is_ok().then(|| median(501, || drop(hook.on_assessment(&now, &report))));
    let there = hook.hooks();
    let (token, report) = (
        token.filter(|_| there.contains(&HookName::OnToken)),
        report.filter(|_| there.contains(&HookName::OnAssessment)),
    );
    let times = [(HookName::OnToken, token), (HookName::OnAssessment, report)];
    let times: Vec<(HookName, Duration)> = times.into_iter().filter_map(|(name, time)| Some((name, time?))).collect();
    let text: Vec<String> = times.iter().map(|(name, time)| format!("{name} {}", duration(*time))).collect();
    let text = text.join(", ");
    Ok(match times.iter().map(|(_, time)| *time).max() {
        None => Finding::Nothing,
        Some(time) if time > LIMIT => return Err(format!("takes {text}; a call of more than 250 ms is skipped")),
        Some(time) if time > SLOW_POLICY => Finding::Warning(format!("{text} a call, which is slow at every token")),
        Some(_) => Finding::Passed(format!("{text} a call")),
    })
}
