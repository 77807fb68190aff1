//! Replies that are written at once over real models, with all that they tell, but for times.

use crate::support::gguf::{self, Gguf, Tensor, TensorType, requantise};
use llama_selfmod::decode::{Limits, Outcome, Parts, Progress, Request, Scheduler, Session};
use llama_selfmod::events::Event;
use llama_selfmod::hooks::chain::Chain;
use llama_selfmod::member::{MemberError, Text};
use llama_selfmod::reply::{Drafts, Reply, Timings};
use llama_selfmod::settings::{DraftBy, Drafting, Prompt};
use plugin_api::Parameters;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A reply that begins at some tick.
pub struct Part {
    pub text: Text,
    pub chain: Chain,
    pub request: Request,
    pub starts: usize,
    /// It is interrupted after so many events.
    pub cancelled: Option<usize>,
}

/// What a reply told, and what it came to.
pub struct Told {
    pub events: Vec<Value>,
    pub outcome: Result<Outcome, MemberError>,
}

impl Told {
    /// The whole of it, but for times and for what reading ahead changes: to compare.
    #[track_caller]
    pub fn content(&self) -> (&[Value], &[u32], Reply) {
        let Outcome { reply, units } = self.outcome.as_ref().unwrap();
        (&self.events, units, Reply { timings: Timings::default(), drafts: Drafts::default(), ..reply.clone() })
    }

    #[track_caller]
    pub fn reply(&self) -> &Reply {
        &self.outcome.as_ref().unwrap().reply
    }
}

/// Fails with the first event that is not the same, or with what is different in the end.
#[track_caller]
pub fn assert_same(told: &Told, expected: &Told, what: &str) {
    let mut pairs = told.events.iter().zip(&expected.events).enumerate();
    if let Some((number, (told, expected))) = pairs.find(|(_, (told, expected))| told != expected) {
        panic!("{what}, event {number} is\n{told}\nand not\n{expected}");
    }
    assert_eq!(told.content(), expected.content(), "{what}");
}

/// Writes them all, each from its tick on. What a reply needed is given up when it is over.
pub fn at_once(scheduler: &mut Scheduler, parts: Vec<Part>) -> Vec<Told> {
    struct Line {
        session: Option<Session>,
        interrupted: Arc<AtomicBool>,
        cancelled: Option<usize>,
        told: Told,
    }
    let count = parts.len();
    let mut waiting: Vec<Option<Part>> = parts.into_iter().map(Some).collect();
    let mut lines: Vec<Option<Line>> = (0..count).map(|_| None).collect();
    for tick in 0.. {
        assert!(tick < 100_000, "the replies do not end");
        for (waiting, line) in waiting.iter_mut().zip(&mut lines) {
            let Some(Part { text, chain, request, cancelled, .. }) = waiting.take_if(|part| part.starts <= tick) else {
                continue;
            };
            let interrupted = Arc::<AtomicBool>::default();
            let (session, outcome) = match scheduler.begin(Parts { text, chain }, request, interrupted.clone()) {
                Ok(session) => (Some(session), Err(MemberError::Full("nothing came of it".into()))),
                Err(refused) => (None, Err(refused.1)),
            };
            *line = Some(Line { session, interrupted, cancelled, told: Told { events: Vec::new(), outcome } });
        }
        let mut sessions = Vec::new();
        let mut rest = Vec::new();
        for line in lines.iter_mut().flatten() {
            let Line { session: Some(_), .. } = line else { continue };
            let Line { session, interrupted, cancelled, told } = line;
            rest.push((interrupted, cancelled, told));
            sessions.extend(session.as_mut());
        }
        if rest.is_empty() && waiting.iter().all(Option::is_none) {
            break;
        }
        let progress = scheduler.tick(&mut sessions, &mut |number, event| {
            let (interrupted, cancelled, told) = &mut rest[number];
            told.events.push(value(event));
            if cancelled.is_some_and(|after| told.events.len() >= after) {
                interrupted.store(true, Ordering::Relaxed);
            }
        });
        let going = lines.iter_mut().flatten().filter(|line| line.session.is_some());
        for (line, progress) in going.zip(progress) {
            match progress {
                Progress::Goes => {}
                Progress::Unreadable(error) => {
                    line.told.outcome = Err(error);
                    line.session = None;
                }
                Progress::Over => {
                    let Some(session) = line.session.take() else { continue };
                    let events = &mut line.told.events;
                    line.told.outcome = Ok(session.finish(&mut |event| events.push(value(event))).0);
                }
            }
        }
    }
    lines.into_iter().map(|line| line.unwrap().told).collect()
}

