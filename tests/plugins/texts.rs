//! One plugin in several texts: an instance for each, one library.

use super::reload::{Edited, again, plugin, two_plugins};
use super::{library, linked_in};
use llama_selfmod::hooks::chain::Chain;
use plugin_api::testing::{Members, assessment, step};
use std::time::{Duration, Instant};

fn chain(edited: &Edited) -> Chain {
    let mut chain = Chain::default();
    edited.load().into_iter().for_each(|hook| chain.add(Box::new(hook), true));
    chain
}

fn counts() -> Vec<u8> {
    std::fs::read(library("counts")).unwrap()
}

fn says(chain: &mut Chain) -> String {
    chain.on_assessment(&step(), &assessment()).reason
}

fn pass(chain: &mut Chain) -> (Vec<u32>, Vec<String>) {
    let mut versions = Vec::new();
    chain.reload_changed(&mut |reloaded| versions.push(reloaded.version));
    (versions, chain.take_notices())
}

/// Steps until `chain` takes something over or has something to say.
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

#[test]
fn states_are_apart_and_a_new_version_gets_that_of_its_text() {
    let edited = Edited::new(&counts());
    let mut first = chain(&edited);
    let mut second = first.another();
    (1..5).for_each(|number| assert_eq!(says(&mut first), number.to_string()));
    assert_eq!((says(&mut second), says(&mut first.another())), ("1".into(), "1".into()));
    edited.replace(&again(&counts(), 1));
    assert_eq!(waited(&mut second), (vec![2], vec![]));
    assert_eq!(pass(&mut first), (vec![2], vec![]));
    assert_eq!((says(&mut first), says(&mut second)), ("5".into(), "2".into()));
    // It is opened once: there is as much code as of two versions.
    let mapped = |chain: &Chain| chain.list()[0].version.clone();
    assert_eq!(mapped(&first), mapped(&second));
    assert!(mapped(&first).contains("2nd version, "), "{}", mapped(&first));
    let one = Edited::new(&counts());
    let mut alone = chain(&one);
    one.replace(&again(&counts(), 1));
    waited(&mut alone);
    assert_eq!(mapped(&alone), mapped(&first));
    // A text that begins now begins with it.
    let mut third = second.another();
    assert_eq!((pass(&mut third), says(&mut third)), ((vec![], vec![]), "1".into()));
    assert_eq!(mapped(&third), mapped(&first));
}

#[test]
fn a_library_that_does_not_work_is_told_once_in_each_text_and_all_go_on() {
    let edited = Edited::new(&plugin(&[r#"REASON="first""#]));
    let mut first = chain(&edited);
    let mut second = first.another();
    for (definition, sentence) in [("ABI_MAJOR=2", "is built for version 2"), ("STATUS=17", "it returned 17")] {
        edited.replace(&plugin(&[definition]));
        let told = [waited(&mut first), pass(&mut second)];
        for (versions, notices) in &told {
            assert_eq!((versions.len(), notices.len()), (0, 1), "{notices:?}");
            assert!(notices[0].contains(sentence), "{notices:?}");
        }
        assert_eq!(told[0], told[1]);
        assert_eq!((pass(&mut first), pass(&mut second)), ((vec![], vec![]), (vec![], vec![])));
        assert_eq!((says(&mut first), says(&mut second)), ("first".into(), "first".into()));
    }
    edited.replace(&plugin(&[r#"REASON="good""#]));
    assert_eq!((waited(&mut second).0, pass(&mut first).0), (vec![2], vec![2]));
    assert_eq!((says(&mut first), says(&mut second)), ("good".into(), "good".into()));
}

#[test]
fn all_plugins_of_a_library_take_over_in_one_pass_of_each_text() {
    let both = two_plugins();
    let edited = Edited::new(&both);
    let mut first = chain(&edited);
    let mut second = first.another();
    edited.replace(&again(&both, 1));
    assert_eq!(waited(&mut second), (vec![2, 2], vec![]));
    assert_eq!(pass(&mut first), (vec![2, 2], vec![]));
    std::fs::write(&edited.path, "notes\n").unwrap();
    let told = [waited(&mut first), pass(&mut second)];
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].1.len(), 1, "{told:?}");
}

#[test]
fn a_plugin_that_panics_in_one_text_runs_in_the_other() {
    let edited = Edited::new(&std::fs::read(library("panics")).unwrap());
    let mut first = chain(&edited);
    let mut second = first.another();
    (0..3).for_each(|_| drop(says(&mut first)));
    assert!(first.list()[0].state.starts_with("parked: it panicked at "));
    assert_eq!((second.list()[0].state.as_str(), second.list()[0].failures), ("running", 0));
    assert!(first.another().list()[0].state.starts_with("parked: "));
    drop(first);
    assert_eq!(second.take_notices(), [""; 0]);
}

#[test]
fn switching_it_off_in_one_text_leaves_the_library_watched_for_the_other() {
    let edited = Edited::new(&counts());
    let mut first = chain(&edited);
    let mut second = first.another();
    first.set_running("counts", false);
    edited.replace(&again(&counts(), 1));
    assert_eq!(waited(&mut second).0, [2]);
    assert_eq!(pass(&mut first), (vec![], vec![]));
    first.set_running("counts", true);
    assert_eq!(pass(&mut first).0, [2]);
    drop(first);
    edited.replace(&again(&counts(), 2));
    assert_eq!(waited(&mut second).0, [3]);
}

#[test]
fn a_plugin_of_which_there_is_no_other_instance_is_left_out_and_the_new_text_says_so() {
    let edited = Edited::new(&plugin(&["INSTANCES=1"]));
    let first = chain(&edited);
    let mut second = first.another();
    assert!(second.list().is_empty());
    let why = "`stops` is left out of this text: it could not start once more: there is one already";
    assert_eq!(second.take_notices(), [why]);
}

#[test]
fn plugins_that_are_linked_in_have_their_settings_in_every_text() {
    let mut first = Chain::default();
    first.add(Box::new(linked_in("blend", r#"{"alpha":0.3}"#)), false);
    first.add(Box::new(linked_in("retraction", r#"{"confidence_threshold":0.9}"#)), true);
    assert!(first.set_fusion("blend"));
    let mut second = first.another();
    assert_eq!(second.list(), first.list());
    let members = Members::new(&[&[3.0, 1.0, 0.5], &[0.0, 2.0, 1.0]]);
    let fused = |chain: &mut Chain| {
        let mut fused = members.mean();
        chain.on_logits(&step(), &members.rows(), &mut fused, &|row| row.copy_from_slice(&members.mean()));
        fused
    };
    assert_eq!(fused(&mut first), fused(&mut second));
    let mut other = Chain::default();
    other.add(Box::new(linked_in("blend", r#"{"alpha":0.9}"#)), false);
    assert!(other.set_fusion("blend"));
    assert_ne!(fused(&mut first), fused(&mut other));
    assert_eq!(says(&mut first), says(&mut second));
}
