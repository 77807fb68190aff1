//! Rhai scripts as hooks: what they can do, what they cannot, how their faults read, and how an edit takes over.

use std::path::Path;
use std::time::{Duration, Instant};

use llama_selfmod::hooks::script::ScriptHook;
use llama_selfmod::hooks::{Hook, Reload, Watching};
use plugin_api::{Action, Assessment, Parameters, Retraction, Role, Row, Rows, Step, Token, Verdict};

const RETRACTION: &str = include_str!("../policies/retraction.rhai");
const OBSERVE: &str = include_str!("../policies/observe.rhai");

fn step() -> Step {
    let parameters = Parameters { temperature: 0.7, top_p: 0.95, min_p: 0.05, repeat_penalty: 1.1, top_k: 40 };
    Step {
        struct_size: size_of::<Step>() as u32,
        position: 20,
        attempt: 0,
        retractable: 12,
        retractions_left: 3,
        members: 2,
        seed: 7,
        parameters,
        base: parameters,
    }
}

/// A full window whose mean confidence is `mean` and whose last ten units are all different.
fn assessment(mean: f32) -> Assessment {
    static CONFIDENCES: [f32; 12] = [0.5; 12];
    static UNITS: [u32; 12] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    Assessment {
        struct_size: size_of::<Assessment>() as u32,
        unit: 11,
        confidence: mean,
        mean_confidence: mean,
        slope: 0.0,
        minimum: mean,
        minimum_back: 2,
        entropy: 1.0,
        agreement: 0.9,
        leader: 0,
        unique: 10,
        unique_of: 10,
        repeated: 0,
        period: 0,
        confidences: CONFIDENCES.as_ptr(),
        units: UNITS.as_ptr(),
        window: 12,
        reserved: 0,
    }
}

fn assess(hook: &mut ScriptHook, mean: f32) -> Verdict {
    hook.on_assessment(&step(), &assessment(mean)).unwrap()
}

/// Two members, four units: the first believes in unit 0, the second in unit 1; unit 3 cannot come.
fn with_rows<T>(call: impl FnOnce(&Rows, &mut [f32]) -> T) -> T {
    let probabilities: [[f32; 4]; 2] = [[0.8, 0.1, 0.1, 0.0], [0.2, 0.6, 0.2, 0.0]];
    let logits = probabilities.map(|row| row.map(f32::ln));
    let rows: [Row; 2] = std::array::from_fn(|member| Row {
        struct_size: size_of::<Row>() as u32,
        top_unit: member as u32,
        logits: logits[member].as_ptr(),
        probabilities: probabilities[member].as_ptr(),
        log_sum_exp: 0.0,
        entropy: 0.5 + member as f32,
        top_probability: probabilities[member][member],
        evidence: -2.0,
        weight: 0.5,
        name_len: 3,
        name: ["one", "two"][member].as_ptr(),
    });
    let rows = Rows { struct_size: size_of::<Rows>() as u32, count: 2, units: 4, reserved: 0, rows: rows.as_ptr() };
    let mut fused: [f32; 4] =
        std::array::from_fn(|unit| ((probabilities[0][unit] + probabilities[1][unit]) / 2.0).ln());
    call(&rows, &mut fused)
}

fn load(source: &str) -> ScriptHook {
    ScriptHook::from_source("test", source, "{}").unwrap_or_else(|error| panic!("{error}"))
}

fn refusal(source: &str) -> String {
    ScriptHook::from_source("test", source, "{}").err().expect("the script should be refused").to_string()
}

/// What running the body of a helper function at every assessment is refused with.
fn refusal_of(body: &str) -> String {
    refusal(&format!("fn on_assessment(step, a) {{ {body} }}"))
}

mod what_a_script_can_do {
    use super::*;

