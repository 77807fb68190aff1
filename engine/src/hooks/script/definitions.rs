//! The definition file for the Rhai language server, `policies/definitions/llama_selfmod.d.rhai`. Names and types come
//! from what the engine has registered, names of parameters and explanations from the table here. Both must fit, and the
//! file must be the one that follows from them.
//!
//! In tests alone, because Rhai knows its functions' types only with its feature `metadata`.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::knobs::Knobs;
use super::program::Program;

/// `receiver.name(parameters): explanation`; a property has no parentheses, a function no receiver.
const WORDS: &str = include_str!("definitions.txt");

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../policies/definitions/llama_selfmod.d.rhai");

const HEADER: &str = "module static;\n\n// What llama_selfmod gives to scripts, for the Rhai language server. Made from the program by its tests:\n// REGENERATE=1 cargo test --release --lib definitions\n";

struct Words {
    parameters: Vec<String>,
    explanation: String,
    is_used: bool,
}

/// By receiver, name and number of parameters; `None` for a property.
type Table = BTreeMap<(String, String, Option<usize>), Words>;

fn table() -> Table {
    let mut table = Table::new();
    for line in WORDS.lines().filter(|line| !line.is_empty()) {
        let (what, explanation) = line.split_once(": ").unwrap_or_else(|| panic!("no explanation in `{line}`"));
        let (path, parameters) = match what.split_once('(') {
            Some((path, rest)) => (path, Some(rest.trim_end_matches(')'))),
            None => (what, None),
        };
        let (receiver, name) = path.split_once('.').unwrap_or(("", path));
        let names: Option<Vec<String>> =
            parameters.map(|names| names.split(", ").filter(|name| !name.is_empty()).map(str::to_string).collect());
        let key = (receiver.to_string(), name.to_string(), names.as_ref().map(Vec::len));
        let parameters = names.unwrap_or_default();
        let words = Words { parameters, explanation: explanation.to_string(), is_used: false };
        assert!(table.insert(key, words).is_none(), "`{what}` stands there twice");
    }
    table
}

/// Rust's types as the language server writes them.
fn plain(kind: &str) -> String {
    let kind = kind.trim().trim_start_matches("&mut ").trim_start_matches("mut ");
    // `Result<T, Box<EvalAltResult>>`, with and without a path and a space: a script gets T.
    if let Some((_, inner)) = kind.split_once("Result<").filter(|(path, _)| path.is_empty() || path.ends_with("::")) {
        return plain(inner.rsplit_once(',').map_or(inner, |(inner, _)| inner));
    }
    match kind.rsplit("::").next().unwrap_or(kind) {
        "i64" | "INT" => "int",
        "f64" | "FLOAT" => "float",
        "&str" | "ImmutableString" | "String" | "string" => "String",
        "Dynamic" => "?",
        "array" | "Dynamic>" => "Array",
        "map" => "Map",
        other => other.trim_end_matches("View").trim_end_matches("Handle"),
    }
    .to_string()
}

const RECEIVERS: [&str; 10] =
    ["Step", "Parameters", "Token", "Assessment", "Retraction", "Rows", "Row", "Fused", "Verdict", "Patterns"];

fn definitions(signatures: Vec<String>) -> String {
    let mut table = table();
    let mut lines: Vec<(String, String)> = Vec::new();
    for signature in signatures {
        let (name, rest) = signature.split_once('(').unwrap_or_else(|| panic!("`{signature}` is no signature"));
        let (parameters, answer) = match rest.rsplit_once(") -> ") {
            Some((parameters, answer)) => (parameters, plain(answer)),
            None => (rest.trim_end_matches(')'), "()".to_string()),
        };
        // What scripts do not have, and how `rows[i]` and `for` work.
        if ["sleep", "timestamp", "index$get$"].contains(&name) {
            continue;
        }
        let kinds: Vec<String> = parameters
            .split(", ")
            .filter(|part| !part.is_empty())
            .map(|part| plain(part.split_once(": ").map_or(part, |(_, kind)| kind)))
            .collect();
        let receiver = kinds.first().filter(|kind| RECEIVERS.contains(&kind.as_str())).cloned().unwrap_or_default();
        let own = usize::from(!receiver.is_empty());
        let property = name.strip_prefix("get$");
        let count = property.is_none().then_some(kinds.len() - own);
        let key = (receiver.clone(), property.unwrap_or(name).to_string(), count);
        let words = table
            .get_mut(&key)
            .unwrap_or_else(|| panic!("definitions.txt does not explain {key:?}, which is `{signature}`"));
        words.is_used = true;
        let names =
            std::iter::once(receiver.to_lowercase()).filter(|name| !name.is_empty()).chain(words.parameters.clone());
        let typed: Vec<String> = names.zip(&kinds).map(|(name, kind)| format!("{name}: {kind}")).collect();
        let get = if property.is_some() { "get " } else { "" };
        let line = format!("fn {get}{}({}) -> {answer};", key.1, typed.join(", "));
        lines.push((format!("{receiver} {line}"), format!("/// {}\n{line}\n", words.explanation)));
    }
    let unused: Vec<_> = table.iter().filter(|(_, words)| !words.is_used).map(|(key, _)| key).collect();
    assert!(unused.is_empty(), "definitions.txt explains what is not there: {unused:?}");
    lines.sort();
    lines.dedup();
    let mut text = HEADER.to_string();
    for (_, lines) in lines {
        write!(text, "\n{lines}").unwrap();
    }
    text
}

#[test]
fn the_definition_file_is_what_the_engine_has() {
    let program = Program::compile("any.rhai", "fn on_token(step, token) {}", Knobs::default()).unwrap();
    let there = definitions(program.signatures());
    if std::env::var_os("REGENERATE").is_some() {
        std::fs::write(FILE, &there).unwrap();
    }
    let checked_in = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(
        checked_in == there,
        "policies/definitions/llama_selfmod.d.rhai is stale; run `REGENERATE=1 cargo test --release --lib definitions`"
    );
}
