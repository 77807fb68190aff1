//! Plugins across the border: the stock ones as shared libraries do what the linked-in ones do, to the bit, and whatever
//! else a library holds becomes a sentence for the user.

#[path = "support/trace.rs"]
mod trace;

use llama_selfmod::hooks::native::{built_in, built_in_plugins, load_library, LoadError, NativeHook};
use llama_selfmod::hooks::script::ScriptHook;
use llama_selfmod::hooks::{Hook, HookError, Origin, Watching};
use plugin_api::testing::{assessment, step, Members};
use plugin_api::{Action, Assessment, Role, Step, Verdict};
use std::path::{Path, PathBuf};
use std::process::Command;

const SETTINGS: [&str; 2] = [
    r#"{"confidence_threshold":0.5,"aggressive":false,"alpha":0.1}"#,
    r#"{"confidence_threshold":0.6,"aggressive":true,"alpha":0.3,"entropy_gate":1.0}"#,
];

/// A library that `cargo` built from an example target of this workspace.
fn library(name: &str) -> PathBuf {
    use std::env::consts::{DLL_PREFIX, DLL_SUFFIX};
    let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_path_buf();
    let path = profile.join("examples").join(format!("{DLL_PREFIX}{name}{DLL_SUFFIX}"));
    assert!(path.exists(), "{} is missing: cargo build --release --workspace --examples", path.display());
    path
}

fn loaded(name: &str, settings: &str) -> NativeHook {
    let mut hooks = load_library(&library(name), settings).unwrap();
    assert_eq!(hooks.len(), 1);
    hooks.remove(0)
}

fn linked_in(name: &str, settings: &str) -> NativeHook {
    let mut hooks = built_in_plugins().iter().map(|entry| built_in(entry, settings).unwrap());
    hooks.find(|hook| hook.name() == name).unwrap()
}

/// Draws of one seed, from the generator that plugins have.
struct Draws(Step, u32);

impl Draws {
    fn new(seed: u64) -> Self {
        Self(Step { seed, ..step() }, 0)
    }

    fn next(&mut self) -> f32 {
        self.1 += 1;
        self.0.random(self.1)
    }

    fn below(&mut self, end: u32) -> u32 {
        (self.next() * end as f32) as u32
    }

    fn members(&mut self) -> Members {
        let (count, units) = (1 + self.below(4) as usize, 1 + self.below(300) as usize);
        let sharpness = 1.0 + 12.0 * self.next();
        let mut rows: Vec<Vec<f32>> =
            (0..count).map(|_| (0..units).map(|_| sharpness * self.next()).collect()).collect();
        if self.next() < 0.2 {
            // Padding that only the first member has.
            rows[0][units / 2..].fill(f32::NEG_INFINITY);
            rows[0][0] = 1.0;
        }
        let rows: Vec<&[f32]> = rows.iter().map(Vec::as_slice).collect();
        let weights: Vec<f32> = rows.iter().map(|_| 0.1 + self.next()).collect();
        let evidence: Vec<f32> = rows.iter().map(|_| -60.0 * self.next()).collect();
        Members::new(&rows).weights(&weights).evidence(&evidence)
    }

    fn step_and_assessment(&mut self) -> (Step, Assessment) {
        let mut now = Step { seed: self.below(1 << 24).into(), ..step() };
        now.parameters.temperature = if self.next() < 0.1 { 0.0 } else { 1.8 * self.next() };
        now.parameters.repeat_penalty = 1.0 + self.next();
        now.retractions_left = self.below(3);
        now.retractable = self.below(6);
        let unique_of = 1 + self.below(10);
        let report = Assessment {
            mean_confidence: self.next(),
            minimum_back: 1 + self.below(5),
            unique: 1 + self.below(unique_of),
            unique_of,
            window: 1 + self.below(32),
            ..assessment()
        };
        (now, report)
    }
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|score| score.to_bits()).collect()
}

