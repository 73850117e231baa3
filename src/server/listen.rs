//! The socket: connections with limits, and an orderly end.

use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;
use tracing::{debug, warn};

/// Connections at the same time: enough for probes, scrapers and readers; more wait in the kernel's queue.
pub const CONNECTIONS: usize = 256;
/// How long the head of a request may take, which also ends connections that say nothing.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes that the head of a request may have.
const HEADER_LIMIT: usize = 16 * 1024;
/// After so long a connection takes no further request, so that none is kept for ever.
const CONNECTION_LIFE: Duration = Duration::from_secs(300);
/// So long a stream may stand still before its connection ends like any other. Streams that are read say something every 15 s.
const STANDSTILL: Duration = Duration::from_secs(45);
/// How long a request in flight, or a slow reader, is waited for when its connection ends.
const FAREWELL: Duration = Duration::from_secs(10);

/// Serves until `shutdown` ends; then takes no connection any more and lets requests in flight finish.
pub async fn serve(listener: TcpListener, app: Router, shutdown: impl Future<Output = ()>) {
    connections(listener, Door { app, tls: None }, shutdown).await;
}

/// As `serve`, over TLS.
pub async fn serve_tls(
    listener: TcpListener,
    tls: TlsAcceptor,
    app: Router,
    shutdown: impl Future<Output = ()>,
) {
    let tls = Some(tls);
    connections(listener, Door { app, tls }, shutdown).await;
}

/// The connection that a request came by, as streams see it. Every request of this server carries it.
#[derive(Clone, Debug, Default)]
pub struct Line {
    closed: Option<watch::Receiver<bool>>,
    /// When a stream was last asked for more.
    beat: Arc<Mutex<Option<Instant>>>,
}

impl Line {
    /// A stream is asked for more: its reader reads.
    pub fn beat(&self) {
        *self.beat.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Ends when the server stops.
    pub async fn closed(&mut self) {
        match &mut self.closed {
            Some(closed) => drop(closed.wait_for(|closed| *closed).await),
            None => std::future::pending().await,
        }
    }

    /// A stream goes on here, and is read.
    fn streams(&self) -> bool {
        let beat = *self.beat.lock().unwrap_or_else(PoisonError::into_inner);
        beat.is_some_and(|beat| beat.elapsed() < STANDSTILL)
    }
}

/// What a connection leads to, and how it begins.
#[derive(Clone)]
struct Door {
    app: Router,
    tls: Option<TlsAcceptor>,
}

async fn connections(listener: TcpListener, door: Door, shutdown: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let (closing, closed) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    loop {
        let (stream, place) = tokio::select! {
            () = &mut shutdown => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (door, closed) = (door.clone(), closed.clone());
        connections.spawn(async move {
            connection(stream, door, closed).await;
            drop(place);
        });
        while connections.try_join_next().is_some() {}
    }
    drop(listener);
    closing.send_replace(true);
    while connections.join_next().await.is_some() {}
}

/// The next connection, once there is a place for it.
async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> (TcpStream, Option<tokio::sync::OwnedSemaphorePermit>) {
    // The semaphore is never closed, so that a place always comes.
    let place = Arc::clone(places).acquire_owned().await.ok();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, place),
            // Out of file descriptors, say: connections that end free some.
            Err(error) => {
                warn!(%error, "could not take a connection");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn connection(stream: TcpStream, door: Door, closed: watch::Receiver<bool>) {
    let Some(tls) = door.tls else {
        return speak(stream, door.app, closed).await;
    };
    match tokio::time::timeout(HEADER_DEADLINE, tls.accept(stream)).await {
        Ok(Ok(stream)) => speak(stream, door.app, closed).await,
        Ok(Err(error)) => debug!(%error, "a connection did not get to TLS"),
        Err(_) => debug!("a connection was cut: its handshake is too slow"),
    }
}

pub(super) async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    app: Router,
    mut closed: watch::Receiver<bool>,
) {
    let line = Line {
        closed: Some(closed.clone()),
        beat: Arc::default(),
    };
    let on = line.clone();
    let service =
        TowerToHyperService::new(app.map_request(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(on.clone());
            request
        }));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_DEADLINE)
        .max_buf_size(HEADER_LIMIT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    let mut life = CONNECTION_LIFE;
    loop {
        tokio::select! {
            result = connection.as_mut() => return ended(result),
            _ = closed.wait_for(|closed| *closed) => break,
            () = tokio::time::sleep(life) => {
                if !line.streams() {
                    break;
                }
                life = STANDSTILL;
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    match tokio::time::timeout(FAREWELL, connection).await {
        Ok(result) => ended(result),
        Err(_) => debug!("a connection was cut: its reader is too slow"),
    }
}

fn ended(result: Result<(), hyper::Error>) {
    if let Err(error) = result {
        debug!(%error, "a connection ended early");
    }
}
