//! An edit takes over between two calls, or the last good version goes on.

use super::support::*;

fn counting(tag: &str) -> String {
    format!("fn init(cfg) {{ this.n = 0; }}\nfn on_assessment(step, a) {{ this.n += 1; stop(`{tag} ${{this.n}}`) }}\n")
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
fn state_survives_and_the_new_code_runs_soon() {
    let mut edited = begin();
    assert_eq!(reason(&mut edited.hook), "one 1");
    let saved = Instant::now();
    std::fs::write(&edited.path, counting("two")).unwrap();
    assert_eq!(version(next_reload(&mut edited.hook, LONG)), 2);
    assert_within(Duration::from_millis(300), saved.elapsed(), "a save");
    assert_eq!(reason(&mut edited.hook), "two 2");
}

#[test]
fn an_edited_knob_takes_effect_although_init_made_it() {
    let mut edited = begin();
    let knob = |value: u32| {
        format!(
            "fn init(cfg) {{ this.n = 0; this.knob = {value}; }} fn on_assessment(step, a) {{ this.n += 1; stop(`${{this.knob}} ${{this.n}}`) }}"
        )
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

#[test]
fn migrate_makes_the_state_of_the_old_one() {
    let mut edited = begin();
    assert_eq!(reason(&mut edited.hook), "one 1");
    let migrating = |line: &str| {
        format!(
            "fn init(cfg) {{ this.count = 100; }}\nfn migrate(old) {{ {line} }}\n\
             fn on_assessment(step, a) {{ this.count += 1; stop(`${{this.count}} ${{this.len()}}`) }}\n"
        )
    };
    std::fs::write(&edited.path, migrating("this.count += old.n;")).unwrap();
    assert_eq!(version(edited.hook.reload_now()), 2);
    assert_eq!(reason(&mut edited.hook), "102 1", "what `migrate` does not take over is gone");
    std::fs::write(&edited.path, migrating("this.count += old.nosuch;")).unwrap();
    let Reload::Refused(text) = edited.hook.reload_now() else { panic!("it should be refused") };
    assert!(text.contains("has no `nosuch`") && text.contains("while running `migrate`"), "{text}");
    assert_eq!(reason(&mut edited.hook), "103 1");
}

#[test]
fn migrate_is_no_hook_and_has_one_parameter() {
    assert!(refusal("fn migrate(old) {}").contains("it defines none of"));
    assert!(refusal("fn migrate() {} fn on_token(s, t) {}").contains("`migrate` takes (old)"));
    assert!(refusal("fn on_migrate(old) {}").contains("did you mean `migrate`?"));
}