#[test]
fn stock_fusions_give_the_same_bits_linked_in_and_from_a_library() {
    for name in ["confidence", "average", "voting", "blend"] {
        for settings in SETTINGS {
            let (mut left, mut right) = (linked_in(name, settings), loaded(name, settings));
            assert_eq!((left.role(), left.describe()), (right.role(), right.describe()));
            let mut draws = Draws::new(11);
            for round in 0..300 {
                let members = draws.members();
                let (mut a, mut b) = (members.mean(), members.mean());
                left.on_logits(&step(), &members.rows(), &mut a).unwrap();
                right.on_logits(&step(), &members.rows(), &mut b).unwrap();
                assert_eq!(bits(&a), bits(&b), "{name} in round {round}");
                assert!(a.iter().any(|score| score.is_finite()) && !a.iter().any(|score| score.is_nan()));
            }
        }
    }
}

#[test]
fn the_stock_policy_gives_the_same_verdicts_linked_in_and_from_a_library() {
    for settings in SETTINGS {
        let (mut left, mut right) = (linked_in("retraction", settings), loaded("retraction", settings));
        let mut draws = Draws::new(12);
        let mut seen = [0; 3];
        for _ in 0..600 {
            let (now, report) = draws.step_and_assessment();
            let verdict = left.on_assessment(&now, &report).unwrap();
            assert_eq!(verdict, right.on_assessment(&now, &report).unwrap());
            match verdict.action {
                Action::Retract(_) => seen[2] += 1,
                Action::Adjust => seen[1] += 1,
                _ => seen[0] += 1,
            }
        }
        assert!(seen.iter().all(|&times| times > 30), "{seen:?} answers of each kind are too few to tell");
    }
}

#[test]
fn one_recorded_trace_gives_the_same_verdicts_everywhere() {
    let trace = trace::load();
    assert!(trace.len() >= 200);
    for settings in SETTINGS {
        let expected = trace::replay(&trace, &mut linked_in("retraction", settings));
        let count = |wanted: fn(&Verdict) -> bool| expected.iter().flatten().filter(|verdict| wanted(verdict)).count();
        assert!(count(|verdict| matches!(verdict.action, Action::Retract(_))) > 5);
        assert!(count(|verdict| verdict.action == Action::Adjust) > 50);
        assert!(count(|verdict| verdict.reason.contains("different tokens")) > 3);
        assert!(count(|verdict| verdict.reason.contains("above")) > 10);

        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/retraction.rhai");
        let others: [(&str, Box<dyn Hook>); 2] = [
            ("library", Box::new(loaded("retraction", settings))),
            ("script", Box::new(ScriptHook::load(&script, settings, Watching::Native).unwrap())),
        ];
        for (kind, mut hook) in others {
            let verdicts = trace::replay(&trace, hook.as_mut());
            for (line, (verdict, expected)) in verdicts.iter().zip(&expected).enumerate() {
                assert_eq!(verdict, expected, "{kind}, line {} of the trace", line + 1);
            }
        }
    }
}

#[test]
fn a_library_says_where_it_comes_from() {
    let path = library("average");
    assert_eq!(loaded("average", "{}").origin(), Origin::Library(path));
    assert_eq!(linked_in("average", "{}").origin(), Origin::BuiltIn);
}

#[test]
fn a_loaded_library_can_be_overwritten_and_loaded_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("fusion.so");
    std::fs::copy(library("average"), &path).unwrap();
    let mut first = load_library(&path, "{}").unwrap().remove(0);
    std::fs::copy(library("voting"), &path).unwrap();
    let second = load_library(&path, "{}").unwrap().remove(0);
    assert_eq!((first.name(), second.name()), ("average", "voting"));
    let members = Members::new(&[&[1.0, 2.0]]);
    let mut fused = members.mean();
    first.on_logits(&step(), &members.rows(), &mut fused).unwrap();
}

