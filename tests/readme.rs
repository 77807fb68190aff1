//! What README.md and the pages of docs/ show is there and works: flags, defaults, ranges, commands, events, and the code of
//! their examples.

use assert_cmd::Command;
use llama_selfmod::events::{EndReason, Event, MemberProbability};
use llama_selfmod::hooks::script::ScriptHook;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

fn file(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)).unwrap()
}

/// The cells of every table row of a page.
fn rows(page: &str) -> Vec<Vec<String>> {
    let text = file(page);
    let lines = text.lines().filter(|line| line.starts_with("| "));
    lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()).collect()
}

/// What stands between backticks.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_string).collect()
}

/// The first block of a language below a heading of a page.
fn block(page: &str, heading: &str, language: &str) -> String {
    let text = file(page);
    let (_, section) = text.split_once(&format!("# {heading}\n")).unwrap_or_else(|| panic!("no `{heading}` in {page}"));
    let (_, block) = section.split_once(&format!("```{language}\n")).unwrap();
    block.split("```").next().unwrap().to_string()
}

fn selfmod(words: &[&str]) -> Command {
    let mut command = Command::cargo_bin("llama_selfmod").expect("the binary is built");
    command.args(words).timeout(std::time::Duration::from_secs(60));
    command
}

/// Every flag of `--help` with the default that it names, by its long name.
fn flags_of_help(command: &[&str]) -> BTreeMap<String, Option<String>> {
    let output = selfmod(&[command, &["--help"]].concat()).assert().success().get_output().stdout.clone();
    let mut flags: BTreeMap<String, Option<String>> = BTreeMap::new();
    let mut current = None;
    for line in String::from_utf8(output).unwrap().lines() {
        let trimmed = line.trim();
        if trimmed.starts_with('-') && line.len() - trimmed.len() < 8 {
            let name = trimmed.split([' ', ',']).find(|word| word.starts_with("--")).unwrap().to_string();
            flags.insert(name.clone(), None);
            current = Some(name);
        } else if let (Some(name), Some(default)) = (&current, trimmed.strip_prefix("[default: ")) {
            flags.insert(name.clone(), Some(default.trim_end_matches(']').to_string()));
        }
    }
    flags
}

/// The rows of the table of flags: long name, default, range.
fn flags_of_table() -> BTreeMap<String, (String, String)> {
    let flag = |row: Vec<String>| {
        let name = quoted(&row[0]).into_iter().find(|word| word.starts_with("--"))?;
        Some((name, (row[1].clone(), row[2].clone())))
    };
    rows("docs/reference/flags.md").into_iter().filter_map(flag).collect()
}

#[test]
fn the_table_of_flags_has_every_flag_of_the_program_and_no_other() {
    let commands: [&[&str]; 16] = [
        &[],
        &["serve"],
        &["score"],
        &["bench"],
        &["replay"],
        &["vocab"],
        &["new", "plugin"],
        &["new", "policy"],
        &["check"],
        &["eval"],
        &["compare"],
        &["team", "search"],
        &["team", "pack"],
        &["team", "verify"],
        &["forge"],
        &["publish"],
    ];
    let there: BTreeSet<String> = commands.iter().flat_map(|command| flags_of_help(command).into_keys()).collect();
    let shown: BTreeSet<String> = flags_of_table().into_keys().collect();
    assert_eq!(shown, there);
}

#[test]
fn the_table_of_flags_has_the_programs_defaults() {
    let shown = flags_of_table();
    for (flag, default) in flags_of_help(&[]) {
        let cell = &shown[&flag].0;
        match default {
            Some(default) => assert_eq!(cell, &format!("`{default}`"), "{flag}"),
            // `retraction` is what no `--policy` means.
            None => assert!(flag == "--policy" || !cell.contains('`'), "{flag} has no default, the table says {cell}"),
        }
    }
}

#[test]
fn the_table_of_flags_has_the_ranges_that_a_refusal_names() {
    let numbers = |text: &str| -> Vec<f64> {
        let text = text.replace('−', "-");
        let words = text.split(|c: char| !(c.is_ascii_digit() || c == '-' || c == '.'));
        words.filter_map(|word| word.parse().ok()).collect()
    };
    let mut checked = 0;
    for (flag, (_, range)) in flags_of_table() {
        if range.is_empty() {
            continue;
        }
        let output =
            selfmod(&["--demo", "--prompt", "x", &format!("{flag}=none")]).assert().code(2).get_output().clone();
        let refusal = String::from_utf8(output.stderr).unwrap();
        let (_, sentence) = refusal.split_once("it takes ").unwrap_or_else(|| panic!("{flag} says {refusal}"));
        assert_eq!(numbers(&range), numbers(sentence.lines().next().unwrap()), "{flag}");
        checked += 1;
    }
    assert!(checked >= 12, "only {checked} flags have a range");
}