/// Writes one reply in a place of its own.
pub fn alone(scheduler: &mut Scheduler, chain: Chain, request: &Request) -> Told {
    let text = scheduler.ensemble.open().expect("there is a place");
    let part = Part { text, chain, request: request.clone(), starts: 0, cancelled: None };
    at_once(scheduler, vec![part]).remove(0)
}

/// An event without times.
fn value(event: &Event) -> Value {
    let mut value = serde_json::to_value(event).unwrap();
    for time in ["tokens_per_second", "milliseconds"] {
        value.as_object_mut().unwrap().remove(time);
    }
    value
}

/// A reply to this prompt, without drafts.
pub fn request(prompt: &str, seed: u64, temperature: f32) -> Request {
    Request {
        prompt: Prompt::Text(prompt.into()),
        parameters: Parameters { temperature, top_p: 0.98, min_p: 0.01, repeat_penalty: 1.05, top_k: 0 },
        limits: Limits { n_predict: 80, horizon: 32, max_retractions: 6 },
        seed,
        stop: Vec::new(),
        context_shift: false,
        draft: Drafting { by: DraftBy::Off, ..Drafting::default() },
        shape: Default::default(),
    }
}

/// Beginnings of texts that are written at once.
pub const PROMPTS: [&str; 8] = [
    "Once upon a time there was a cat",
    "Lily and Tom",
    "The sun was hot. A little dog",
    "\"Can I play?\" said Ben. \"Yes\"",
    "One day",
    "There was a big red ball in the park, and all the children wanted to",
    "Mom said",
    "Once upon a time, in a small house, there lived a girl. Her name was",
];

/// The models of the tests in Q8_0, whose rows do not depend on what else is in a batch: both of one vocabulary.
pub fn quantised(folder: &Path) -> Vec<PathBuf> {
    ["260k", "280k"].map(|size| requantised(folder, size, TensorType::Q8_0)).to_vec()
}

/// One of them with weights of another type.
pub fn requantised(folder: &Path, size: &str, kind: TensorType) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../tests/fixtures/models/stories-{size}.gguf"));
    let to = folder.join(format!("{size}-{kind:?}.gguf"));
    let mut model = Gguf::read(&from);
    fill_up(&mut model, 32);
    model.write(&to);
    requantise(&to, kind, &to);
    let all = Gguf::read_types(&to);
    assert!(all.iter().all(|&own| own == kind || own == TensorType::F32), "{size} is {all:?}");
    to
}

/// Adds zeros to the feed-forward layers until their rows divide into blocks: what does not stays in half precision. The model
/// computes what it computed.
fn fill_up(model: &mut Gguf, block: usize) {
    let gguf::Value::U32(length) = *model.get("llama.feed_forward_length") else { panic!("the length is a number") };
    let (length, filled) = (length as usize, (length as usize).next_multiple_of(block));
    for tensor in &mut model.tensors {
        let (mut values, mut shape) = (tensor.values(), tensor.shape.clone());
        if tensor.name.contains("ffn_gate") || tensor.name.contains("ffn_up") {
            values.resize(shape[0] * filled, 0.0);
            shape[1] = filled;
        } else if tensor.name.contains("ffn_down") {
            let wide = |row: &[f32]| row.iter().copied().chain(std::iter::repeat_n(0.0, filled - length)).collect();
            values = values.chunks_exact(length).flat_map::<Vec<f32>, _>(wide).collect();
            shape[0] = filled;
        } else {
            continue;
        }
        *tensor = Tensor::new(std::mem::take(&mut tensor.name), &shape, tensor.kind, &values);
    }
    model.set("llama.feed_forward_length", gguf::Value::U32(filled as u32));
}

/// A small random number for each `index` of a series.
pub fn random(seed: u64, index: usize) -> usize {
    let mixed = (seed.wrapping_mul(31) + index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (((mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9)) >> 40) as usize
}
