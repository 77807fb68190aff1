//! A client over HTTP, byte by byte: requests, streams of events, sockets that are closed in the middle; and the server as a
//! person starts it.
#![allow(dead_code, reason = "every test file uses a part of it")]

use crate::support::program::Place;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// Longer than any answer takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// The program as a server, in a folder of its own. Dropping it kills it.
pub struct Server {
    pub place: Place,
    pub address: SocketAddr,
    pub child: Child,
}

impl Server {
    /// `serve` with these words, at a free port.
    pub fn start(place: Place, words: &[&str]) -> Self {
        let mut command = place.process(&[&["serve", "--port", "0"], words].concat());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let (mut line, mut all) = (String::new(), String::new());
        let address = loop {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "the server ended: {all}");
            all += &line;
            if let Some((_, rest)) = line.split_once("serving http://") {
                break rest.split_whitespace().next().unwrap().parse().unwrap();
            }
        };
        // What it says later must not fill the pipe.
        std::thread::spawn(move || std::io::copy(&mut said, &mut std::io::sink()));
        Self { place, address, child }
    }

    pub fn signal(&self, signal: i32) {
        // SAFETY: sends a signal to a child that was not waited for.
        assert_eq!(unsafe { libc::kill(self.child.id() as i32, signal) }, 0);
    }

    /// Waits for its end.
    pub fn ends(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < PATIENCE, "the server goes on");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        post(self.address, path, body)
    }

    pub fn get(&self, path: &str) -> Answer {
        ask(self.address, "GET", path, &[], b"")
    }

    /// A number of `/metrics`, summed over its labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let is_named = |line: &&str| line.split([' ', '{']).next() == Some(name);
        let values = text.lines().filter(is_named).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum()
    }
}

impl Server {
    /// Ends it, and gives its folder back.
    pub fn close(&mut self) -> Place {
        let _ = self.child.kill();
        let _ = self.child.wait();
        std::mem::replace(&mut self.place, Place::new())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer that came whole.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// The JSON of an answer that must have worked.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.body);
        self.json()
    }
}

pub fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    ask(address, "POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
}

pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut answer = Stream::open(address, method, path, headers, body);
    let mut text = String::new();
    while let Some(part) = answer.part() {
        text += &String::from_utf8(part).unwrap();
    }
    Answer { status: answer.status, head: answer.head, body: text }
}

/// An answer as it comes.
pub struct Stream {
    reader: BufReader<TcpStream>,
    pub status: u16,
    pub head: String,
    left: Left,
    unread: String,
}

enum Left {
    Chunks,
    Bytes(usize),
    Over,
}

impl Stream {
    pub fn open(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Self {
        let mut socket = TcpStream::connect(address).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\ncontent-length: {}\r\n", body.len());
        headers.iter().for_each(|(name, value)| head += &format!("{name}: {value}\r\n"));
        socket.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        socket.write_all(body).unwrap();
        let mut reader = BufReader::new(socket);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(reader.read_line(&mut head).unwrap() > 0, "no answer: {head}");
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let lower = head.to_lowercase();
        let length = lower.split("content-length: ").nth(1).and_then(|rest| rest.lines().next());
        let left = length.map_or(Left::Chunks, |length| Left::Bytes(length.trim().parse().unwrap()));
        Self { reader, status, head, left, unread: String::new() }
    }

    pub fn post(address: SocketAddr, path: &str, body: &Value) -> Self {
        Self::open(address, "POST", path, &[("content-type", "application/json")], body.to_string().as_bytes())
    }

    fn part(&mut self) -> Option<Vec<u8>> {
        let length = match self.left {
            Left::Over => return None,
            Left::Bytes(length) => {
                self.left = Left::Over;
                length
            }
            Left::Chunks => {
                let mut line = String::new();
                self.reader.read_line(&mut line).unwrap();
                usize::from_str_radix(line.trim(), 16).unwrap_or_else(|_| panic!("no chunk: {line:?}"))
            }
        };
        let mut part = vec![0; length];
        self.reader.read_exact(&mut part).unwrap();
        if let Left::Chunks = self.left {
            let mut end = [0; 2];
            self.reader.read_exact(&mut end).unwrap();
            if length == 0 {
                self.left = Left::Over;
                return None;
            }
        }
        Some(part)
    }

    /// The next line of JSON of `/v1/stream`; `None` at its end.
    pub fn stream_event(&mut self) -> Option<Value> {
        assert_eq!(self.status, 200, "{}", self.head);
        loop {
            if let Some((line, rest)) = self.unread.split_once('\n') {
                let line = line.trim().to_owned();
                self.unread = rest.to_owned();
                if !line.is_empty() {
                    return Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")));
                }
                continue;
            }
            let part = self.part()?;
            self.unread += &String::from_utf8(part).unwrap();
        }
    }

    /// The next `data:` of a stream of events; `None` at its end, and after `[DONE]`.
    pub fn event(&mut self) -> Option<Value> {
        assert_eq!(self.status, 200, "{}", self.head);
        loop {
            if let Some((event, rest)) = self.unread.split_once("\n\n") {
                let data: Vec<&str> = event.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
                let data = data.join("\n");
                self.unread = rest.to_owned();
                match data.as_str() {
                    "" => continue,
                    "[DONE]" => return None,
                    data => return Some(serde_json::from_str(data).unwrap_or_else(|error| panic!("{error}: {data}"))),
                }
            }
            let part = self.part()?;
            self.unread += &String::from_utf8(part).unwrap();
        }
    }
}