#[test]
fn settings_that_a_plugin_refuses_are_an_error_with_its_words() {
    let error = load_library(&library("blend"), r#"{"alpha":7}"#).unwrap_err();
    assert!(matches!(&error, LoadError::Create { name, .. } if name == "blend"));
    assert!(error.to_string().ends_with("could not start: `alpha` is 7; it has to be in 0 to 1"), "{error}");
}

#[test]
fn a_panic_in_a_plugin_is_an_error_and_not_the_end() {
    let mut hook = loaded("panics", "{}");
    let members = Members::new(&[&[1.0, 2.0]]);
    // SAFETY: integers, floats and null pointers, behind which nothing is read.
    let (token, retraction) = unsafe { (std::mem::zeroed(), std::mem::zeroed()) };
    let mut fused = members.mean();
    let told = |error: HookError, place: &str, text: &str| {
        assert!(error.0.starts_with("it panicked at ") && error.0.contains(place), "{error}");
        assert!(error.0.ends_with(text), "{error}");
    };
    let error = hook.on_logits(&step(), &members.rows(), &mut fused).unwrap_err();
    told(error, "types.rs:", ": row 1000 of 1");
    told(hook.on_token(&step(), &token).unwrap_err(), "panics.rs:", ": at position 40");
    told(hook.on_assessment(&step(), &assessment()).unwrap_err(), "panics.rs:", ": a text without arguments");
    told(hook.on_retract(&step(), &retraction).unwrap_err(), "panics.rs:", ": no message");
    drop(hook);
    let error = load_library(&library("panics"), r#"{"in_create":1}"#).unwrap_err().to_string();
    assert!(error.contains("could not start: it panicked at ") && error.ends_with(": panicked in create"), "{error}");
}

/// What `load_library` says about a file with this name and content.
fn refusal(name: &str, content: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    std::fs::write(&path, content).unwrap();
    load_library(&path, "{}").unwrap_err().to_string().replace(folder.path().to_str().unwrap(), "")
}

#[test]
fn files_that_are_no_library_are_named_for_what_they_are() {
    assert_eq!(
        refusal("policy.so", b"fn on_assessment(step, a) { retract(3) }\n"),
        "`/policy.so` is not a shared library; it is a text file; a Rhai script goes to `--policy`"
    );
    assert_eq!(refusal("empty.so", b""), "`/empty.so` is not a shared library; it is an empty file");
    assert!(refusal("model.gguf", b"GGUF\x03\0\0\0").contains("a GGUF model, which goes to `--model`"));
    let missing = load_library(Path::new("/nowhere/x.so"), "{}").unwrap_err().to_string();
    assert_eq!(missing, "`/nowhere/x.so` does not exist; give the path of a shared library");
    let folder = load_library(&std::env::temp_dir(), "{}").unwrap_err();
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

/// Compiles `tests/fixtures/plugin.c` with these definitions and loads it.
fn from_c(definitions: &[&str]) -> Result<Vec<NativeHook>, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plugin.so");
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures/plugin.c");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&path).arg(source);
    compiler.args(definitions.iter().map(|definition| format!("-D{definition}")));
    assert!(compiler.status().unwrap().success());
    load_library(&path, "{}")
}

#[test]
fn a_plugin_in_c_of_a_later_minor_version_works() {
    let mut hook = from_c(&[]).unwrap().remove(0);
    assert_eq!((hook.name(), hook.role(), hook.edits_logits()), ("stops", Role::Policy, false));
    assert_eq!(hook.on_assessment(&step(), &assessment()).unwrap(), Verdict::stop(""));
}

#[test]
fn a_plugin_that_ends_before_a_hook_goes_without_it() {
    let mut hook = from_c(&["ENTRY_SIZE=offsetof(struct entry,on_assessment)"]).unwrap().remove(0);
    assert_eq!(hook.on_assessment(&step(), &assessment()).unwrap(), Verdict::proceed());
}

#[test]
fn libraries_that_break_the_abi_are_refused_with_what_is_wrong() {
    let cases = [
        ("llama_selfmod_plugin_v1=other", "has no symbol `llama_selfmod_plugin_v1`"),
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
    ];
    for (definition, expected) in cases {
        let message = from_c(&[definition]).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(message.contains(expected), "{definition}: {message}");
    }
}
