//! What is no plugin, or one that breaks the ABI, becomes a sentence.

use super::{compile, from_c, library, load};
use llama_selfmod::hooks::Hook;
use llama_selfmod::hooks::native::LoadError;
use plugin_api::testing::{assessment, step};
use plugin_api::{Assessment, Role, Verdict};
use std::path::Path;

/// What `load` says about a file with this name and content.
fn refusal(name: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    load(&path, "{}").unwrap_err().to_string().replace(folder.path().to_str().unwrap(), "")
}

#[test]
fn files_that_are_no_library_are_named_for_what_they_are() {
    assert_eq!(
        refusal("policy.so", b"fn on_assessment(step, a) { retract(3) }\n"),
        "`/policy.so` is not a shared library; it is a text file; a Rhai script goes to `--policy`"
    );
    assert_eq!(refusal("empty.so", b""), "`/empty.so` is not a shared library; it is an empty file");
    assert!(refusal("model.gguf", b"GGUF\x03\0\0\0").contains("a GGUF model, which goes to `--model`"));
    let missing = load(Path::new("/nowhere/x.so"), "{}").unwrap_err().to_string();
    assert_eq!(missing, "`/nowhere/x.so` does not exist; give the path of a shared library");
    let folder = load(&std::env::temp_dir(), "{}").unwrap_err();
    assert!(matches!(folder, LoadError::Folder(_)));
}

#[test]
fn a_library_that_is_cut_off_is_refused() {
    let whole = std::fs::read(library("average")).unwrap();
    for length in [10, 100, 5_000, 100_000] {
        let message = refusal("part.so", &whole[..length]);
        assert_eq!(message, "`/part.so` cannot be loaded: its end is missing; copy or build it again");
    }
}

#[test]
fn what_the_linker_says_is_said_without_the_name_of_the_copy() {
    let mut foreign = std::fs::read(library("average")).unwrap();
    foreign[18] = 0xf3; // the machine: RISC-V
    let message = refusal("foreign.so", &foreign);
    assert!(message.starts_with("`/foreign.so` cannot be loaded: "), "{message}");
    assert!(!message.contains("llama_selfmod-"), "{message}");
}

#[test]
fn the_plugin_in_c_of_the_guide_works() {
    let guide = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins/README.md")).unwrap();
    let source = guide.split("```c\n").nth(1).unwrap().split("```").next().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("careful.c");
    std::fs::write(&file, source).unwrap();
    let path = compile(folder.path(), file.to_str().unwrap(), "plugin-api/include", &[]);
    let mut hook = load(&path, "{}").unwrap().remove(0);
    let answers = |hook: &mut dyn Hook, confidence| {
        hook.on_assessment(&step(), &Assessment { confidence, ..assessment() }).unwrap()
    };
    assert_eq!(answers(&mut hook, 0.5), Verdict::proceed());
    assert_eq!(answers(&mut hook, 0.01), Verdict::retract(1, ""));
}

#[test]
fn a_plugin_in_c_of_a_later_minor_version_works() {
    let mut hook = from_c(&[]).unwrap().remove(0);
    assert_eq!((hook.name(), hook.role(), hook.edits_logits()), ("stops", Role::Policy, false));
    assert_eq!(hook.on_assessment(&step(), &assessment()).unwrap(), Verdict::stop(""));
}

#[test]
fn a_plugin_that_ends_before_a_hook_goes_without_it() {
    let mut hook = from_c(&["ENTRY_SIZE=offsetof(LLSM_PluginEntry,on_assessment)"]).unwrap().remove(0);
    assert_eq!(hook.on_assessment(&step(), &assessment()).unwrap(), Verdict::proceed());
}

#[test]
fn libraries_that_break_the_abi_are_refused_with_what_is_wrong() {
    let cases = [
        (r#"SYMBOL="other""#, "has no symbol `llama_selfmod_plugin_v1`"),
        ("MAGIC=0x1234", "its magic number is 0x0000000000001234"),
        ("ABI_MAJOR=2", "is built for version 2 of the plugin ABI, this program has version 1"),
        ("LIBRARY_SIZE=8", "says it has 8 bytes; it needs at least 40"),
        ("ENTRY_SIZE=8", "says it has 8 bytes; it needs at least 56"),
        ("COUNT=0", "says it has 0 plugins"),
        ("COUNT=4000000000u", "says it has 4000000000 plugins"),
        ("NAME=0", "has no name"),
        (r#"NAME="\xff""#, "has a name that is not UTF-8"),
        ("ROLE=9", "has the role 9"),
        ("CREATE=0", "has no function `create`"),
        (r#"SCHEMA="[]""#, "has a settings schema that is no JSON object"),
    ];
    for (definition, expected) in cases {
        let message = from_c(&[definition]).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(expected), "{definition}: {message}");
    }
}
