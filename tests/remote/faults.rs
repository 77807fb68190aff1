//! What goes wrong on the way or on the other side: the text goes on without the member, and with it when it is back.

use super::between::Way;
use super::{Between, Server, load, parameters, remote, reply};
use crate::support::gguf::TensorType;
use crate::support::program::Place;
use crate::support::sessions::{quantised, requantised};
use llama_selfmod::Engine;
use llama_selfmod::events::{EndReason, Event};
use llama_selfmod::settings::{Align, DraftBy, Drafting, ModelSource, Prompt, RemoteSource, Settings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn settings(models: Vec<ModelSource>) -> Settings {
    let draft = Drafting { by: DraftBy::Off, ..Drafting::default() };
    // Words of a long text, whatever the models think of its end.
    Settings {
        models,
        parameters: parameters(0.9),
        draft,
        policies: Vec::new(),
        n_predict: 60,
        seed: 3,
        ..Settings::default()
    }
}

/// One member here, and one there that may take half a second.
fn engine(url: &str, files: &[PathBuf]) -> Engine {
    let mut far = remote(url, &files[0]);
    far.name = Some("far".into());
    far.remote.as_mut().unwrap().timeout = Some(Duration::from_millis(500));
    load(settings(vec![ModelSource::new(&files[1]), far]))
}

/// Writes a reply in which something goes wrong behind the tenth token, and is right again behind the twentieth, from where it
/// waits until the member can be back: the two notices.
#[track_caller]
fn goes_on(
    engine: &mut Engine,
    what: &str,
    mut wrong: impl FnMut(),
    mut right: impl FnMut(),
    wait: Duration,
) -> [String; 2] {
    let before = engine.remotes()[0].clone();
    let mut tokens = 0;
    let mut slowest = Duration::ZERO;
    let mut last = Instant::now();
    let (reply, notices) = reply(engine, "Once upon a time, there was a little girl", |event| {
        if let Event::Token { .. } = event {
            slowest = slowest.max(last.elapsed());
            tokens += 1;
            match tokens {
                10 => wrong(),
                20 => {
                    right();
                    std::thread::sleep(wait);
                }
                _ => {}
            }
            last = Instant::now();
        }
    });
    let account = engine.remotes()[0].clone();
    assert!(reply.tokens > 40, "{what}: {} tokens, {:?}", reply.tokens, reply.reason);
    assert!(slowest < Duration::from_secs(4), "{what}: a token took {slowest:?}");
    let [gone, back] = &notices[..] else { panic!("{what}: {notices:#?}") };
    assert!(gone.starts_with("`far` (http://127.0.0.1:") && gone.contains(" is away: "), "{what}: {gone}");
    assert!(back.contains(" is back after "), "{what}: {back}");
    assert_eq!(account.absences.len(), before.absences.len() + 1, "{what}: {account:?}");
    let missed = engine.take_missed().unwrap().remove("far").unwrap();
    assert!(matches!(missed[..], [(10 | 11, 20..=22)]), "{what}: {missed:?}");
    // It has a say again, and is asked for what it has missed in few requests.
    assert!(account.rows > before.rows + u64::from(reply.tokens) - 15, "{what}: {account:?}");
    println!("{what}: {gone}; {back}; slowest token {slowest:?}");
    [gone.clone(), back.clone()]
}

#[test]
fn a_text_goes_on_whatever_comes_in_place_of_an_answer() {
    let folder = tempfile::tempdir().unwrap();
    let files = quantised(folder.path());
    let server = Server::start(&files[0], 2);
    let between = Between::before(&server.url(), Way::Honest);
    let mut engine = engine(&between.url(), &files);
    for (way, why) in [
        (Way::Refused, "it answered with status 500: out of  [31mmemory"),
        (Way::NotANumber, "its answer cannot be read"),
        (Way::OutOfRange, "its row is no distribution: token 9"),
        (Way::Another, "another model is there: "),
        (Way::Truncated, "its answer broke off"),
        (Way::Dripping, "it gave no answer within 0.5 s"),
        (Way::Silent, "it gave no answer within 0.5 s"),
        (Way::Redirected, "it answered with status 302"),
    ] {
        let [gone, _] = goes_on(
            &mut engine,
            &format!("{way:?}"),
            || between.set(way),
            || between.set(Way::Honest),
            Duration::from_millis(2500),
        );
        assert!(gone.contains(why), "{gone}");
    }
}

#[test]
fn a_server_that_is_killed_or_stands_still_is_waited_for_by_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let files = quantised(folder.path());
    let server = std::cell::RefCell::new(Server::start(&files[0], 2));
    let url = server.borrow().url();
    let mut engine = engine(&url, &files);
    let [gone, _] = goes_on(
        &mut engine,
        "killed",
        || server.borrow_mut().kill(),
        || server.borrow_mut().start_again(None),
        Duration::from_secs(9),
    );
    assert!(gone.contains("nothing listens there"), "{gone}");
    let [gone, _] = goes_on(
        &mut engine,
        "stopped",
        || server.borrow().freeze(true),
        || server.borrow().freeze(false),
        Duration::from_millis(2500),
    );
    assert!(gone.contains("no answer within 0.5 s"), "{gone}");
}

