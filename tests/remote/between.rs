//! Somebody between the program and a server, who passes on what is said, or something else.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What becomes of an answer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Way {
    Honest,
    /// It is so late.
    Delayed(Duration),
    /// Status 500 in its place.
    Refused,
    /// One number in it is none.
    NotANumber,
    /// A token that the model does not have.
    OutOfRange,
    /// It says that it is from another model.
    Another,
    /// It ends in the middle.
    Truncated,
    /// It comes a byte at a time.
    Dripping,
    /// It never comes.
    Silent,
    /// It sends the asker elsewhere.
    Redirected,
    /// As vLLM would say it, and as SGLang would.
    Vllm,
    Sglang,
}

pub struct Between {
    port: u16,
    way: Arc<Mutex<Way>>,
    /// Answers to requests for rows.
    answered: Arc<AtomicUsize>,
}

impl Between {
    /// Between the program and the server there.
    pub fn before(server: &str, way: Way) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = server.strip_prefix("http://").unwrap().to_owned();
        let (way, answered) = (Arc::new(Mutex::new(way)), Arc::new(AtomicUsize::new(0)));
        let (its_way, its_answered) = (way.clone(), answered.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (server, way, answered) = (server.clone(), its_way.clone(), its_answered.clone());
                std::thread::spawn(move || converse(stream, &server, &way, &answered));
            }
        });
        Self { port, way, answered }
    }

    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub fn set(&self, way: Way) {
        *self.way.lock().unwrap() = way;
    }

    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }
}

/// The head and the body of the next message.
fn message(reader: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let (mut head, mut length) = (String::new(), 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().ok()?;
        }
        let is_end = line.trim().is_empty();
        head += &line;
        if is_end {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// What the server answers: status and body.
pub fn ask(server: &str, method: &str, path: &str, body: &[u8]) -> Option<(u16, Vec<u8>)> {
    let mut stream = TcpStream::connect(server).ok()?;
    stream.set_nodelay(true).ok()?;
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(&[head.as_bytes(), body].concat()).ok()?;
    let (head, body) = message(&mut BufReader::new(stream))?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body))
}

fn converse(mut stream: TcpStream, server: &str, way: &Mutex<Way>, answered: &AtomicUsize) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    while let Some((head, body)) = message(&mut reader) {
        let mut words = head.split(' ');
        let (method, path) = (words.next()?, words.next()?);
        let way = *way.lock().unwrap();
        let (mut status, mut answer) = match way {
            Way::Vllm | Way::Sglang => super::listing::answer(way, server, path, &body)?,
            _ => ask(server, method, path, &body)?,
        };
        let is_rows = matches!(path, "/completion" | "/v1/completions" | "/generate");
        if is_rows {
            answered.fetch_add(1, Ordering::Relaxed);
        }
        let mut rest = 0;
        let said = |answer: &[u8]| String::from_utf8(answer.to_vec()).unwrap();
        match way {
            Way::Honest | Way::Vllm | Way::Sglang => {}
            Way::Delayed(time) => std::thread::sleep(time),
            Way::Refused => (status, answer) = (500, br#"{"error":{"message":"out of \u001b[31mmemory"}}"#.to_vec()),
            Way::NotANumber if is_rows => {
                answer = said(&answer).replacen("\"logprob\":-", "\"logprob\":NaN,\"x\":-", 3).into();
            }
            Way::OutOfRange if is_rows => {
                answer = said(&answer).replace("\"top_logprobs\":[{\"id\":", "\"top_logprobs\":[{\"id\":9").into();
            }
            Way::Another => answer = said(&answer).replace(".gguf", ".other").into(),
            Way::Truncated => (rest, answer) = (answer.len() / 2, answer[..answer.len() / 2].to_vec()),
            Way::Redirected => status = 302,
            Way::NotANumber | Way::OutOfRange | Way::Dripping | Way::Silent => {}
        }
        if way == Way::Silent {
            std::thread::sleep(Duration::from_secs(20));
            return None;
        }
        let length = answer.len() + rest;
        let head = format!(
            "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: {length}\r\n\r\n"
        );
        if way == Way::Dripping {
            stream.write_all(head.as_bytes()).ok()?;
            for byte in answer {
                stream.write_all(&[byte]).ok()?;
                std::thread::sleep(Duration::from_millis(100));
            }
        } else {
            stream.write_all(&[head.as_bytes(), &answer].concat()).ok()?;
        }
        if rest > 0 {
            return None;
        }
    }
    None
}
