//! Steady load on a service of the cluster, judged while it runs: starts the example `load` in the cluster's network
//! namespace and follows its lines.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use self::program::report::{Line, NO_VERSION, Report};

// For its report, and for its tests: Cargo builds examples with the tests, but runs no test in them.
#[expect(dead_code, reason = "the program itself is started, not called")]
#[path = "../../examples/load/main.rs"]
pub(crate) mod program;

/// Names the generator's program, where it is not the one beside the tests.
pub(crate) const PROGRAM: &str = "SERIN_REAL_LOAD";

/// How long the generator may take to print what is due each second, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long it may take to end: the time a request may take, and some more.
pub(crate) const END: Duration = Duration::from_secs(15);

/// A load that runs until it is stopped or dropped, at most for an hour. It ends with the test that started it, too.
pub(crate) struct Load {
    child: Child,
    seen: Arc<(Mutex<Seen>, Condvar)>,
}

/// What the generator has printed.
#[derive(Default)]
struct Seen {
    seconds: BTreeMap<u64, Report>,
    /// Milliseconds since 1970.
    until: u64,
    total: Option<Report>,
    ended: bool,
}

impl Load {
    /// Sends `rate` requests a second to `url` under the name `host`, from the network namespace `netns` (this one
    /// if none).
    pub(crate) fn start(netns: Option<&str>, url: &str, host: &str, rate: f64) -> io::Result<Self> {
        let rate = rate.to_string();
        Self::with_arguments(netns, &["--url", url, "--host", host, "--rate", &rate])
    }

    /// The same with any arguments of the generator.
    pub(crate) fn with_arguments(netns: Option<&str>, arguments: &[&str]) -> io::Result<Self> {
        let program = program()?;
        let mut command = match netns {
            // `ip` becomes the program, so that the child's id is the generator's.
            Some(netns) => {
                let mut ip = Command::new("ip");
                ip.args(["netns", "exec", netns]).arg(program);
                ip
            }
            None => Command::new(program),
        };
        if !arguments.contains(&"--duration") {
            command.args(["--duration", "1h"]);
        }
        let mut child = command
            .args(arguments)
            .args(["--progress", "--output", "json", "--until-stdin-closes"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take();
        let seen = Arc::default();
        if let Some(stdout) = stdout {
            let seen = Arc::clone(&seen);
            std::thread::spawn(move || follow(stdout, &seen));
        }
        Ok(Self { child, seen })
    }

    /// What has been counted up to a second ago. `sent` includes requests in flight.
    pub(crate) fn snapshot(&self) -> Report {
        sum(self.seen().seconds.values())
    }

    /// What became of the requests that were due in the whole seconds between two times. Waits until the generator
    /// has counted that far; requests still in flight by then are missing from the replies.
    pub(crate) fn window(&self, from: SystemTime, to: SystemTime) -> io::Result<Report> {
        let seconds = since_epoch(from).div_ceil(1000)..since_epoch(to) / 1000;
        let end = seconds.end * 1000;
        let seen = self.wait(PATIENCE, |seen| seen.ended || seen.until >= end)?;
        Ok(sum(seen
            .seconds
            .iter()
            .filter(|(second, _)| seconds.contains(second))
            .map(|(_, report)| report)))
    }

    /// The seconds (since 1970) in which requests that were lost had been due, with how many they were.
    pub(crate) fn losses(&self) -> Vec<(u64, u64)> {
        let seen = self.seen();
        let bad = |report: &Report| report.lost + report.stray;
        let seconds = seen.seconds.iter().filter(|(_, report)| bad(report) > 0);
        seconds
            .map(|(second, report)| (*second, bad(report)))
            .collect()
    }

    /// Ends the load, waits for the requests in flight, and returns the whole.
    pub(crate) fn stop(mut self) -> io::Result<Report> {
        self.end()
    }

    /// The same, for those who want to ask on.
    pub(crate) fn end(&mut self) -> io::Result<Report> {
        // The generator watches its standard input; it may have ended by itself before.
        drop(self.child.stdin.take());
        let total = self.wait(END, |seen| seen.ended)?.total.take();
        let status = self.child.wait()?;
        total.ok_or_else(|| io::Error::other(format!("load ended without a report: {status}")))
    }

    /// Waits until `enough` is true; an error when that takes too long.
    fn wait(
        &self,
        patience: Duration,
        enough: impl Fn(&Seen) -> bool,
    ) -> io::Result<MutexGuard<'_, Seen>> {
        let waited = self
            .seen
            .1
            .wait_timeout_while(self.seen(), patience, |seen| !enough(seen));
        let (seen, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            return Err(io::Error::other("load prints nothing"));
        }
        Ok(seen)
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // After `stop` both only find that the child is gone.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn follow(stdout: ChildStdout, seen: &(Mutex<Seen>, Condvar)) {
    let (seen, changed) = seen;
    let lock = || seen.lock().unwrap_or_else(PoisonError::into_inner);
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let mut seen = lock();
        match serde_json::from_str(&line) {
            Ok(Line::Progress { until, seconds }) => {
                seen.until = until;
                for (second, report) in seconds {
                    seen.seconds.entry(second).or_default().add(&report);
                }
            }
            Ok(Line::Total { total, .. }) => seen.total = Some(total),
            Err(_) => break,
        }
        changed.notify_all();
    }
    lock().ended = true;
    changed.notify_all();
}

fn sum<'a>(reports: impl Iterator<Item = &'a Report>) -> Report {
    let mut sum = Report::default();
    reports.for_each(|report| sum.add(report));
    sum
}

fn since_epoch(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The example `load`: the one that this variable names, or else the one that Cargo built beside the tests.
fn program() -> io::Result<PathBuf> {
    if let Some(program) = std::env::var_os(PROGRAM) {
        return Ok(program.into());
    }
    let tests = std::env::current_exe()?;
    let program = tests
        .ancestors()
        .nth(2)
        .map(|profile| profile.join("examples/load"));
    program.filter(|program| program.is_file()).ok_or_else(|| {
        io::Error::other("there is no example `load`: run `cargo build --example load`")
    })
}

impl Report {
    /// All replies.
    pub(crate) fn replies(&self) -> u64 {
        self.by_version.values().map(|counts| counts.replies).sum()
    }

    /// The part (0 to 1) of a version in the replies of all versions; 0 if there are none.
    pub(crate) fn share(&self, version: &str) -> f64 {
        let replies = |version: &str| self.by_version.get(version).map_or(0, |c| c.replies);
        let all = self.replies() - replies(NO_VERSION);
        replies(version) as f64 / all.max(1) as f64
    }

    /// The latency that half of a version's replies did not exceed.
    pub(crate) fn p50(&self, version: &str) -> Option<Duration> {
        self.by_version.get(version)?.latency.percentile(0.5)
    }

    /// The latency that 99 % of a version's replies did not exceed.
    pub(crate) fn p99(&self, version: &str) -> Option<Duration> {
        self.by_version.get(version)?.latency.percentile(0.99)
    }
}

/// Whether a share of `n` random choices is as expected, give or take `sigmas` standard deviations of the binomial
/// distribution: at 4 one of 16,000 right splits is called wrong.
pub(crate) fn within_sigma(share: f64, expected: f64, n: u64, sigmas: f64) -> bool {
    let n = n as f64;
    let sigma = (expected * (1.0 - expected) / n).sqrt();
    (share - expected).abs() <= sigmas * sigma + 1e-9
}
