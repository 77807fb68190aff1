//! The rules of `engine/ARCHITECTURE.md` on who may know whom, read off the sources.

use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Every Rust file below a folder, or the file itself, with its path from the root. Without its unit tests, which may
/// print and name what they like.
fn sources(place: &str) -> Vec<(String, String)> {
    fn visit(path: &Path, found: &mut Vec<PathBuf>) {
        if path.is_dir() {
            std::fs::read_dir(path).unwrap().for_each(|entry| visit(&entry.unwrap().path(), found));
        } else if path.extension().is_some_and(|extension| extension == "rs")
            && !path.ends_with("tests.rs")
            && !path.parent().is_some_and(|folder| folder.ends_with("tests"))
        {
            found.push(path.to_path_buf());
        }
    }
    let mut found = Vec::new();
    visit(&root().join(place), &mut found);
    assert!(!found.is_empty(), "{place} holds no sources; the rule about it has to move with them");
    found
        .into_iter()
        .map(|path| {
            let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(path).unwrap();
            (name, text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().to_string())
        })
        .collect()
}

/// Lines of code that contain one of `words`, as `file:line: text`. Comments may name anything.
fn naming(place: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for (file, text) in sources(place) {
        for (number, line) in text.lines().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            if words.iter().any(|word| code.contains(word)) {
                found.push(format!("{file}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

/// `words` stand in these places of the engine and nowhere else in it. A place that no longer names them is a rule that
/// watches nothing.
fn only_in(places: &[&str], words: &[&str]) {
    let elsewhere: Vec<String> = naming("engine/src", words)
        .into_iter()
        .filter(|found| !places.iter().any(|place| found.starts_with(&format!("engine/src/{place}"))))
        .collect();
    assert!(elsewhere.is_empty(), "{words:?} belongs to {places:?}:\n{}", elsewhere.join("\n"));
    let inside: Vec<String> = places.iter().flat_map(|place| naming(&format!("engine/src/{place}"), words)).collect();
    assert!(!inside.is_empty(), "{words:?} stands nowhere in {places:?}");
}

fn never(place: &str, words: &[&str]) {
    let found = naming(place, words);
    assert!(found.is_empty(), "{place} must not name {words:?}:\n{}", found.join("\n"));
}

#[test]
fn each_foreign_library_is_named_in_one_place() {
    only_in(&["member"], &["llama_cpp_2", "llama_cpp_sys_2"]);
    only_in(&["member/template"], &["minijinja"]);
    only_in(&["member/remote/http.rs"], &["ureq::"]);
    only_in(&["hooks/script"], &["rhai::", "use rhai"]);
    only_in(&["hooks/script"], &["aho_corasick", "regex::"]);
    only_in(&["hooks/native"], &["libloading"]);
    only_in(&["hooks/watch"], &["notify::"]);
    only_in(&["hooks/native", "member/mapped.rs", "cli/signals.rs"], &["libc::"]);
    only_in(&["memory"], &["sha2::"]);
    only_in(&["team"], &["toml::"]);
    only_in(&["cli"], &["clap", "rustyline", "indicatif", "console::", "signal_hook", "etcetera"]);
    only_in(&["cli"], &["tracing_subscriber", "unicode_width"]);
}

#[test]
fn the_server_knows_no_model_and_the_rest_of_the_engine_no_server() {
    never("serve/src", &["llama_selfmod::", "llama_cpp", "rhai", "llguidance::"]);
    never("forge/src", &["llama_selfmod::", "llama_cpp_", "ureq", "unsafe "]);
    never("gguf/src", &["llama_selfmod::", "llama_cpp_", "unsafe "]);
    never("hub/src", &["llama_selfmod::", "llama_cpp_", "unsafe "]);
    never("constrain/src", &["llama_selfmod::", "llama_cpp", "axum", "tokio"]);
    only_in(&["serve", "cli/serve.rs"], &["serve::backend", "serve::Options", "use serve::"]);
    never("engine/src", &["axum", "tokio", "hyper", "llguidance", "toktrie"]);
    only_in(&["decode/shape.rs", "engine.rs", "serve"], &["constrain::"]);
    // Recipes and the hub are the command line's affair; GGUF as bytes that of the quantiser, too.
    only_in(&["cli/forge", "cli/forge.rs"], &["forge::bench", "::forge::"]);
    only_in(&["cli/forge", "cli/forge.rs", "cli/hub.rs"], &["::hub::"]);
    only_in(&["cli/forge", "member/quantize"], &["gguf::Header", "use gguf::"]);
}

/// Crates that the feature `cli` of the engine brings, as its manifest says.
fn crates_of_the_command_line() -> Vec<String> {
    let manifest = std::fs::read_to_string(root().join("engine/Cargo.toml")).unwrap();
    let list = manifest.split("\ncli = [").nth(1).and_then(|rest| rest.split(']').next()).unwrap();
    let names: Vec<_> = list.split('"').filter_map(|word| word.strip_prefix("dep:")).map(String::from).collect();
    assert!(names.len() > 5, "{list}");
    names
}

#[test]
fn the_library_alone_needs_nothing_of_the_command_line() {
    let tree = |features: &[&str]| {
        let mut cargo = std::process::Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args(["tree", "--offline", "--package", "llama_selfmod", "--edges", "normal", "--prefix", "none"]);
        let output = cargo.args(features).current_dir(root()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    // Crates of this workspace have its name in front.
    let is = |word: &str, name: &str| word == name || word.strip_prefix("llama_selfmod-") == Some(name);
    let has =
        |tree: &str, name: &str| tree.lines().filter_map(|line| line.split(' ').next()).any(|word| is(word, name));
    let (with, without) = (tree(&[]), tree(&["--no-default-features"]));
    for name in crates_of_the_command_line() {
        assert!(has(&with, &name), "{name} is in no tree: the rule about it watches nothing");
        assert!(!has(&without, &name), "{name} is in the library alone:\n{without}");
    }
}

#[test]
fn only_the_command_line_touches_the_terminal() {
    only_in(&["cli"], &["println!", "print!(", "eprint", "stdout()", "stderr()", "stdin()"]);
    only_in(&["cli", "main.rs"], &["crate::cli", "llama_selfmod::cli"]);
}

#[test]
fn what_is_written_goes_through_one_place() {
    only_in(&["cli/output.rs"], &["println!", "print!(", "io::stdout()", "io::stderr()", "dbg!"]);
    // These write to the terminal by themselves, and are given text that may stand there.
    only_in(&["cli/progress.rs"], &["indicatif"]);
    only_in(&["cli/chat"], &["rustyline"]);
    only_in(&["cli/render"], &["console::"]);
}

#[test]
fn arrows_point_down() {
    never("engine/src/fuse", &["std::fs", "std::io", "std::thread", "crate::hooks", "crate::member", "crate::decode"]);
    never("engine/src/member", &["crate::decode", "crate::hooks", "crate::engine", "crate::events"]);
    never("engine/src/hooks", &["crate::decode", "crate::member", "crate::engine", "crate::settings", "crate::events"]);
    never("engine/src/hooks", &["crate::registry"]);
    never("engine/src/decode", &["std::fs", "std::thread", "crate::engine", "crate::memory", "crate::score"]);
    never("engine/src/decode", &["crate::registry"]);
    never("engine/src/registry.rs", &["crate::decode", "crate::member", "crate::engine", "crate::events"]);
    // A trace is read without members, and a replay runs without them.
    for place in ["engine/src/trace.rs", "engine/src/trace", "engine/src/replay.rs", "engine/src/replay"] {
        never(place, &["crate::member", "crate::cli", "crate::events", "crate::engine"]);
    }
}

#[test]
fn the_loop_knows_members_and_hooks_only_as_traits() {
    never("engine/src/decode", &["hooks::script", "hooks::native", "member::llama", "member::load", "rhai", "Llama"]);
}

/// The ABI and the traits need the standard library alone; what more there is belongs to one feature.
fn contract_dependencies_are_optional() {
    let manifest = std::fs::read_to_string(root().join("plugin-api/Cargo.toml")).unwrap();
    let sections: Vec<&str> = manifest.split("\n[").filter(|section| section.contains("dependencies]\n")).collect();
    assert_eq!(sections.len(), 1, "one list of dependencies, and no others for builds and tests: {sections:?}");
    let lines = sections[0].lines().skip(1).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let names: Vec<&str> = lines
        .inspect(|line| assert!(line.contains("optional = true"), "{line} is not optional"))
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    let feature = names.iter().map(|name| format!("\"dep:{name}\"")).collect::<Vec<_>>().join(", ");
    assert!(manifest.contains(&format!("\nsettings = [{feature}]\n")), "all belong to the feature `settings`");
}

#[test]
fn plugins_know_the_contract_alone() {
    never("plugin-api/src", &["llama_selfmod::", "llama_cpp", "rhai"]);
    never("plugins", &["llama_selfmod::", "llama_cpp", "unsafe"]);
    contract_dependencies_are_optional();
}

#[test]
fn unsafe_code_stands_at_the_borders() {
    only_in(&["hooks/native", "member", "cli/signals.rs"], &["unsafe "]);
    for place in ["engine/src", "plugin-api/src"] {
        for (file, text) in sources(place) {
            let lines: Vec<&str> = text.lines().collect();
            for (number, line) in lines.iter().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                let opens = code.contains("unsafe {") || code.contains("unsafe impl");
                // A reason may stand above the statement that the block is a part of.
                let reason = &lines[number.saturating_sub(8)..=number];
                let given = reason.iter().any(|line| line.contains("SAFETY:"));
                assert!(!opens || given, "{file}:{}: an unsafe block without its reason", number + 1);
            }
        }
    }
}
