//! What a script cannot do: go on for ever, grow for ever, reach out.

use super::support::*;

fn refused_soon(body: &str, because: &str) {
    let begin = Instant::now();
    let text = refusal_of(body);
    assert!(text.contains(because), "{text}");
    assert!(begin.elapsed() < Duration::from_secs(2), "it took {:?}", begin.elapsed());
}

#[test]
fn an_endless_loop_ends() {
    refused_soon("loop {}", "look for a loop that does not end");
    refused_soon("while true { let x = 1; }", "look for a loop that does not end");
}

#[test]
fn an_endless_recursion_ends() {
    let text = refusal("fn f(x) { 1 + f(x) } fn on_assessment(step, a) { f(1); }");
    assert!(text.contains("look for a recursion"), "{text}");
}

#[test]
fn time_ends_where_operations_are_slow() {
    refused_soon("let x = []; x.pad(1000, 1); loop { let y = x; y.sort(); }", "longer than 10 ms");
}

#[test]
fn text_arrays_and_maps_cannot_grow_without_end() {
    refused_soon("let s = \"xx\"; loop { s += s; }", "grew too large");
    refused_soon("let x = [1]; loop { x.push(1); }", "grew too large");
    refused_soon("let x = [1]; loop { x = [x, x]; }", "grew too large");
    refused_soon("let x = [1]; loop { x += x; }", "grew too large");
    refused_soon("let b = blob(100000000);", "grew too large");
    refused_soon("let s = \"x\"; s.pad(100000000, 'x');", "grew too large");
}

/// Rhai measures a map when a method is called on it, not when an entry is set.
#[test]
fn a_map_in_a_variable_is_bounded_by_operations_and_time() {
    refused_soon("let m = #{}; let i = 0; loop { m[`${i}`] = 1; i += 1; }", "in one call");
}

#[test]
fn a_replacement_that_squares_a_text_is_bounded() {
    refused_soon("let s = \"x\"; s.pad(1000, 'x'); let t = s; s.replace(\"x\", t);", "grew too large");
}

#[test]
fn state_is_bounded_as_a_whole_and_starts_again_when_it_grew_too_large() {
    let mut hook = load(
        r#"fn init(cfg) { this.n = 0; }
           fn on_assessment(step, a) {
               this.n += 1;
               if step.position == 99 { for i in 0..30 { let x = []; x.pad(1000, 0); this[`k${i}`] = x; } }
               stop(`${this.n}`)
           }"#,
    );
    let fault = hook.on_assessment(&Step { position: 99, ..step() }, &assessment(0.5)).unwrap_err();
    assert!(fault.0.contains("grew too large"), "{fault}");
    assert_eq!(assess(&mut hook, 0.5).reason, "1");
}

#[test]
fn deeply_nested_expressions_are_refused_and_not_a_stack_overflow() {
    let nested = format!("let x = {}1{};", "(1+".repeat(5000), ")".repeat(5000));
    assert!(refusal_of(&nested).contains("nested deeper"));
    let blocks = format!("{}1{}", "{".repeat(5000), "}".repeat(5000));
    assert!(refusal_of(&blocks).contains("nested deeper"));
}

#[test]
fn the_deepest_recursion_of_the_deepest_expressions_fits_the_stack() {
    for depth in 1..20 {
        let body = format!("{}f(x){}", "if x == 1 { 1 + ".repeat(depth), "}".repeat(depth));
        let text = refusal(&format!("fn f(x) {{ {body} }} fn on_assessment(step, a) {{ f(1); }}"));
        assert!(text.contains("nested deeper"), "{text}");
    }
}

#[test]
fn there_is_no_eval_no_module_no_sleep_and_no_clock() {
    for (body, word) in [
        ("eval(\"1\")", "`eval`"),
        ("import \"x\" as x;", "`import`"),
        ("sleep(1)", "`sleep`"),
        ("timestamp()", "`timestamp`"),
    ] {
        let text = refusal_of(body);
        assert!(text.contains(word) && text.contains("not available"), "{text}");
    }
}

#[test]
fn there_are_no_files() {
    for body in ["open_file(\"/etc/passwd\")", "read_file(\"/etc/passwd\")", "load(\"/etc/passwd\")"] {
        assert!(refusal_of(body).contains("there is no function"));
    }
}

#[test]
fn a_fault_leaves_the_hook_usable() {
    let mut hook = load("fn on_assessment(step, a) { if step.position == 99 { loop {} } stop(\"fine\") }");
    assert!(hook.on_assessment(&Step { position: 99, ..step() }, &assessment(0.5)).is_err());
    assert_eq!(assess(&mut hook, 0.5).reason, "fine");
}
