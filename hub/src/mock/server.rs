//! HTTP as far as the mock needs it: one request a connection, each on a thread.

use super::state::State;
use super::{Fault, Place, Seen, locked};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of an answer between two waits of one that is slow.
const PIECE: usize = 64 << 10;

/// A request.
pub(super) struct Incoming {
    pub method: String,
    /// Path and query, as they arrived.
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// What is to go wrong with the content.
    pub fault: Option<Fault>,
}

impl Incoming {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The first byte that is asked for.
    pub fn from(&self) -> Option<usize> {
        self.header("Range")?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
    }
}

/// An answer.
pub(super) struct Reply {
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Arc<Vec<u8>>,
    /// The first byte of the body that is sent.
    pub from: usize,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: Arc::new(body.into()), from: 0 }
    }

    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, value.to_string()).with("Content-Type", "application/json")
    }

    pub fn error(status: u16, code: &str, message: &str) -> Self {
        let reply = Self::json(status, &serde_json::json!({ "error": message })).with("X-Error-Message", message);
        if code.is_empty() { reply } else { reply.with("X-Error-Code", code) }
    }

    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }
}

/// A listener and its thread; dropping it ends them.
pub(super) struct Server {
    pub port: u16,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(
        port: u16,
        place: Place,
        state: Arc<Mutex<State>>,
        answer: impl Fn(&Incoming) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let port = listener.local_addr()?.port();
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, answer) = (Arc::clone(&is_over), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let Ok(stream) = stream else { continue };
                let (state, answer) = (Arc::clone(&state), Arc::clone(&answer));
                // A client that goes away ends its thread with an error, and no more.
                std::thread::spawn(move || serve(stream, place, &state, &*answer));
            }
        });
        Ok(Self { port, is_over, thread: Some(thread) })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // Wakes the thread.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut stream: TcpStream,
    place: Place,
    state: &Mutex<State>,
    answer: &(impl Fn(&Incoming) -> Reply + ?Sized),
) -> io::Result<()> {
    let Some(mut request) = read(&stream)? else { return Ok(()) };
    let fault = {
        let mut state = locked(state);
        state.seen.push(Seen {
            place,
            method: request.method.clone(),
            target: request.target.clone(),
            authorization: request.header("Authorization").map(str::to_owned),
            range: request.header("Range").map(str::to_owned),
            body: request.body.len(),
        });
        state.take_fault(place, &request.target)
    };
    let mut reply = match &fault {
        Some(Fault::Status(status, retry_after)) => {
            let reply = Reply::error(*status, "", "as the script says");
            match retry_after {
                Some(seconds) => reply.with("Retry-After", seconds.to_string()),
                None => reply,
            }
        }
        _ => {
            request.fault.clone_from(&fault);
            answer(&request)
        }
    };
    if fault == Some(Fault::WrongBytes) {
        reply.body = Arc::new(reply.body.iter().map(|byte| !byte).collect());
    }
    write(&mut stream, &request, &reply, fault.as_ref())?;
    stream.shutdown(Shutdown::Write)
}

fn read(stream: &TcpStream) -> io::Result<Option<Incoming>> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else { return Ok(None) };
    let (method, target) = (method.to_owned(), target.to_owned());
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => headers.push((name.to_owned(), value.trim().to_owned())),
            None => break,
        }
    }
    let mut request = Incoming { method, target, headers, body: Vec::new(), fault: None };
    if request.header("Expect").is_some() {
        let mut stream = stream;
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    }
    if request.header("Transfer-Encoding").is_some_and(|coding| coding.contains("chunked")) {
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            let size = u64::from_str_radix(line.trim().split(';').next().unwrap_or_default(), 16)
                .map_err(|_| io::ErrorKind::InvalidData)?;
            reader.by_ref().take(size).read_to_end(&mut request.body)?;
            reader.read_line(&mut String::new())?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = request.header("Content-Length").and_then(|length| length.parse().ok()) {
        reader.take(length).read_to_end(&mut request.body)?;
    }
    Ok(Some(request))
}

fn write(stream: &mut TcpStream, request: &Incoming, reply: &Reply, fault: Option<&Fault>) -> io::Result<()> {
    let wait = match fault {
        Some(Fault::Slow(wait)) => *wait,
        _ => Duration::ZERO,
    };
    std::thread::sleep(wait);
    let body = &reply.body[reply.from.min(reply.body.len())..];
    let mut head = format!("HTTP/1.1 {} Mock\r\nContent-Length: {}\r\nConnection: close\r\n", reply.status, body.len());
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    if request.method == "HEAD" {
        return Ok(());
    }
    let end = match fault {
        Some(Fault::CutAfter(bytes)) => body.len().min(*bytes),
        _ => body.len(),
    };
    for piece in body[..end].chunks(PIECE) {
        stream.write_all(piece)?;
        std::thread::sleep(wait);
    }
    stream.flush()
}
