//! The server that test Pods run: it answers, fails, delays, starts late and dies to order.
//!
//! Every path is answered with the version in the header `x-version` and the Pod in `x-pod`; `/healthz`, `/readyz`
//! and `/metrics` are what they are called. A reply that fails on purpose has the header `x-app-error: 1`, so that it
//! cannot be taken for a failure of what is in front. On SIGTERM the server is unready at once, answers on with
//! `connection: close` while it drains, finishes what it has begun, and exits with 0.
//!
//! What it does comes from the tag of its image (`IMAGE=<repository>:<tag>`): the version, then suffixes, each after
//! a `-`. An environment variable says the same and wins. An unknown suffix ends the program with exit code 2.
//!
//! | suffix | variable | meaning |
//! |---|---|---|
//! | (leading part) | `APP_VERSION=2.0.0` | the version |
//! | `-errors5`, `-errors0.5` | `APP_ERRORS=5` | 5 % of the replies are 500, evenly spread: 5 of every 100 |
//! | `-latency300` | `APP_LATENCY=300` | each reply is delayed by 300 ms |
//! | `-latency300p2` | `APP_LATENCY=300p2` | 2 % of the replies are delayed by 300 ms |
//! | `-start10` | `APP_START=10` | does not listen for the first 10 s |
//! | `-notready` | `APP_READY=false` | `/readyz` is 503 for ever |
//! | `-unready30` | `APP_UNREADY=30` | ready, and unready from 30 s after the start |
//! | `-crash`, `-crash20` | `APP_CRASH=20` | exits with 1 at once, or 20 s after the start |
//! | `-drain5` | `APP_DRAIN=5` | goes on answering for 5 s after SIGTERM (2 s by default) |
//! | `-jobs20` | `APP_JOBS=20` | a worker does 20 jobs a second (10 by default) |
//!
//! Seconds may have a fraction. `PORT` is 8080 by default. `POST /admin?errors=20&latency=0&ready=false&crash=1`
//! changes this one Pod while it runs; there `crash` counts from now.
//!
//! Arguments: none serves; `worker` counts `jobs_total{result="ok|error"}` instead, with nothing to call but probes
//! and metrics; `exit 3` exits with 3, for init containers.

use std::collections::BTreeMap;
use std::io;
use std::net::Ipv4Addr;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{Query, Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use clap::{Parser, Subcommand};
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval, sleep};

/// Upper bounds of the latency histogram, in seconds.
const BUCKETS: [f64; 11] = [
    0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The variables that may be set, with the behaviour that each one sets.
const VARIABLES: [(&str, &str); 9] = [
    ("APP_VERSION", "version"),
    ("APP_ERRORS", "errors"),
    ("APP_LATENCY", "latency"),
    ("APP_START", "start"),
    ("APP_READY", "ready"),
    ("APP_UNREADY", "unready"),
    ("APP_CRASH", "crash"),
    ("APP_DRAIN", "drain"),
    ("APP_JOBS", "jobs"),
];

/// Answer, fail, delay, start late and die to order.
#[derive(Parser)]
struct Args {
    /// Port to listen on, on every address.
    #[arg(long, env = "PORT", default_value_t = 8080)]
    port: u16,
    #[command(subcommand)]
    mode: Option<Mode>,
}

#[derive(Clone, Copy, PartialEq, Subcommand)]
enum Mode {
    /// Count jobs; serve nothing but probes and metrics.
    Worker,
    /// Exit with a code.
    Exit {
        /// The exit code.
        code: u8,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(Mode::Exit { code }) = args.mode {
        return ExitCode::from(code);
    }
    let behaviour = match Behaviour::from_environment(|name| std::env::var(name).ok()) {
        Ok(behaviour) => behaviour,
        Err(message) => {
            eprintln!("app: {message}");
            return ExitCode::from(2);
        }
    };
    match run(Arc::new(App::new(behaviour)), &args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("app: cannot serve on port {}: {error}", args.port);
            ExitCode::FAILURE
        }
    }
}

/// Serves from the end of the slow start until SIGTERM and the drain after it.
async fn run(app: Arc<App>, args: &Args) -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    app.crash_if_due();
    tokio::spawn(watch_for_crash(Arc::clone(&app)));
    let start = app.behaviour().start;
    tokio::select! {
        () = sleep(start) => {}
        _ = terminate.recv() => return Ok(()),
    }
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, args.port)).await?;
    if args.mode == Some(Mode::Worker) {
        tokio::spawn(work(Arc::clone(&app)));
    }
    axum::serve(listener, router(Arc::clone(&app), args.mode))
        .with_graceful_shutdown(drain(app, terminate))
        .await
}