    #[test]
    fn it_sees_every_field_of_the_assessment() {
        let mut hook = load(
            r#"fn on_assessment(step, a) {
                let sum = a.confidence + a.mean_confidence + a.slope + a.minimum + a.entropy + a.agreement;
                let whole = a.minimum_back + a.leader + a.unique + a.unique_of + a.repeated + a.period + a.window + a.unit;
                stop(`${fixed(sum, 2)} ${whole} ${a.units[-1]} ${a.confidences.len()}`)
            }"#,
        );
        assert_eq!(assess(&mut hook, 0.5).reason, "3.40 45 11 12");
    }

    #[test]
    fn it_sees_every_field_of_the_step_and_the_same_random_draws_as_a_plugin() {
        let mut hook = load(
            r#"fn on_assessment(step, a) {
                stop(`${step.position} ${step.attempt} ${step.retractable} ${step.retractions_left} ${step.members} ` +
                     `${fixed(step.temperature, 2)} ${fixed(step.base.top_p, 2)} ${fixed(step.min_p, 2)} ${step.top_k} ` +
                     `${fixed(step.repeat_penalty, 1)} ${fixed(step.random(1), 6)}`)
            }"#,
        );
        let draw = step().random(1);
        assert_eq!(assess(&mut hook, 0.5).reason, format!("20 0 12 3 2 0.70 0.95 0.05 40 1.1 {draw:.6}"));
    }

    #[test]
    fn it_sees_a_candidate_and_can_have_another() {
        let mut hook = load(
            r#"fn on_token(step, token) {
                if token.text == "no" && !token.is_end && token.member_probability(1) < 0.2 {
                    resample("not " + token.text).ban([1, 2])
                }
            }"#,
        );
        let members = [0.5, 0.1];
        let mut token = Token {
            struct_size: size_of::<Token>() as u32,
            unit: 5,
            bytes: b"no".as_ptr(),
            bytes_len: 2,
            leader: 0,
            probability: 0.3,
            entropy: 1.0,
            agreement: 0.5,
            is_end: 0,
            member_probabilities: members.as_ptr(),
        };
        assert_eq!(hook.on_token(&step(), &token).unwrap(), Verdict::resample("not no").ban(&[1, 2]));
        token.bytes_len = 1;
        assert_eq!(hook.on_token(&step(), &token).unwrap(), Verdict::proceed());
    }

    #[test]
    fn verdicts_chain() {
        let mut hook = load(
            r#"fn on_assessment(step, a) {
                retract(2).adjust(#{ temperature: 0.9, top_k: 5, hold: true }).ban(7).reason("why")
            }"#,
        );
        let verdict = assess(&mut hook, 0.5);
        assert_eq!(verdict.action, Action::Retract(2));
        assert_eq!((verdict.adjustment.temperature, verdict.adjustment.top_k), (Some(0.9), Some(5)));
        assert!(verdict.adjustment.hold);
        assert_eq!((verdict.bans.as_slice(), verdict.reason.as_str()), (&[7][..], "why"));
    }

    #[test]
    fn an_adjustment_to_what_is_in_force_is_none() {
        let mut hook = load("fn on_assessment(step, a) { adjust(#{ temperature: step.temperature, top_p: 0.5 }) }");
        let verdict = assess(&mut hook, 0.5);
        assert_eq!((verdict.adjustment.temperature, verdict.adjustment.top_p), (None, Some(0.5)));
        let mut hook = load("fn on_assessment(step, a) { adjust(#{ temperature: step.temperature }).reason(\"x\") }");
        assert_eq!(assess(&mut hook, 0.5), Verdict::proceed());
    }

    #[test]
    fn top_level_constants_are_seen_in_functions_at_any_depth() {
        let mut hook = load(
            r#"const LOW = 0.25;
               const TABLE = #{ a: [1, 2] };
               const TWICE = LOW * 2.0;
               fn inner() { LOW + TWICE + global::LOW + TABLE.a[1] }
               fn on_assessment(step, a) { stop(fixed(inner() + [1].map(|x| x + LOW)[0], 2)) }"#,
        );
        assert_eq!(assess(&mut hook, 0.5).reason, "4.25");
    }

    #[test]
    fn state_lasts_over_calls_and_replies_and_reset_can_clear_it() {
        let source = "fn init(cfg) { this.n = 0; } fn on_assessment(step, a) { this.n += 1; stop(`${this.n}`) }";
        let mut hook = load(source);
        assess(&mut hook, 0.5);
        hook.reset().unwrap();
        assert_eq!(assess(&mut hook, 0.5).reason, "2");
        let mut hook = load(&format!("{source} fn reset() {{ this.n = 0; }}"));
        assess(&mut hook, 0.5);
        hook.reset().unwrap();
        assert_eq!(assess(&mut hook, 0.5).reason, "1");
    }

    #[test]
    fn it_hears_of_retractions() {
        let mut hook = load(
            r#"fn init(cfg) { this.heard = ""; }
               fn on_retract(step, r) { this.heard = `${r.policy} ${r.units} ${r.position}`; }
               fn on_assessment(step, a) { stop(this.heard) }"#,
        );
        let retraction = Retraction {
            struct_size: size_of::<Retraction>() as u32,
            units: 3,
            position: 17,
            policy_len: 5,
            policy: b"other".as_ptr(),
        };
        hook.on_retract(&step(), &retraction).unwrap();
        assert_eq!(assess(&mut hook, 0.5).reason, "other 3 17");
    }

    #[test]
    fn settings_come_as_a_map() {
        let source = "fn init(cfg) { this.x = cfg.depth; } fn on_assessment(step, a) { stop(`${this.x}`) }";
        let mut hook = ScriptHook::from_source("test", source, r#"{"depth": 4}"#).unwrap();
        assert_eq!(assess(&mut hook, 0.5).reason, "4");
        assert!(ScriptHook::from_source("test", source, "4").is_err());
    }

    #[test]
    fn it_is_a_policy_unless_it_says_fusion() {
        let edit = "fn on_logits(step, rows, fused) { fused.ban(0); }";
        assert_eq!(load(edit).role(), Role::Policy);
        assert_eq!(load(&format!("const ROLE = \"fusion\"; {edit}")).role(), Role::Fusion);
        assert!(refusal("const ROLE = \"fuson\"; fn on_token(s, t) {}").contains("\"policy\" or \"fusion\""));
        assert!(refusal("const ROLE = \"fusion\"; fn on_token(s, t) {}").contains("on_logits"));
    }

    #[test]
    fn its_first_line_describes_it() {
        assert_eq!(load("\n// Bans nothing.\nfn on_token(s, t) {}").describe(), ("1".into(), "Bans nothing.".into()));
    }
}

