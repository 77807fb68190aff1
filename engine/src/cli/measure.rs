//! The subcommands that measure: `score` and `bench`, as tables for people and as JSON for programs.

use super::{
    output::{print, print_json},
    progress,
    render::{Detail, Look},
    trial::Admission,
};
use crate::{
    Error,
    bench::{Bench, DraftsBench, Reloads, Scope},
    engine::Engine,
    files,
    member::remote::Account,
    score::Score,
    settings::Settings,
};
use ::measure::statistics::Interval;
use serde::Serialize;
use std::{fmt::Write, path::Path, process::ExitCode};

/// In bytes: days of reading.
const LARGEST_TEXT: u64 = 1 << 30;

/// Bits per byte of a file.
pub fn score(settings: Settings, look: Look, admission: Admission, file: &Path, json: bool) -> Result<ExitCode, Error> {
    let text = files::read_text(file, LARGEST_TEXT)?;
    let mut engine = load(settings, look, admission)?;
    let bar = progress::bar(look, "scoring");
    let score = engine.score(&text, &mut |part| bar.set_position((part * 1000.0) as u64))?;
    bar.finish_and_clear();
    // A fusion that failed, a trace that could not be written: the figures are then not what was asked for.
    for notice in engine.take_notices() {
        Look { detail: Detail::Normal, ..look }.remark(&notice);
    }
    if json { print_json(&line(&score)?) } else { print(&score_table(&score, &engine.settings().fusion_mode)) }
}

/// The ensemble, with what there is to know about it.
fn load(settings: Settings, look: Look, admission: Admission) -> Result<Engine, Error> {
    let engine = progress::load(settings, look, admission)?;
    for note in engine.notes() {
        look.remark(note);
    }
    Ok(engine)
}

/// Times of a step.
pub fn bench(
    settings: Settings,
    look: Look,
    admission: Admission,
    scope: Scope,
    json: bool,
) -> Result<ExitCode, Error> {
    let mut engine = load(settings, look, admission)?;
    let bench = engine.bench(&scope)?;
    if json { print_json(&line(&bench)?) } else { print(&bench_table(&bench)) }
}

pub fn line(value: &impl Serialize) -> Result<String, Error> {
    let text = serde_json::to_string(value).map_err(|error| Error::Failure(error.to_string()))?;
    Ok(text + "\n")
}

fn score_table(score: &Score, fusion: &str) -> String {
    let between = |interval: Option<Interval>| match interval {
        Some(Interval { low, high }) => format!("   {low:.4} to {high:.4}"),
        None => String::new(),
    };
    let mut text = format!("{:<32} {:>14}   95 % interval\n", "", "bits per byte");
    for member in &score.members {
        let _ = writeln!(text, "{:<32} {:>14.4}{}", member.name, member.bits_per_byte, between(member.interval));
    }
    let fused = format!("fused by `{fusion}`");
    let _ = writeln!(text, "{fused:<32} {:>14.4}{}", score.fused, between(score.fused_interval));
    if let ([_, _, ..], Some(found)) = (&score.members[..], score.gain.difference) {
        let Interval { low, high } = found.interval;
        let name = format!("  less {}, paired", score.gain.against);
        let shown = if found.interval.excludes_zero() { "shown" } else { "not shown" };
        let _ = writeln!(text, "{name:<32} {:>+14.4}   {low:+.4} to {high:+.4}, {shown}", found.bits_per_byte);
    }
    let _ = writeln!(text, "{:<32} {:>14.4}", "oracle", score.oracle);
    let _ = writeln!(text, "{:<32} {:>13.1}%", "headroom captured", score.headroom_captured * 100.0);
    let _ = writeln!(text, "over {} bytes in {} tokens; lower is better", score.bytes, score.tokens);
    [text, remote_lines(&score.remote)].concat()
}