#[test]
fn the_table_of_commands_is_that_of_the_chat() {
    let source = file("engine/src/cli/chat/commands.rs");
    let (_, list) = source.split_once("pub const COMMANDS").unwrap();
    let entries = list.split("];").next().unwrap().split("entry(\"").skip(1);
    let there: BTreeSet<String> = entries.map(|entry| format!("/{}", entry.split('"').next().unwrap())).collect();
    let cells = rows("docs/reference/chat.md").into_iter().flat_map(|row| quoted(&row[0]));
    let shown: BTreeSet<String> = cells.map(|command| command.split(' ').next().unwrap().to_string()).collect();
    assert_eq!(shown, there);
}

#[test]
fn the_plugins_are_those_that_the_documentation_of_the_plugin_api_compiles() {
    let first = block("README.md", "A first plugin", "rust");
    assert!(first.lines().count() <= 20);
    let without_indent =
        |lines: Vec<&str>| lines.iter().map(|line| line.trim_start().to_string() + "\n").collect::<String>();
    let documentation = file("plugin-api/src/lib.rs");
    let documentation = without_indent(documentation.lines().filter_map(|line| line.strip_prefix("//!")).collect());
    for plugin in [first, block("plugins/README.md", "The hooks", "rust")] {
        assert!(
            documentation.contains(&without_indent(plugin.lines().collect())),
            "not in plugin-api/src/lib.rs: {plugin}"
        );
    }
}

#[test]
fn the_scripts_load() {
    let scripts =
        [block("README.md", "A first policy", "rhai"), block("policies/README.md", "What a script defines", "rhai")];
    for script in scripts {
        let hook = ScriptHook::from_source("script", &script, "{}");
        assert!(hook.is_ok(), "{}", hook.err().unwrap());
    }
}

