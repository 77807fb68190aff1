//! Requests to one server, with bounds on all that comes back. The only code that names ureq.

use super::fault::{Fault, in_short};
use std::io::ErrorKind;
use std::time::{Duration, Instant};
use ureq::Agent;

/// Bytes of an answer at most: a whole row of 152,000 tokens has 11 MB.
const LARGEST: u64 = 64 << 20;

/// Connections that are kept open are closed by most servers after five seconds; one that was idle for longer is not tried.
const IDLE: Duration = Duration::from_secs(4);

/// A way to one server; a clone shares its connections. It goes nowhere else: neither through a proxy nor after a redirect.
#[derive(Clone)]
pub struct Client {
    agent: Agent,
    base: String,
    /// `Bearer …`; it stands in no message.
    authorization: Option<String>,
}

impl Client {
    /// To `base`, with the key that it asks for.
    pub fn new(base: String, key: Option<String>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(None)
            .max_idle_age(IDLE)
            .max_idle_connections(64)
            .max_idle_connections_per_host(64)
            .max_response_header_size(64 << 10)
            .user_agent(concat!("llama_selfmod/", env!("CARGO_PKG_VERSION")))
            .build();
        Self { agent: config.into(), base, authorization: key.map(|key| format!("Bearer {key}")) }
    }

    /// What the server answers to a body of JSON within `patience`.
    pub fn post(&self, path: &str, body: &[u8], patience: Duration) -> Result<Vec<u8>, Fault> {
        let mut request = self.agent.post(format!("{}{path}", self.base)).header("Content-Type", "application/json");
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let start = Instant::now();
        let request = request.config().timeout_global(Some(patience)).build();
        self.read(request.send(body), start, patience)
    }

    /// What the server has at a path.
    pub fn get(&self, path: &str, patience: Duration) -> Result<Vec<u8>, Fault> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let start = Instant::now();
        let request = request.config().timeout_global(Some(patience)).build();
        self.read(request.call(), start, patience)
    }

    fn read(
        &self,
        response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
        start: Instant,
        patience: Duration,
    ) -> Result<Vec<u8>, Fault> {
        let response = response.map_err(|error| fault(error, patience, true))?;
        let status = response.status().as_u16();
        let body = response.into_body().into_with_config().limit(LARGEST).read_to_vec();
        if status != 200 {
            let said = body.ok().filter(|_| status >= 400).map(|body| said(&body)).unwrap_or_default();
            return Err(Fault::Status { status, said });
        }
        let body = body.map_err(|error| fault(error, patience, false))?;
        // A server that sends a byte now and then keeps no clock of the operating system's waiting.
        if start.elapsed() > patience { Err(Fault::TimeOut(patience.as_secs_f32())) } else { Ok(body) }
    }
}

/// What an answer that is an error says: the `message` in it, or its beginning.
fn said(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let message = json.as_ref().and_then(|json| {
        let error = json.get("error").unwrap_or(json);
        error.get("message").or(Some(error)).and_then(|message| message.as_str())
    });
    match message {
        Some(message) => in_short(message),
        None => in_short(&String::from_utf8_lossy(&body[..body.len().min(400)])),
    }
}

/// `is_early`: before an answer began.
fn fault(error: ureq::Error, patience: Duration, is_early: bool) -> Fault {
    match error {
        ureq::Error::Timeout(_) => Fault::TimeOut(patience.as_secs_f32()),
        ureq::Error::BodyExceedsLimit(_) => Fault::TooLarge,
        ureq::Error::HostNotFound => Fault::Unreachable("no machine has this name".into()),
        ureq::Error::Io(error) if error.kind() == ErrorKind::TimedOut => Fault::TimeOut(patience.as_secs_f32()),
        ureq::Error::Io(error) if error.kind() == ErrorKind::ConnectionRefused => {
            Fault::Unreachable("nothing listens there".into())
        }
        ureq::Error::Io(error)
            if matches!(
                error.kind(),
                ErrorKind::ConnectionReset
                    | ErrorKind::ConnectionAborted
                    | ErrorKind::BrokenPipe
                    | ErrorKind::UnexpectedEof
            ) =>
        {
            if is_early {
                Fault::Closed
            } else {
                Fault::BrokenOff
            }
        }
        ureq::Error::Io(error) => Fault::Unreachable(in_short(&error.to_string())),
        ureq::Error::Protocol(_) if !is_early => Fault::BrokenOff,
        other if is_early => Fault::Unreachable(in_short(&other.to_string())),
        other => Fault::Unreadable(in_short(&other.to_string())),
    }
}
