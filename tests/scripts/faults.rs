//! Faults are shown with their place and a guess at what was meant.

use super::support::*;

#[test]
fn a_syntax_error() {
    insta::assert_snapshot!(refusal("// a policy\nfn on_assessment(step, a) {\n    let x = ;\n}\n"), @r##"
        `test.rhai`, line 3, column 13: Unexpected ';'
           3 |     let x = ;
             |             ^
    "##);
}

#[test]
fn a_missing_brace() {
    insta::assert_snapshot!(refusal("fn on_token(step, token) {\n    if token.is_end {\n"), @r##"
        `test.rhai`, line 2, column 1: Expecting '}' to terminate this block
           2 |     if token.is_end {
             | ^
    "##);
}

#[test]
fn a_misspelt_function_found_by_the_samples() {
    insta::assert_snapshot!(refusal(
        "fn on_assessment(step, a) {\n    if a.mean_confidence < 0.1 {\n        retrcat(a.minimum_back)\n    }\n}"
    ), @r##"
        `test.rhai`, line 3, column 9: there is no function `retrcat`; did you mean `retract`?
           3 |         retrcat(a.minimum_back)
             |         ^
             while trying `on_assessment` on a lost moment
    "##);
}

#[test]
fn a_misspelt_function_of_the_script_inside_another() {
    insta::assert_snapshot!(refusal(
        "fn weigh(x) { x * 2 }\nfn on_assessment(step, a) {\n    inner(a.confidence)\n}\nfn inner(x) {\n    wiegh(x)\n}"
    ), @r##"
        `test.rhai`, line 6, column 5: there is no function `wiegh`; did you mean `weigh`?
           6 |     wiegh(x)
             |     ^
             while trying `on_assessment` on the first token
    "##);
}

#[test]
fn a_misspelt_variable_even_where_no_sample_leads() {
    insta::assert_snapshot!(refusal(
        "const THRESHOLD = 0.5;\nfn on_assessment(step, a) {\n    if step.position == 4711 { stop(TRESHOLD) }\n}"
    ), @r##"
        `test.rhai`, line 3, column 37: there is no variable `TRESHOLD`; did you mean `THRESHOLD`?
           3 |     if step.position == 4711 { stop(TRESHOLD) }
             |                                     ^
    "##);
}

#[test]
fn a_variable_of_the_top_level() {
    insta::assert_snapshot!(refusal("let low = 0.5;\nfn on_token(step, token) {\n    low > 0.1\n}"), @r##"
        `test.rhai`, line 3, column 5: functions cannot see the variable `low`; make it a `const`, or keep it in `this`
           3 |     low > 0.1
             |     ^
    "##);
}

#[test]
fn a_misspelt_field() {
    insta::assert_snapshot!(refusal("fn on_assessment(step, a) { if a.mean_confidense < 0.5 { stop(\"x\") } }"), @r##"
        `test.rhai`, line 1, column 34: a value of type Assessment has no `mean_confidense`; did you mean `mean_confidence`?
           1 | fn on_assessment(step, a) { if a.mean_confidense < 0.5 { stop("x") } }
             |                                  ^
             while trying `on_assessment` on the first token
    "##);
}

#[test]
fn a_misspelt_setting() {
    insta::assert_snapshot!(refusal_of("let cfg = #{ threshold: 1 }; cfg.treshold > 2"), @r##"
        `test.rhai`, line 1, column 62: this map has no `treshold`; did you mean `threshold`?
           1 | fn on_assessment(step, a) { let cfg = #{ threshold: 1 }; cfg.treshold > 2 }
             |                                                              ^
             while trying `on_assessment` on the first token
    "##);
}

#[test]
fn a_misspelt_key_of_an_adjustment() {
    insta::assert_snapshot!(refusal_of("adjust(#{ temprature: 0.9 })"), @r##"
        `test.rhai`, line 1, column 29: `adjust` knows no `temprature`; did you mean `temperature`?
           1 | fn on_assessment(step, a) { adjust(#{ temprature: 0.9 }) }
             |                             ^
             while trying `on_assessment` on the first token
    "##);
}

#[test]
fn a_value_out_of_range() {
    insta::assert_snapshot!(refusal_of("adjust(#{ top_p: 1.5 })"), @r##"
        `test.rhai`, line 1, column 29: `top_p` must be above 0 and at most 1, and this is 1.5
           1 | fn on_assessment(step, a) { adjust(#{ top_p: 1.5 }) }
             |                             ^
             while trying `on_assessment` on the first token
    "##);
}

#[test]
fn arguments_of_the_wrong_kind() {
    insta::assert_snapshot!(refusal_of("retract(\"three\")"), @r##"
        `test.rhai`, line 1, column 29: `retract` cannot be called with (text)
           1 | fn on_assessment(step, a) { retract("three") }
             |                             ^
             while trying `on_assessment` on the first token
    "##);
}

#[test]
fn an_operator_between_things_that_do_not_mix() {
    insta::assert_snapshot!(refusal_of("a + 1"), @r##"
        `test.rhai`, line 1, column 31: `+` cannot take (Assessment, int)
           1 | fn on_assessment(step, a) { a + 1 }
             |                               ^
             while trying `on_assessment` on the first token
    "##);
}

#[test]
fn an_answer_that_is_no_verdict() {
    insta::assert_snapshot!(refusal_of("0.7"), @r##"
        `test.rhai`, line 1, column 1: `on_assessment` returned a number; it returns nothing or a verdict, such as `proceed()` or `adjust(#{ temperature: 0.9 })`
           1 | fn on_assessment(step, a) { 0.7 }
             | ^
             while trying `on_assessment` on the first token
    "##);
}

#[test]
fn a_verdict_in_the_wrong_hook() {
    insta::assert_snapshot!(refusal("fn on_token(step, token) { retract(1) }"), @r##"
        `test.rhai`, line 1, column 1: only `on_assessment` can answer `retract`, and this is `on_token`
           1 | fn on_token(step, token) { retract(1) }
             | ^
             while trying `on_token` on an ordinary token
    "##);
}

#[test]
fn a_hook_that_does_not_exist() {
    insta::assert_snapshot!(refusal("fn on_asessment(step, a) { }"), @r##"
        `test.rhai`, line 1, column 1: nothing calls `on_asessment`; did you mean `on_assessment`?
           1 | fn on_asessment(step, a) { }
             | ^
    "##);
}

#[test]
fn a_hook_with_other_parameters() {
    insta::assert_snapshot!(refusal("fn init(cfg) {}\n\nfn on_logits(step, rows) { }"), @r##"
        `test.rhai`, line 3, column 1: `on_logits` takes (step, rows, fused), and this one takes (step, rows)
           3 | fn on_logits(step, rows) { }
             | ^
    "##);
}

#[test]
fn a_script_that_does_nothing() {
    insta::assert_snapshot!(refusal("fn helper() { 1 }"), @r##"`test.rhai`: it defines none of `on_logits`, `on_token`, `on_assessment` and `on_retract`, so it would do nothing"##);
}

#[test]
fn a_thrown_reason() {
    insta::assert_snapshot!(refusal_of("throw \"I cannot go on\""), @r##"
        `test.rhai`, line 1, column 29: I cannot go on
           1 | fn on_assessment(step, a) { throw "I cannot go on" }
             |                             ^
             while trying `on_assessment` on the first token
    "##);
}

#[test]
fn a_fault_while_text_is_written_is_one_line() {
    let mut hook = load("fn on_assessment(step, a) {\n  if step.position == 99 { a.units[77] }\n}");
    let fault = hook.on_assessment(&Step { position: 99, ..step() }, &assessment(0.5)).unwrap_err();
    insta::assert_snapshot!(fault.0, @r##"line 2, column 36: Array index 77 out of bounds: only 12 elements in array"##);
}

#[test]
fn a_file_that_cannot_be_read() {
    let load =
        |path: &Path| ScriptHook::load(path, "{}", Watching::Native).err().expect("it should be refused").to_string();
    let folder = tempfile::tempdir().unwrap();
    assert!(load(&folder.path().join("none.rhai")).contains("there is no such file"));
    assert!(load(folder.path()).contains("folder"));
    let binary = folder.path().join("binary.rhai");
    std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
    assert!(load(&binary).contains("UTF-8"));
    std::fs::write(&binary, vec![b' '; 300 * 1024]).unwrap();
    assert!(load(&binary).contains("larger than 256 KiB"));
}
