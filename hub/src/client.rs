//! Requests to the hub and to where it leads. The only code that names ureq, and the only code that sends the token.

use crate::{HubError, Settings, Token};
use std::fmt::{Display, Formatter};
use std::io::{self, ErrorKind, Read};
use std::time::Duration;
use ureq::http::{HeaderMap, Method, Uri};
use ureq::{Agent, Body, Proxy, SendBody};

/// Redirects that are followed at most.
const REDIRECTS: usize = 10;

/// Bytes of an answer that is read as a whole: a listing of a large repository has a few MB.
const LARGEST: u64 = 64 << 20;

/// What is sent to where, besides the method.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ask<'a> {
    /// The first byte that is wanted.
    pub from: Option<u64>,
    /// A body and its type.
    pub body: Option<(&'static str, &'a [u8])>,
    /// Without the token even at the endpoint, as for a link that carries its own signature.
    pub is_anonymous: bool,
}

/// An answer whose body is not read yet.
pub(crate) struct Answer {
    pub status: u16,
    headers: HeaderMap,
    body: Body,
    /// Host and port that answered.
    pub host: String,
}

/// Sends to one hub; follows it elsewhere without the token.
#[derive(Debug)]
pub(crate) struct Client {
    agent: Agent,
    pub endpoint: String,
    origin: Origin,
    token: Option<Token>,
}

