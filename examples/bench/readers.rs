//! Readers of events: how soon the last of them hears of a change, and what they cost.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::cluster::Cluster;
use crate::controller::Controller;
use crate::percentiles;
use crate::report::Report;

/// As many as the server takes.
const READERS: usize = 199;
/// Changes that are measured.
const CHANGES: usize = 20;
/// No reader waits longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Follows all events, and never reads.
async fn deaf(port: u16) -> Result<TcpStream> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.write_all(REQUEST).await?;
    Ok(stream)
}

const REQUEST: &[u8] =
    b"GET /api/v1/events HTTP/1.1\r\nhost: bench\r\naccept: text/event-stream\r\n\r\n";

/// Follows all events, and reads them.
struct Reader {
    stream: TcpStream,
    /// The end of what came.
    last: Vec<u8>,
}

impl Reader {
    /// Begins, and reads the list of what there is.
    async fn start(port: u16) -> Result<Self> {
        let stream = deaf(port).await?;
        let mut reader = Self {
            stream,
            last: Vec::new(),
        };
        reader.until("]}\n\n").await?;
        Ok(reader)
    }

    /// Reads until these words come.
    async fn until(&mut self, words: &str) -> Result<()> {
        let words = words.as_bytes();
        let mut buffer = vec![0; 64 * 1024];
        let came = async {
            loop {
                if let Some(at) = find(&self.last, words) {
                    self.last.drain(..at + words.len());
                    return Ok(());
                }
                let keep = self.last.len().saturating_sub(words.len());
                self.last.drain(..keep);
                let count = self.stream.read(&mut buffer).await?;
                if count == 0 {
                    bail!("the stream of events ended");
                }
                self.last.extend_from_slice(&buffer[..count]);
            }
        };
        let came: Result<()> = tokio::time::timeout(PATIENCE, came)
            .await
            .context("a reader waited in vain")?;
        came
    }
}

fn find(text: &[u8], words: &[u8]) -> Option<usize> {
    text.windows(words.len()).position(|part| part == words)
}

/// 199 readers and one who never reads.
pub(crate) async fn measure(
    cluster: &Cluster,
    controller: &Controller,
    report: &mut Report,
) -> Result<()> {
    let before = controller.memory()?.all;
    let _deaf = deaf(controller.port).await?;
    let started = (0..READERS).map(|_| Reader::start(controller.port));
    let mut readers = try_join_all(started).await?;
    let each = (controller.memory()?.all - before) * 1024.0 / (READERS + 1) as f64;
    let mut times = Vec::new();
    for change in 0..CHANGES {
        let began = Instant::now();
        let words = cluster.change(change)?;
        try_join_all(readers.iter_mut().map(|reader| reader.until(&words))).await?;
        times.push(began.elapsed());
    }
    report.row(
        "a change to the last of 200 readers, one of them deaf",
        percentiles(&times),
    );
    report.row("memory of a reader", format!("{each:.0} KiB"));
    Ok(())
}
