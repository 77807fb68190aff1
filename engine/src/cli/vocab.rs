//! `llama_selfmod vocab`: what vocabularies share, as a table for people and as JSON for programs.

use super::{
    measure::line,
    output::{print, print_json},
    render::shorten,
};
use crate::{
    Error,
    engine::{SharedVocabulary, shared_vocabulary},
    settings::Settings,
};
use serde_json::json;
use std::{fmt::Write, path::PathBuf, process::ExitCode};

/// Where fewer than one in so many tokens is shared, text is spelled rather than written in words.
const SPELLED: usize = 5;

/// Works it out and prints it.
pub fn run(settings: &Settings, files: &[PathBuf], as_json: bool) -> Result<ExitCode, Error> {
    let shared = shared_vocabulary(files, settings.cache.as_deref())?;
    if as_json { print_json(&line(&value(&shared))?) } else { print(&table(&shared)) }
}

fn table(shared: &SharedVocabulary) -> String {
    let SharedVocabulary { names, description, .. } = shared;
    let mut text =
        format!("{:<28} {:>8} {:>14} {:>12} {:>12}\n", "", "tokens", "a single unit", "units/token", "bytes/token");
    for (name, member) in names.iter().zip(&description.members) {
        let share = member.single as f64 / member.tokens.max(1) as f64 * 100.0;
        let _ = writeln!(
            text,
            "{:<28} {:>8} {:>13.1}% {:>12.2} {:>12.2}",
            shorten(name, 28),
            member.tokens,
            share,
            member.units_per_token,
            member.bytes_per_token
        );
    }
    for (name, member) in names.iter().zip(&description.members) {
        if member.missing_bytes > 0 {
            let _ = writeln!(text, "{name} has no token for {} of the 256 bytes", member.missing_bytes);
        }
        if member.alone > 0 {
            let examples: Vec<String> =
                member.examples.iter().take(6).map(|bytes| format!("`{}`", shown(bytes))).collect();
            let _ = writeln!(text, "only {name} has {} of its tokens, such as {}", member.alone, examples.join(" "));
        }
    }
    let _ = writeln!(
        text,
        "units: {} = {} strings that all have, 256 bytes, the end; {:.2} bytes each",
        description.units, description.shared, description.bytes_per_unit
    );
    let source = if shared.cached { "read from the cache" } else { "worked out" };
    let _ = writeln!(text, "{source} in {:.0} ms", shared.milliseconds);
    text + expectation(shared) + "\n"
}

/// What comes of it, in a sentence.
fn expectation(shared: &SharedVocabulary) -> &'static str {
    if shared.same {
        return "The vocabularies are the same: such models decode together in tokens.";
    }
    let fewest = shared.description.members.iter().map(|member| member.tokens).min().unwrap_or(0);
    if shared.description.shared * SPELLED < fewest {
        "Few tokens are shared: text is mostly spelled, and every letter is a step, though not one of the models."
    } else {
        "Most tokens are shared: text is mostly written in whole tokens."
    }
}

/// Bytes of a token on one line.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => shorten(&text.escape_debug().to_string(), 24),
        Err(_) => bytes.escape_ascii().to_string(),
    }
}

fn value(shared: &SharedVocabulary) -> serde_json::Value {
    let description = &shared.description;
    let members: Vec<_> = shared
        .names
        .iter()
        .zip(&description.members)
        .map(|(name, member)| {
            json!({
                "name": name,
                "tokens": member.tokens,
                "ends": member.ends,
                "single": member.single,
                "missing_bytes": member.missing_bytes,
                "units_per_token": member.units_per_token,
                "bytes_per_token": member.bytes_per_token,
                "alone": member.alone,
                "examples": member.examples.iter().map(|bytes| shown(bytes)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "names": shared.names,
        "same": shared.same,
        "units": description.units,
        "shared": description.shared,
        "bytes_per_unit": description.bytes_per_unit,
        "members": members,
        "milliseconds": shared.milliseconds,
        "cached": shared.cached,
    })
}
