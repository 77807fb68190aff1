//! The server's life: listening, answering, draining.

use crate::backend::Backend;
use crate::connection::Patient;
use crate::routes::routes;
use crate::state::State;
use axum::Router;
use axum::http::HeaderValue;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Most connections at once. Further ones wait until they are accepted.
const MOST_CONNECTIONS: usize = 1024;

/// What the system keeps of a response that its client does not read. By default that grows to 4 MB for each connection.
const SEND_BUFFER: usize = 256 << 10;

/// How long a response may take to leave the machine after its last byte is written.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a server is told at its start.
#[derive(Debug, Clone)]
pub struct Options {
    /// A name or an address of this machine.
    pub host: String,
    /// 0 for any that is free.
    pub port: u16,
    /// Jobs that run at once.
    pub parallel: usize,
    /// Requests for text that are here at once, running ones included.
    pub queue: usize,
    /// API keys, of which a request must have one; none for no keys.
    pub keys: Vec<String>,
    /// Origins of web pages that may read the responses: `https://example.org`.
    pub origins: Vec<String>,
    /// Further names for the ensemble in `model`.
    pub aliases: Vec<String>,
    /// Longest time for a request, waiting included. What is written by then is the reply.
    pub timeout: Option<Duration>,
    /// How long requests may go on once the server is to stop.
    pub grace: Duration,
    /// Longest body of a request, in bytes.
    pub body_limit: usize,
    /// Longest time for a request's head, and for a connection on which nothing happens.
    pub header_timeout: Duration,
    /// Longest time for a request's body.
    pub body_timeout: Duration,
    /// Longest time in which a client reads nothing of its response.
    pub read_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            host: "127.0.0.1".into(),
            port: 8080,
            parallel: 4,
            queue: 64,
            keys: Vec::new(),
            origins: Vec::new(),
            aliases: Vec::new(),
            timeout: None,
            grace: Duration::from_secs(30),
            body_limit: 8 << 20,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            read_timeout: Duration::from_secs(60),
        }
    }
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing can be listened to there.
    #[error("cannot listen on {host}:{port}: {source}")]
    Listen {
        /// As in the options.
        host: String,
        /// As in the options.
        port: u16,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The system gives no threads.
    #[error("cannot start the server's threads: {0}")]
    Threads(std::io::Error),
    /// A header cannot hold this origin.
    #[error("`{0}` is no origin: write one such as https://example.org")]
    Origin(String),
}

/// Tells a server to stop, from any thread. Copies tell the same server.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    draining: CancellationToken,
    cutting: CancellationToken,
}

impl Stop {
    /// Nothing is to stop yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Begins nothing new. What runs may go on for [`Options::grace`].
    pub fn drain(&self) {
        self.draining.cancel();
    }

    /// Cuts what runs, too.
    pub fn cut(&self) {
        self.draining.cancel();
        self.cutting.cancel();
    }

    /// Whether nothing new is begun.
    pub fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    pub(crate) async fn cutting(&self) {
        self.cutting.cancelled().await;
    }
}

/// Serves until it is told to stop and all requests are over. `ready` hears the address, once connections are accepted.
pub fn run(
    backend: Arc<dyn Backend>,
    options: Options,
    ready: impl FnOnce(SocketAddr),
    stop: &Stop,
) -> Result<(), Error> {
    let origin = |origin: &String| match HeaderValue::from_str(origin) {
        Ok(value) if origin.contains("://") && !origin.ends_with('/') => Ok(value),
        _ => Err(Error::Origin(origin.clone())),
    };
    let origins = options.origins.iter().map(origin).collect::<Result<_, _>>()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(8)
        .thread_name("serve")
        .enable_all()
        .build()
        .map_err(Error::Threads)?;
    let result = runtime.block_on(async {
        let (host, port) = (options.host.clone(), options.port);
        let listen = async {
            let listener = TcpListener::bind((host.as_str(), port)).await?;
            Ok::<_, std::io::Error>((listener.local_addr()?, listener))
        };
        let (address, listener) = listen.await.map_err(|source| Error::Listen { host: host.clone(), port, source })?;
        let state = Arc::new(State::new(backend, options, stop.clone(), address.ip().is_loopback()));
        let router = routes(Arc::clone(&state), origins);
        ready(address);
        serve(&listener, &state, &router).await;
        Ok(())
    });
    runtime.shutdown_timeout(FAREWELL);
    result
}

async fn serve(listener: &TcpListener, state: &Arc<State>, router: &Router) {
    let mut connections = JoinSet::new();
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let closing = CancellationToken::new();
    // While requests run out, others are still told that the server stops.
    let mut over = pin!(drained(state));
    loop {
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            biased;
            () = &mut over => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            (place, accepted) = accepted => match accepted {
                Ok((socket, _)) => {
                    let connection = connection(socket, Arc::clone(state), router.clone(), closing.clone());
                    connections.spawn(async move {
                        let _place = place;
                        connection.await;
                    });
                }
                // No more file handles, say: they come back when connections end.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
        }
    }
    closing.cancel();
    let _ = tokio::time::timeout(FAREWELL, async { while connections.join_next().await.is_some() {} }).await;
    connections.shutdown().await;
}

/// Until the server is told to stop and nothing runs any more.
async fn drained(state: &State) {
    state.stop.draining.cancelled().await;
    let grace = async {
        tokio::select! {
            () = tokio::time::sleep(state.options().grace) => state.stop.cut(),
            () = state.stop.cutting() => {}
        }
        tokio::time::sleep(FAREWELL).await;
    };
    tokio::select! {
        () = state.gate.empty() => {}
        () = grace => {}
    }
}

async fn connection(socket: TcpStream, state: Arc<State>, router: Router, closing: CancellationToken) {
    // Chunks are small, and each is wanted at once.
    let _ = socket.set_nodelay(true);
    let _ = socket2::SockRef::from(&socket).set_send_buffer_size(SEND_BUFFER);
    let options = state.options();
    let socket = TokioIo::new(Patient::new(socket, options.read_timeout));
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(options.header_timeout).max_buf_size(64 << 10);
    let mut connection = pin!(builder.serve_connection(socket, TowerToHyperService::new(router)));
    tokio::select! {
        _ = connection.as_mut() => return,
        () = closing.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}