mod rows {
    use super::*;

    fn fused_after(body: &str) -> Vec<f32> {
        let mut hook = load(&format!("fn on_logits(step, rows, fused) {{ {body} }}"));
        with_rows(|rows, fused| {
            hook.on_logits(&step(), rows, fused).unwrap_or_else(|error| panic!("{error}"));
            fused.to_vec()
        })
    }

    /// What the script writes into the score of unit 0.
    fn value_of(expression: &str) -> f32 {
        fused_after(&format!("let x = {expression}; fused.scale(0.000001); fused.bias(0, x);"))[0]
    }

    fn close(left: f32, right: f32) -> bool {
        (left - right).abs() < 1e-4
    }

    #[test]
    fn a_row_tells_what_the_host_knows() {
        assert!(close(value_of("rows.len"), 2.0) && close(value_of("rows.units.to_float() * 1.0"), 4.0));
        assert!(close(value_of("rows[1].entropy"), 1.5) && close(value_of("rows[0].weight"), 0.5));
        assert!(close(value_of("rows[1].top_unit"), 1.0) && close(value_of("rows[1].top_probability"), 0.6));
        assert!(close(value_of("rows[0].probability(0)"), 0.8));
        assert!(close(value_of("rows[0].log_probability(1)"), 0.1f32.ln()));
        assert!(close(value_of("rows[0].top(2)[0].probability"), 0.8));
        assert!(close(value_of("rows[0].margin()"), 8f32.ln()));
        assert!(close(value_of("if rows[1].name == \"two\" { 3 } else { 0 }"), 3.0));
    }

    #[test]
    fn divergences_are_zero_between_a_row_and_itself() {
        assert!(close(value_of("rows[0].kl(rows[0])"), 0.0) && close(value_of("rows[0].js(rows[0])"), 0.0));
        let kl = 0.8 * (0.8f32 / 0.2).ln() + 0.1 * (0.1f32 / 0.6).ln() + 0.1 * (0.1f32 / 0.2).ln();
        assert!(close(value_of("rows[0].kl(rows[1])"), kl));
    }

    #[test]
    fn mix_is_the_weighted_mean_and_product_its_geometric_kin() {
        let fused = fused_after("fused.mix(rows, [3, 1.0]);");
        assert!(close(fused[0].exp(), 0.65) && fused[3] == f32::NEG_INFINITY, "{fused:?}");
        let fused = fused_after("fused.product(rows, [1, 1]);");
        assert!(close(fused[0], 0.5 * (0.8f32.ln() + 0.2f32.ln())), "{fused:?}");
    }

