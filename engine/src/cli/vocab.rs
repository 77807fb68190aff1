//! `llama_selfmod vocab`: what vocabularies share, as a table for people and as JSON for programs.

use super::{
    measure::line,
    output::{print, print_json},
    render::shorten,
};
use crate::{
    Error,
    engine::{SharedVocabulary, shared_vocabulary},
};
use serde_json::json;
use std::{fmt::Write, path::PathBuf, process::ExitCode};

/// Works it out and prints it.
pub fn run(files: &[PathBuf], as_json: bool) -> Result<ExitCode, Error> {
    let shared = shared_vocabulary(files)?;
    if as_json { print_json(&line(&value(&shared))?) } else { print(&table(&shared)) }
}

fn table(shared: &SharedVocabulary) -> String {
    let SharedVocabulary { names, description, .. } = shared;
    let mut text = format!(
        "{:<28} {:>8} {:>12} {:>16} {:>14}\n",
        "", "tokens", "bytes/token", "beginnings/token", "not in others"
    );
    for (name, member) in names.iter().zip(&description.members) {
        let share = member.alone as f64 / member.tokens.max(1) as f64 * 100.0;
        let _ = writeln!(
            text,
            "{:<28} {:>8} {:>12.2} {:>16.2} {:>13.1}%",
            shorten(name, 28),
            member.tokens,
            member.bytes_per_token,
            member.beginnings,
            share
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
    let _ = writeln!(text, "{} strings are a token of every model", description.shared);
    text + expectation(shared) + "\n"
}

/// What comes of it, in a sentence.
fn expectation(shared: &SharedVocabulary) -> &'static str {
    if shared.same {
        return "The vocabularies are the same: such models decode together in tokens.";
    }
    "The vocabularies differ: such models meet in bytes, and write in pieces of about a token. Each gives a text exactly the \
     probability that it has for it; where a beginning of a word is a token, too, that is read as well: expect about 1.5 \
     forward passes for each token of a model, and 1.1 with `--heads few`."
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
                "missing_bytes": member.missing_bytes,
                "beginnings": member.beginnings,
                "bytes_per_token": member.bytes_per_token,
                "alone": member.alone,
                "examples": member.examples.iter().map(|bytes| shown(bytes)).collect::<Vec<_>>(),
            })
        })
        .collect();
    json!({
        "names": shared.names,
        "same": shared.same,
        "shared": description.shared,
        "members": members,
    })
}
