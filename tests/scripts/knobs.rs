//! Numbers of a script that a person can set while it runs.

use super::support::*;

const SOURCE: &str = r#"
const LOW = knob("low", 0.35, 0.0, 1.0);
fn init(cfg) { this.n = 0; this.low = LOW; }
fn on_assessment(step, a) {
    this.n += 1;
    let many = knob("many", 3, 1, 9);
    stop(`${this.n} ${LOW} ${this.low} ${many}`)
}
"#;

fn values(hook: &ScriptHook) -> Vec<(String, f64)> {
    hook.knobs().into_iter().map(|knob| (knob.name, knob.value)).collect()
}

fn reason(hook: &mut ScriptHook) -> String {
    assess(hook, 0.5).reason
}

#[test]
fn knobs_are_told_with_their_ranges() {
    let knobs = load(SOURCE).knobs();
    assert_eq!(knobs.len(), 2);
    let low = &knobs[0];
    assert_eq!((low.name.as_str(), low.value, low.default, low.minimum, low.maximum), ("low", 0.35, 0.35, 0.0, 1.0));
    assert_eq!((knobs[1].name.as_str(), knobs[1].value, knobs[1].maximum), ("many", 3.0, 9.0));
}

#[test]
fn a_knob_that_is_set_reaches_constants_and_functions_and_the_state_stays() {
    let mut hook = load(SOURCE);
    assert_eq!(reason(&mut hook), "1 0.35 0.35 3");
    hook.set_knob("low", 0.5).unwrap();
    hook.set_knob("many", 4.0).unwrap();
    assert_eq!(reason(&mut hook), "2 0.5 0.5 4");
    assert_eq!(values(&hook), [("low".into(), 0.5), ("many".into(), 4.0)]);
    assert_eq!(hook.describe().0, "1");
}

#[test]
fn what_cannot_be_set_is_a_sentence_and_changes_nothing() {
    let mut hook = load(SOURCE);
    let mut refuse = |knob: &str, value: f64| hook.set_knob(knob, value).unwrap_err().0;
    assert_eq!(refuse("low", 1.5), "`low` takes 0 to 1, and this is 1.5");
    assert_eq!(refuse("low", f64::NAN), "`low` takes 0 to 1, and this is NaN");
    assert_eq!(refuse("many", 2.5), "`many` takes whole numbers, and this is 2.5");
    assert_eq!(refuse("mnay", 2.0), "it has no knob `mnay`; did you mean `many`?");
    assert_eq!(refuse("threshold", 2.0), "it has no knob `threshold`, only `low`, `many`");
    assert_eq!(reason(&mut hook), "1 0.35 0.35 3");
    assert!(load("fn on_token(s, t) {}").set_knob("low", 1.0).unwrap_err().0.contains("and no other"));
}

#[test]
fn a_value_that_breaks_the_script_is_not_taken() {
    let mut hook =
        load("const N = knob(\"n\", 1, 0, 9);\nfn on_assessment(step, a) { if N == 7 { nosuch(); } stop(`${N}`) }");
    let text = hook.set_knob("n", 7.0).unwrap_err().0;
    assert!(text.contains("stays as it is: line 2") && text.contains("nosuch"), "{text}");
    assert_eq!(reason(&mut hook), "1");
}

#[test]
fn a_knob_that_makes_no_sense_is_refused() {
    let refuse = |knob: &str| refusal(&format!("const X = {knob};\nfn on_token(step, token) {{}}"));
    assert!(refuse("knob(\"x\", 2, 0, 1)").contains("the default of `x` is 2, outside of its range 0 to 1"));
    assert!(refuse("knob(\"x\", true, 0, 1)").contains("a name and three numbers"));
    assert!(refuse("knob(\"two words\", 0, 0, 1)").contains("one word"));
    assert!(refuse("knob(\"x\", 0, 0, 1) + knob(\"x\", 1, 0, 1)").contains("another default or range already"));
}

#[test]
fn a_set_value_outlives_edits_unless_the_edit_changes_that_knob() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.rhai");
    std::fs::write(&path, SOURCE).unwrap();
    let mut hook = ScriptHook::load(&path, "{}", Watching::Native).unwrap();
    hook.set_knob("low", 0.5).unwrap();
    hook.set_knob("many", 4.0).unwrap();
    let mut edit = |from: &str, to: &str| {
        std::fs::write(&path, SOURCE.replace(from, to)).unwrap();
        assert!(matches!(hook.reload_now(), Reload::Swapped { .. }));
        values(&hook)
    };
    assert_eq!(edit("\nconst", "\n// A comment.\nconst"), [("low".into(), 0.5), ("many".into(), 4.0)]);
    assert_eq!(edit("0.35", "0.25"), [("low".into(), 0.25), ("many".into(), 4.0)]);
    assert_eq!(edit("0.35", "0.35"), [("low".into(), 0.35), ("many".into(), 4.0)], "the old value is gone");
    assert_eq!(edit("1, 9", "1, 20"), [("low".into(), 0.35), ("many".into(), 3.0)]);
}
