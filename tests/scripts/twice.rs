//! A policy that is added while it is there already: it gives way, and says so.

use super::support::*;
use llama_selfmod::hooks::chain::Chain;
use llama_selfmod::hooks::native::{PluginSettings, built_in, built_in_plugins};
use std::fs;

fn script(path: &Path, reason: &str) -> Box<dyn Hook> {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("fn on_assessment(step, a) {{ stop(\"{reason}\") }}")).unwrap();
    Box::new(ScriptHook::load(path, "{}", Watching::Native).unwrap())
}

fn reason(chain: &mut Chain) -> String {
    chain.on_assessment(&step(), &assessment(0.5)).reason
}

/// Names and whether they run.
fn listed(chain: &Chain) -> Vec<(String, bool)> {
    chain.list().into_iter().map(|info| (info.name, info.active)).collect()
}

#[test]
fn a_file_is_there_once_however_it_is_named_and_keeps_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let (calm, other) = (folder.path().join("calm.rhai"), folder.path().join("other.rhai"));
    let mut chain = Chain::default();
    chain.put(script(&calm, "first"));
    chain.put(script(&other, "other"));
    assert!(chain.take_notices().is_empty());
    for number in 0..20 {
        chain.put(script(&calm, &format!("number {number}")));
        assert!(chain.take_notices()[0].ends_with("was there already, and is loaded anew"));
    }
    assert_eq!(listed(&chain), [("calm".into(), true), ("other".into(), true)]);
    assert_eq!(reason(&mut chain), "number 19");
    #[cfg(unix)]
    {
        let link = folder.path().join("link.rhai");
        std::os::unix::fs::symlink("calm.rhai", &link).unwrap();
        chain.put(Box::new(ScriptHook::load(&link, "{}", Watching::Native).unwrap()));
        assert_eq!(listed(&chain), [("link".into(), true), ("other".into(), true)]);
    }
}

#[test]
fn of_two_files_with_one_name_the_newer_one_runs() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::default();
    for (place, expected) in [("a", 0), ("b", 1), ("a", 1)] {
        chain.put(script(&folder.path().join(place).join("calm.rhai"), place));
        let notices = chain.take_notices();
        assert_eq!(notices.len(), expected, "{notices:?}");
        assert!(notices.iter().all(|notice| notice.contains("gives way to `calm` of")), "{notices:?}");
        assert_eq!(reason(&mut chain), place);
    }
    assert_eq!(listed(&chain), [("calm".into(), true)]);
}

#[test]
fn a_built_in_policy_is_switched_off_for_a_script_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let mut chain = Chain::default();
    let mut hooks = built_in_plugins().iter().map(|entry| built_in(entry, &PluginSettings::default()).unwrap());
    chain.add(Box::new(hooks.find(|hook| hook.name() == "retraction").unwrap()), true);
    chain.put(script(&folder.path().join("retraction.rhai"), "mine"));
    assert_eq!(listed(&chain), [("retraction".into(), false), ("retraction".into(), true)]);
    assert!(chain.take_notices()[0].contains("`retraction` of the program itself is switched off for"));
    assert_eq!(reason(&mut chain), "mine");
}

/// What is switched off is not watched; what was saved meanwhile runs when it is switched on again.
#[test]
fn a_policy_that_is_switched_off_takes_an_edit_over_when_it_is_switched_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("calm.rhai");
    let mut chain = Chain::default();
    chain.put(script(&path, "first"));
    assert!(chain.set_running("calm", false));
    fs::write(&path, "fn on_assessment(step, a) { stop(\"second\") }").unwrap();
    let mut reloads = 0;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(900) {
        chain.reload_changed(&mut |_| reloads += 1);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(reloads, 0);
    assert!(chain.set_running("calm", true));
    chain.reload_changed(&mut |_| reloads += 1);
    assert_eq!((reloads, reason(&mut chain).as_str()), (1, "second"));
    fs::write(&path, "fn on_assessment(step, a) { stop(\"third\") }").unwrap();
    while reloads < 2 {
        assert!(begin.elapsed() < Duration::from_secs(20));
        chain.reload_changed(&mut |_| reloads += 1);
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(reason(&mut chain), "third");
}
