//! One script in several texts: a state for each, one file, one compilation.

use super::support::*;
use llama_selfmod::hooks::chain::Chain;
use llama_selfmod::hooks::{HookError, Origin};
use std::fs;
use std::path::PathBuf;

/// Tells its version and how often it was asked in this text. Below 0.1 it fails.
fn counting(tag: &str) -> String {
    format!(
        "const STRIDE = knob(\"stride\", 1, 1, 9);\n\
         fn init(cfg) {{ this.n = 0; }}\n\
         fn on_assessment(step, a) {{\n    \
             if a.mean_confidence == 0.0 {{ throw \"lost\"; }}\n    \
             this.n += STRIDE;\n    stop(`{tag} ${{this.n}}`)\n}}\n"
    )
}

struct Texts {
    _folder: tempfile::TempDir,
    path: PathBuf,
    first: Chain,
    second: Chain,
}

fn two_texts() -> Texts {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("policy.rhai");
    fs::write(&path, counting("one")).unwrap();
    let mut first = Chain::default();
    first.add(Box::new(ScriptHook::load(&path, "{}", Watching::Native).unwrap()), true);
    let second = first.another();
    Texts { path, first, second, _folder: folder }
}

fn says(chain: &mut Chain) -> String {
    chain.on_assessment(&step(), &assessment(0.5)).reason
}

