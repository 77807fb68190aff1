//! A stand-in for an engine on another machine: it answers like a llama-server after a modelled time, and computes nothing.
//!
//! `tests/scale/simulate.py` starts several and puts a coordinator before them, to see what the coordinator itself costs
//! (`docs/scale.md`). The vocabulary is that of a GGUF file with llama's tokenizer. A row is a function of the newest token, as
//! peaked as text is, and nearly the same on all engines: `--seed` says where one likes another token best.
//!
//! ```sh
//! far_engine stories-260k.gguf --port 8081 --delay 30 --step 10 --batch 64 --seed 1
//! ```
//!
//! A request waits for `--delay` milliseconds, which is the round trip, and then for as many steps as it wants rows. All
//! requests that are there when a step begins share it, up to `--batch` of them, as engines with continuous batching have it.
//! Of a prompt, what the slot did not have before is read first, in `--read` milliseconds a token (0) and beside the steps.

use axum::Json;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header::CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::serve::ListenerExt;
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

type Failure = Box<dyn std::error::Error>;

/// Rows that are different; a token has the row of its remainder.
const ROWS: usize = 512;
/// A prime, by which the tokens of a row lie apart.
const STRIDE: usize = 7919;
/// A row falls off as a power of the rank: its best token has three quarters of the mass.
const FALL: f64 = 2.5;

struct Engine {
    name: String,
    seed: u64,
    tokens: Vec<Spelled>,
    /// Tokens that a text is written in, and behind them all others.
    order: Vec<usize>,
    written: usize,
    delay: Duration,
    batch: usize,
    step: Duration,
    /// What reading a token takes.
    read: Duration,
    /// The text that each slot has.
    slots: Mutex<HashMap<u64, Vec<usize>>>,
    queue: Mutex<VecDeque<Waiting>>,
    arrived: Notify,
    /// Rows as JSON, by the newest token's remainder and how many tokens are listed.
    rows: Mutex<HashMap<(usize, usize), Arc<str>>>,
    counts: Counts,
}

/// A token as JSON has it: `"token":…,"bytes":…`.
type Spelled = String;

struct Waiting {
    /// Steps until it is answered.
    steps: usize,
    done: oneshot::Sender<()>,
}

#[derive(Default)]
struct Counts {
    connections: AtomicU64,
    requests: AtomicU64,
    bytes: AtomicU64,
    rows: AtomicU64,
    steps: AtomicU64,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments
        .next()
        .ok_or("far_engine FILE [--port N] [--delay MS] [--step MS] [--batch N] [--read MS] [--seed N]")?;
    let mut settings = HashMap::from([("--port", 0.0), ("--delay", 1.0), ("--step", 10.0), ("--batch", 64.0)]);
    settings.extend([("--seed", 1.0), ("--read", 0.0)]);
    while let Some(name) = arguments.next() {
        let place = settings.get_mut(name.as_str()).ok_or_else(|| format!("what is `{name}`?"))?;
        *place = arguments.next().ok_or_else(|| format!("`{name}` has a number"))?.parse()?;
    }
    let milliseconds = |name: &str| Duration::from_secs_f64(settings[name] / 1e3);
    let vocabulary = vocabulary(&std::fs::read(&file)?)?;
    let (order, others): (Vec<usize>, Vec<usize>) = (0..vocabulary.len()).partition(|&token| vocabulary[token].1);
    let written = order.len();
    let engine = Arc::new(Engine {
        name: format!("{file}, engine {}", settings["--seed"]),
        seed: settings["--seed"] as u64,
        tokens: vocabulary.into_iter().map(|(spelled, _)| spelled).collect(),
        order: [order, others].concat(),
        written,
        delay: milliseconds("--delay"),
        batch: settings["--batch"] as usize,
        step: milliseconds("--step"),
        read: milliseconds("--read"),
        slots: Mutex::default(),
        queue: Mutex::default(),
        arrived: Notify::new(),
        rows: Mutex::default(),
        counts: Counts::default(),
    });
    tokio::spawn(steps(engine.clone()));
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", settings["--port"] as u16)).await?;
    println!("http://{}", listener.local_addr()?);
    let counted = engine.clone();
    let listener = listener.tap_io(move |connection| {
        counted.counts.connections.fetch_add(1, Ordering::Relaxed);
        let _ = connection.set_nodelay(true);
    });
    let routes = Router::new()
        .route("/props", get(properties))
        .route("/v1/models", get(models))
        .route("/completion", post(complete))
        .route("/counts", get(counts))
        .with_state(engine);
    Ok(axum::serve(listener, routes).await?)
}