impl Client {
    pub fn new(settings: &Settings) -> Result<Self, HubError> {
        let refuse = |why: &str| HubError::Setting { name: "HF_ENDPOINT".into(), why: why.into() };
        let origin = Origin::of(&settings.endpoint)
            .ok_or_else(|| refuse("it is no address that begins with `https://` or `http://`"))?;
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(if settings.proxy { Proxy::try_from_env() } else { None })
            .timeout_resolve(Some(settings.patience.silence))
            .timeout_connect(Some(settings.patience.silence))
            .timeout_per_read(Some(settings.patience.silence))
            .timeout_per_write(Some(settings.patience.silence))
            .max_response_header_size(64 << 10)
            .user_agent(concat!("llama_selfmod/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self { agent: config.into(), endpoint: settings.endpoint.clone(), origin, token: settings.token.clone() })
    }

    /// The endpoint's host, for messages.
    pub fn host(&self) -> String {
        self.origin.to_string()
    }

    /// The token, if it may be sent to the endpoint: over plain HTTP only to this machine.
    pub fn token(&self) -> Option<&Token> {
        self.token.as_ref().filter(|_| self.origin.is_private())
    }

    /// Whether there is a token that plain HTTP keeps from being sent.
    pub fn withholds_token(&self) -> bool {
        self.token.is_some() && self.token().is_none()
    }

    /// What the hub says about a file. It stops where the hub leads elsewhere: the answer that does so has the headers.
    pub fn head(&self, url: &str) -> Result<Answer, Trouble> {
        self.send(&Method::HEAD, url, Ask::default())
    }

    pub fn get(&self, url: &str, from: Option<u64>) -> Result<Answer, Trouble> {
        self.send(&Method::GET, url, Ask { from, ..Ask::default() })
    }

    pub fn post(&self, url: &str, ask: Ask<'_>) -> Result<Answer, Trouble> {
        self.send(&Method::POST, url, ask)
    }

    /// Sends `length` bytes to where the hub said, which is a link with a signature of its own.
    pub fn put(&self, url: &str, length: u64, mut body: &mut dyn Read) -> Result<Answer, Trouble> {
        let uri = self.uri(url)?;
        let origin = Origin::of(url).ok_or_else(|| Trouble::Redirect(url.into()))?;
        let request = self.agent.put(uri).header("Content-Length", length.to_string());
        answer(request.send(SendBody::from_reader(&mut body)), origin)
    }

    fn uri(&self, url: &str) -> Result<Uri, Trouble> {
        let uri = url.parse::<Uri>().map_err(|_| Trouble::Redirect(url.into()))?;
        // What came over TLS does not go on without.
        let is_downgrade = self.origin.is_tls && Origin::of(url).is_none_or(|origin| !origin.is_tls);
        if is_downgrade { Err(Trouble::Redirect(url.into())) } else { Ok(uri) }
    }

    fn send(&self, method: &Method, url: &str, ask: Ask<'_>) -> Result<Answer, Trouble> {
        let mut url = url.to_owned();
        for _ in 0..=REDIRECTS {
            let uri = self.uri(&url)?;
            let origin = Origin::of(&url).ok_or_else(|| Trouble::Redirect(url.clone()))?;
            let mut request =
                ureq::http::Request::builder().method(method).uri(uri).header("Accept-Encoding", "identity");
            if let Some(token) = self.token().filter(|_| origin == self.origin && !ask.is_anonymous) {
                request = request.header("Authorization", token.header());
            }
            if let Some(from) = ask.from {
                request = request.header("Range", format!("bytes={from}-"));
            }
            let response = match ask.body {
                Some((kind, body)) => {
                    request = request.header("Content-Type", kind).header("Accept", kind);
                    request.body(body).map_err(ureq::Error::from).and_then(|request| self.agent.run(request))
                }
                None => request.body(()).map_err(ureq::Error::from).and_then(|request| self.agent.run(request)),
            };
            let answer = answer(response, origin.clone())?;
            let keeps_method = matches!(answer.status, 307 | 308) || *method == Method::GET || *method == Method::HEAD;
            let Some(target) = answer.redirect(&url).filter(|_| keeps_method) else { return Ok(answer) };
            if *method == Method::HEAD
                && answer.header("X-Repo-Commit").is_some()
                && Origin::of(&target) != Some(origin)
            {
                return Ok(answer);
            }
            url = target;
        }
        Err(Trouble::Redirect(url))
    }
}

fn answer(response: Result<ureq::http::Response<Body>, ureq::Error>, origin: Origin) -> Result<Answer, Trouble> {
    let host = origin.to_string();
    match response {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            Ok(Answer { status: parts.status.as_u16(), headers: parts.headers, body, host })
        }
        Err(error) => Err(unreachable(error, host)),
    }
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The address that a redirect names, made whole.
    fn redirect(&self, from: &str) -> Option<String> {
        if !matches!(self.status, 301 | 302 | 303 | 307 | 308) {
            return None;
        }
        let target = self.header("Location")?;
        if target.starts_with("https://") || target.starts_with("http://") {
            return Some(target.into());
        }
        let scheme_end = from.find("://")? + 3;
        let path_start = from[scheme_end..].find('/').map_or(from.len(), |at| scheme_end + at);
        if let Some(rest) = target.strip_prefix("//") {
            Some(format!("{}{rest}", &from[..scheme_end]))
        } else if target.starts_with('/') {
            Some(format!("{}{target}", &from[..path_start]))
        } else {
            let path = from.split(['?', '#']).next()?;
            Some(format!("{}/{target}", path.get(..path.rfind('/')?.max(path_start))?))
        }
    }

    /// Itself, unless its status tells of a failure.
    pub fn success(self) -> Result<Self, Trouble> {
        if self.status < 400 {
            return Ok(self);
        }
        let text = |name| self.header(name).map(str::to_owned);
        let (code, said) = (text("X-Error-Code").unwrap_or_default(), text("X-Error-Message"));
        let retry_after = self.header("Retry-After").and_then(|wait| wait.trim().parse().ok()).map(Duration::from_secs);
        let (status, host) = (self.status, self.host.clone());
        let said = said.or_else(|| self.bytes().ok().map(|body| in_short(&body))).unwrap_or_default();
        Err(Trouble::Status(Refusal { status, host, code, said, retry_after }))
    }

    pub fn bytes(self) -> Result<Vec<u8>, Trouble> {
        let host = self.host;
        self.body.into_with_config().limit(LARGEST).read_to_vec().map_err(|error| unreachable(error, host))
    }

    pub fn json<T: serde::de::DeserializeOwned>(self) -> Result<T, Trouble> {
        let host = self.host.clone();
        let bytes = self.bytes()?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Trouble::Final(HubError::NotAHub { host, why: format!("its answer is not as documented ({error})") })
        })
    }

    /// The body, to be read piece by piece.
    pub fn reader(self) -> impl Read {
        self.body.into_reader()
    }
}

/// A server's message: the `error` in its JSON, or its beginning.
fn in_short(body: &[u8]) -> String {
    let json: Option<serde_json::Value> = serde_json::from_slice(body).ok();
    let text =
        json.as_ref().and_then(|json| json.get("error").or_else(|| json.get("message"))?.as_str().map(str::to_owned));
    let text = text.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned());
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    text.chars().filter(|letter| !letter.is_control()).take(200).collect()
}