    #[test]
    fn weights_can_be_computed_by_a_loop_over_the_rows() {
        let fused = fused_after(
            "let w = []; for row in rows { w.push(if row.weight > 1 { 0 } else { row.weight * 2 }); } fused.mix(rows, w);",
        );
        assert!(close(fused[0].exp(), 0.5), "{fused:?}");
    }

    #[test]
    fn the_fused_row_can_be_read_and_edited() {
        assert!(close(value_of("fused.probability(0)"), 0.5));
        assert!(close(value_of("fused.top(1)[0].probability"), 0.5));
        let entropy = -(0.5 * 0.5f32.ln() + 0.35 * 0.35f32.ln() + 0.15 * 0.15f32.ln());
        assert!(close(value_of("fused.entropy()"), entropy));
        let masked = fused_after("fused.mask_below(0.5);");
        assert!(masked[1].is_finite() && masked[2] == f32::NEG_INFINITY, "{masked:?}");
        assert_eq!(fused_after("fused.ban(0);")[0], f32::NEG_INFINITY);
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        let refuse = |body: &str| refusal(&format!("fn on_logits(step, rows, fused) {{ {body} }}"));
        assert!(refuse("fused.mix(rows, [0, 0]);").contains("all 0"));
        assert!(refuse("fused.mix(rows, [-1, 2]);").contains("from 0, and this is -1"));
        assert!(refuse("fused.bias(0, 0.0/0.0);").contains("finite"));
        assert!(refuse("for unit in 0..8 { fused.ban(unit); }").contains("left no unit"));
        assert!(refuse("stop(\"x\")").contains("cannot answer with a verdict"));
    }

    #[test]
    fn what_fits_another_ensemble_is_loaded_and_fails_where_it_does_not_fit() {
        let fault = |body: &str| {
            let mut hook = load(&format!("fn on_logits(step, rows, fused) {{ {body} }}"));
            with_rows(|rows, fused| hook.on_logits(&step(), rows, fused).unwrap_err().0)
        };
        assert!(fault("fused.mix(rows, [1, 2, 3]);").contains("3 weights for 2 rows"));
        assert!(fault("rows[2].entropy").contains("there is no member 2"));
        assert!(fault("fused.ban(50000);").contains("there is no unit 50000"));
        assert!(fault("for unit in 0..256 { fused.ban(unit); }").contains("there is no unit 4"));
    }

    #[test]
    fn a_kept_handle_is_an_error_and_not_memory_of_the_past() {
        let mut hook = load(
            r#"fn init(cfg) { this.kept = (); this.calls = 0; }
               fn on_logits(step, rows, fused) {
                   this.calls += 1;
                   if step.position == 99 { this.kept[0].probability(0); }
                   this.kept = [rows[0], fused];
               }
               fn on_assessment(step, a) { if step.position == 98 { this.kept[1].ban(0); } }"#,
        );
        with_rows(|rows, fused| {
            hook.on_logits(&step(), rows, fused).unwrap();
            let late = hook.on_logits(&Step { position: 99, ..step() }, rows, fused).unwrap_err();
            assert!(late.0.contains("a call that is over"), "{late}");
        });
        let outside = hook.on_assessment(&Step { position: 98, ..step() }, &assessment(0.5)).unwrap_err();
        assert!(outside.0.contains("a call that is over"), "{outside}");
    }
}

mod limits {
    use super::*;

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
}

mod faults_are_shown_with_their_place {
    use super::*;

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
        let load = |path: &Path| {
            ScriptHook::load(path, "{}", Watching::Native).err().expect("it should be refused").to_string()
        };
        let folder = tempfile::tempdir().unwrap();
        assert!(load(&folder.path().join("none.rhai")).contains("there is no such file"));
        assert!(load(folder.path()).contains("folder"));
        let binary = folder.path().join("binary.rhai");
        std::fs::write(&binary, [0xff, 0xfe, 0x00]).unwrap();
        assert!(load(&binary).contains("UTF-8"));
        std::fs::write(&binary, vec![b' '; 300 * 1024]).unwrap();
        assert!(load(&binary).contains("larger than 256 KiB"));
    }
}

