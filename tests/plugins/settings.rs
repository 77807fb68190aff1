//! What is given for the plugins of a library is checked against their schemas before they are made.

use super::{compile, library, load};
use llama_selfmod::hooks::Hook;

#[test]
fn a_wrong_setting_is_named_with_what_there_is() {
    let told = |settings: &str| load(&library("blend"), settings).unwrap_err().to_string();
    let error = told(r#"{"alpha":7}"#);
    assert!(
        error.contains("/libblend.so` cannot take 7 as `alpha`, which has to be a number, 0 to 1. Its settings:\n"),
        "{error}"
    );
    let error = told(r#"{"alpha":0.1,"entropygate":1}"#);
    assert!(error.contains("has no setting `entropygate`; did you mean `entropy_gate`? Its settings:\n"), "{error}");
    assert!(
        error.contains("\n  alpha               a number, 0 to 1, default 0.1: share of the specialists\n"),
        "{error}"
    );
    assert!(load(&library("blend"), r#"{"alpha":1,"entropy_gate":null}"#).is_ok());
}

#[test]
fn of_several_plugins_each_gets_what_it_knows() {
    let folder = tempfile::tempdir().unwrap();
    // One of the two has no schema, and so takes anything.
    let path = compile(folder.path(), "abi-1.0/plugin.c", "tests/fixtures/abi-1.0", &[]);
    let hooks = load(&path, r#"{"share":0.25,"other":1}"#).unwrap();
    assert_eq!(hooks.iter().map(|hook| hook.name()).collect::<Vec<_>>(), ["frozen-fusion", "frozen-policy"]);
    let error = load(&path, r#"{"share":2}"#).unwrap_err().to_string();
    assert!(error.contains("the plugin `frozen-fusion` of `") && error.contains("cannot take 2 as `share`"), "{error}");
    assert!(error.ends_with("\n  share  a number, 0 to 1, default 1: of the first member"), "{error}");
}

#[test]
fn what_a_plugin_says_against_its_settings_is_shown() {
    let folder = tempfile::tempdir().unwrap();
    let path = compile(folder.path(), "abi-1.0/plugin.c", "tests/fixtures/abi-1.0", &[]);
    let error = load(&path, r#"{"share":0.5}"#).unwrap_err().to_string();
    assert!(error.ends_with("could not start: half a share will not do"), "{error}");
}