/// Steps until `chain` takes something over or has something to say: the versions that it took over, and the notices.
fn waited(chain: &mut Chain) -> (Vec<u32>, Vec<String>) {
    let begin = Instant::now();
    loop {
        let seen = pass(chain);
        if seen != (vec![], vec![]) {
            return seen;
        }
        assert!(begin.elapsed() < Duration::from_secs(20), "nothing happens");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn pass(chain: &mut Chain) -> (Vec<u32>, Vec<String>) {
    let mut versions = Vec::new();
    chain.reload_changed(&mut |reloaded| versions.push(reloaded.version));
    (versions, chain.take_notices())
}

#[test]
fn states_are_apart() {
    let Texts { mut first, mut second, _folder, .. } = two_texts();
    assert_eq!((says(&mut first), says(&mut first)), ("one 1".into(), "one 2".into()));
    assert_eq!(says(&mut second), "one 1");
    // The state of the text that it is made in does not go over.
    assert_eq!(says(&mut first.another()), "one 1");
    // It lives over the replies of its text.
    first.reset();
    assert_eq!((says(&mut first), says(&mut second)), ("one 3".into(), "one 2".into()));
}

#[test]
fn an_edit_reaches_all_texts_with_their_states() {
    let Texts { path, mut first, mut second, _folder } = two_texts();
    (0..4).for_each(|_| drop(says(&mut first)));
    fs::write(&path, counting("two")).unwrap();
    assert_eq!(waited(&mut first), (vec![2], vec![]));
    assert_eq!(pass(&mut second), (vec![2], vec![]));
    assert_eq!((says(&mut first), says(&mut second)), ("two 5".into(), "two 1".into()));
    let merged = second.on_assessment(&step(), &assessment(0.5));
    assert_eq!(merged.reason, "two 2");
    assert_eq!(second.list()[0].version, "2");
    // A text that begins now begins with it.
    let mut third = first.another();
    assert_eq!((pass(&mut third), third.list()[0].version.as_str()), ((vec![], vec![]), "2"));
    assert_eq!(says(&mut third), "two 1");
}

#[test]
fn each_text_migrates_its_own_state() {
    let Texts { path, mut first, mut second, _folder } = two_texts();
    (0..4).for_each(|_| drop(says(&mut first)));
    let migrating = "fn init(cfg) { this.count = 100; }\nfn migrate(old) { this.count += old.n; }\n\
                     fn on_assessment(step, a) { stop(`${this.count}`) }\n";
    fs::write(&path, migrating).unwrap();
    assert_eq!((waited(&mut first).0, waited(&mut second).0), (vec![2], vec![2]));
    assert_eq!((says(&mut first), says(&mut second)), ("104".into(), "100".into()));
}

/// What does not go with the state of one text is refused there, and runs in the others.
#[test]
fn a_state_that_the_new_version_does_not_take_keeps_the_old_one_in_that_text() {
    let Texts { path, mut first, mut second, _folder } = two_texts();
    (0..2).for_each(|_| drop(says(&mut first)));
    let picky = counting("two") + "fn migrate(old) { if old.n > 0 { throw \"too many\"; } this.n = old.n; }\n";
    fs::write(&path, picky).unwrap();
    let (versions, notices) = waited(&mut first);
    assert_eq!((versions, notices.len()), (vec![], 1));
    assert!(notices[0].contains("too many") && notices[0].contains("while running `migrate`"), "{notices:?}");
    assert_eq!(pass(&mut second), (vec![2], vec![]));
    assert_eq!(pass(&mut first), (vec![], vec![]));
    assert_eq!((says(&mut first), says(&mut second)), ("one 3".into(), "two 1".into()));
    fs::write(&path, counting("three")).unwrap();
    assert_eq!((waited(&mut first).0, waited(&mut second).0), (vec![3], vec![3]));
    assert_eq!((says(&mut first), says(&mut second)), ("three 4".into(), "three 2".into()));
}

#[test]
fn a_broken_edit_is_told_once_in_each_text_and_all_go_on() {
    let Texts { path, mut first, mut second, _folder } = two_texts();
    fs::write(&path, "fn on_assessment(step, a) { retrct(1) }").unwrap();
    let told = [waited(&mut second), pass(&mut first)];
    for (versions, notices) in &told {
        assert_eq!((versions.len(), notices.len()), (0, 1), "{notices:?}");
        assert!(notices[0].contains("did you mean `retract`?"), "{notices:?}");
    }
    assert_eq!(told[0], told[1]);
    assert_eq!((pass(&mut first), pass(&mut second)), ((vec![], vec![]), (vec![], vec![])));
    assert_eq!((says(&mut first), says(&mut second)), ("one 1".into(), "one 1".into()));
    fs::write(&path, counting("two")).unwrap();
    assert_eq!((waited(&mut first).0, pass(&mut second).0), (vec![2], vec![2]));
    assert_eq!((says(&mut first), says(&mut second)), ("two 2".into(), "two 2".into()));
}

#[test]
fn a_reload_that_is_asked_for_in_one_text_reaches_the_others() {
    let Texts { mut first, mut second, _folder, .. } = two_texts();
    let mut versions = Vec::new();
    first.reload_all(&mut |reloaded| versions.push(reloaded.version));
    assert_eq!((versions, pass(&mut second).0), (vec![2], vec![2]));
    // Asked for in all of them, it is one version.
    let mut versions = Vec::new();
    first.reload_all(&mut |reloaded| versions.push(reloaded.version));
    second.reload_all(&mut |reloaded| versions.push(reloaded.version));
    assert_eq!(versions, [3, 3]);
    assert_eq!((pass(&mut first), pass(&mut second)), ((vec![], vec![]), (vec![], vec![])));
}

#[test]
fn a_hook_that_is_parked_in_one_text_runs_in_the_other() {
    let Texts { mut first, mut second, _folder, .. } = two_texts();
    for _ in 0..3 {
        first.on_assessment(&step(), &assessment(0.0));
    }
    assert_eq!((first.policies().len(), second.policies()), (0, vec!["policy".to_string()]));
    assert_eq!((first.take_notices().len(), second.take_notices().len()), (2, 0));
    assert_eq!((first.list()[0].failures, second.list()[0].failures), (3, 0));
    assert_eq!(says(&mut second), "one 1");
    // A text that begins like one in which it is parked does without it, too, and has not failed.
    let mut third = first.another();
    assert!(third.list()[0].state.starts_with("parked: ") && third.list()[0].failures == 0);
    assert_eq!((third.policies().len(), third.take_notices().len()), (0, 0));
    assert!(third.set_running("policy", true));
    assert_eq!((says(&mut third), first.policies().len()), ("one 1".into(), 0));
    // What is idle stays idle.
    second.set_running("policy", false);
    assert_eq!(second.another().list()[0].state, "idle");
}

#[test]
fn knobs_go_over_to_a_new_text_and_are_its_own_from_then_on() {
    let Texts { path, mut first, mut second, _folder } = two_texts();
    first.set_knob("policy", "stride", 3.0).unwrap();
    let mut third = first.another();
    assert_eq!(third.list()[0].knobs, first.list()[0].knobs);
    third.set_knob("policy", "stride", 5.0).unwrap();
    let values = |first: &mut Chain, second: &mut Chain, third: &mut Chain| [says(first), says(second), says(third)];
    assert_eq!(values(&mut first, &mut second, &mut third), ["one 3", "one 1", "one 5"]);
    // An edit leaves each what was set in it.
    let mut fourth = first.another();
    fs::write(&path, counting("two")).unwrap();
    assert_eq!(waited(&mut second), (vec![2], vec![]));
    assert_eq!([&mut first, &mut third, &mut fourth].map(|chain| pass(chain).0), [[2], [2], [2]]);
    assert_eq!(values(&mut first, &mut second, &mut third), ["two 6", "two 2", "two 10"]);
    assert_eq!(says(&mut fourth), "two 3");
}

#[test]
fn switching_it_off_in_one_text_leaves_the_file_watched_for_the_other() {
    let Texts { path, mut first, mut second, _folder } = two_texts();
    first.set_running("policy", false);
    fs::write(&path, counting("two")).unwrap();
    assert_eq!(waited(&mut second).0, [2]);
    assert_eq!(pass(&mut first), (vec![], vec![]));
    first.set_running("policy", true);
    assert_eq!((pass(&mut first).0, says(&mut first)), (vec![2], "two 1".into()));
    // Nor does the end of a text.
    drop(first);
    fs::write(&path, counting("three")).unwrap();
    assert_eq!((waited(&mut second).0, says(&mut second)), (vec![3], "three 1".into()));
}

/// Each instance has an interpreter of its own: texts on several threads do not share draws, deadlines or logs. So few operations
/// are not cut on a machine that pauses.
#[test]
fn texts_on_several_threads_write_what_they_write_alone() {
    let source = "fn on_assessment(step, a) { let t = 0; for i in 0..20 { t += rng(0, 1000); } stop(`${t}`) }";
    let mut alone = Chain::default();
    alone.add(Box::new(load(source)), true);
    let reasons = |chain: &mut Chain| -> Vec<String> {
        let at = |position| Step { position, ..step() };
        (0..200).map(|position| chain.on_assessment(&at(position), &assessment(0.5)).reason).collect()
    };
    let texts: Vec<Chain> = (0..4).map(|_| alone.another()).collect();
    let expected = reasons(&mut alone);
    assert!(expected.iter().all(|reason| !reason.is_empty()));
    std::thread::scope(|scope| {
        for mut text in texts {
            let expected = &expected;
            scope.spawn(move || assert_eq!(&reasons(&mut text), expected));
        }
    });
}

/// A hook that a program brings along, and that knows nothing of other texts.
struct Single(Role);

impl Hook for Single {
    fn name(&self) -> &str {
        "single"
    }

    fn role(&self) -> Role {
        self.0
    }

    fn origin(&self) -> Origin {
        Origin::BuiltIn
    }

    fn describe(&self) -> (String, String) {
        (String::new(), String::new())
    }

    fn on_logits(&mut self, _: &Step, _: &Rows, _: &mut [f32]) -> Result<(), HookError> {
        Ok(())
    }

    fn on_token(&mut self, _: &Step, _: &Token) -> Result<Verdict, HookError> {
        Ok(Verdict::proceed())
    }

    fn on_assessment(&mut self, _: &Step, _: &Assessment) -> Result<Verdict, HookError> {
        Ok(Verdict::proceed())
    }

    fn on_retract(&mut self, _: &Step, _: &Retraction) -> Result<(), HookError> {
        Ok(())
    }
}

#[test]
fn a_hook_that_cannot_be_made_again_is_left_out_and_the_new_text_says_so() {
    let mut chain = Chain::default();
    chain.add(Box::new(Single(Role::Fusion)), false);
    chain.add(Box::new(Single(Role::Policy)), true);
    chain.add(Box::new(load(&counting("one"))), true);
    assert!(chain.set_fusion("single"));
    let mut other = chain.another();
    assert_eq!((other.policies(), other.fusion()), (vec!["test".to_string()], ""));
    let policy = "`single` is left out of this text: it is made for one text alone";
    let fusion = format!("{policy}; the members' weighted mean is in its place");
    assert_eq!(other.take_notices(), [&fusion, policy]);
    assert_eq!((chain.take_notices().len(), chain.fusion()), (0, "single"));
    assert_eq!(says(&mut other), "one 1");
}

#[test]
#[ignore = "a measurement: cargo test --release -- --ignored --nocapture another_text_is_cheap"]
fn another_text_is_cheap() {
    for name in ["retraction", "phrase-guard"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../policies").join(name).with_extension("rhai");
        let median = |mut call: Box<dyn FnMut() + '_>| {
            let mut times: Vec<Duration> = (0..101)
                .map(|_| {
                    let begin = Instant::now();
                    call();
                    begin.elapsed()
                })
                .collect();
            times.sort();
            times[50]
        };
        let mut hook = ScriptHook::load(&path, "{}", Watching::Native).unwrap();
        let load = median(Box::new(|| drop(ScriptHook::load(&path, "{}", Watching::Native).unwrap())));
        let another = median(Box::new(|| drop(hook.another().unwrap())));
        let reload = median(Box::new(|| drop(hook.reload_now())));
        println!("{name}: loading {load:?}, for another text {another:?}, an edit {reload:?}");
        assert_within(load / 2, another, "another text");
    }
}
