//! The library's face: sessions of one engine, read by several threads or in turn.

use llama_selfmod::events::{EndReason, Event};
use llama_selfmod::settings::{ModelSource, PolicySource, Prompt, Settings};
use llama_selfmod::{Engine, Session};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// The demo's pair, with places for so many texts.
fn settings(texts: usize) -> Settings {
    let model =
        |name: &str| ModelSource::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("models/{name}.gguf")));
    Settings { models: vec![model("tale"), model("fable")], texts, n_predict: 40, ..Settings::default() }
}

fn engine(texts: usize) -> Arc<Engine> {
    Arc::new(Engine::load(settings(texts), &|_, _| {}).unwrap())
}

fn prompt(text: &str) -> Prompt {
    Prompt::Text(text.into())
}

/// What a reader of the events ends up with, and what the last one says.
fn read(session: Session) -> (String, String) {
    let (mut text, mut told) = (String::new(), String::new());
    for event in session {
        match event {
            Event::Token { text: new, .. } => text.push_str(&new),
            Event::Retract { bytes, .. } => text.truncate(text.len() - bytes),
            Event::Done { text, .. } => told = text.into_owned(),
            _ => {}
        }
    }
    (text, told)
}

#[test]
fn sessions_on_several_threads_give_what_their_events_say() {
    let engine = engine(4);
    let openings = ["The cat", "The dog", "One day", "In the garden"];
    let threads = openings.map(|opening| {
        let session = engine.session(&prompt(opening)).unwrap();
        std::thread::spawn(move || read(session))
    });
    for thread in threads {
        let (text, told) = thread.join().unwrap();
        assert!(!text.is_empty() && text == told, "{text:?} {told:?}");
    }
}

#[test]
fn one_thread_that_reads_one_session_brings_the_others_on() {
    let engine = engine(2);
    let cat = engine.session(&prompt("The cat")).unwrap();
    let dog = engine.session(&prompt("The dog")).unwrap();
    let first = read(cat);
    // Written by now: its reader finds the events waiting.
    let reply = dog.reply().unwrap();
    assert!(!first.0.is_empty() && reply.tokens > 0);
}

#[test]
fn a_place_is_free_again_when_a_session_is_dropped_or_over() {
    let engine = engine(2);
    let mut first = engine.session(&prompt("The cat")).unwrap();
    let second = engine.session(&prompt("The dog")).unwrap();
    let refused = engine.session(&prompt("The bird")).map(drop).unwrap_err().to_string();
    assert!(refused.contains("all places for texts are taken"), "{refused}");
    assert!(first.next().is_some());
    drop(first);
    let third = engine.session(&prompt("The bird")).unwrap();
    assert!(third.reply().unwrap().tokens > 0);
    assert!(second.reply().unwrap().tokens > 0);
    // Both places are free, also for the conversation.
    let mut engine = Arc::into_inner(engine).expect("no session is left");
    let reply = engine.reply(&prompt("The cow"), &Arc::default(), &mut |_| {}).unwrap();
    assert!(reply.tokens > 0);
    let engine = Arc::new(engine);
    let both = [engine.session(&prompt("The cat")).unwrap(), engine.session(&prompt("The dog")).unwrap()];
    for session in both {
        assert!(session.reply().unwrap().tokens > 0);
    }
}

#[test]
fn a_session_that_is_interrupted_is_a_reply_and_one_that_cannot_be_read_an_error() {
    let engine = engine(2);
    let mut session = engine.session(&prompt("The cat")).unwrap();
    while !matches!(session.next(), Some(Event::Token { index: 5, .. })) {}
    session.interrupt().store(true, Ordering::Relaxed);
    let reply = session.reply().unwrap();
    assert_eq!(reply.reason, EndReason::Interrupted);
    assert!((6..40).contains(&reply.tokens), "{}", reply.tokens);
    let long = engine.session(&prompt(&"a long day ".repeat(3000))).map(drop).unwrap_err().to_string();
    assert!(long.contains("tokens long"), "{long}");
}

#[test]
fn each_session_has_its_own_seed_and_hooks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("count.rhai");
    let script = "fn init(cfg) { this.n = 0; }\nfn on_assessment(step, a) {\n    this.n += 1;\n    \
                  if this.n == 9 { stop(`nine of ${this.n}`) }\n}\n";
    std::fs::write(&path, script).unwrap();
    let policies = vec![PolicySource::Script { path, knobs: Vec::new() }];
    let engine = Arc::new(Engine::load(Settings { policies, ..settings(3) }, &|_, _| {}).unwrap());
    let session = |seed| {
        let mut request = engine.request(&prompt("Once upon a time"));
        request.seed = seed;
        engine.open(request).unwrap()
    };
    let sessions = [session(1), session(2), session(1)];
    let replies = sessions.map(|session| session.reply().unwrap());
    for reply in &replies {
        assert_eq!((reply.tokens, &reply.reason), (9, &EndReason::Policy("nine of 9".into())));
    }
    assert_eq!(replies[0].text, replies[2].text);
    assert_ne!(replies[0].text, replies[1].text);
}