/// Steps, as long as anybody waits.
async fn steps(engine: Arc<Engine>) {
    let mut running: Vec<Waiting> = Vec::new();
    loop {
        {
            let mut queue = engine.queue.lock().expect("nobody panics with it");
            while running.len() < engine.batch
                && let Some(next) = queue.pop_front()
            {
                running.push(next);
            }
        }
        if running.is_empty() {
            engine.arrived.notified().await;
            continue;
        }
        engine.counts.steps.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(engine.step).await;
        for mut waiting in std::mem::take(&mut running) {
            waiting.steps -= 1;
            if waiting.steps > 0 {
                running.push(waiting);
            } else {
                let _ = waiting.done.send(());
            }
        }
    }
}

async fn properties(State(engine): State<Arc<Engine>>) -> Json<Value> {
    Json(json!({
        "total_slots": 256,
        "model_alias": engine.name,
        "default_generation_settings": { "n_ctx": 8192 },
    }))
}

async fn models(State(engine): State<Arc<Engine>>) -> Json<Value> {
    let meta =
        json!({ "n_vocab": engine.tokens.len(), "n_ctx_train": 8192, "n_params": 500_000_000, "size": 1_000_000_000 });
    Json(json!({ "data": [{ "id": engine.name, "meta": meta }] }))
}

async fn counts(State(engine): State<Arc<Engine>>) -> Json<Value> {
    let Counts { connections, requests, bytes, rows, steps } = &engine.counts;
    let [connections, requests, bytes, rows, steps] =
        [connections, requests, bytes, rows, steps].map(|count| count.load(Ordering::Relaxed));
    Json(json!({
        "connections": connections, "requests": requests, "bytes": bytes, "rows": rows, "steps": steps,
    }))
}

/// Rows along the tokens of a grammar; other requests are refused, so that the coordinator does without what they would tell.
async fn complete(State(engine): State<Arc<Engine>>, body: String) -> Response {
    let Some(Asked { slot, prompt, forced, listed }) = read(&body) else {
        return (StatusCode::BAD_REQUEST, "a prompt and a grammar of tokens are wanted").into_response();
    };
    let (len, newest) = (prompt.len(), *prompt.last().expect("it was read with one"));
    let fresh = engine.keep(slot, prompt, &forced);
    tokio::time::sleep(engine.delay + engine.read * (fresh - 1) as u32).await;
    let (done, waiting) = oneshot::channel();
    engine.queue.lock().expect("nobody panics with it").push_back(Waiting { steps: forced.len(), done });
    engine.arrived.notify_one();
    if waiting.await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let mut answer = String::from("{\"completion_probabilities\":[");
    let before = std::iter::once(newest).chain(forced.iter().copied());
    for (number, (before, token)) in before.zip(forced.iter().copied()).enumerate() {
        let Some(spelled) = engine.tokens.get(token) else { return StatusCode::BAD_REQUEST.into_response() };
        let comma = if number == 0 { "" } else { "," };
        let row = engine.row(before, listed);
        let _ = write!(answer, "{comma}{{\"id\":{token},{spelled},\"logprob\":-1.0,\"top_logprobs\":{row}}}");
    }
    let known = len - fresh;
    let _ = write!(
        answer,
        "],\"model\":{},\"timings\":{{\"cache_n\":{known},\"prompt_n\":{fresh},\"prompt_per_token_ms\":{}}}}}",
        Value::from(engine.name.as_str()),
        engine.step.as_secs_f64() * 1e3
    );
    let counts = &engine.counts;
    counts.requests.fetch_add(1, Ordering::Relaxed);
    counts.rows.fetch_add(forced.len() as u64, Ordering::Relaxed);
    counts.bytes.fetch_add((body.len() + answer.len()) as u64, Ordering::Relaxed);
    ([(CONTENT_TYPE, "application/json")], answer).into_response()
}

struct Asked {
    slot: u64,
    prompt: Vec<usize>,
    /// Tokens that follow, with a row before each.
    forced: Vec<usize>,
    /// How many tokens of a row are listed.
    listed: usize,
}

fn read(body: &str) -> Option<Asked> {
    let body: Value = serde_json::from_str(body).ok()?;
    let token = |token: &Value| token.as_u64().map(|token| token as usize);
    let prompt: Vec<usize> = body["prompt"].as_array()?.iter().map(token).collect::<Option<_>>()?;
    let literals = body["grammar"].as_str()?.split("<[").skip(1);
    let forced: Vec<usize> = literals.map(|literal| literal.split(']').next()?.parse().ok()).collect::<Option<_>>()?;
    let listed = token(&body["n_probs"])?;
    let slot = body["id_slot"].as_u64().unwrap_or(u64::MAX);
    (!prompt.is_empty() && !forced.is_empty()).then_some(Asked { slot, prompt, forced, listed })
}

