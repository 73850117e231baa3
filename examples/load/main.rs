//! Steady load, every reply counted.
//!
//! The rate is open: each request has a time at which it is due, whatever became of those before it, and its latency
//! counts from then, so that a stall is seen by all requests that a user would have sent into it. At most
//! `--max-in-flight` requests are under way; one that is due beyond that is counted as `overload`, not sent later. No
//! request is sent twice ([`http`]).
//!
//! `lost` are failed connections, timeouts (10 s) and 5xx without `x-app-error`. The kinds of `errors` are `refused`,
//! `reset`, `closed` (within a reply), `closed-reused` (before one, on a connection used before), `unreachable`,
//! `connect-timeout`, `timeout`, `malformed`, `too-long`, and `local` when this machine has no port or file left.
//!
//! The last line of the output is the report, printed at the end, or after SIGTERM or SIGINT when the requests in
//! flight are done. The target must be an address on loopback or in the Pod or Service range of the test cluster.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use clap::{Parser, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep_until};

use self::http::Client;
use self::report::{Histogram, Line, Percentiles, Report};

mod http;
pub(crate) mod report;

/// Send requests at a steady rate and count every reply.
#[derive(Clone, Parser)]
struct Args {
    /// Where to: `http://`, an address on loopback, in 10.244.0.0/16 or in 10.96.0.0/16, a port, a path.
    #[arg(long, value_parser = target)]
    url: Target,
    /// Host header; the address by default.
    #[arg(long)]
    host: Option<String>,
    /// A further header, as `name: value`; may be repeated.
    #[arg(long = "header", value_parser = header)]
    headers: Vec<String>,
    /// Requests a second.
    #[arg(long, value_parser = rate, default_value = "100")]
    rate: f64,
    /// When to end, at most an hour.
    #[arg(long, value_parser = duration, default_value = "60s")]
    duration: Duration,
    /// How many requests to send at most.
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=1_000_000), default_value = "1000000")]
    count: u64,
    /// How many requests may be under way at the same time.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=4096), default_value = "256")]
    max_in_flight: u32,
    /// Open a connection for each request: a Service without a proxy in front chooses a Pod for a connection.
    #[arg(long)]
    no_keep_alive: bool,
    /// Print a line of JSON each second.
    #[arg(long)]
    progress: bool,
    /// How to print the report.
    #[arg(long, short, value_enum, default_value_t = Output::Json)]
    output: Output,
    /// End when standard input is closed, and so with the program that started this one.
    #[arg(long)]
    until_stdin_closes: bool,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Output {
    /// One line for people and one per version.
    Text,
    /// One line of JSON.
    Json,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load: cannot go on: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(args: Args) -> io::Result<()> {
    let stop = stop(args.until_stdin_closes)?;
    let ledger = Arc::new(Ledger::new());
    let progress = args.progress.then(|| Arc::clone(&ledger));
    tokio::select! {
        () = drive(&args, &ledger, stop) => {}
        result = print_progress(progress) => return result,
    }
    if args.progress {
        print(&ledger.progress())?;
    }
    let (total, seconds) = ledger.total();
    match args.output {
        Output::Text => write!(io::stdout().lock(), "{}", as_text(&total)),
        Output::Json => print(&Line::Total {
            latency: percentiles(&total),
            total,
            seconds,
        }),
    }
}

/// Ends when someone wants the load to end.
fn stop(until_stdin_closes: bool) -> io::Result<impl Future<Output = ()>> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let closed = until_stdin_closes.then(stdin_closed);
    Ok(async move {
        let closed = async {
            match closed {
                Some(closed) => drop(closed.await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = closed => {}
        }
    })
}

/// Ends, with an error or not, when nothing more can be read. A thread, because a read of standard input cannot be
/// given up: the program ends without it.
fn stdin_closed() -> oneshot::Receiver<()> {
    let (sender, receiver) = oneshot::channel();
    std::thread::spawn(move || {
        let _open = sender;
        let mut rest = [0; 64];
        while io::stdin().read(&mut rest).is_ok_and(|read| read > 0) {}
    });
    receiver
}

/// Sends each request when it is due, until all are sent or `stop` says so; then waits for those in flight.
async fn drive(args: &Args, ledger: &Arc<Ledger>, stop: impl Future<Output = ()>) {
    let client = Arc::new(args.client());
    let slots = Arc::new(Semaphore::new(args.max_in_flight as usize));
    let start = Instant::now();
    tokio::pin!(stop);
    for number in 0..args.requests() {
        let due = start + Duration::from_secs_f64(number as f64 / args.rate);
        tokio::select! {
            biased;
            () = &mut stop => break,
            () = sleep_until(due) => {}
        }
        let Ok(slot) = Arc::clone(&slots).try_acquire_owned() else {
            ledger.count(due, |report| report.overload += 1);
            continue;
        };
        ledger.sent(due);
        let (client, ledger) = (Arc::clone(&client), Arc::clone(ledger));
        tokio::spawn(async move {
            let reply = client.send().await;
            let latency = due.elapsed();
            ledger.count(due, |report| match reply {
                Ok(reply) => report.reply(&reply, latency),
                Err(kind) => report.error(kind),
            });
            drop(slot);
        });
    }
    // The semaphore is never closed: this only waits until every slot is free, 10 s at most.
    drop(slots.acquire_many(args.max_in_flight).await);
}

/// Prints what has been counted once a second, for ever; never ends without a ledger.
async fn print_progress(ledger: Option<Arc<Ledger>>) -> io::Result<()> {
    let Some(ledger) = ledger else {
        return std::future::pending().await;
    };
    let mut next = Instant::now();
    loop {
        next += Duration::from_secs(1);
        sleep_until(next).await;
        print(&ledger.progress())?;
    }
}

fn print(line: &Line) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    serde_json::to_writer(&mut stdout, line)?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

fn percentiles(report: &Report) -> BTreeMap<String, Percentiles> {
    let ms = |latency: &Histogram, part| {
        let time = latency.percentile(part).unwrap_or_default();
        time.as_micros() as f64 / 1000.0
    };
    let versions = report.by_version.iter();
    versions
        .map(|(version, counts)| {
            let percentiles = Percentiles {
                p50_ms: ms(&counts.latency, 0.5),
                p99_ms: ms(&counts.latency, 0.99),
            };
            (version.clone(), percentiles)
        })
        .collect()
}

fn as_text(report: &Report) -> String {
    let Report {
        sent,
        overload,
        lost,
        stray,
        errors,
        by_version,
        late_ms,
    } = report;
    let mut text = format!(
        "{sent} sent, {lost} lost, {stray} stray, {overload} overload, up to {late_ms} ms late; errors {errors:?}\n"
    );
    let latency = percentiles(report);
    for (version, counts) in by_version {
        let Percentiles { p50_ms, p99_ms } = latency[version];
        text += &format!(
            "{version}: {} replies, {} failed on purpose, p50 {p50_ms} ms, p99 {p99_ms} ms, by status {:?}\n",
            counts.replies, counts.app_errors, counts.by_status
        );
    }
    text
}

/// The counts of each second, and what has not been printed of them.
struct Ledger {
    start: (Instant, SystemTime),
    counts: Mutex<Counted>,
}

#[derive(Default)]
struct Counted {
    printed: BTreeMap<u64, Report>,
    fresh: BTreeMap<u64, Report>,
}

impl Ledger {
    fn new() -> Self {
        Self {
            start: (Instant::now(), SystemTime::now()),
            counts: Mutex::default(),
        }
    }

    fn sent(&self, due: Instant) {
        let late = u64::try_from(due.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.count(due, |report| {
            report.sent += 1;
            report.late_ms = report.late_ms.max(late);
        });
    }

    /// Counts into the second in which the request was due.
    fn count(&self, due: Instant, count: impl FnOnce(&mut Report)) {
        let second = self.epoch_ms(due) / 1000;
        count(self.counted().fresh.entry(second).or_default());
    }

    /// What has been counted since the last call.
    fn progress(&self) -> Line {
        let mut counted = self.counted();
        let fresh = std::mem::take(&mut counted.fresh);
        merge(&mut counted.printed, &fresh);
        Line::Progress {
            until: self.epoch_ms(Instant::now()),
            seconds: fresh,
        }
    }

    fn total(&self) -> (Report, BTreeMap<u64, Report>) {
        let counted = self.counted();
        let mut seconds = counted.printed.clone();
        merge(&mut seconds, &counted.fresh);
        let mut total = Report::default();
        seconds.values().for_each(|report| total.add(report));
        (total, seconds)
    }

    /// Milliseconds since 1970, by a clock that nobody sets while the load runs.
    fn epoch_ms(&self, time: Instant) -> u64 {
        let (start, epoch) = self.start;
        let now = epoch + time.saturating_duration_since(start);
        let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn merge(into: &mut BTreeMap<u64, Report>, from: &BTreeMap<u64, Report>) {
    for (second, report) in from {
        into.entry(*second).or_default().add(report);
    }
}

impl Args {
    fn requests(&self) -> u64 {
        let within = (self.duration.as_secs_f64() * self.rate).ceil() as u64;
        self.count.min(within)
    }

    fn client(&self) -> Client {
        let Target {
            address,
            authority,
            path,
        } = &self.url;
        let host = self.host.as_ref().unwrap_or(authority);
        Client::new(*address, path, host, &self.headers, !self.no_keep_alive)
    }
}

/// An address that load may be sent to.
#[derive(Clone, Debug, PartialEq)]
struct Target {
    address: SocketAddr,
    authority: String,
    path: String,
}

fn target(url: &str) -> Result<Target, String> {
    let url: ::http::Uri = url.parse().map_err(|error| format!("{error}"))?;
    if url.scheme_str() != Some("http") {
        return Err("only http:// is supported".to_owned());
    }
    let host = url.host().unwrap_or_default();
    let ip: IpAddr = host
        .trim_matches(['[', ']'])
        .parse()
        .map_err(|_| format!("`{host}` is not an address: give the name with --host"))?;
    if !is_for_tests(ip) {
        return Err(format!(
            "{ip} is not on loopback, in 10.244.0.0/16 or in 10.96.0.0/16"
        ));
    }
    let path = url.path_and_query().map_or("/", |path| path.as_str());
    Ok(Target {
        address: SocketAddr::new(ip, url.port_u16().unwrap_or(80)),
        authority: url.authority().map(ToString::to_string).unwrap_or_default(),
        path: path.to_owned(),
    })
}

/// Load must never reach a machine that did not ask for it.
fn is_for_tests(ip: IpAddr) -> bool {
    let in_cluster = |ip: Ipv4Addr| matches!(ip.octets(), [10, 244 | 96, _, _]);
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || in_cluster(ip),
        IpAddr::V6(ip) => ip.is_loopback(),
    }
}

fn header(line: &str) -> Result<String, String> {
    let valid = line.split_once(':').is_some_and(|(name, value)| {
        ::http::HeaderName::try_from(name).is_ok() && ::http::HeaderValue::try_from(value).is_ok()
    });
    valid
        .then(|| line.to_owned())
        .ok_or_else(|| "a header is `name: value`".to_owned())
}

fn rate(value: &str) -> Result<f64, String> {
    let rate = value.parse().ok();
    rate.filter(|rate| (0.01..=5000.0).contains(rate))
        .ok_or_else(|| "a rate is a number from 0.01 to 5000".to_owned())
}

fn duration(value: &str) -> Result<Duration, String> {
    let duration = humantime::parse_duration(value).map_err(|error| error.to_string())?;
    (duration <= Duration::from_secs(3600))
        .then_some(duration)
        .ok_or_else(|| "at most one hour".to_owned())
}

#[cfg(test)]
mod tests;