mod edits {
    use super::*;

    fn counting(tag: &str) -> String {
        format!(
            "fn init(cfg) {{ this.n = 0; }}\nfn on_assessment(step, a) {{ this.n += 1; stop(`{tag} ${{this.n}}`) }}\n"
        )
    }

    fn reason(hook: &mut ScriptHook) -> String {
        assess(hook, 0.5).reason
    }

    /// Steps every 2 ms, as a fast model does, until something happens.
    fn next_reload(hook: &mut ScriptHook, patience: Duration) -> Reload {
        let begin = Instant::now();
        while begin.elapsed() < patience {
            match hook.reload_if_changed() {
                Reload::Unchanged => std::thread::sleep(Duration::from_millis(2)),
                happened => return happened,
            }
        }
        Reload::Unchanged
    }

    const LONG: Duration = Duration::from_secs(5);
    const SHORT: Duration = Duration::from_millis(500);

    fn version(reload: Reload) -> u32 {
        match reload {
            Reload::Swapped { version, .. } => version,
            other => panic!("{other:?}"),
        }
    }

    struct Edited {
        _folder: tempfile::TempDir,
        path: std::path::PathBuf,
        hook: ScriptHook,
    }

    fn begin() -> Edited {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("policy.rhai");
        std::fs::write(&path, counting("one")).unwrap();
        let hook = ScriptHook::load(&path, "{}", Watching::Native).unwrap();
        Edited { _folder: folder, path, hook }
    }

    #[test]
    fn a_script_is_named_by_its_file() {
        assert_eq!(begin().hook.name(), "policy");
    }

    #[test]
    fn state_survives_and_the_new_code_runs_within_300_milliseconds() {
        let mut edited = begin();
        assert_eq!(reason(&mut edited.hook), "one 1");
        let saved = Instant::now();
        std::fs::write(&edited.path, counting("two")).unwrap();
        assert_eq!(version(next_reload(&mut edited.hook, LONG)), 2);
        assert!(saved.elapsed() < Duration::from_millis(300), "it took {:?}", saved.elapsed());
        assert_eq!(reason(&mut edited.hook), "two 2");
    }

    #[test]
    fn an_edited_knob_takes_effect_although_init_made_it() {
        let mut edited = begin();
        let knob = |value: u32| {
            format!("fn init(cfg) {{ this.n = 0; this.knob = {value}; }} fn on_assessment(step, a) {{ this.n += 1; stop(`${{this.knob}} ${{this.n}}`) }}")
        };
        std::fs::write(&edited.path, knob(5)).unwrap();
        edited.hook.reload_now();
        assert_eq!(reason(&mut edited.hook), "5 1");
        std::fs::write(&edited.path, knob(6)).unwrap();
        edited.hook.reload_now();
        assert_eq!(reason(&mut edited.hook), "6 2");
    }

    #[test]
    fn what_the_samples_do_to_the_state_is_lost() {
        let mut edited = begin();
        edited.hook.reload_now();
        assert_eq!(reason(&mut edited.hook), "one 1");
    }

    #[test]
    fn a_new_file_renamed_over_the_old_one_is_one_swap() {
        let mut edited = begin();
        let temporary = edited.path.with_extension("tmp");
        std::fs::write(&temporary, counting("two")).unwrap();
        std::fs::rename(&temporary, &edited.path).unwrap();
        assert_eq!(version(next_reload(&mut edited.hook, LONG)), 2);
        assert_eq!(next_reload(&mut edited.hook, SHORT), Reload::Unchanged);
    }

    #[test]
    fn deleting_and_creating_is_one_swap() {
        let mut edited = begin();
        std::fs::remove_file(&edited.path).unwrap();
        assert_eq!(next_reload(&mut edited.hook, SHORT), Reload::Unchanged);
        std::fs::write(&edited.path, counting("two")).unwrap();
        assert_eq!(version(next_reload(&mut edited.hook, LONG)), 2);
        assert_eq!(next_reload(&mut edited.hook, SHORT), Reload::Unchanged);
    }