impl Engine {
    /// Puts a text into a slot; how many tokens of its prompt are new there, one at least.
    fn keep(&self, slot: u64, mut prompt: Vec<usize>, forced: &[usize]) -> usize {
        let mut slots = self.slots.lock().expect("nobody panics with it");
        let before = slots.entry(slot).or_default();
        let known = before.iter().zip(&prompt).take_while(|(before, now)| before == now).count();
        let fresh = (prompt.len() - known).max(1);
        prompt.extend(&forced[..forced.len() - 1]);
        *before = prompt;
        fresh
    }

    /// The likeliest tokens behind a token, as JSON.
    fn row(&self, newest: usize, listed: usize) -> Arc<str> {
        let (newest, listed) = (newest % ROWS, listed.min(self.tokens.len()));
        let mut rows = self.rows.lock().expect("nobody panics with it");
        let row = rows.entry((newest, listed)).or_insert_with(|| self.new_row(newest, listed).into());
        row.clone()
    }

    fn new_row(&self, newest: usize, listed: usize) -> String {
        let start = hash(newest as u64) as usize % self.written;
        let likes_another = hash(newest as u64 ^ (self.seed << 32)).is_multiple_of(4);
        let weight = |rank: usize| ((rank + 1) as f64).powf(-FALL);
        let sum: f64 = (0..self.tokens.len()).map(weight).sum();
        let mut row = String::from("[");
        for rank in 0..listed {
            let place = match rank {
                0 | 1 if likes_another => 1 - rank,
                _ => rank,
            };
            // The others have the least.
            let place = if place < self.written { (start + place * STRIDE) % self.written } else { place };
            let token = self.order[place];
            let comma = if rank == 0 { "" } else { "," };
            let log_probability = (weight(rank) / sum).ln();
            let _ = write!(row, "{comma}{{\"id\":{token},{},\"logprob\":{log_probability}}}", self.tokens[token]);
        }
        row.push(']');
        row
    }
}

/// SplitMix64.
fn hash(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Tokens of a GGUF file, and whether a text is written in them: neither control tokens nor single bytes.
fn vocabulary(file: &[u8]) -> Result<Vec<(Spelled, bool)>, Failure> {
    let mut reader = Reader { rest: file };
    if reader.take(4)? != b"GGUF" {
        return Err("it is no GGUF file".into());
    }
    let (_version, _tensors, pairs) = (reader.u32()?, reader.u64()?, reader.u64()?);
    let (mut texts, mut kinds) = (Vec::new(), Vec::new());
    for _ in 0..pairs {
        let key = reader.text()?;
        let kind = reader.u32()?;
        match key {
            "tokenizer.ggml.tokens" => {
                let (_text, count) = (reader.u32()?, reader.u64()?);
                texts = (0..count).map(|_| reader.text()).collect::<Result<_, _>>()?;
            }
            "tokenizer.ggml.token_type" => {
                let (_number, count) = (reader.u32()?, reader.u64()?);
                kinds = (0..count).map(|_| reader.u32()).collect::<Result<_, _>>()?;
            }
            _ => reader.pass(kind)?,
        }
    }
    if texts.is_empty() || kinds.len() != texts.len() {
        return Err("it has no tokens with their kinds".into());
    }
    let token = |(text, kind): (&str, u32)| {
        let is_byte = kind == 6;
        let byte = text.strip_prefix("<0x").and_then(|text| u8::from_str_radix(text.trim_end_matches('>'), 16).ok());
        let bytes = match byte.filter(|_| is_byte) {
            Some(byte) => vec![byte],
            None => text.replace('▁', " ").into_bytes(),
        };
        let spelled = Value::from(String::from_utf8_lossy(&bytes));
        (format!("\"token\":{spelled},\"bytes\":{}", json!(bytes)), kind == 1)
    };
    Ok(texts.into_iter().zip(kinds).map(token).collect())
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Failure> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or("the file ends too soon")?;
        self.rest = rest;
        Ok(taken)
    }

    fn u32(&mut self) -> Result<u32, Failure> {
        Ok(u32::from_le_bytes(self.take(4)?.try_into()?))
    }

    fn u64(&mut self) -> Result<u64, Failure> {
        Ok(u64::from_le_bytes(self.take(8)?.try_into()?))
    }

    fn text(&mut self) -> Result<&'a str, Failure> {
        let count = self.u64()? as usize;
        Ok(std::str::from_utf8(self.take(count)?)?)
    }

    fn pass(&mut self, kind: u32) -> Result<(), Failure> {
        match kind {
            0 | 1 | 7 => drop(self.take(1)?),
            2 | 3 => drop(self.take(2)?),
            4..=6 => drop(self.take(4)?),
            10..=12 => drop(self.take(8)?),
            8 => drop(self.text()?),
            9 => {
                let (kind, count) = (self.u32()?, self.u64()?);
                for _ in 0..count {
                    self.pass(kind)?;
                }
            }
            _ => return Err(format!("it has a value of kind {kind}").into()),
        }
        Ok(())
    }
}
