//! What a script can do.

use super::support::*;

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

fn candidate() -> Token<'static> {
    Token {
        unit: 5,
        bytes: b"no",
        leader: 0,
        probability: 0.3,
        entropy: 1.0,
        agreement: 0.5,
        is_end: false,
        member_probabilities: &[0.5, 0.1],
        surprise_mean: 0.4,
        surprise_deviation: 0.3,
        behind: 0.6,
    }
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
    let mut token = candidate();
    assert_eq!(hook.on_token(&step(), &token).unwrap(), Verdict::resample("not no").ban(&[1, 2]));
    token.bytes = b"n";
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
    let retraction = Retraction { units: 3, position: 17, policy: "other" };
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

#[test]
fn it_looks_for_phrases_and_regular_expressions_in_text() {
    let mut hook = load(
        r#"const GUARD = phrases(["as an AI", "I cannot"]).add(["delve"]);
           const SHAPES = regexes(["[0-9]{4}", "(?i)lorem +ipsum"]);
           fn look(text) {
               let found = GUARD.find(text);
               if found == () { found = SHAPES.find(text, 3); }
               if found == () { "none" } else { `${found.start} ${found.end} ${found.index} ${found.text}` }
           }
           fn on_assessment(step, a) {
               stop(look("let us delve into") + "|" + look("1234 LOREM  ipsum") + "|" + look("fine") + GUARD.len)
           }"#,
    );
    assert_eq!(assess(&mut hook, 0.5).reason, "7 12 2 delve|0 4 0 1234|none3");
}

#[test]
fn thousands_of_phrases_are_made_in_time_and_kept_over_calls() {
    let list = |from: usize| {
        let phrases: Vec<String> =
            (from..from + 1000).map(|number| format!("\"a phrase of number {number}\"")).collect();
        format!("[{}]", phrases.join(","))
    };
    let begin = Instant::now();
    let mut hook = load(&format!(
        "const GUARD = phrases({}).add({}).add({});\nfn on_assessment(step, a) {{ stop(GUARD.find(\"such A phrase OF number 2777!\").index.to_string()) }}",
        list(0),
        list(1000),
        list(2000)
    ));
    println!("3000 phrases: loaded in {:?}", begin.elapsed());
    let begin = Instant::now();
    assert_eq!(assess(&mut hook, 0.5).reason, "2777");
    println!("one search: {:?}", begin.elapsed());
}

#[test]
fn a_bad_pattern_is_refused_by_name() {
    let text = refusal("const SHAPES = regexes([\"fine\", \"[a-\"]);\nfn on_token(step, token) {}");
    assert!(text.contains("line 1") && text.contains("`[a-` does not work: unclosed character class"), "{text}");
}

#[test]
fn random_draws_follow_from_the_step_and_the_hook_point() {
    let body = "stop(`${rng()} ${rng()} ${rng(3, 6)} ${step.random(0)}`)";
    let source = format!("fn on_assessment(step, a) {{ {body} }} fn on_token(step, token) {{ {body} }}");
    let draws = |step: &Step| load(&source).on_assessment(step, &assessment(0.5)).unwrap().reason;
    let (first, again) = (draws(&step()), draws(&step()));
    assert_eq!(first, again);
    let numbers: Vec<&str> = first.split(' ').collect();
    assert!(numbers[0] != numbers[1] && numbers[0] != numbers[3], "{first}");
    for other in [Step { seed: 8, ..step() }, Step { position: 21, ..step() }, Step { attempt: 1, ..step() }] {
        assert_ne!(draws(&other).split(' ').next(), Some(numbers[0]));
    }
    let elsewhere = load(&source).on_token(&step(), &candidate()).unwrap().reason;
    assert_ne!(elsewhere.split(' ').next(), Some(numbers[0]));
}

#[test]
fn whole_draws_fill_their_range_evenly() {
    let mut hook = load(
        "fn on_assessment(step, a) { let s = \"\"; for i in 0..300 { s += rng(-1, 2).to_string() + \",\"; } stop(s) }",
    );
    let text = assess(&mut hook, 0.5).reason;
    for value in ["-1", "0", "1"] {
        let count = text.split(',').filter(|draw| *draw == value).count();
        assert!((70..130).contains(&count), "{value} came {count} times");
    }
    assert!(refusal_of("rng(2, 2)").contains("2 is not below 2"));
    assert!(refusal("const X = rng(); fn on_token(s, t) {}").contains("functions that get `step`"));
    assert!(refusal("fn init(cfg) { this.x = rng(); } fn on_token(s, t) {}").contains("functions that get `step`"));
}
