//! What is told of a script before it runs.

use super::support::*;
use llama_selfmod::hooks::script::check::{LARGE_ROW, Report, check_source};
use llama_selfmod::hooks::script::{ScriptError, check};

fn checked(source: &str) -> Report {
    check_source("test.rhai", source, "{}")
}

fn warnings(source: &str) -> Vec<(Option<usize>, String)> {
    let report = checked(source);
    assert!(report.fault.is_none(), "{:?}", report.fault);
    report.warnings.into_iter().map(|warning| (warning.line, warning.message)).collect()
}

#[test]
fn each_function_has_its_operations_and_time_and_on_logits_on_long_rows_too() {
    let report = checked(
        "// Weighs.\nconst ROLE = \"fusion\";\nconst LOW = knob(\"low\", 0.3, 0.0, 1.0);\n\
         fn init(cfg) { this.n = 0; }\n\
         fn on_logits(step, rows, fused) { for row in rows { this.n += 1; } fused.mix(rows, [LOW, 1.0]); }\n\
         fn on_retract(step, r) { }",
    );
    assert!(report.fault.is_none() && report.warnings.is_empty(), "{report:?}");
    assert_eq!((report.role, report.summary.as_str()), (Some(Role::Fusion), "Weighs."));
    assert_eq!(report.knobs[0].name, "low");
    let costs: Vec<_> = report.costs.iter().map(|cost| (cost.function, cost.units)).collect();
    let expected = [("init", None), ("on_logits", Some(8)), ("on_logits", Some(LARGE_ROW)), ("on_retract", None)];
    assert_eq!(costs, expected);
    let [init, small, large, _] = &report.costs[..] else { panic!("{costs:?}") };
    assert!(init.operations > 0 && small.operations > init.operations && small.operations == large.operations);
    assert!(large.median > small.median && small.calls > 10, "{report:?}");
}

#[test]
fn what_does_not_load_is_told_with_its_place() {
    let Some(ScriptError::Faulty(fault)) = checked("fn on_token(step, token) {\n    retrcat(1)\n}").fault else {
        panic!("it should fail")
    };
    assert_eq!((fault.line, fault.column), (Some(2), Some(5)));
    assert!(matches!(check(Path::new("/nowhere/x.rhai"), "{}").fault, Some(ScriptError::Unreadable { .. })));
    assert!(matches!(check_source("x", "fn on_token(s, t) {}", "4").fault, Some(ScriptError::Settings(_))));
}

#[test]
fn functions_that_nothing_calls_and_that_look_like_hooks_are_warned_of() {
    let hook = "fn on_token(step, token) { helper(); } fn helper() { } fn unused() { }";
    assert_eq!(warnings(hook), []);
    let slips = "// inti and resett\nfn inti(cfg) { }\nfn resett() { }\nfn onassessment(step, a) { }\n";
    let guesses = [("inti", "init"), ("resett", "reset"), ("onassessment", "on_assessment")];
    let expected: Vec<_> = (2..)
        .zip(guesses)
        .map(|(line, (name, guess))| (Some(line), format!("nothing calls `{name}`; did you mean `{guess}`?")))
        .collect();
    let mut found = warnings(&format!("{slips}{hook}"));
    found.sort();
    assert_eq!(found, expected);
    assert_eq!(warnings("fn rset() { } fn on_token(step, token) { rset(); }"), []);
}

#[test]
fn idle_knobs_are_warned_of() {
    let found = warnings(
        "const LOW = knob(\"low\", 0.3, 0.0, 1.0); // LOW\nconst USED = knob(\"used\", 1, 0, 2);\n\
         fn on_token(step, token) {\n    if step.position == 4711 { knob(\"rare\", 1, 0, 2) > 0; }\n    log(`${USED}`);\n}",
    );
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].0 == Some(1) && found[0].1.contains("nothing reads the knob `low`"), "{found:?}");
    assert!(found[1].0 == Some(4) && found[1].1.contains("no sample reached the knob `rare`"), "{found:?}");
}

#[test]
fn what_is_too_slow_for_a_large_vocabulary_is_warned_of() {
    let found =
        warnings("fn on_logits(step, rows, fused) { for i in 0..1000 { fused.power_mean(rows, [1, 1], 2.0); } }");
    assert!(found[0].1.contains("on rows of 152000 units `on_logits` fails: longer than 10 ms"), "{found:?}");
}