async fn drain(app: Arc<App>, mut terminate: Signal) {
    terminate.recv().await;
    app.draining.store(true, Ordering::Relaxed);
    let time = app.behaviour().drain;
    sleep(time).await;
}

async fn watch_for_crash(app: Arc<App>) {
    loop {
        app.crash_if_due();
        sleep(Duration::from_millis(20)).await;
    }
}

async fn work(app: Arc<App>) {
    let rate = app.behaviour().jobs;
    let mut ticks = interval(Duration::from_secs_f64(1.0 / rate));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    while !app.is_draining() {
        ticks.tick().await;
        let job = app.taken.fetch_add(1, Ordering::Relaxed);
        let failed = app.behaviour().errors.takes(job);
        let result = if failed { "error" } else { "ok" };
        app.jobs.get_or_create(&JobLabels { result }).inc();
    }
}

fn router(app: Arc<App>, mode: Option<Mode>) -> Router {
    let routes = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .route("/admin", post(administer));
    let routes = match mode {
        Some(Mode::Worker) => routes,
        _ => routes.fallback(answer),
    };
    routes
        .layer(middleware::from_fn_with_state(
            Arc::clone(&app),
            close_while_draining,
        ))
        .with_state(app)
}

/// Tells clients with a pool of connections to leave before the server goes.
async fn close_while_draining(
    State(app): State<Arc<App>>,
    request: Request,
    next: Next,
) -> Response {
    let mut response = next.run(request).await;
    if app.is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn answer(State(app): State<Arc<App>>, request: Request) -> Response {
    let begun = Instant::now();
    let number = app.taken.fetch_add(1, Ordering::Relaxed);
    let (delay, failed) = app.behaviour().treatment(number);
    sleep(delay).await;
    let status = if failed {
        StatusCode::INTERNAL_SERVER_ERROR
    } else {
        StatusCode::OK
    };
    let labels = RequestLabels {
        method: bounded_method(request.method()),
        status: status.as_u16(),
        path: bounded_path(request.uri().path()),
    };
    let seconds = begun.elapsed().as_secs_f64();
    app.requests.get_or_create(&labels).observe(seconds);
    let headers = [
        ("x-version", app.version.clone()),
        ("x-pod", app.pod.clone()),
    ];
    let body = format!("{} {}\n", app.version, app.pod);
    if failed {
        (status, headers, [("x-app-error", "1")], body).into_response()
    } else {
        (status, headers, body).into_response()
    }
}

async fn readiness(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    if app.is_ready() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready\n")
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut page = String::new();
    let content = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    match text::encode(&mut page, &app.registry) {
        Ok(()) => ([(header::CONTENT_TYPE, content)], page).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn administer(
    State(app): State<Arc<App>>,
    Query(changes): Query<BTreeMap<String, String>>,
) -> (StatusCode, String) {
    match app.change(&changes) {
        Ok(()) => (StatusCode::OK, "changed\n".to_owned()),
        Err(message) => (StatusCode::BAD_REQUEST, format!("{message}\n")),
    }
}

/// Keeps the label `method` bounded.
fn bounded_method(method: &Method) -> &'static str {
    ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
        .into_iter()
        .find(|known| *known == method.as_str())
        .unwrap_or("other")
}

/// Keeps the label `path` bounded.
fn bounded_path(path: &str) -> &'static str {
    if path == "/" { "/" } else { "other" }
}

/// A running server.
struct App {
    version: String,
    pod: String,
    started: Instant,
    behaviour: Mutex<Behaviour>,
    draining: AtomicBool,
    /// Requests or jobs taken so far; paces errors and delays.
    taken: AtomicU64,
    requests: Family<RequestLabels, Histogram, fn() -> Histogram>,
    jobs: Family<JobLabels, Counter>,
    registry: Registry,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct RequestLabels {
    method: &'static str,
    status: u16,
    path: &'static str,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct JobLabels {
    result: &'static str,
}

impl App {
    fn new(behaviour: Behaviour) -> Self {
        let requests: Family<_, _, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(BUCKETS));
        let jobs = Family::default();
        let mut registry = Registry::default();
        let help = "Requests but probes and metrics, by how long they took";
        registry.register("http_request_duration_seconds", help, requests.clone());
        registry.register("jobs", "Jobs done by the worker", jobs.clone());
        Self {
            version: behaviour.version.clone(),
            pod: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .map_or_else(|_| "unknown".to_owned(), |name| name.trim().to_owned()),
            started: Instant::now(),
            behaviour: Mutex::new(behaviour),
            draining: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            requests,
            jobs,
            registry,
        }
    }

    fn behaviour(&self) -> MutexGuard<'_, Behaviour> {
        self.behaviour
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    fn is_ready(&self) -> bool {
        !self.is_draining() && self.behaviour().is_ready_at(self.started.elapsed())
    }

    fn crash_if_due(&self) {
        let due = self.behaviour().crash_after;
        if due.is_some_and(|due| self.started.elapsed() >= due) {
            std::process::exit(1);
        }
    }

    /// Applies all changes, or none when one of them is wrong.
    fn change(&self, changes: &BTreeMap<String, String>) -> Result<(), String> {
        let mut behaviour = self.behaviour();
        let mut next = behaviour.clone();
        for (name, value) in changes {
            if !["errors", "latency", "ready", "crash"].contains(&name.as_str()) {
                return Err(format!(
                    "`{name}` cannot change at runtime: use errors, latency, ready or crash"
                ));
            }
            next.set(name, value)?;
        }
        if changes.contains_key("crash") {
            next.crash_after = next.crash_after.map(|time| time + self.started.elapsed());
        }
        *behaviour = next;
        Ok(())
    }
}

/// What the server has been told to do.
#[derive(Clone, Debug, PartialEq)]
struct Behaviour {
    version: String,
    errors: Share,
    latency: Duration,
    delayed: Share,
    start: Duration,
    ready: bool,
    unready_after: Option<Duration>,
    crash_after: Option<Duration>,
    drain: Duration,
    /// Jobs of a worker in a second.
    jobs: f64,
}

impl Behaviour {
    fn new(version: &str) -> Self {
        Self {
            version: version.to_owned(),
            errors: Share::NONE,
            latency: Duration::ZERO,
            delayed: Share::NONE,
            start: Duration::ZERO,
            ready: true,
            unready_after: None,
            crash_after: None,
            drain: Duration::from_secs(2),
            jobs: 10.0,
        }
    }

    fn from_environment(variable: impl Fn(&str) -> Option<String>) -> Result<Self, String> {
        let mut behaviour = match variable("IMAGE") {
            Some(image) => Self::from_tag(tag_of(&image))?,
            None => Self::new(""),
        };
        for (name, sets) in VARIABLES {
            if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
                let result = behaviour.set(sets, &value);
                result.map_err(|message| format!("{name}: {message}"))?;
            }
        }
        if behaviour.version.is_empty() {
            return Err("no version: set IMAGE=<repository>:<tag> or APP_VERSION".to_owned());
        }
        Ok(behaviour)
    }

    fn from_tag(tag: &str) -> Result<Self, String> {
        let mut parts = tag.split('-');
        let mut behaviour = Self::new(parts.next().unwrap_or_default());
        for suffix in parts {
            let end = suffix
                .find(|letter: char| !letter.is_ascii_lowercase())
                .unwrap_or(suffix.len());
            let result = match suffix.split_at(end) {
                ("notready", "") => behaviour.set("ready", "false"),
                ("version" | "ready", _) => Err(unknown(suffix)),
                (name, value) => behaviour.set(name, value),
            };
            result.map_err(|message| format!("tag `{tag}`: {message}"))?;
        }
        Ok(behaviour)
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "version" => value.clone_into(&mut self.version),
            "errors" => self.errors = Share::of(value)?,
            "latency" => {
                let (milliseconds, percent) = value.split_once('p').unwrap_or((value, "100"));
                self.latency = seconds(milliseconds)? / 1000;
                self.delayed = Share::of(percent)?;
            }
            "start" => self.start = seconds(value)?,
            "ready" => {
                self.ready = value
                    .parse()
                    .map_err(|_| format!("ready is true or false, not `{value}`"))?;
            }
            "unready" => self.unready_after = Some(seconds(value)?),
            "crash" if value.is_empty() => self.crash_after = Some(Duration::ZERO),
            "crash" => self.crash_after = Some(seconds(value)?),
            "drain" => self.drain = seconds(value)?,
            "jobs" => self.jobs = number(value, 0.01, 1000.0)?,
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    /// How long request `number` waits, and whether it fails.
    fn treatment(&self, number: u64) -> (Duration, bool) {
        let delay = self.delayed.takes(number).then_some(self.latency);
        (delay.unwrap_or_default(), self.errors.takes(number))
    }

    fn is_ready_at(&self, age: Duration) -> bool {
        self.ready && self.unready_after.is_none_or(|end| age < end)
    }
}

/// A part of all requests, in millionths: integers, so that 5 % is exactly 5 of every 100.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Share(u64);

impl Share {
    const NONE: Self = Self(0);
    const WHOLE: u64 = 1_000_000;

    fn of(percent: &str) -> Result<Self, String> {
        number(percent, 0.0, 100.0).map(|percent| Self((percent * 10_000.0).round() as u64))
    }

    /// Whether request `number` (from 0) is one of them. They are evenly spread, the first one half a gap from the
    /// start.
    fn takes(self, number: u64) -> bool {
        let before = |count: u64| (count * self.0 + Self::WHOLE / 2) / Self::WHOLE;
        before(number + 1) > before(number)
    }
}

/// The tag in `registry:5000/repository:tag@sha256:...`; empty if there is none.
fn tag_of(image: &str) -> &str {
    let name = image.split('@').next().unwrap_or(image);
    let last = name.rsplit('/').next().unwrap_or(name);
    last.split_once(':').map_or("", |(_, tag)| tag)
}

fn unknown(name: &str) -> String {
    format!(
        "unknown behaviour `{name}`: use errors, latency, start, notready, unready, crash, drain or jobs"
    )
}

/// A time in seconds, at most a day (in milliseconds for latency, which divides it).
fn seconds(value: &str) -> Result<Duration, String> {
    number(value, 0.0, 86_400.0).map(Duration::from_secs_f64)
}

fn number(value: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = value.parse().ok();
    number
        .filter(|number| (least..=most).contains(number))
        .ok_or_else(|| format!("`{value}` is not a number from {least} to {most}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Behaviour, String> {
        Behaviour::from_environment(|name| {
            let found = variables.iter().find(|(key, _)| *key == name);
            found.map(|(_, value)| (*value).to_owned())
        })
    }

    #[track_caller]
    fn check(image: &str, change: impl FnOnce(&mut Behaviour)) {
        let mut expected = Behaviour::new("2.0.0");
        change(&mut expected);
        assert_eq!(from(&[("IMAGE", image)]), Ok(expected));
    }

    const fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn the_tag_says_what_to_do() {
        check("app:2.0.0", |_| ());
        check("registry:5000/team/app:2.0.0@sha256:ab", |_| ());
        check("app:2.0.0-errors5", |b| b.errors = Share(50_000));
        check("app:2.0.0-errors0.5", |b| b.errors = Share(5_000));
        check("app:2.0.0-latency300", |b| {
            (b.latency, b.delayed) = (ms(300), Share(Share::WHOLE));
        });
        check("app:2.0.0-latency300p2-errors1", |b| {
            (b.latency, b.delayed) = (ms(300), Share(20_000));
            b.errors = Share(10_000);
        });
        check("app:2.0.0-start10", |b| b.start = ms(10_000));
        check("app:2.0.0-notready", |b| b.ready = false);
        check("app:2.0.0-unready30", |b| {
            b.unready_after = Some(ms(30_000));
        });
        check("app:2.0.0-crash", |b| b.crash_after = Some(ms(0)));
        check("app:2.0.0-crash0.5", |b| b.crash_after = Some(ms(500)));
        check("app:2.0.0-drain5", |b| b.drain = ms(5_000));
        check("app:2.0.0-jobs20", |b| b.jobs = 20.0);
    }

    #[test]
    fn a_variable_wins_and_an_empty_one_is_not_set() {
        let behaviour = from(&[
            ("IMAGE", "app:2.0.0-errors5-crash"),
            ("APP_VERSION", "3.0.0"),
            ("APP_ERRORS", "20"),
            ("APP_CRASH", ""),
        ]);
        let mut expected = Behaviour::new("3.0.0");
        expected.errors = Share(200_000);
        expected.crash_after = Some(ms(0));
        assert_eq!(behaviour, Ok(expected));
    }

    #[test]
    fn what_is_not_known_is_an_error() {
        for image in [
            "app",
            "app:2.0.0-rc.1",
            "app:2.0.0-error5",
            "app:2.0.0-errors",
            "app:2.0.0-errors101",
            "app:2.0.0-errorsNaN",
            "app:2.0.0-latency",
            "app:2.0.0-notready5",
            "app:2.0.0-ready",
            "app:2.0.0-version3",
            "app:2.0.0-",
        ] {
            assert!(from(&[("IMAGE", image)]).is_err(), "{image}");
        }
        assert!(from(&[("APP_VERSION", "1.0.0"), ("APP_READY", "no")]).is_err());
    }

    #[test]
    fn five_per_cent_are_five_of_every_hundred_evenly_spread() {
        for (percent, each_thousand) in [("0", 0), ("0.1", 1), ("5", 50), ("33.3", 333)] {
            let share = Share::of(percent).expect("a percentage");
            for start in [0, 1000, 77_000] {
                let taken = (start..start + 1000).filter(|n| share.takes(*n)).count();
                assert_eq!(taken, each_thousand, "{percent} % from {start}");
            }
        }
        let five = Share::of("5").expect("a percentage");
        let first: Vec<_> = (0..60).filter(|n| five.takes(*n)).collect();
        assert_eq!(first, [9, 29, 49]);
        assert!((0..100).all(|n| Share(Share::WHOLE).takes(n)));
    }

    #[test]
    fn readiness_ends_when_it_was_told_to() {
        let behaviour = Behaviour::from_tag("2.0.0-unready30").expect("a valid tag");
        assert!(behaviour.is_ready_at(ms(29_999)));
        assert!(!behaviour.is_ready_at(ms(30_000)));
    }

    #[test]
    fn a_wrong_change_changes_nothing() {
        let app = App::new(Behaviour::new("2.0.0"));
        let change = |pairs: &[(&str, &str)]| {
            let owned = pairs
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
            app.change(&owned.collect())
        };
        assert!(change(&[("errors", "20"), ("start", "3")]).is_err());
        assert!(change(&[("errors", "20"), ("ready", "maybe")]).is_err());
        assert_eq!(*app.behaviour(), Behaviour::new("2.0.0"));
        assert_eq!(change(&[("errors", "20"), ("ready", "false")]), Ok(()));
        assert_eq!(app.behaviour().errors, Share(200_000));
        assert!(!app.is_ready());
    }
}
