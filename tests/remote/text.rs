//! Replies with a member on a server against those with its file here.

use super::between::Way;
use super::{Between, Server, load, parameters, remote, reply};
use crate::support::gguf::TensorType;
use crate::support::sessions::{quantised, requantised};
use llama_selfmod::Engine;
use llama_selfmod::settings::{Align, DraftBy, Drafting, ModelSource, Settings};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const PROMPTS: [&str; 5] =
    ["Once upon a time", "Lily and Tom", "One day, a little dog", "The sun", "There was a big tree"];

struct Pair {
    files: Vec<PathBuf>,
    server: Server,
    _folder: tempfile::TempDir,
}

impl Pair {
    /// Two models of one vocabulary, the first of which is on a server.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = quantised(folder.path());
        Self { server: Server::start(&files[0], 4), files, _folder: folder }
    }

    fn here(&self) -> Vec<ModelSource> {
        self.files.iter().map(ModelSource::new).collect()
    }

    fn there(&self) -> Vec<ModelSource> {
        vec![remote(&self.server.url(), &self.files[0]), ModelSource::new(&self.files[1])]
    }
}

fn settings(models: Vec<ModelSource>, temperature: f32) -> Settings {
    let draft = Drafting { by: DraftBy::Off, ..Drafting::default() };
    let parameters = parameters(temperature);
    // Text is taken back now and then.
    Settings {
        models,
        parameters,
        draft,
        n_predict: 80,
        confidence_threshold: 0.8,
        aggressive: true,
        ctx_size: 400,
        ..Settings::default()
    }
}

/// Texts of several prompts and seeds, and how often text was taken back.
fn texts(engine: &mut Engine, replies: u64) -> (Vec<String>, usize) {
    let mut retractions = 0;
    let texts = (0..replies).map(|seed| {
        engine.set_seed(seed);
        let (reply, notices) = reply(engine, PROMPTS[seed as usize % PROMPTS.len()], |_| {});
        assert!(!notices.iter().any(|notice| notice.contains("away")), "{notices:?}");
        retractions += reply.retractions.len();
        reply.text
    });
    (texts.collect(), retractions)
}

#[test]
fn twenty_replies_are_the_same_byte_for_byte() {
    let pair = Pair::new();
    for temperature in [0.0, 0.7] {
        let (expected, retractions) = texts(&mut load(settings(pair.here(), temperature)), 20);
        let mut engine = load(settings(pair.there(), temperature));
        assert_eq!(texts(&mut engine, 20), (expected, retractions));
        assert!(retractions > 0, "nothing is taken back");
        let account = &engine.remotes()[0];
        println!("{account:?}");
        assert!(account.known > 20 * account.read, "the server reads texts again: {account:?}");
    }
}

#[test]
fn drafts_change_no_byte() {
    let pair = Pair::new();
    let (expected, _) = texts(&mut load(settings(pair.there(), 0.7)), 10);
    for by in [DraftBy::Member(1), DraftBy::Member(0), DraftBy::Ngram] {
        let draft = Drafting { by, length: Some(5), pretend: None };
        let mut engine = load(Settings { draft, ..settings(pair.there(), 0.7) });
        assert_eq!(texts(&mut engine, 10).0, expected, "{by:?}");
    }
}

#[test]
fn texts_of_one_server_are_written_at_once() {
    let pair = Pair::new();
    let (expected, _) = texts(&mut load(settings(pair.there(), 0.7)), 4);
    let engine = std::sync::Arc::new(load(Settings { texts: 4, ..settings(pair.there(), 0.7) }));
    let sessions = (0..4u64).map(|seed| {
        let mut request = engine.request(&llama_selfmod::settings::Prompt::Text(PROMPTS[seed as usize].into()));
        request.seed = seed;
        let session = engine.open(request).unwrap();
        std::thread::spawn(move || session.reply().unwrap().text)
    });
    let sessions: Vec<_> = sessions.collect();
    let texts: Vec<String> = sessions.into_iter().map(|session| session.join().unwrap()).collect();
    assert_eq!(texts, expected);
}

#[test]
fn over_a_distance_rounds_are_faster_than_a_request_a_token() {
    let pair = Pair::new();
    let between = Between::before(&pair.server.url(), Way::Delayed(Duration::from_millis(30)));
    // What proposes is as good as a small model of the same family is for a large one.
    let models = vec![ModelSource::new(&pair.files[0]), remote(&between.url(), &pair.files[0])];
    let mut measured = Vec::new();
    for draft in [
        Drafting { by: DraftBy::Off, ..Drafting::default() },
        Drafting { by: DraftBy::Member(0), length: Some(7), pretend: None },
    ] {
        let mut engine = load(Settings { draft, policies: Vec::new(), ..settings(models.clone(), 0.7) });
        let before = between.answered();
        let start = Instant::now();
        let mut tokens = 0;
        let mut text = String::new();
        for seed in 0..3 {
            engine.set_seed(seed);
            let (reply, _) = reply(&mut engine, PROMPTS[0], |_| {});
            tokens += reply.tokens;
            text += &reply.text;
        }
        let per_token = start.elapsed().as_secs_f64() * 1e3 / f64::from(tokens);
        let requests = between.answered() - before;
        println!("{:?}: {per_token:.1} ms a token, {requests} requests for {tokens} tokens", draft.by);
        measured.push((per_token, text));
    }
    assert_eq!(measured[0].1, measured[1].1);
    let ratio = measured[0].0 / measured[1].0;
    println!("rounds are {ratio:.2} x as fast as one request a token");
    assert!(ratio >= 2.5, "rounds are {ratio:.2} x as fast");
}

/// A model of another vocabulary, which another test quantises too.
fn stranger(folder: &Path) -> PathBuf {
    requantised(folder, "970k-bytes", TensorType::Q8_0)
}

#[test]
fn a_follower_on_a_server_answers_as_it_does_here() {
    let folder = tempfile::tempdir().unwrap();
    let (leader, follower) = (quantised(folder.path()).remove(0), stranger(folder.path()));
    let server = Server::start(&follower, 2);
    let settings = |member| Settings {
        align: Align::Boundary,
        policies: Vec::new(),
        ..settings(vec![ModelSource::new(&leader), member], 0.7)
    };
    let (expected, _) = texts(&mut load(settings(ModelSource::new(&follower))), 5);
    let mut engine = load(settings(remote(&server.url(), &follower)));
    assert_eq!(texts(&mut engine, 5).0, expected);
    assert!(engine.remotes()[0].rows > 0);
}

#[test]
fn a_member_of_another_vocabulary_on_a_server_speaks_in_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (quantised(folder.path()).remove(0), stranger(folder.path()));
    let server = Server::start(&there, 2);
    let settings = |member| settings(vec![ModelSource::new(&here), member], 0.0);
    let (expected, _) = texts(&mut load(settings(ModelSource::new(&there))), 3);
    assert_eq!(texts(&mut load(settings(remote(&server.url(), &there))), 3).0, expected);
}