    #[test]
    fn a_save_in_pieces_is_one_swap() {
        use std::io::Write;
        let mut edited = begin();
        let text = counting("two");
        let mut file = std::fs::File::create(&edited.path).unwrap();
        for piece in text.as_bytes().chunks(text.len() / 4 + 1) {
            file.write_all(piece).unwrap();
            assert_eq!(next_reload(&mut edited.hook, Duration::from_millis(20)), Reload::Unchanged);
        }
        drop(file);
        assert_eq!(version(next_reload(&mut edited.hook, LONG)), 2);
        assert_eq!(next_reload(&mut edited.hook, SHORT), Reload::Unchanged);
    }

    #[test]
    fn saving_the_same_text_again_is_nothing() {
        let mut edited = begin();
        std::fs::write(&edited.path, counting("one")).unwrap();
        assert_eq!(next_reload(&mut edited.hook, SHORT), Reload::Unchanged);
    }

    #[test]
    fn a_broken_save_is_said_once_and_the_last_good_version_goes_on() {
        let mut edited = begin();
        std::fs::write(&edited.path, "fn on_assessment(step, a) { retrct(1) }").unwrap();
        let Reload::Refused(text) = next_reload(&mut edited.hook, LONG) else { panic!("it should be refused") };
        assert!(text.contains("`policy.rhai`, line 1") && text.contains("did you mean `retract`?"), "{text}");
        assert_eq!(next_reload(&mut edited.hook, SHORT), Reload::Unchanged);
        std::fs::write(&edited.path, "fn on_assessment(step, a) { retrct(1) }").unwrap();
        assert_eq!(next_reload(&mut edited.hook, SHORT), Reload::Unchanged);
        assert_eq!(reason(&mut edited.hook), "one 1");
        std::fs::write(&edited.path, counting("two")).unwrap();
        assert_eq!(version(next_reload(&mut edited.hook, LONG)), 2);
        assert_eq!(reason(&mut edited.hook), "two 2");
    }

    #[test]
    fn a_file_that_stays_away_is_said_once() {
        let mut edited = begin();
        std::fs::remove_file(&edited.path).unwrap();
        let Reload::Refused(text) = next_reload(&mut edited.hook, LONG) else { panic!("it should be refused") };
        assert!(text.contains("there is no such file"), "{text}");
        assert_eq!(next_reload(&mut edited.hook, Duration::from_millis(2500)), Reload::Unchanged);
        assert_eq!(reason(&mut edited.hook), "one 1");
    }

    #[test]
    fn reload_now_takes_the_file_as_it_is() {
        let mut edited = begin();
        assert_eq!(version(edited.hook.reload_now()), 2);
        std::fs::write(&edited.path, "").unwrap();
        assert_eq!(edited.hook.reload_now(), Reload::Refused("`policy.rhai`: the file is empty".into()));
    }
}

mod stock_policies {
    use super::*;

    fn retraction(settings: &str) -> ScriptHook {
        ScriptHook::from_source("retraction", RETRACTION, settings).unwrap_or_else(|error| panic!("{error}"))
    }

    fn adjusted(temperature: Option<f32>, repeat_penalty: Option<f32>, reason: &str) -> Verdict {
        let adjustment = plugin_api::Adjustment { temperature, repeat_penalty, ..Default::default() };
        Verdict::adjust(adjustment, reason)
    }

    #[test]
    fn a_critical_mean_takes_text_back_to_the_weakest_token() {
        let verdict = assess(&mut retraction("{}"), 0.31);
        let change = adjusted(Some((f64::from(0.7f32) * 1.2) as f32), Some((f64::from(1.1f32) * 1.1) as f32), "");
        assert_eq!(verdict, Verdict::retract(2, "mean confidence 0.31 is below 0.35").with(change.adjustment));
    }

    #[test]
    fn without_budget_or_room_it_only_adjusts() {
        let mut hook = retraction("{}");
        for step in [Step { retractions_left: 0, ..step() }, Step { retractable: 1, ..step() }] {
            let verdict = hook.on_assessment(&step, &assessment(0.31)).unwrap();
            assert_eq!(
                (verdict.action, verdict.reason.as_str()),
                (Action::Adjust, "mean confidence 0.31 is below 0.35")
            );
        }
    }

    #[test]
    fn a_low_mean_loosens_up_to_the_caps() {
        let verdict = assess(&mut retraction("{}"), 0.42);
        assert_eq!((verdict.action, verdict.reason.as_str()), (Action::Adjust, "mean confidence 0.42 is below 0.50"));
        let mut high = step();
        high.parameters.temperature = 1.3;
        high.parameters.repeat_penalty = 1.5;
        assert_eq!(retraction("{}").on_assessment(&high, &assessment(0.42)).unwrap(), Verdict::proceed());
    }

