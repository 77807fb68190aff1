//! Ten thousand bodies that nobody should send.

use crate::client::{Answer, Server, options};
use crate::double::Manner;
use serde_json::{Value, json};
use serve::Options;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    fn value(&mut self) -> Value {
        match self.below(12) {
            0 => json!(null),
            1 => json!(-1),
            2 => json!(1e308),
            3 => json!(u64::MAX),
            4 => json!(""),
            5 => json!("ü\u{0}🦙"),
            6 => json!([]),
            7 => json!([[], {}, null]),
            8 => json!({}),
            9 => json!({"role": "user", "content": [{"type": "text"}]}),
            10 => json!(true),
            _ => json!(0.5),
        }
    }

    /// Replaces a value somewhere.
    fn change(&mut self, value: &mut Value) {
        let replace = self.below(3) == 0;
        match value {
            Value::Object(map) if !replace && !map.is_empty() => {
                let at = self.below(map.len());
                if self.below(6) == 0 {
                    let name = map.keys().nth(at).cloned().unwrap();
                    map.shift_remove(&name);
                } else {
                    self.change(map.values_mut().nth(at).unwrap());
                }
            }
            Value::Array(items) if !replace && !items.is_empty() => {
                let at = self.below(items.len());
                self.change(&mut items[at]);
            }
            other => *other = self.value(),
        }
    }
}

fn bodies() -> Vec<(&'static str, Value)> {
    let messages =
        json!([{"role": "system", "content": "a"}, {"role": "user", "content": [{"type": "text", "text": "hi"}]}]);
    vec![
        (
            "/v1/chat/completions",
            json!({"model": "tale+fable", "messages": messages, "stop": ["a"], "n": 2, "logprobs": true, "top_logprobs": 2,
                "logit_bias": {"5": 1}, "seed": 3, "max_tokens": 5, "retraction": {"hold": 2}, "temperature": 0.5}),
        ),
        (
            "/v1/chat/completions",
            json!({"messages": messages, "stream": true, "stream_options": {"include_usage": true}, "retractions": true,
                "logprobs": true, "max_tokens": 5, "response_format": {"type": "text"}, "tools": []}),
        ),
        (
            "/v1/completions",
            json!({"prompt": [[97, 98], [99]], "echo": true, "logprobs": 1, "max_tokens": 1, "seed": 3}),
        ),
        ("/v1/completions", json!({"prompt": ["a", "b"], "echo": true, "stream": true, "max_tokens": 5, "best_of": 1})),
        (
            "/v1/stream",
            json!({"prompt": "abc", "given": [[97], [98]], "members": true, "alternatives": 3, "max_tokens": 5}),
        ),
        (
            "/v1/messages",
            json!({"model": "tale+fable", "max_tokens": 5, "messages": messages, "stop_sequences": ["a"], "stream": true,
                "tools": [{"name": "add", "input_schema": {"type": "object"}}], "tool_choice": {"type": "auto"}}),
        ),
        (
            "/v1/responses",
            json!({"input": [{"role": "user", "content": "hi"}], "max_output_tokens": 5, "stream": true}),
        ),
        ("/tokenize", json!({"prompt": "abc", "add_special_tokens": true, "with_pieces": true})),
        ("/detokenize", json!({"tokens": [97, 98]})),
        ("/v1/hooks", json!({"hook": "calm", "knob": "limit", "value": 0.5})),
        ("/v1/script/check", json!({"text": "a"})),
    ]
}

/// Sends a body over a connection that stays, and reads the answer.
fn exchange(socket: &mut TcpStream, path: &str, body: &[u8]) -> Option<Answer> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let mut bytes = Vec::new();
    let mut buffer = [0; 16384];
    loop {
        let count = socket.read(&mut buffer).ok()?;
        if count == 0 {
            return None;
        }
        bytes.extend_from_slice(&buffer[..count]);
        let Some(split) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8(bytes[..split].to_vec()).unwrap().to_ascii_lowercase();
        let over = match head.split("content-length: ").nth(1) {
            Some(length) => bytes.len() >= split + 4 + length.lines().next().unwrap().parse::<usize>().unwrap(),
            None => bytes.ends_with(b"\r\n0\r\n\r\n"),
        };
        if over {
            let status = head.split(' ').nth(1).unwrap().parse().unwrap();
            let body = String::from_utf8(bytes[split + 4..].to_vec()).unwrap();
            return Some(Answer { status, head, body });
        }
    }
}

#[test]
fn malformed_bodies_are_refused_and_leave_nothing_behind() {
    let manner = Manner { pace: Duration::ZERO, horizon: 3, retracts: true };
    let server = Server::start(manner, Options { parallel: 4, ..options() });
    let bodies = bodies();
    let counts: Vec<[usize; 2]> = thread::scope(|scope| {
        let client = |seed: u64| {
            let mut random = Random(seed);
            let mut counts = [0, 0];
            let mut socket = server.open();
            for _ in 0..2500 {
                let (path, mut body) = bodies[random.below(bodies.len())].clone();
                for _ in 0..random.below(3) {
                    random.change(&mut body);
                }
                let mut bytes = body.to_string().into_bytes();
                // A third is no longer JSON, mostly.
                if random.below(3) == 0 {
                    for _ in 0..=random.below(3) {
                        let at = random.below(bytes.len());
                        match random.below(3) {
                            0 => bytes.truncate(at),
                            1 if !bytes.is_empty() => bytes[at] = random.next() as u8,
                            _ => bytes.insert(at, random.next() as u8),
                        }
                    }
                }
                let answer = exchange(&mut socket, path, &bytes).unwrap_or_else(|| {
                    panic!("no answer to {path} {}", String::from_utf8_lossy(&bytes));
                });
                assert!(
                    matches!(answer.status, 200 | 400 | 404),
                    "{answer:?} to {path} {}",
                    String::from_utf8_lossy(&bytes)
                );
                if answer.status == 200 {
                    assert!(!answer.body.contains("server_error"), "{answer:?} to {}", String::from_utf8_lossy(&bytes));
                } else if path != "/v1/messages" {
                    answer.refused(answer.status);
                }
                counts[usize::from(answer.status != 200)] += 1;
            }
            counts
        };
        let clients: Vec<_> = (0..4).map(|seed| scope.spawn(move || client(seed))).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let good: usize = counts.iter().map(|[good, _]| good).sum();
    assert!((2000..8000).contains(&good), "{good} of 10000 were answered");
    server.until("all is given back", |server| {
        ["requests_in_flight", "jobs_queued", "jobs_running"]
            .iter()
            .all(|name| server.metric(&format!("llama_selfmod_{name}")) == 0.0)
    });
    server.post("/v1/completions", &json!({"prompt": "fine"})).ok();
}
