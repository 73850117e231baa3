//! Connections: streams outlive the life of a connection while they are read, and end with the server.

use std::time::Duration;

use axum::Router;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Cluster, Shelf, canary, of};
use crate::server::app;
use crate::server::listen::speak;

/// Somewhat longer than the life of a connection and what comes after it.
const LONG: Duration = Duration::from_secs(400);

fn stage() -> Router {
    let shelf = Shelf::with([canary("shop", "web", "Progressing")]);
    app(of(&shelf, &Cluster::default(), true))
}

fn open() -> (DuplexStream, watch::Sender<bool>) {
    let (ours, theirs) = duplex(64 * 1024);
    let (closing, closed) = watch::channel(false);
    tokio::spawn(speak(theirs, stage(), closed));
    (ours, closing)
}

async fn follow(stream: &mut DuplexStream) {
    let request = b"GET /api/v1/events HTTP/1.1\r\nhost: x\r\n\r\n";
    stream.write_all(request).await.unwrap();
}

/// Reads for so long, or until the end; whether that came.
async fn read_for(stream: &mut DuplexStream, time: Duration, text: &mut String) -> bool {
    let until = Instant::now() + time;
    let mut some = [0; 4096];
    loop {
        match tokio::time::timeout_at(until, stream.read(&mut some)).await {
            Err(_) => return false,
            Ok(Ok(0) | Err(_)) => return true,
            Ok(Ok(count)) => text.push_str(&String::from_utf8_lossy(&some[..count])),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_is_read_lives_and_ends_with_the_server() {
    let (mut stream, closing) = open();
    follow(&mut stream).await;
    let mut text = String::new();
    let ended = read_for(&mut stream, 3 * LONG, &mut text).await;
    assert!(!ended, "it is read");
    assert!(text.contains("event: list"), "{text}");
    assert!(text.matches(": still here").count() > 50, "{text}");
    closing.send_replace(true);
    let began = Instant::now();
    assert!(read_for(&mut stream, LONG, &mut text).await);
    assert!(began.elapsed() < Duration::from_secs(1), "it ends at once");
    assert!(text.ends_with("0\r\n\r\n"), "and in order");
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_nobody_reads_is_cut() {
    let (ours, theirs) = duplex(64);
    let (_closing, closed) = watch::channel(false);
    let connection = tokio::spawn(speak(theirs, stage(), closed));
    let mut ours = ours;
    follow(&mut ours).await;
    let ended = tokio::time::timeout(LONG, connection).await;
    assert!(ended.is_ok(), "its place is free again");
}

#[tokio::test(start_paused = true)]
async fn other_connections_have_their_life() {
    let (mut stream, _closing) = open();
    let mut text = String::new();
    let ask = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n";
    let began = Instant::now();
    while began.elapsed() < LONG {
        if stream.write_all(ask).await.is_err()
            || read_for(&mut stream, Duration::from_secs(3), &mut text).await
        {
            break;
        }
    }
    assert!(began.elapsed() < LONG, "it takes requests for ever");
}
