//! Why one request came to nothing, and whether another one may do better.

use crate::HubError;
use std::fmt::{Display, Formatter};
use std::io::{self, ErrorKind};
use std::time::Duration;

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
