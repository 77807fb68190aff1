//! What a script cannot do: go on for ever, grow for ever, reach out.

use super::support::*;

fn refused_soon(body: &str, because: &str) {
    let begin = Instant::now();
    let text = refusal_of(body);
    assert!(text.contains(because), "{text}");
    assert_within(Duration::from_secs(2), begin.elapsed(), body);
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

/// A call that must be stopped at its deadline of 10 ms.
fn stopped<T: std::fmt::Debug>(because: &str, call: impl FnOnce() -> Result<T, llama_selfmod::hooks::HookError>) {
    let begin = Instant::now();
    let fault = call().unwrap_err();
    let time = begin.elapsed();
    assert!(fault.0.contains(because), "{fault}");
    assert_within(Duration::from_millis(200), time, &fault.0);
}

/// Runs `body` in the middle of a text, and then an ordinary call.
fn stopped_in_the_text(body: &str, because: &str) {
    let mut hook = load(&format!("fn on_assessment(step, a) {{ if step.position == 99 {{ {body} }} stop(\"fine\") }}"));
    stopped(because, || hook.on_assessment(&Step { position: 99, ..step() }, &assessment(0.5)));
    assert_eq!(assess(&mut hook, 0.5).reason, "fine", "after {body}");
}

#[test]
fn whatever_takes_long_is_stopped_at_the_deadline_and_the_text_goes_on() {
    stopped_in_the_text("loop {}", "look for a loop");
    stopped_in_the_text("let s = \"x\"; loop { s += s; }", "grew too large");
    stopped_in_the_text("let x = [0]; loop { x.append(x); }", "grew too large");
    stopped_in_the_text("let x = []; x.pad(1000, 1); loop { let y = x; y.sort(); }", "longer than 10 ms");
    stopped_in_the_text("let x = []; x.pad(1000, 1); loop { let y = x; y.sort(|a, b| b - a); }", "in one call");
    stopped_in_the_text("let x = []; x.pad(1000, 1); loop { let y = x; y.reverse(); y.dedup(); }", "in one call");
    let text = "let s = \"\"; s.pad(1000, 'a');";
    stopped_in_the_text(&format!("{text} loop {{ let t = s; t.replace(\"a\", \"b\"); }}"), "in one call");
    stopped_in_the_text(&format!("{text} loop {{ s.split(\"a\"); }}"), "in one call");
    stopped_in_the_text(&format!("{text} loop {{ s.index_of(\"aaaaaaaaaaaaaab\"); }}"), "in one call");
    stopped_in_the_text(&format!("{text} loop {{ s.contains(\"aaaaaaaaaaaaaab\"); }}"), "in one call");
}

#[test]
fn the_top_level_ends_too() {
    let list = (0..1000).map(|number| format!("\"phrase {number}\"")).collect::<Vec<_>>().join(",");
    let begin = Instant::now();
    let text =
        refusal(&format!("const X = [{list}];\nfor i in 0..9999 {{ phrases(X).find(`x`); }}\nfn on_token(s, t) {{}}"));
    assert!(text.contains("line 2") && text.contains("the top level takes longer than 100 ms"), "{text}");
    assert_within(Duration::from_secs(2), begin.elapsed(), "the top level");
}

#[test]
fn a_deep_recursion_is_stopped_and_the_text_goes_on() {
    let mut hook =
        load("fn f(x) { 1 + f(x) } fn on_assessment(step, a) { if step.position == 99 { f(1); } stop(\"fine\") }");
    stopped("look for a recursion", || hook.on_assessment(&Step { position: 99, ..step() }, &assessment(0.5)));
    assert_eq!(assess(&mut hook, 0.5).reason, "fine");
}

#[test]
fn patterns_are_searched_and_made_within_the_deadline() {
    let long = "let s = \"\"; s.pad(1000, 'a');";
    // A backtracking engine takes for ever for these.
    let shapes =
        "const SHAPES = regexes([\"(a+)+b\", \"(a|a)*c\", \".*.*.*=.*\", \"(?:a?){400}a{400}d\", \".*[^A-Z]|[A-Z]\"]);";
    let in_text = |body: &str| {
        format!("{shapes} fn on_assessment(step, a) {{ if step.position == 99 {{ {long} {body} }} stop(\"fine\") }}")
    };
    for body in [
        "loop { SHAPES.find(s, 1001); }",
        "let n = []; for i in 0..100 { n.push(`p${i}`); } loop { phrases(n); }",
        "loop { regexes([`\\\\w{${s.len / 20}}`]); }",
        "let n = []; for i in 1..40 { n.push(s.sub_string(0, i)); } let p = phrases(n); loop { p.find(s); }",
    ] {
        let mut hook = load(&in_text(body));
        stopped("in one call", || hook.on_assessment(&Step { position: 99, ..step() }, &assessment(0.5)));
        assert_eq!(assess(&mut hook, 0.5).reason, "fine", "after {body}");
    }
}

/// Two rows of a quarter of a million units.
fn with_long_rows<T>(call: impl FnOnce(&Rows, &mut [f32]) -> T) -> T {
    const UNITS: usize = 256 * 1024;
    let logits: Vec<Vec<f32>> =
        [0.37f32, 0.61].iter().map(|turn| (0..UNITS).map(|unit| 8.0 * (turn * unit as f32).sin()).collect()).collect();
    let totals: Vec<f32> = logits.iter().map(|row| row.iter().map(|logit| logit.exp()).sum::<f32>().ln()).collect();
    let probabilities: Vec<Vec<f32>> = logits
        .iter()
        .zip(&totals)
        .map(|(row, total)| row.iter().map(|logit| (logit - total).exp()).collect())
        .collect();
    let rows: [Row; 2] = std::array::from_fn(|member| Row {
        name: ["one", "two"][member],
        weight: 0.5,
        logits: &logits[member],
        probabilities: &probabilities[member],
        log_sum_exp: totals[member],
        entropy: 1.0,
        top_unit: 0,
        top_probability: 0.1,
        evidence: -2.0,
    });
    let mut fused: Vec<f32> = logits[0].iter().map(|logit| logit - totals[0]).collect();
    call(&Rows::new(&rows), &mut fused)
}

#[test]
fn heavy_methods_of_long_rows_are_stopped_at_the_deadline() {
    with_long_rows(|rows, fused| {
        for body in [
            "rows[0].kl(rows[1])",
            "rows[0].js(rows[1])",
            "rows[0].top(64)",
            "rows[0].top_mass(64)",
            "rows[0].rank(7)",
            "rows[0].margin()",
            "fused.kl(rows[0])",
            "fused.js(rows[0])",
            "fused.entropy()",
            "fused.top(64)",
            "fused.rank(7)",
            "fused.mass([1, 2])",
            "fused.probability(7)",
            "fused.margin()",
            "fused.scale(1.0)",
            "fused.mask_below(100)",
            "fused.copy(rows[1])",
            "fused.add(rows[1], 0.001)",
            "fused.mix(rows, [1, 1])",
            "fused.product(rows, [1, 1])",
            "fused.power_mean(rows, [1, 1], 2.5)",
        ] {
            let source =
                format!("fn on_logits(step, rows, fused) {{ for i in 0..step.attempt * 10000 {{ {body}; }} }}");
            let mut hook = load(&source);
            let begin = Instant::now();
            stopped("in one call", || hook.on_logits(&Step { attempt: 9, ..step() }, rows, fused));
            println!("{body}: stopped after {:?}", begin.elapsed());
            hook.on_logits(&Step { attempt: 0, ..step() }, rows, fused).unwrap();
        }
    });
}

/// What one pass takes; printed, for the guide.
#[test]
fn one_heavy_method_of_long_rows_is_far_below_the_deadline() {
    with_long_rows(|rows, fused| {
        for body in [
            "rows[0].kl(rows[1])",
            "rows[0].js(rows[1])",
            "fused.top(64)",
            "fused.entropy()",
            "fused.power_mean(rows, [1, 1], 2.5)",
            "fused.product(rows, [1, 1])",
            "fused.mix(rows, [1, 1])",
            "fused.rank(7)",
        ] {
            let mut hook = load(&format!("fn on_logits(step, rows, fused) {{ {body}; }}"));
            let mut times: Vec<Duration> = (0..15)
                .map(|_| {
                    let begin = Instant::now();
                    hook.on_logits(&step(), rows, fused).unwrap();
                    begin.elapsed()
                })
                .collect();
            times.sort();
            println!("{body}: {:?}", times[7]);
            assert_within(Duration::from_millis(10), times[7], body);
        }
    });
}
