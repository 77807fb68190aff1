//! Who gets a line, when it is free again, and how the server ends.

use super::restless;
use crate::support::http::{Stream, ask, post};
use serde_json::{Value, json};
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

fn long(seed: u64) -> Value {
    json!({"prompt": "Once upon a time", "max_tokens": 100_000, "seed": seed, "stream": true, "logit_bias": {"2": -100}})
}

fn waits_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_closed_socket_frees_its_line_within_a_step() {
    let server = restless(&["--parallel", "1", "--context-shift"]);
    for round in 0..3 {
        let mut stream = Stream::post(server.address, "/v1/completions", &long(round));
        let read: usize =
            (0..5).map(|_| stream.event().unwrap()["choices"][0]["text"].as_str().unwrap_or_default().len()).sum();
        drop(stream);
        waits_until("the reply is not logged", || {
            server.place.path().join("selfmod_memory.jsonl").exists()
                && server.place.log().len() as u64 == 2 * round + 1
        });
        let line = server.place.log().pop().unwrap();
        assert_eq!(line["reason"], "interrupted");
        // What was read, what was held, and what was in the sockets: no 100,000 tokens.
        assert!(line["response"].as_str().unwrap().len() < read + 20_000, "{read} bytes were read");
        let next = post(server.address, "/v1/completions", &json!({"prompt": "One", "max_tokens": 2})).ok();
        assert_eq!(next["usage"]["completion_tokens"], 2);
    }
}

#[test]
fn ten_of_74_are_told_to_come_again_and_nobody_starves() {
    let server = restless(&["--parallel", "4", "--queue", "64"]);
    let refused = AtomicUsize::new(0);
    let address = server.address;
    // Four lines are taken, so that the others wait for sure.
    let holders: Vec<Stream> = (0..4)
        .map(|seed| {
            let mut stream = Stream::post(
                address,
                "/v1/completions",
                &json!({"prompt": "a", "max_tokens": 400, "seed": seed, "stream": true}),
            );
            stream.event().unwrap();
            stream
        })
        .collect();
    let answered = std::thread::scope(|scope| {
        let ask = |number: u64| {
            let refused = &refused;
            scope.spawn(move || {
                let body = json!({"prompt": "One day", "max_tokens": 8, "seed": number});
                let answer = post(address, "/v1/completions", &body);
                if answer.status == 429 {
                    assert!(answer.head.to_lowercase().contains("retry-after: "), "{}", answer.head);
                    refused.fetch_add(1, Ordering::SeqCst);
                    return false;
                }
                assert_eq!(answer.ok()["usage"]["completion_tokens"], 8);
                true
            })
        };
        let asked: Vec<_> = (0..70).map(ask).collect();
        waits_until("ten are refused", || refused.load(Ordering::SeqCst) == 10);
        drop(holders);
        asked.into_iter().map(|one| one.join().unwrap()).filter(|&was_answered| was_answered).count()
    });
    assert_eq!((answered, refused.load(Ordering::SeqCst)), (60, 10));
    assert_eq!(server.metric("llama_selfmod_requests_rejected_total"), 10.0);
}

#[test]
fn equal_work_takes_about_as_long_for_all() {
    let server = restless(&["--parallel", "4"]);
    let address = server.address;
    let start = Instant::now();
    let times: Vec<f64> = std::thread::scope(|scope| {
        let ask = |number: u64| {
            scope.spawn(move || {
                let body = json!({"prompt": "One day", "max_tokens": 120, "seed": number, "logit_bias": {"2": -100}});
                post(address, "/v1/completions", &body).ok();
                start.elapsed().as_secs_f64()
            })
        };
        (0..4).map(ask).collect::<Vec<_>>().into_iter().map(|one| one.join().unwrap()).collect()
    });
    let [least, most] = [f64::min, f64::max].map(|pick| times.iter().copied().reduce(pick).unwrap());
    assert!(most / least < 3.0, "{times:?}");
}

#[test]
fn sigterm_lets_replies_end_and_logs_them() {
    let mut server = restless(&["--parallel", "2", "--grace", "60"]);
    let body = json!({"prompt": "One day", "max_tokens": 200, "seed": 1, "stream": true, "logit_bias": {"2": -100}});
    let mut streams: Vec<Stream> = (0..2).map(|_| Stream::post(server.address, "/v1/completions", &body)).collect();
    streams.iter_mut().for_each(|stream| drop(stream.event().unwrap()));
    server.signal(libc::SIGTERM);
    waits_until("new requests are refused", || {
        let answer = ask(server.address, "GET", "/health", &[], b"");
        answer.status == 503
    });
    let text: Vec<String> = streams
        .iter_mut()
        .map(|stream| {
            std::iter::from_fn(|| stream.event())
                .map(|chunk| chunk["choices"][0]["text"].as_str().unwrap_or_default().to_owned())
                .collect()
        })
        .collect();
    assert!(text.iter().all(|text| !text.is_empty()));
    assert_eq!(server.ends(), Some(0));
    let log = server.place.log();
    assert_eq!(log.len(), 2);
    assert!(log.iter().all(|line| line["reason"] == "length" && line["tokens"] == 200), "{log:?}");
}

#[test]
fn what_is_cut_is_logged() {
    let mut server = restless(&["--grace", "0", "--context-shift"]);
    let mut stream = Stream::post(server.address, "/v1/completions", &long(1));
    let first = stream.event().unwrap()["choices"][0]["text"].as_str().unwrap().to_owned();
    server.signal(libc::SIGINT);
    assert_eq!(server.ends(), Some(0));
    let line = server.place.log().pop().unwrap();
    assert_eq!(line["reason"], "interrupted");
    assert!(line["response"].as_str().unwrap().starts_with(&first));
}

#[test]
fn clients_that_are_killed_under_load_leave_nothing_behind() {
    let server = restless(&["--parallel", "2", "--context-shift"]);
    // Sockets that close without a word, some before the answer has begun.
    for round in 0..5 {
        let sockets: Vec<_> = (0..6)
            .map(|seed| {
                let body = long(seed + round).to_string();
                let mut socket = std::net::TcpStream::connect(server.address).unwrap();
                let length = body.len();
                let head = "POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json";
                write!(socket, "{head}\r\ncontent-length: {length}\r\n\r\n{body}").unwrap();
                socket
            })
            .collect();
        std::thread::sleep(Duration::from_millis(40 * round));
        drop(sockets);
    }
    waits_until("lines are still taken", || server.metric("llama_selfmod_requests_in_flight") == 0.0);
    assert_eq!(
        post(server.address, "/v1/completions", &json!({"prompt": "One", "max_tokens": 2})).ok()["usage"]["completion_tokens"],
        2
    );
}
