//! A library that was built against the header of version 1.0 keeps loading and working, for ever.

use super::{compile, load};
use llama_selfmod::hooks::Hook;
use plugin_api::testing::{self, Members, assessment, step};
use plugin_api::{Action, Adjustment, Retraction, Role, Step, Token, Verdict};

#[test]
fn a_plugin_built_against_the_header_of_1_0_keeps_loading() {
    let folder = tempfile::tempdir().unwrap();
    let path = compile(folder.path(), "abi-1.0/plugin.c", "tests/fixtures/abi-1.0", &[]);
    let mut hooks = load(&path, r#"{"share":0.75}"#).unwrap();
    let (mut policy, mut fusion) = (hooks.remove(1), hooks.remove(0));
    assert_eq!((fusion.name(), fusion.role(), policy.role()), ("frozen-fusion", Role::Fusion, Role::Policy));
    assert_eq!(policy.describe().0, "1.0");
    assert!(fusion.edits_logits() && !policy.edits_logits());

    let members = Members::new(&[&[3.0, 0.0, 1.0], &[0.0, 2.0, 1.0]]);
    let mut fused = members.mean();
    fusion.on_logits(&Step { members: 2, ..step() }, &members.rows(), &mut fused).unwrap();
    for (unit, score) in fused.iter().enumerate() {
        let of = |member| members.rows().get(member).probabilities[unit];
        assert!((score.exp() - 0.75 * of(0) - 0.25 * of(1)).abs() < 1e-5, "{fused:?}");
    }
    assert_eq!(fusion.on_logits(&step(), &members.rows(), &mut fused).unwrap_err().0, "odd rows");

    let mut token = |unit| policy.on_token(&step(), &Token { unit, ..testing::token() });
    assert_eq!(token(1).unwrap(), Verdict::proceed());
    assert_eq!(token(13).unwrap().action, Action::Resample);
    assert_eq!(token(14).unwrap().action, Action::Force(15));
    assert_eq!(token(16).unwrap_err().0, "it returned 77, which is no status of ABI version 1");

    let adjustment = Adjustment { temperature: Some(0.35), top_k: Some(7), hold: true, ..Adjustment::default() };
    let counted = |count| Verdict::retract(count, "counted").ban(&[31]).with(adjustment);
    assert_eq!(policy.on_assessment(&step(), &assessment()).unwrap(), counted(1));
    assert_eq!(policy.on_assessment(&step(), &assessment()).unwrap(), counted(2));

    let retraction = Retraction { units: 1, position: 40, policy: "another" };
    policy.on_retract(&step(), &retraction).unwrap();
    assert_eq!(policy.on_assessment(&step(), &assessment()).unwrap(), counted(1));
}
