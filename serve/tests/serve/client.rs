//! A server on a port of its own, and a client that hides nothing.

use crate::double::{Double, Manner};
use serde_json::Value;
use serve::{Backend, Options, Stop};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

pub struct Server {
    pub address: SocketAddr,
    pub stop: Stop,
    pub double: Arc<Double>,
    thread: Option<JoinHandle<Result<(), serve::Error>>>,
}

#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

pub fn options() -> Options {
    Options { port: 0, grace: Duration::from_secs(5), ..Options::default() }
}

impl Server {
    pub fn start(manner: Manner, options: Options) -> Self {
        let double = Double::new(manner);
        let (stop, backend) = (Stop::new(), Arc::clone(&double) as Arc<dyn Backend>);
        let (ready, address) = channel();
        let copy = stop.clone();
        let thread = thread::spawn(move || serve::run(backend, options, |address| ready.send(address).unwrap(), &copy));
        Self { address: address.recv().unwrap(), stop, double, thread: Some(thread) }
    }

    pub fn plain() -> Self {
        Self::start(Manner::default(), options())
    }

    pub fn open(&self) -> TcpStream {
        let socket = TcpStream::connect(self.address).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        socket
    }

    /// Sends a request and leaves the rest to the caller.
    pub fn send(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> TcpStream {
        let mut socket = self.open();
        let host = if headers.to_ascii_lowercase().contains("host:") { "" } else { "host: localhost\r\n" };
        let length = body.len();
        let head =
            format!("{method} {path} HTTP/1.1\r\n{host}connection: close\r\ncontent-length: {length}\r\n{headers}\r\n");
        socket.write_all(head.as_bytes()).unwrap();
        // The server may have answered already and not read on.
        let _ = socket.write_all(body);
        socket
    }

    pub fn ask(&self, method: &str, path: &str, headers: &str, body: &[u8]) -> Answer {
        finish(self.send(method, path, headers, body))
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, "", b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask("POST", path, "content-type: application/json\r\n", body.to_string().as_bytes())
    }

    pub fn post_open(&self, path: &str, body: &Value) -> TcpStream {
        self.send("POST", path, "content-type: application/json\r\n", body.to_string().as_bytes())
    }

    /// The value of a metric without labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").body;
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.unwrap_or_else(|| panic!("no {name} in {text}")).rsplit(' ').next().unwrap().parse().unwrap()
    }

    pub fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let begin = Instant::now();
        while !holds(self) {
            assert!(begin.elapsed() < Duration::from_secs(20), "never: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for the server's end.
    pub fn join(&mut self) -> Duration {
        let begin = Instant::now();
        self.thread.take().unwrap().join().unwrap().unwrap();
        begin.elapsed()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cut();
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(thread::panicking() || matches!(result, Ok(Ok(()))), "{result:?}");
        }
    }
}

pub fn finish(mut socket: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = socket.read_to_end(&mut bytes);
    parse(&bytes)
}

pub fn parse(bytes: &[u8]) -> Answer {
    let split = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let Some(split) = split else { return Answer { status: 0, head: String::new(), body: String::new() } };
    let head = String::from_utf8(bytes[..split].to_vec()).unwrap().to_ascii_lowercase();
    let mut rest = &bytes[split + 4..];
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = Vec::new();
    if head.contains("transfer-encoding: chunked") {
        while let Some(end) = rest.windows(2).position(|two| two == b"\r\n") {
            let length = usize::from_str_radix(std::str::from_utf8(&rest[..end]).unwrap(), 16).unwrap();
            if length == 0 || rest.len() < end + 2 + length {
                break;
            }
            body.extend_from_slice(&rest[end + 2..end + 2 + length]);
            rest = &rest[(end + 4 + length).min(rest.len())..];
        }
    } else {
        body.extend_from_slice(rest);
    }
    Answer { status, head, body: String::from_utf8(body).unwrap() }
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        self.json()
    }

    /// The error's parameter and code, checked for its form.
    pub fn refused(&self, status: u16) -> (String, String) {
        assert_eq!(self.status, status, "{self:?}");
        let body = self.json();
        let error = &body["error"];
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()), "{body}");
        assert!(error["type"].is_string(), "{body}");
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (text("param"), text("code"))
    }

    /// Objects of a stream of events, which ends as it should.
    pub fn events(&self) -> Vec<Value> {
        assert_eq!(self.status, 200, "{self:?}");
        assert!(self.head.contains("text/event-stream"), "{}", self.head);
        assert!(self.body.starts_with(": ping\n\n"), "{}", self.body);
        assert!(self.body.ends_with("data: [DONE]\n\n"), "{}", self.body);
        let data = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).filter(|data| *data != "[DONE]");
        data.map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}
