//! Plugins across the border: the stock ones as shared libraries do what the linked-in ones do, to the bit, and whatever
//! else a library holds becomes a sentence for the user.

use crate::support::trace;

mod borders;
mod frozen;
mod isolation;
mod reload;
mod settings;
mod texts;

use llama_selfmod::hooks::native::{LoadError, NativeHook, PluginSettings, built_in, built_in_plugins};
use llama_selfmod::hooks::script::ScriptHook;
use llama_selfmod::hooks::{Hook, Origin, Watching, native};
use plugin_api::testing::{self, Members, assessment_of, step};
use plugin_api::{Action, Assessment, Step, Token, Verdict};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The stock plugins take what they know of it.
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
    let mut hooks = native::load_library(&library(name), &as_common(settings), Watching::Native).unwrap();
    assert_eq!(hooks.len(), 1);
    hooks.remove(0)
}

/// Settings of which a plugin takes what it knows.
fn as_common(settings: &str) -> PluginSettings {
    let common = PluginSettings::given(settings).unwrap().given;
    PluginSettings { common, ..PluginSettings::default() }
}

/// The plugins of a library with settings that are given for it.
fn load(path: &Path, settings: &str) -> Result<Vec<NativeHook>, LoadError> {
    native::load_library(path, &PluginSettings::given(settings)?, Watching::Native)
}

fn linked_in(name: &str, settings: &str) -> NativeHook {
    let mut hooks = built_in_plugins().iter().map(|entry| built_in(entry, &as_common(settings)).unwrap());
    hooks.find(|hook| hook.name() == name).unwrap()
}

/// A library in `folder`, compiled from a source below `tests/fixtures` with these definitions against the header in a
/// folder of the repository.
fn compile(folder: &Path, source: &str, header: &str, definitions: &[&str]) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let path = folder.join("plugin.so");
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-Wall", "-Wextra", "-Werror", "-I"]).arg(root.join(header));
    compiler.arg("-o").arg(&path).arg(root.join("tests/fixtures").join(source));
    compiler.args(definitions.iter().map(|definition| format!("-D{definition}")));
    assert!(compiler.status().unwrap().success(), "{definitions:?}");
    path
}

/// `tests/fixtures/plugin.c` with these definitions.
fn compile_plugin(folder: &Path, definitions: &[&str]) -> PathBuf {
    compile(folder, "plugin.c", "plugin-api/include", definitions)
}

/// The same, loaded.
fn from_c(definitions: &[&str]) -> Result<Vec<NativeHook>, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    load(&compile_plugin(folder.path(), definitions), "{}")
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

    fn step_and_assessment(&mut self) -> (Step, Assessment<'static>) {
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
            repeated: self.below(40),
            period: self.below(20),
            ..assessment_of(1 + self.below(32) as usize)
        };
        (now, report)
    }

    fn token(&mut self) -> Token<'static> {
        Token {
            probability: self.next(),
            surprise_mean: self.next(),
            surprise_deviation: 0.3 * self.next(),
            behind: if self.next() < 0.3 { 0.0 } else { self.next() },
            ..testing::token()
        }
    }
}

fn bits(row: &[f32]) -> Vec<u32> {
    row.iter().map(|score| score.to_bits()).collect()
}

#[test]
fn stock_fusions_give_the_same_bits_linked_in_and_from_a_library() {
    for name in ["confidence", "average", "voting", "blend", "contrast"] {
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
fn the_stock_policy_gives_the_same_verdicts_linked_in_from_a_library_and_as_a_script() {
    for settings in SETTINGS {
        let (mut left, mut right) = (linked_in("retraction", settings), loaded("retraction", settings));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies/retraction.rhai");
        let mut script = ScriptHook::load(&script, settings, Watching::Native).unwrap();
        let mut draws = Draws::new(12);
        let mut seen = [0; 3];
        for _ in 0..600 {
            let (now, report) = draws.step_and_assessment();
            let token = draws.token();
            let verdicts = [left.on_token(&now, &token).unwrap(), left.on_assessment(&now, &report).unwrap()];
            for other in [&mut right as &mut dyn Hook, &mut script] {
                assert_eq!(verdicts[0], other.on_token(&now, &token).unwrap());
                assert_eq!(verdicts[1], other.on_assessment(&now, &report).unwrap());
            }
            for verdict in verdicts {
                match verdict.action {
                    Action::Retract(_) => seen[2] += 1,
                    Action::Resample => seen[1] += 1,
                    _ => seen[0] += 1,
                }
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
        assert!(count(|verdict| verdict.action == Action::Resample) > 20);
        assert!(count(|verdict| verdict.action == Action::Continue) > 100);

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
    let mut first = load(&path, "{}").unwrap().remove(0);
    std::fs::copy(library("voting"), &path).unwrap();
    let second = load(&path, "{}").unwrap().remove(0);
    assert_eq!((first.name(), second.name()), ("average", "voting"));
    let members = Members::new(&[&[1.0, 2.0]]);
    let mut fused = members.mean();
    first.on_logits(&step(), &members.rows(), &mut fused).unwrap();
}
