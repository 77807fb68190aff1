//! Rows and the fused row, as a script sees them.

use super::support::*;

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

#[test]
fn ranks_masses_and_margins_are_told_of_rows_and_of_the_fused_row() {
    assert!(close(value_of("rows[0].rank(0)"), 0.0) && close(value_of("rows[1].rank(0).to_float()"), 1.0));
    assert!(close(value_of("rows[0].rank(3)"), 3.0) && close(value_of("fused.rank(2)"), 2.0));
    assert!(close(value_of("rows[0].mass([0, 1, 1])"), 0.9) && close(value_of("fused.mass([1, 2])"), 0.5));
    assert!(close(value_of("rows[1].top_mass(2)"), 0.8) && close(value_of("fused.top_mass(64)"), 1.0));
    assert!(close(value_of("fused.margin()"), (0.5f32 / 0.35).ln()));
}

#[test]
fn the_fused_row_is_compared_with_a_members() {
    let fused = [0.5f32, 0.35, 0.15];
    let row = [0.8f32, 0.1, 0.1];
    let kl: f32 = fused.iter().zip(row).map(|(p, q)| p * (p / q).ln()).sum();
    assert!(close(value_of("fused.kl(rows[0])"), kl));
    let half = |p: f32, q: f32| 0.5 * p * (p / (0.5 * (p + q))).ln();
    let js: f32 = fused.iter().zip(row).map(|(p, q)| half(*p, q) + half(q, *p)).sum();
    assert!(close(value_of("fused.js(rows[0])"), js));
}

#[test]
fn a_row_is_copied_and_others_are_added_to_it() {
    let fused = fused_after("fused.copy(rows[0]); fused.add(rows[1], -0.5);");
    assert!(close(fused[0], 0.8f32.ln() - 0.5 * 0.2f32.ln()), "{fused:?}");
    assert_eq!(fused[3], f32::NEG_INFINITY);
    assert_eq!(fused_after("fused.copy(rows[0]); fused.add(rows[1], 0);"), fused_after("fused.copy(rows[0]);"));
}

#[test]
fn a_power_mean_lies_between_the_product_and_the_best_row() {
    let mean = |rho: f32| fused_after(&format!("fused.power_mean(rows, [1, 3], {rho});"));
    let (mixture, product) = (fused_after("fused.mix(rows, [1, 3]);"), fused_after("fused.product(rows, [1, 3]);"));
    for unit in 0..3 {
        assert!(close(mean(1.0)[unit], mixture[unit]) && close(mean(0.0)[unit], product[unit]));
        let plain = (0.25 * [0.8f32, 0.1, 0.1][unit].powi(2) + 0.75 * [0.2f32, 0.6, 0.2][unit].powi(2)).ln() / 2.0;
        assert!(close(mean(2.0)[unit], plain));
    }
    assert_eq!(mean(-1.0)[3], f32::NEG_INFINITY);
}

#[test]
fn methods_refuse_numbers_that_make_no_sense() {
    let refuse = |body: &str| refusal(&format!("fn on_logits(step, rows, fused) {{ {body} }}"));
    assert!(refuse("fused.power_mean(rows, [1, 1], 99);").contains("an exponent from -16 to 16, and this is 99"));
    assert!(refuse("fused.add(rows[0], \"x\");").contains("`add` takes a factor"));
    assert!(refuse("fused.top_mass(100);").contains("1 to 64 units"));
    assert!(refuse("rows[0].mass([0.5]);").contains("unit numbers"));
}
