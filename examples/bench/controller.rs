//! The controller as a process.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// Where the controller finds what it works with.
pub(crate) struct Places {
    pub(crate) kubeconfig: PathBuf,
    pub(crate) prometheus: String,
}

/// A controller that runs.
pub(crate) struct Controller {
    child: Child,
    /// Its server's, on this machine.
    pub(crate) port: u16,
    /// From the start of the process until it is ready.
    pub(crate) started_in: Duration,
}

/// Resident memory, in MiB.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    pub(crate) all: f64,
    /// The program's own file, which the system may drop and read again.
    file: f64,
}

impl std::fmt::Display for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { all, file } = self;
        write!(f, "{all:.0} MiB, {file:.0} of it the program's file")
    }
}

/// Ticks of the kernel's clock in a second, as `/proc` counts.
const TICKS: u64 = 100;

/// It has to be ready by then.
const START: Duration = Duration::from_secs(120);

impl Controller {
    /// Starts it, and waits until it is ready.
    pub(crate) async fn start(places: &Places) -> Result<Self> {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
            .local_addr()?
            .port();
        let began = Instant::now();
        let child = Command::new(binary()?)
            .args([
                "controller",
                "--leader-elect=false",
                "--log-level=error",
                "--anonymous-reads",
            ])
            .arg(format!("--listen=127.0.0.1:{port}"))
            .arg(format!("--metrics-server={}", places.prometheus))
            .arg("--kubeconfig")
            .arg(&places.kubeconfig)
            .env("KUBECONFIG", &places.kubeconfig)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("start the controller")?;
        while !is_ready(port).await {
            if began.elapsed() > START {
                bail!("the controller is not ready after {} s", START.as_secs());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let started_in = began.elapsed();
        Ok(Self {
            child,
            port,
            started_in,
        })
    }

    /// Ends it.
    pub(crate) async fn stop(&mut self) {
        drop(self.child.kill().await);
    }

    /// Reads that it asked the API server for so far; watches, and what renews them, do not count.
    pub(crate) async fn reads(&self) -> Result<u64> {
        let metrics = page(self.port, "/metrics")
            .await
            .context("read the metrics")?;
        let lines = metrics.lines();
        let gets = lines.filter(|line| {
            line.starts_with("serin_api_requests_total{") && line.contains("verb=\"get\"")
        });
        let counts = gets.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        Ok(counts.sum::<f64>() as u64)
    }

    /// Time on a processor so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let stat = self.proc("stat")?;
        let after = stat.rsplit(')').next().unwrap_or_default();
        let fields: Vec<u64> = after
            .split_whitespace()
            .map(|field| field.parse().unwrap_or(0))
            .collect();
        let ticks = fields.get(11).unwrap_or(&0) + fields.get(12).unwrap_or(&0);
        Ok(Duration::from_millis(ticks * 1000 / TICKS))
    }

    /// Resident memory.
    pub(crate) fn memory(&self) -> Result<Memory> {
        let status = self.proc("status")?;
        let mib = |name: &str| -> Result<f64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib: f64 = line
                .and_then(|line| line.split_whitespace().next())
                .and_then(|kib| kib.parse().ok())
                .with_context(|| format!("read {name}"))?;
            Ok(kib / 1024.0)
        };
        Ok(Memory {
            all: mib("VmRSS:")?,
            file: mib("RssFile:")?,
        })
    }

    fn proc(&self, file: &str) -> Result<String> {
        let id = self.child.id().context("the controller ended")?;
        let path = format!("/proc/{id}/{file}");
        std::fs::read_to_string(&path).with_context(|| format!("read {path}"))
    }
}

/// `serin` beside the folder of this example.
fn binary() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let folder = own
        .parent()
        .and_then(Path::parent)
        .context("find the build")?;
    let binary = folder.join("serin");
    if !binary.exists() {
        bail!("{} is not there: build it first", binary.display());
    }
    Ok(binary)
}

async fn is_ready(port: u16) -> bool {
    let reply = page(port, "/readyz").await.unwrap_or_default();
    reply.starts_with("HTTP/1.") && reply.contains(" 200 ")
}

/// A page of the controller's server, with the head of the reply.
async fn page(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET {path} HTTP/1.0\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await?;
    Ok(reply)
}