    #[test]
    fn a_high_mean_tightens_and_zero_stays_zero() {
        let temperature = (f64::from(0.7f32) * 0.88) as f32;
        let expected = adjusted(Some(temperature), None, "mean confidence 0.91 is above 0.85");
        assert_eq!(assess(&mut retraction("{}"), 0.91), expected);
        let mut greedy = step();
        greedy.parameters.temperature = 0.0;
        assert_eq!(retraction("{}").on_assessment(&greedy, &assessment(0.91)).unwrap(), Verdict::proceed());
        let verdict = retraction(r#"{"aggressive": true}"#).on_assessment(&greedy, &assessment(0.1)).unwrap();
        assert_eq!(verdict.adjustment.temperature, None);
    }

    #[test]
    fn a_rut_raises_the_penalty_and_reasons_are_joined() {
        let rut = Assessment { unique: 4, ..assessment(0.91) };
        let verdict = retraction("{}").on_assessment(&step(), &rut).unwrap();
        assert_eq!(verdict.adjustment.repeat_penalty, Some((f64::from(1.1f32) * 1.15) as f32));
        assert_eq!(verdict.reason, "mean confidence 0.91 is above 0.85; 4 different tokens in the last 10");
        let few = Assessment { unique: 4, unique_of: 9, ..assessment(0.6) };
        assert_eq!(retraction("{}").on_assessment(&step(), &few).unwrap(), Verdict::proceed());
    }

    #[test]
    fn a_short_window_and_an_ordinary_moment_change_nothing() {
        let short = Assessment { window: 4, ..assessment(0.1) };
        assert_eq!(retraction("{}").on_assessment(&step(), &short).unwrap(), Verdict::proceed());
        assert_eq!(assess(&mut retraction("{}"), 0.6), Verdict::proceed());
    }

    #[test]
    fn the_threshold_is_a_setting() {
        assert_eq!(assess(&mut retraction(r#"{"confidence_threshold": 0.4}"#), 0.42), Verdict::proceed());
        assert_eq!(
            assess(&mut retraction(r#"{"confidence_threshold": 1}"#), 0.42).reason,
            "mean confidence 0.42 is below 1.00"
        );
    }

    #[test]
    fn aggressive_acts_earlier_and_bursts_where_the_seed_says() {
        let mut hook = retraction(r#"{"aggressive": true}"#);
        assert_eq!(assess(&mut hook, 0.42).action, Action::Retract(2));
        let mut burst = step();
        while burst.random(0) >= 0.05 {
            burst.seed += 1;
        }
        let expected = f64::from(0.7f32) + (f64::from(burst.random(1)) * 2.0 - 1.0) * 0.15;
        let expected = adjusted(Some(expected as f32), None, "exploration burst");
        assert_eq!(hook.on_assessment(&burst, &assessment(0.6)).unwrap(), expected);
        assert_eq!(retraction("{}").on_assessment(&burst, &assessment(0.6)).unwrap(), Verdict::proceed());
    }

    #[test]
    fn observing_changes_nothing() {
        let mut hook = ScriptHook::from_source("observe", OBSERVE, "{}").unwrap_or_else(|error| panic!("{error}"));
        hook.reset().unwrap();
        for mean in [0.05, 0.5, 0.95] {
            assert_eq!(assess(&mut hook, mean), Verdict::proceed());
        }
        hook.reset().unwrap();
    }

    /// Generous against a busy machine; the measured figure is about 4 µs.
    #[test]
    fn the_retraction_script_costs_less_than_50_microseconds_a_token() {
        let mut hook = retraction("{}");
        let mut samples: Vec<Duration> = (0..2000)
            .map(|turn| {
                let assessment = assessment(0.2 + 0.0004 * turn as f32);
                let begin = Instant::now();
                hook.on_assessment(&step(), &assessment).unwrap();
                begin.elapsed()
            })
            .collect();
        samples.sort();
        let median = samples[samples.len() / 2];
        println!("median {median:?}");
        assert!(median < Duration::from_micros(50), "median {median:?}");
    }
}
