//! Who gets in, who waits, and what becomes of those that leave or are sent away.

use crate::client::{Answer, Server, finish, options, parse};
use crate::double::Manner;
use serde_json::{Value, json};
use serve::Options;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

/// Steps that take time: a text of 100 units takes half a second.
fn slow() -> Manner {
    Manner { pace: Duration::from_millis(5), horizon: 4, retracts: false }
}

fn prompt(text: &str, length: usize) -> Value {
    json!({"prompt": format!("{text}{}", "x".repeat(length))})
}

fn running(server: &Server) -> usize {
    server.double.seen.running.load(Ordering::SeqCst)
}

#[test]
fn ten_of_seventy_four_clients_are_sent_away() {
    let server = Server::start(slow(), Options { queue: 64, parallel: 4, ..options() });
    let answers: Vec<(Answer, Duration)> = thread::scope(|scope| {
        let client = || {
            let begin = Instant::now();
            (server.post("/v1/completions", &prompt("", 20)), begin.elapsed())
        };
        let clients: Vec<_> = (0..74).map(|_| scope.spawn(client)).collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let refused: Vec<_> = answers.iter().filter(|(answer, _)| answer.status == 429).collect();
    assert_eq!(refused.len(), 10);
    for (answer, _) in &refused {
        assert!(answer.head.contains("retry-after: "), "{}", answer.head);
        assert_eq!(answer.refused(429).1, "queue_full");
    }
    assert_eq!(answers.iter().filter(|(answer, _)| answer.status == 200).count(), 64);
    assert_eq!(server.double.seen.most.load(Ordering::SeqCst), 4);
    assert_eq!(server.metric("llama_selfmod_requests_rejected_total"), 10.0);
    assert_eq!(server.metric("llama_selfmod_requests_in_flight"), 0.0);
    assert_eq!(server.metric("llama_selfmod_tokens_written_total"), 64.0 * 20.0);
    let text = server.get("/metrics").body;
    let line = "llama_selfmod_requests_total{endpoint=\"/v1/completions\",status=\"429\"} 10";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("llama_selfmod_time_to_first_token_seconds_count 64"), "{text}");
}

#[test]
fn who_comes_first_is_served_first() {
    let server = Server::start(slow(), Options { parallel: 1, ..options() });
    let mut sockets = vec![server.post_open("/v1/completions", &prompt("first", 40))];
    server.until("the first one runs", |server| running(server) == 1);
    // A request with several texts stands in the queue once: the single ones after it do not wait for all of them.
    let mut body = prompt("many", 1);
    body["n"] = json!(3);
    sockets.push(server.post_open("/v1/completions", &body));
    server.until("it waits", |server| server.metric("llama_selfmod_jobs_queued") == 1.0);
    for index in 0..8 {
        sockets.push(server.post_open("/v1/completions", &prompt(&index.to_string(), 1)));
        let queued = f64::from(index) + 2.0;
        server.until("it waits", |server| server.metric("llama_selfmod_jobs_queued") == queued);
    }
    for socket in sockets {
        assert_eq!(finish(socket).status, 200);
    }
    let begun: Vec<_> = server.double.seen.begun.lock().unwrap().iter().map(|(text, _)| text.clone()).collect();
    let singles: Vec<_> = begun.iter().filter(|text| text.len() == 2).cloned().collect();
    assert_eq!(singles, ["0x", "1x", "2x", "3x", "4x", "5x", "6x", "7x"]);
    assert_eq!((begun[1].as_str(), begun.last().unwrap().as_str()), ("manyx", "manyx"));
    assert_ne!(begun[2], "manyx");
}

#[test]
fn who_leaves_frees_the_line_at_once() {
    let server = Server::start(slow(), Options { parallel: 1, queue: 3, ..options() });
    for stream in [true, false] {
        let mut body = prompt("long", 190);
        body["stream"] = json!(stream);
        let socket = server.post_open("/v1/completions", &body);
        server.until("it runs", |server| running(server) == 1);
        let waiting = server.post_open("/v1/completions", &body);
        server.until("another waits", |server| server.metric("llama_selfmod_jobs_queued") == 1.0);
        drop(waiting);
        server.until("it has left the queue", |server| server.metric("llama_selfmod_jobs_queued") == 0.0);
        assert_eq!(running(&server), 1);
        let begin = Instant::now();
        drop(socket);
        server.until("the line is free", |server| running(server) == 0);
        assert!(begin.elapsed() < Duration::from_millis(300), "{:?}", begin.elapsed());
        server.until("no seat is taken", |server| server.metric("llama_selfmod_requests_in_flight") == 0.0);
    }
    assert_eq!(server.double.seen.gone.load(Ordering::SeqCst), 2);
    server.post("/v1/completions", &prompt("", 1)).ok();
}

#[test]
fn a_client_that_reads_nothing_is_cut() {
    let fast = Manner { pace: Duration::ZERO, horizon: 0, retracts: true };
    let patience = Duration::from_millis(300);
    let server = Server::start(fast, Options { parallel: 1, read_timeout: patience, ..options() });
    // More than the buffers of two sockets: texts of 3 MB, whose chunks are 100 times as long.
    let mut body = json!({"prompt": "x".repeat(150_000), "stream": true, "retractions": true, "max_tokens": 1_000_000});
    body["logprobs"] = json!(3);
    let socket = server.post_open("/v1/completions", &body);
    server.until("the line is full", |server| server.double.seen.full.load(Ordering::SeqCst) > 0);
    server.until("the line is free again", |server| running(server) == 0);
    server.until("no seat is taken", |server| server.metric("llama_selfmod_requests_in_flight") == 0.0);
    drop(socket);
}

#[test]
fn a_draining_server_finishes_and_begins_nothing() {
    let mut server = Server::start(slow(), options());
    let socket = server.post_open("/v1/completions", &prompt("", 60));
    server.until("it runs", |server| running(server) == 1);
    server.stop.drain();
    let refused = server.post("/v1/completions", &prompt("", 1));
    refused.refused(503);
    assert!(refused.head.contains("retry-after"), "{}", refused.head);
    server.get("/health").refused(503);
    assert_eq!(finish(socket).ok()["choices"][0]["text"], "x".repeat(60));
    assert!(server.join() < Duration::from_secs(3));
}

#[test]
fn what_is_not_over_in_time_is_cut() {
    let mut server = Server::start(slow(), Options { parallel: 1, grace: Duration::from_millis(200), ..options() });
    let mut body = prompt("", 199);
    body["stream"] = json!(true);
    let socket = server.post_open("/v1/completions", &body);
    server.until("it runs", |server| running(server) == 1);
    let waiting = server.post_open("/v1/completions", &prompt("", 1));
    server.until("another waits", |server| server.metric("llama_selfmod_jobs_queued") == 1.0);
    server.stop.drain();
    finish(waiting).refused(503);
    let events = finish(socket).events();
    let choice = &events.last().unwrap()["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["llama_selfmod"]["finish"]["kind"]),
        (&json!("length"), &json!("cut"))
    );
    assert!(events.iter().map(|event| event["choices"][0]["text"].as_str().unwrap().len()).sum::<usize>() > 10);
    assert!(server.join() < Duration::from_secs(4));
    server.until("the line is free", |server| running(server) == 0);
}

#[test]
fn a_request_has_its_time() {
    let timeout = Some(Duration::from_millis(300));
    let server = Server::start(slow(), Options { parallel: 1, timeout, ..options() });
    let first = server.post_open("/v1/completions", &prompt("", 199));
    server.until("it runs", |server| running(server) == 1);
    let reply = finish(first).ok();
    let choice = &reply["choices"][0];
    assert_eq!(
        (&choice["finish_reason"], &choice["llama_selfmod"]["finish"]["kind"]),
        (&json!("length"), &json!("cut"))
    );
    let length = choice["text"].as_str().unwrap().len();
    assert!((10..150).contains(&length), "{length}");
    server.until("the line is free", |server| running(server) == 0);
}

#[test]
fn slow_heads_and_bodies_are_not_waited_for() {
    let short = Duration::from_millis(300);
    let server = Server::start(slow(), Options { header_timeout: short, body_timeout: short, ..options() });
    let mut socket = server.open();
    socket.write_all(b"POST /v1/completions HTTP/1.1\r\nhost: loc").unwrap();
    let mut bytes = Vec::new();
    let begin = Instant::now();
    let _ = socket.read_to_end(&mut bytes);
    assert!(begin.elapsed() < Duration::from_secs(5));
    let mut socket = server.open();
    let head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    socket.write_all(head.as_bytes()).unwrap();
    finish(socket).refused(408);
    // A body that breaks off.
    let mut socket = server.open();
    socket.write_all(head.as_bytes()).unwrap();
    socket.shutdown(Shutdown::Write).unwrap();
    let answer = finish(socket);
    assert!(matches!(answer.status, 0 | 400), "{answer:?}");
    server.post("/v1/completions", &prompt("", 1)).ok();
}

#[test]
fn a_line_that_is_full_loses_nothing() {
    let fast = Manner { pace: Duration::ZERO, horizon: 5, retracts: true };
    let server = Server::start(fast, options());
    let text = "Grüße the cat 5 € ".repeat(300);
    let mut body = json!({"prompt": text, "stream": true, "max_tokens": 100_000, "logprobs": 3});
    let mut socket = server.post_open("/v1/completions", &body);
    // The client reads a little, waits, and reads on. Buffers are to be small compared with the reply.
    socket2::SockRef::from(&socket).set_recv_buffer_size(4096).unwrap();
    let mut begin = [0; 10];
    socket.read_exact(&mut begin).unwrap();
    server.until("the line is full", |server| server.double.seen.full.load(Ordering::SeqCst) > 0);
    socket2::SockRef::from(&socket).set_recv_buffer_size(4 << 20).unwrap();
    let mut bytes = begin.to_vec();
    socket.read_to_end(&mut bytes).unwrap();
    let events = parse(&bytes).events();
    let own: Vec<&Value> = events.iter().map(|event| &event["choices"][0]).collect();
    assert_eq!(own.iter().map(|choice| choice["text"].as_str().unwrap()).collect::<String>(), text);
    body["stream"] = json!(false);
    let whole = server.post("/v1/completions", &body).ok();
    assert_eq!(whole["choices"][0]["text"], text);
    let parts = own.iter().filter_map(|choice| choice["logprobs"]["tokens"].as_array()).flatten();
    assert_eq!(Value::Array(parts.cloned().collect()), whole["choices"][0]["logprobs"]["tokens"]);
}