#[test]
fn everything_a_script_sees_is_described() {
    let guide = file("policies/README.md");
    let mut named: BTreeSet<String> = BTreeSet::new();
    // `retract(n, reason)` names a function, `confidences` a property.
    for words in quoted(&guide.replace("```", "")) {
        named.extend(words.split(|c: char| !(c.is_alphanumeric() || c == '_')).map(str::to_string));
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/hooks/script");
    let sources = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
    let lists: Vec<String> = sources
        .map(|path| std::fs::read_to_string(path).unwrap())
        .filter_map(|source| Some(source.split_once("const NAMES: &[&str] =")?.1.to_string()))
        .collect();
    assert!(lists.len() >= 4, "only {} lists of names were found", lists.len());
    for list in lists {
        let names = list.split("];").next().unwrap().split('"').skip(1).step_by(2);
        for name in names {
            assert!(named.contains(name), "policies/README.md does not name `{name}`");
        }
    }
}

/// One event of every type.
fn events() -> Vec<Value> {
    let names = ["one".to_string(), "two".to_string()];
    let policies = ["calm".to_string()];
    let members = [MemberProbability { name: "one".into(), probability: 0.5 }];
    let reason = EndReason::Policy("enough".into());
    let events = [
        Event::Init {
            models: names.as_slice().into(),
            fusion_mode: "average".into(),
            policies: policies.as_slice().into(),
            seed: 1,
        },
        Event::Token {
            index: 0,
            text: "a".into(),
            confidence: 0.5,
            entropy: 1.0,
            agreement: 0.75,
            leader: "one".into(),
            members: members.as_slice().into(),
            committed: 0,
            units: [].as_slice().into(),
        },
        Event::Adjust { policy: "calm".into(), version: 1, temperature: 0.5, repeat_penalty: 1.0, reason: "".into() },
        Event::Retract { index: 0, tokens: 1, bytes: 1, policy: "calm".into(), version: 1, reason: "".into() },
        Event::Reload { hook: "calm".into(), file: "calm.rhai".into(), version: 2, milliseconds: 0.5 },
        Event::Notice { text: "a sentence".into() },
        Event::Done {
            reason: std::borrow::Cow::Owned(reason),
            text: "a".into(),
            tokens: 1,
            retractions: 1,
            avg_confidence: 0.5,
            tokens_per_second: 10.0,
            adjustments: 1,
            leader: "one".into(),
            avg_agreement: 0.75,
        },
    ];
    events.iter().map(|event| serde_json::to_value(event).unwrap()).collect()
}

/// The part of JSON Schema that the schema of the stream uses.
fn assert_valid(value: &Value, schema: &Value, place: &str) {
    if let Some(expected) = schema.get("const") {
        assert_eq!(value, expected, "{place}");
        return;
    }
    let number = value.as_f64();
    match schema["type"].as_str().unwrap() {
        "string" => assert!(value.is_string(), "{place} is {value}"),
        "integer" => assert!(value.is_u64(), "{place} is {value}"),
        "number" => assert!(number.is_some(), "{place} is {value}"),
        "array" => {
            let items = value.as_array().unwrap_or_else(|| panic!("{place} is {value}"));
            items.iter().for_each(|item| assert_valid(item, &schema["items"], place));
        }
        "object" => {
            let properties = schema["properties"].as_object().unwrap();
            let keys = |object: &serde_json::Map<String, Value>| object.keys().cloned().collect::<BTreeSet<_>>();
            assert_eq!(keys(value.as_object().unwrap()), keys(properties), "{place}");
            for (name, property) in properties {
                assert!(property.get("const").is_some() || property["description"].is_string(), "{place}.{name}");
                assert_valid(&value[name], property, &format!("{place}.{name}"));
            }
        }
        other => panic!("{place} has the type {other}"),
    }
    let bound = |name: &str| schema.get(name).and_then(Value::as_f64);
    let (low, high) = (bound("minimum").unwrap_or(f64::MIN), bound("maximum").unwrap_or(f64::MAX));
    assert!(number.is_none_or(|number| (low..=high).contains(&number)), "{place} is {value}");
}

#[test]
fn every_event_is_as_the_schema_says() {
    let schema: Value = serde_json::from_str(&file("engine/json-stream.schema.json")).unwrap();
    let variants = schema["$defs"].as_object().unwrap();
    assert_eq!(schema["oneOf"].as_array().unwrap().len(), variants.len());
    let arguments =
        ["--demo", "-n", "40", "--seed", "5", "--memory-file", "none", "-p", "Once upon a time", "--json-stream"];
    let output = selfmod(&arguments).assert().success().get_output().stdout.clone();
    let stream = String::from_utf8(output).unwrap();
    let told = stream.lines().map(|line| serde_json::from_str(line).unwrap());
    let mut seen = BTreeSet::new();
    for event in events().into_iter().chain(told) {
        let kind = event["type"].as_str().unwrap().to_string();
        assert_valid(&event, &variants[&kind], &kind);
        seen.insert(kind);
    }
    assert_eq!(seen, variants.keys().cloned().collect());
}

#[test]
fn the_table_of_events_has_the_fields_of_the_schema() {
    let schema: Value = serde_json::from_str(&file("engine/json-stream.schema.json")).unwrap();
    let mut shown = BTreeSet::new();
    for row in rows("docs/reference/json-stream.md").into_iter().skip(1) {
        let kind = quoted(&row[0]).remove(0);
        let properties = schema["$defs"][&kind]["properties"].as_object().unwrap();
        let words = quoted(&row[1]);
        for name in properties.keys().filter(|name| *name != "type") {
            assert!(words.contains(name), "`{kind}` has a field `{name}`, which the table does not show");
        }
        shown.insert(kind);
    }
    assert_eq!(shown, schema["$defs"].as_object().unwrap().keys().cloned().collect());
}

#[test]
fn the_score_that_is_shown_is_that_of_the_program() {
    let figures = |table: &str| -> BTreeMap<String, f64> {
        let figure = |line: &str| {
            let (name, figures) = line.split_at_checked(32)?;
            let figure = figures.split_whitespace().next()?.trim_end_matches('%');
            Some((name.trim().to_string(), figure.parse().ok()?))
        };
        table.lines().filter_map(figure).collect()
    };
    let shown = figures(&block("docs/score.md", "score: does the ensemble predict better?", "console"));
    let story = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/story.txt");
    let output = selfmod(&["score", "--demo", story.to_str().unwrap()]).assert().success().get_output().stdout.clone();
    let there = figures(&String::from_utf8(output).unwrap());
    assert_eq!(shown.len(), 6, "{shown:?}");
    for (name, figure) in shown {
        // Other instructions round otherwise; the headroom is in per cent.
        let tolerance = if name.contains("headroom") { 1.0 } else { 2e-3 };
        assert!((figure - there[&name]).abs() < tolerance, "{name} is {}, docs/score.md says {figure}", there[&name]);
    }
}

#[test]
fn the_replay_that_is_shown_is_one() {
    const PAGE: &str = "docs/replay.md";
    const HEADING: &str = "replay: a policy on yesterday's chat";
    let folder = tempfile::tempdir().unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_llama_selfmod")).parent().unwrap();
    let mut shell = std::process::Command::new("sh");
    shell.args(["-eu", "-c", &block(PAGE, HEADING, "sh")]).current_dir(&folder);
    shell.env("PATH", format!("{}:{}", program.display(), std::env::var("PATH").unwrap()));
    shell.env("XDG_CACHE_HOME", folder.path());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let there = String::from_utf8(output.stdout).unwrap();
    let shown = block(PAGE, HEADING, "text");
    let squeezed = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    // The text differs where a processor rounds otherwise; what the columns are does not.
    let is_head = |line: &&str| line.starts_with("token ");
    assert_eq!(shown.lines().find(is_head).map(squeezed), there.lines().find(is_head).map(squeezed));
    for table in [&shown, &there] {
        for answer in ["  retract 1 (an unlikely token)", "  temperature 0.40 (unsure)"] {
            assert!(table.contains(answer), "{answer:?} in {table}");
        }
    }
}

#[test]
fn the_log_has_the_fields_that_its_table_shows() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let arguments = ["--demo", "-n", "10", "-p", "Once upon a time", "--memory-file", log.to_str().unwrap()];
    selfmod(&arguments).assert().success();
    let line: Value = serde_json::from_str(&std::fs::read_to_string(log).unwrap()).unwrap();
    let there: BTreeSet<String> = line.as_object().unwrap().keys().cloned().collect();
    let shown: BTreeSet<String> =
        rows("docs/reference/memory-log.md").into_iter().flat_map(|row| quoted(&row[0])).collect();
    assert_eq!(shown, there);
}