fn bench_table(bench: &Bench) -> String {
    let mut text = format!("{:<32} {:>14}\n", "", "ms per token");
    for member in &bench.members {
        let _ = writeln!(text, "{:<32} {:>14.3}", member.name, member.milliseconds);
    }
    let _ = writeln!(text, "{:<32} {:>14.3}", "all, one after the other", bench.sequential);
    let _ = writeln!(text, "{:<32} {:>14.3}   {:.2} x", "all, side by side", bench.parallel, bench.speedup);
    let _ = writeln!(text, "{:<32} {:>14.3}", format!("whole step, {}", bench.schedule), bench.step);
    let _ = writeln!(text, "{:<32} {:>14.3}   step / faster decoding", "overhead", bench.overhead);
    if let Some(texts) = &bench.texts {
        let name = format!("{} texts at once", texts.texts);
        let _ = writeln!(text, "{name:<32} {:>14.1}   tokens a second, {:.2} x one text", texts.all, texts.ratio);
    }
    if let Some(prompt) = &bench.prompt {
        let name = format!("a prompt of {} tokens", prompt.tokens);
        let _ = writeln!(text, "{name:<32} {:>14.3}   {:.0} tokens a second", prompt.milliseconds, prompt.per_second);
    }
    if let Some(units) = &bench.units {
        let _ = writeln!(text, "a byte of the members' own decoding {:>11.4}   all in turn", units.own);
        for head in &units.generated {
            let name = format!("a byte, {} heads", head.heads);
            let _ = writeln!(
                text,
                "{name:<32} {:>14.4}   {:.2} x, of it {:.1} µs the engine's own; {:.2} batches and {:.2} rows a token of a member",
                head.milliseconds, head.ratio, head.engine, head.batches, head.rows
            );
        }
    }
    let memory = &bench.memory;
    let _ = writeln!(
        text,
        "memory: {:.0} MiB at most = {:.0} models + {:.0} KV caches + {:.0} other",
        memory.peak, memory.models, memory.cache, memory.other
    );
    for device in &memory.devices {
        let _ = writeln!(text, "memory of {}: {:.0} MiB of {:.0}", device.name, device.used, device.total);
    }
    let _ = writeln!(text, "medians over {} steps", bench.steps);
    [text, drafts_table(&bench.drafts), hooks_table(bench), reloads_table(&bench.reloads), remote_lines(&bench.remote)]
        .concat()
}

/// What servers were asked, how far their rows can be off, and where they were away.
fn remote_lines(accounts: &[Account]) -> String {
    let mut text = String::new();
    for account in accounts {
        let Account { name, address, requests, failed, bytes, rows, known, read, truncated, .. } = account;
        let _ = writeln!(
            text,
            "{name} at {address}: {rows} rows in {requests} requests and {:.1} MB, {:.1}% of the prompts known there",
            *bytes as f64 / 1e6,
            100.0 * *known as f64 / (known + read).max(1) as f64
        );
        if *truncated > 0 {
            let _ = writeln!(
                text,
                "  its rows are off by {:.2}% on average in total variation at most, and by {:.2}% in one",
                account.mean_tail() * 100.0,
                account.largest_tail * 100.0
            );
        }
        let missed = account.places_missed();
        if missed > 0 || *failed > 0 {
            let why = account.absences.first().map(|absence| format!(": {}", absence.why)).unwrap_or_default();
            let _ = writeln!(
                text,
                "  it was away {} times, {failed} requests failed, and it had no say at {missed} places{why}",
                account.absences.len()
            );
        }
    }
    text
}

fn drafts_table(drafts: &DraftsBench) -> String {
    let mut text = format!("\n{:<32} {:>14}   {} replies\n", "drafts", "ms per token", drafts.replies);
    for way in &drafts.ways {
        let _ = write!(text, "{:<32} {:>14.3}   {:.2} x off", way.who, way.milliseconds, way.ratio);
        let _ = write!(text, ", first token after {:.1} ms, {:.2} a round", way.first, way.units_per_round);
        match way.kept {
            Some(kept) => {
                let _ = write!(text, ", kept {:.0}% of {:.2} proposed a token", kept * 100.0, way.proposed);
            }
            None => text.push_str(", nothing proposed"),
        }
        let batches: Vec<_> = way.batches.iter().map(|batches| format!("{batches:.2}")).collect();
        let _ = writeln!(text, ", batches a token {}", batches.join(" "));
    }
    text
}

fn hooks_table(bench: &Bench) -> String {
    let mut text = format!("\n{:<32} {:>14}\n", "hooks", "µs per token");
    for hook in &bench.hooks {
        let name = if hook.given { format!("{} (given)", hook.name) } else { hook.name.clone() };
        let _ = write!(text, "{name:<32} {:>14.2}   {:.2}% of the step", hook.microseconds, hook.share * 100.0);
        if hook.failures > 0 {
            let _ = write!(text, ", {} failed calls", hook.failures);
        }
        text.push('\n');
    }
    text
}

fn reloads_table(reloads: &Reloads) -> String {
    let mut text = format!("\n{:<32} {:>14}\n", "reloads", "ms");
    let rows = [
        ("a script, check and swap", reloads.script),
        ("a plugin, check and swap", reloads.plugin),
        ("save to first step with it", reloads.edit),
    ];
    for (name, milliseconds) in rows {
        if let Some(milliseconds) = milliseconds {
            let _ = writeln!(text, "{name:<32} {milliseconds:>14.2}");
        }
    }
    text
}