/// With `align`, members of two vocabularies, the second of which is on a server that is away for ten tokens.
fn two_vocabularies(align: Align) {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) =
        (quantised(folder.path()).remove(0), requantised(folder.path(), "970k-bytes", TensorType::Q8_0));
    let server = Server::start(&there, 2);
    let between = Between::before(&server.url(), Way::Honest);
    let models = vec![ModelSource::new(&here), remote(&between.url(), &there)];
    let mut engine = load(Settings { align, ..settings(models) });
    let mut tokens = 0;
    let (written, notices) = reply(&mut engine, "Once upon a time, there was a little girl", |event| {
        if let Event::Token { .. } = event {
            tokens += 1;
            match tokens {
                10 => between.set(Way::Refused),
                30 => {
                    between.set(Way::Honest);
                    std::thread::sleep(Duration::from_millis(2500));
                }
                _ => {}
            }
        }
    });
    assert!(written.tokens > 40, "{align:?}: {written:?}");
    let [gone, back] = &notices[..] else { panic!("{align:?}: {notices:#?}") };
    assert!(gone.contains(" is away: ") && back.contains(" is back after "), "{align:?}: {notices:?}");
    assert_eq!(engine.take_missed().unwrap().len(), 1, "{align:?}");
}

#[test]
fn a_member_of_another_vocabulary_is_missed_and_comes_back() {
    two_vocabularies(Align::Exact);
    two_vocabularies(Align::Boundary);
}

#[test]
fn another_model_in_its_place_has_no_say() {
    let folder = tempfile::tempdir().unwrap();
    let files = quantised(folder.path());
    // Of the same name and size.
    let other = folder.path().join("other");
    std::fs::create_dir(&other).unwrap();
    let served = other.join("m.gguf");
    std::fs::copy(&files[0], &served).unwrap();
    let mut server = Server::start(&served, 2);
    let mut engine = engine(&server.url(), &files);
    let (_, notices) = reply(&mut engine, "Once", |_| {});
    assert!(notices.is_empty(), "{notices:?}");
    std::fs::copy(&files[1], &served).unwrap();
    server.start_again(None);
    let (written, notices) = reply(&mut engine, "One day", |_| {});
    assert!(written.tokens > 10);
    let [gone] = &notices[..] else { panic!("{notices:#?}") };
    assert!(gone.contains("another model is there"), "{gone}");
    let (_, notices) = reply(&mut engine, "Two dogs", |_| std::thread::sleep(Duration::from_millis(30)));
    assert_eq!(notices.len(), 1, "it is told once a reply: {notices:?}");
    std::fs::copy(&files[0], &served).unwrap();
    server.start_again(None);
    std::thread::sleep(Duration::from_secs(8));
    let (_, notices) = reply(&mut engine, "Three cats", |_| {});
    assert!(notices.is_empty(), "it is there again: {notices:?}");
}