fn unreachable(error: ureq::Error, host: String) -> Trouble {
    let why = match &error {
        ureq::Error::Timeout(_) => "it did not answer in time".into(),
        ureq::Error::HostNotFound => return Trouble::NoHost(host),
        ureq::Error::Io(error) => return Trouble::from_io(error, host),
        ureq::Error::ConnectionFailed => "no connection could be made".into(),
        ureq::Error::Rustls(_) | ureq::Error::Tls(_) | ureq::Error::BodyExceedsLimit(_) => {
            let why = error.to_string();
            return Trouble::Final(HubError::Unreachable { host, why });
        }
        other => other.to_string(),
    };
    Trouble::Broken { host, why }
}

/// Scheme, host and port: what the token is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    is_tls: bool,
    host: String,
    port: u16,
}

impl Origin {
    fn of(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let is_tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Some(Self { is_tls, host: uri.host()?.to_ascii_lowercase(), port })
    }

    /// Whether nobody between here and there can read along.
    fn is_private(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        self.is_tls
            || host == "localhost"
            || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

impl Display for Origin {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        let usual = if self.is_tls { 443 } else { 80 };
        if self.port == usual { out.write_str(&self.host) } else { write!(out, "{}:{}", self.host, self.port) }
    }
}

/// A status of 400 or more, and what the server said with it.
#[derive(Clone, Debug)]
pub(crate) struct Refusal {
    pub status: u16,
    pub host: String,
    /// The hub's name for the error, or nothing.
    pub code: String,
    pub said: String,
    pub retry_after: Option<Duration>,
}

/// Why one request came to nothing.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// No machine has the name.
    NoHost(String),
    /// There was no connection, or it broke off.
    Broken { host: String, why: String },
    /// The server refused.
    Status(Refusal),
    /// A redirect that is not followed.
    Redirect(String),
    /// Something that another try does not change.
    Final(HubError),
}

impl Trouble {
    /// An error of a connection.
    pub fn from_io(error: &io::Error, host: String) -> Self {
        let why = match error.kind() {
            ErrorKind::TimedOut | ErrorKind::WouldBlock => "it did not answer in time".into(),
            ErrorKind::ConnectionRefused => "nothing listens there".into(),
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::BrokenPipe
            | ErrorKind::UnexpectedEof => "the connection broke off".into(),
            _ => error.to_string(),
        };
        Self::Broken { host, why }
    }

    /// Whether another try may do better.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Broken { .. } => true,
            Self::Status(refusal) => matches!(refusal.status, 408 | 429 | 500..=599),
            Self::NoHost(_) | Self::Redirect(_) | Self::Final(_) => false,
        }
    }

    /// Whether the server could not do its work, so that what the cache has is the best there is.
    pub fn is_outage(&self) -> bool {
        self.is_transient() || matches!(self, Self::NoHost(_) | Self::Final(HubError::Unreachable { .. }))
    }

    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status(refusal) => refusal.retry_after,
            _ => None,
        }
    }

    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Status(refusal) => Some(refusal.status),
            _ => None,
        }
    }
}

impl Display for Trouble {
    fn fmt(&self, out: &mut Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NoHost(host) => write!(out, "`{host}` cannot be reached: no machine has this name"),
            Self::Broken { host, why } => write!(out, "`{host}` cannot be reached: {why}"),
            Self::Status(Refusal { status, host, .. }) => write!(out, "`{host}` answered with status {status}"),
            Self::Redirect(url) => write!(out, "the server leads to `{url}`, which is not followed"),
            Self::Final(error) => write!(out, "{error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_bound_to_scheme_host_and_port() {
        assert_eq!(Origin::of("https://Hub.example/a"), Origin::of("https://hub.example:443/b"));
        for other in ["http://hub.example/", "https://hub.example:8443/", "https://cdn.hub.example/"] {
            assert_ne!(Origin::of("https://hub.example/"), Origin::of(other), "{other}");
        }
        assert_eq!(Origin::of("ftp://hub.example/"), None);
    }

    #[test]
    fn plain_http_is_private_on_this_machine_alone() {
        for (url, is_private) in [
            ("http://127.0.0.1:8000", true),
            ("http://localhost", true),
            ("http://[::1]:80", true),
            ("https://huggingface.co", true),
            ("http://huggingface.co", false),
            ("http://192.168.0.7", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(Origin::of(url).unwrap().is_private(), is_private, "{url}");
        }
    }
}