#[test]
fn where_all_are_away_the_text_ends_and_stands() {
    let folder = tempfile::tempdir().unwrap();
    let files = quantised(folder.path());
    let server = Server::start(&files[0], 2);
    let between = Between::before(&server.url(), Way::Honest);
    let mut engine = load(settings(vec![remote(&between.url(), &files[0])]));
    let mut tokens = 0;
    let (reply, notices) = reply(&mut engine, "Once upon a time", |event| {
        tokens += usize::from(matches!(event, Event::Token { .. }));
        if tokens == 10 {
            between.set(Way::Refused);
        }
    });
    assert_eq!(reply.reason, EndReason::Failed);
    assert!((10..=11).contains(&reply.tokens) && !reply.text.is_empty(), "{reply:?}");
    assert!(notices.iter().any(|notice| notice.contains("nobody is left to decode")), "{notices:?}");
}

#[test]
fn who_interrupts_waits_for_no_server() {
    let folder = tempfile::tempdir().unwrap();
    let files = quantised(folder.path());
    let server = Server::start(&files[0], 2);
    let between = Between::before(&server.url(), Way::Honest);
    let mut engine = load(settings(vec![remote(&between.url(), &files[0])]));
    between.set(Way::Silent);
    let interrupted = Arc::<AtomicBool>::default();
    let flag = interrupted.clone();
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        flag.store(true, Ordering::Relaxed);
    });
    let start = Instant::now();
    let reply = engine.reply(&Prompt::Text("Once".into()), &interrupted, &mut |_| {}).unwrap();
    assert_eq!(reply.reason, EndReason::Interrupted);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

/// What is said of a member that cannot be loaded.
fn refusal(models: Vec<ModelSource>) -> String {
    Engine::load(settings(models), &|_, _| {}).err().expect("it is refused").to_string()
}

#[test]
fn a_server_that_cannot_be_used_is_told_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let files = quantised(folder.path());
    let server = Server::start(&files[0], 2);
    let alone = ModelSource::of_server(RemoteSource::new(server.url()));
    assert!(refusal(vec![alone.clone()]).contains("name a GGUF file of the model's family with `vocab=FILE`"));
    let stranger = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/models/stories-970k-bytes.gguf");
    let other = refusal(vec![remote(&server.url(), &stranger)]);
    assert!(other.contains("does not have the vocabulary of the server") && other.contains("512 tokens"), "{other}");
    let nobody = refusal(vec![remote("http://127.0.0.1:9", &files[0])]);
    assert!(nobody.contains("nothing listens there") && nobody.contains("start it, or check the address"), "{nobody}");
    let open = refusal(vec![remote("http://192.0.2.1:80", &files[0])]);
    assert!(open.contains("not encrypted"), "{open}");
    // The tokens of another member do as well.
    load(settings(vec![ModelSource::new(&files[1]), alone]));
}

#[test]
fn the_command_line_names_a_server_and_the_log_says_where_it_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let files = quantised(folder.path());
    let server = Server::start(&files[0], 2);
    let place = Place::new();
    let member = format!("remote:{},vocab={},name=far", server.url(), files[0].display());
    let here = files[1].to_str().unwrap();
    let words = ["-m", here, "-m", &member, "-p", "Once upon a time", "--seed", "1", "--n-predict", "20"];
    let output = place.process(&words).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !output.stdout.is_empty(), "{said}");
    let log: serde_json::Value = serde_json::from_str(place.read("selfmod_memory.jsonl").trim()).unwrap();
    assert_eq!(log["models"][1]["path"], format!("remote:{}", server.url()));
    assert_eq!(log["settings"]["away"], serde_json::json!({}));
    let text = place.file("text.txt", "Once upon a time, there was a cat. The cat was happy.");
    let output = place.process(&["score", "-m", here, "-m", &member, text]).output().unwrap();
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains("far at http://127.0.0.1:") && table.contains(" rows in "), "{table}");
}
